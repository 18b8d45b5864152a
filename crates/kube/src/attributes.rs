//! What a pod and a container of it are as attributes of a resource, by OpenTelemetry's semantic conventions.

use crate::image::Image;
use crate::owner;
use crate::pod::{Container, Pod};

/// Labels that Kubernetes recommends.
const INSTANCE: &str = "app.kubernetes.io/instance";
const NAME: &str = "app.kubernetes.io/name";
const VERSION: &str = "app.kubernetes.io/version";

/// Attributes that the conventions choose a service's name from, in this order.
const SERVICES: [&str; 8] = [
    "k8s.deployment.name",
    "k8s.replicaset.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "k8s.pod.name",
    "k8s.container.name",
];

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One text.
    Text(String),
    /// Several.
    Texts(Vec<String>),
}

/// Attributes, each once.
pub type Attributes = Vec<(String, Value)>;

/// All attributes that follow from where a process runs. `service_labels` says whether `app.kubernetes.io/…` labels
/// name the service: the conventions want that to be asked for.
pub fn of(pod: &Pod, container: Option<&Container>, service_labels: bool) -> Attributes {
    let mut out = Attributes::new();
    let mut add = |key: &str, value: Value| out.push((key.to_owned(), value));
    let text = |text: &str| Value::Text(text.to_owned());
    add("k8s.namespace.name", text(&pod.namespace));
    add("k8s.pod.name", text(&pod.name));
    add("k8s.pod.uid", text(&pod.uid));
    if let Some(node) = &pod.node {
        add("k8s.node.name", text(node));
    }
    for (key, name) in owner::controllers(pod) {
        add(key, Value::Text(name));
    }
    if let Some(container) = container {
        let image = Image::new(&container.image);
        add("k8s.container.name", text(&container.name));
        if !image.name.is_empty() {
            add("container.image.name", text(image.name));
        }
        if let Some(tag) = image.tag {
            add("container.image.tags", Value::Texts(vec![tag.to_owned()]));
        }
    }
    let service = [
        ("service.name", service_name(pod, &out, service_labels)),
        ("service.namespace", Some(pod.namespace.clone())),
        ("service.version", version(pod, container, service_labels)),
    ];
    let service = service.into_iter().filter_map(|(key, value)| Some((key, value?)));
    out.extend(service.map(|(key, value)| (key.to_owned(), Value::Text(value))));
    for (key, value) in &pod.annotated {
        let value = Value::Text(value.clone());
        match out.iter_mut().find(|(known, _)| known == key) {
            Some((_, slot)) => *slot = value,
            None => out.push((key.clone(), value)),
        }
    }
    out.retain(|(_, value)| *value != Value::Text(String::new()));
    out
}

fn service_name(pod: &Pod, attributes: &Attributes, labels: bool) -> Option<String> {
    let label = |name| pod.labels.get(name).filter(|value| labels && !value.is_empty()).cloned();
    let of = |key: &&str| match attributes.iter().find(|(known, _)| known == *key) {
        Some((_, Value::Text(text))) => Some(text.clone()),
        _ => None,
    };
    label(INSTANCE).or_else(|| label(NAME)).or_else(|| SERVICES.iter().find_map(of))
}

fn version(pod: &Pod, container: Option<&Container>, labels: bool) -> Option<String> {
    let label = pod.labels.get(VERSION).filter(|value| labels && !value.is_empty());
    let of_image = || Image::new(&container?.image).version();
    label.cloned().or_else(of_image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods_tests::shop;

    fn text<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a str> {
        match &attributes.iter().find(|(known, _)| known == key)?.1 {
            Value::Text(text) => Some(text),
            Value::Texts(texts) => texts.first().map(String::as_str),
        }
    }

    #[test]
    fn a_container_of_a_deployment_has_all_attributes() {
        let pod = shop();
        let found = of(&pod, Some(&pod.containers[0]), false);
        for (key, value) in [
            ("k8s.namespace.name", "market"),
            ("k8s.pod.name", "shop-7d9c5b6f4-x2x9k"),
            ("k8s.pod.uid", "0b4a9c5e-0000-4000-8000-000000000001"),
            ("k8s.node.name", "node-a"),
            ("k8s.deployment.name", "shop"),
            ("k8s.replicaset.name", "shop-7d9c5b6f4"),
            ("k8s.container.name", "app"),
            ("container.image.name", "registry.example:5000/shop/app"),
            ("container.image.tags", "1.4.2"),
            ("service.name", "shop"),
            ("service.namespace", "market"),
            ("service.version", "1.4.2"),
            ("deployment.environment.name", "staging"),
        ] {
            assert_eq!(text(&found, key), Some(value), "{key}");
        }
        assert_eq!(found.len(), 13, "{found:?}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let pod = shop();
        let of_pod = of(&pod, None, false);
        for key in ["k8s.container.name", "container.image.name", "service.version"] {
            assert_eq!(text(&of_pod, key), None, "{key}");
        }
        let of_proxy = of(&pod, Some(&pod.containers[1]), false);
        assert_eq!(text(&of_proxy, "container.image.tags"), None);
        assert!(text(&of_proxy, "service.version").is_some_and(|v| v.starts_with("sha256:9f2b")));
    }

    #[test]
    fn labels_name_the_service_where_asked_for() {
        let mut pod = shop();
        let container = pod.containers[0].clone();
        let named = |pod: &Pod| {
            let found = of(pod, Some(&container), true);
            let text = |key| text(&found, key).unwrap_or_default().to_owned();
            (text("service.name"), text("service.version"))
        };
        assert_eq!(named(&pod), ("storefront".into(), "3.1".into()));
        pod.labels.insert(INSTANCE.into(), "blue".into());
        assert_eq!(named(&pod), ("blue".into(), "3.1".into()));
        pod.annotated.insert("service.name".into(), "annotated".into());
        pod.annotated.insert("service.version".into(), "4".into());
        assert_eq!(named(&pod), ("annotated".into(), "4".into()));
    }

    #[test]
    fn a_pod_without_a_controller_names_its_service_itself() {
        let pod = Pod { owner: None, ..shop() };
        assert_eq!(text(&of(&pod, None, false), "service.name"), Some("shop-7d9c5b6f4-x2x9k"));
    }
}
