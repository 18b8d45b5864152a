//! Attributes of resources as Prometheus has them: labels of `target_info`, and `job` and `instance`, by
//! which other metrics of the same resource are found.

use crate::names::label;

/// Labels with their values.
pub type Labels = Vec<(String, String)>;

/// What `job` and `instance` are made of.
const IDENTITY: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// A process whose metrics the agent has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `service.name` behind `service.namespace`.
    pub job: String,
    /// `service.instance.id`.
    pub instance: String,
    /// Its labels in `target_info`, those two in front.
    pub info: Labels,
}

impl Target {
    /// From the attributes of a resource.
    pub fn new<'a>(attributes: impl Iterator<Item = (&'a str, String)>) -> Self {
        let attributes: Vec<_> = attributes.collect();
        let get = |key: &str| attributes.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str());
        let name = get("service.name").unwrap_or_default();
        let job = match get("service.namespace") {
            Some(namespace) if !namespace.is_empty() => format!("{namespace}/{name}"),
            _ => name.to_owned(),
        };
        let instance = get("service.instance.id").unwrap_or_default().to_owned();
        let others = attributes.iter().filter(|(key, _)| !IDENTITY.contains(key));
        let mut info = vec![("job".to_owned(), job.clone())];
        info.push(("instance".to_owned(), instance.clone()));
        info.extend(labels(others.map(|(key, value)| (*key, value.as_str()))));
        Self { job, instance, info }
    }
}

/// All attributes as labels. Those whose names become the same are joined; those that would be taken for
/// `job` or `instance` are left out.
pub fn target_labels(attributes: &[(String, String)]) -> Labels {
    labels(attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn labels<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
    let mut out: Labels = Vec::new();
    for (key, value) in attributes {
        let name = label(key);
        match out.iter_mut().find(|(known, _)| *known == name) {
            _ if name == "job" || name == "instance" => {}
            Some((_, known)) => {
                known.push(';');
                known.push_str(value);
            }
            None => out.push((name, value.to_owned())),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_by_job_and_instance() {
        let attributes = [
            ("service.name", "shop"),
            ("service.namespace", "eu"),
            ("service.instance.id", "7"),
            ("a.b", "x"),
            ("a_b", "y"),
            ("job", "not ours"),
            ("2x", "z"),
        ];
        let target = Target::new(attributes.iter().map(|(k, v)| (*k, (*v).to_owned())));
        assert_eq!((target.job.as_str(), target.instance.as_str()), ("eu/shop", "7"));
        let expected = [("job", "eu/shop"), ("instance", "7"), ("a_b", "x;y"), ("_2x", "z")];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(target.info, expected);
    }
}
