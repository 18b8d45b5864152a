//! The back ends that profiles go to, and the labels that each one gets. Not here: delivering (`export`).

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use export::{ProfileBackend, ProfileExporter, ProfileStats};
use profile::{Profile, pprof};
use trace::{Resource, Value};

/// Pyroscope makes a series of each value of a label but this one's.
const TRACE_ID: &str = "trace_id";

/// Labels by the attributes that they are made of.
const LABELS: [(&str, &str); 9] = [
    ("service_name", "service.name"),
    ("service_namespace", "service.namespace"),
    ("service_version", "service.version"),
    ("service_instance_id", "service.instance.id"),
    ("pid", "process.pid"),
    ("node", "host.name"),
    ("namespace", "k8s.namespace.name"),
    ("pod", "k8s.pod.name"),
    ("container", "k8s.container.name"),
];

/// How a profile is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// What Parca and Pyroscope call it.
    pub(super) name: &'static str,
    /// Whether all its types of values are sent by OTLP, where each is a profile; else the first one.
    pub(super) all_types: bool,
}

/// The back ends that profiles are sent to; none any more after the end.
pub(crate) struct Outlets(RwLock<Vec<ProfileExporter>>);

impl Outlets {
    pub(crate) fn new(exporters: Vec<ProfileExporter>) -> Self {
        Self(RwLock::new(exporters))
    }

    fn exporters(&self) -> RwLockReadGuard<'_, Vec<ProfileExporter>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of what was sent, by back end, also to be read later.
    pub(crate) fn stats(&self) -> Vec<(ProfileBackend, Arc<ProfileStats>)> {
        self.exporters().iter().map(|one| (one.backend(), one.stats())).collect()
    }

    /// Sends a profile to all.
    pub(super) fn send(&self, resource: &Resource, profile: &Profile, how: Sent) {
        let labels = labels(resource, how.name);
        let types = if how.all_types { profile.types.len() } else { 1 };
        for exporter in self.exporters().iter() {
            let request = match exporter.backend() {
                ProfileBackend::Otlp => {
                    let ids: Vec<_> = (0..types).map(|_| unique().into_bytes()).collect();
                    Some(export::otlp_profiles(resource, profile, &ids))
                }
                ProfileBackend::Parca => {
                    let file = pprof::encode(profile).ok();
                    file.map(|file| export::parca_profile(&labels, file))
                }
                ProfileBackend::Pyroscope => {
                    let file = pprof::encode_without(profile, TRACE_ID).ok();
                    let id = unique().to_string();
                    file.map(|file| export::pyroscope_profile(&labels, file, id))
                }
            };
            exporter.push(request);
        }
    }

    /// Lets all finish by then. Whoever sends later, as it has not ended in time, sends to none.
    pub(super) fn finish(&self, deadline: Instant) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let exporters = std::mem::take(&mut *all);
        drop(all);
        for exporter in &exporters {
            exporter.finish_by(deadline);
        }
        exporters.into_iter().for_each(ProfileExporter::join);
    }
}

fn unique() -> uuid::Uuid {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid()
}

/// What is known of a process, as labels.
fn labels(resource: &Resource, name: &str) -> Vec<(String, String)> {
    let known = LABELS.iter().filter_map(|(label, attribute)| {
        let mut all = resource.attributes().iter();
        let text = match &all.find(|(key, _)| key == attribute)?.1 {
            Value::Int(n) => n.to_string(),
            value => value.as_str()?.to_owned(),
        };
        Some(((*label).to_owned(), text)).filter(|(_, text)| !text.is_empty())
    });
    [("__name__".to_owned(), name.to_owned())].into_iter().chain(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_that_are_known() {
        let text = |text: &str| Value::Text(text.into());
        let attributes = vec![
            ("service.name".to_owned(), text("shop")),
            ("process.pid".to_owned(), Value::Int(7)),
            ("k8s.pod.name".to_owned(), text("shop-1")),
            ("service.version".to_owned(), text("")),
        ];
        let labels = labels(&Resource::new(attributes), "process_cpu");
        let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let known = [("service_name", "shop"), ("pid", "7"), ("pod", "shop-1")];
        assert_eq!(labels, [&[("__name__", "process_cpu")][..], &known].concat());
    }
}
