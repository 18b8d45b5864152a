//! A pod: as the API server sends it ([`Sent`]), of which most is never decoded, and what is kept of it
//! ([`Pod`]). Not here: what follows from it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// What an annotation begins with that is an attribute of the pod's resource.
const ANNOTATION: &str = "resource.opentelemetry.io/";
/// By this annotation a static pod's copy at the API server names the pod that the kubelet runs.
const MIRRORED: &str = "kubernetes.io/config.hash";
/// Of one pod: labels, annotations that are attributes, containers.
const MAX_PARTS: usize = 128;
/// Bytes of an annotation's value. The API server allows 256 KiB for all of them.
const MAX_VALUE: usize = 1024;

/// A pod as it is sent. Fields that gotap does not need are not decoded: environments of containers, commands and
/// volumes may hold secrets.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sent {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: SentStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    containers: Vec<SentContainer>,
    init_containers: Vec<SentContainer>,
    ephemeral_containers: Vec<SentContainer>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SentContainer {
    name: String,
    image: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SentStatus {
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
    ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

impl kube::Resource for Sent {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What is kept of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its id at the API server.
    pub uid: String,
    /// The id that the kubelet knows it by, where that is another one: it is a static pod.
    pub mirrored: Option<String>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Attributes that its annotations give, without what the annotations begin with.
    pub annotated: BTreeMap<String, String>,
    /// What controls it.
    pub owner: Option<Owner>,
    /// When it was created, in seconds since 1970.
    pub created: Option<i64>,
    /// Its containers of all sorts.
    pub containers: Vec<Container>,
}

/// What controls a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// Its image, as the pod's specification says.
    pub image: String,
    /// The runtime's id of it, without the runtime's name. A container that was not started has none.
    pub id: Option<String>,
}

impl From<Sent> for Pod {
    fn from(sent: Sent) -> Self {
        let Sent { metadata, spec, status } = sent;
        let owner = metadata.owner_references.unwrap_or_default().into_iter();
        let owner = owner.filter(|owner| owner.controller == Some(true)).map(|owner| {
            let (kind, name) = (owner.kind, owner.name);
            Owner { kind, name }
        });
        let annotations = metadata.annotations.unwrap_or_default();
        let annotated = annotations.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix(ANNOTATION).filter(|key| !key.is_empty())?;
            (value.len() <= MAX_VALUE).then(|| (key.to_owned(), value.clone()))
        });
        let containers = [spec.containers, spec.init_containers, spec.ephemeral_containers];
        let statuses = [
            status.container_statuses,
            status.init_container_statuses,
            status.ephemeral_container_statuses,
        ];
        let statuses = statuses.concat();
        let container = |SentContainer { name, image }: SentContainer| {
            let status = statuses.iter().find(|status| status.name == name);
            let id = status.and_then(|status| bare_id(status.container_id.as_deref()?));
            Container { name, image, id }
        };
        Pod {
            uid: metadata.uid.unwrap_or_default(),
            mirrored: annotations.get(MIRRORED).cloned(),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            node: spec.node_name,
            labels: metadata.labels.unwrap_or_default().into_iter().take(MAX_PARTS).collect(),
            annotated: annotated.take(MAX_PARTS).collect(),
            owner: owner.into_iter().next(),
            created: metadata.creation_timestamp.map(|time| time.0.as_second()),
            containers: containers.concat().into_iter().take(MAX_PARTS).map(container).collect(),
        }
    }
}

/// `containerd://ID` without what is before the id.
fn bare_id(text: &str) -> Option<String> {
    let id = text.split_once("://").map_or(text, |(_, id)| id);
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods_tests::{ID, shop};

    #[test]
    fn what_is_needed_of_a_pod_is_kept() {
        let pod = shop();
        assert_eq!((pod.name.as_str(), pod.namespace.as_str()), ("shop-7d9c5b6f4-x2x9k", "market"));
        assert_eq!(pod.node.as_deref(), Some("node-a"));
        assert_eq!(pod.owner.as_ref().unwrap().kind, "ReplicaSet");
        assert_eq!(pod.created, Some(1_795_942_800));
        let names: Vec<_> = pod.containers.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["app", "proxy", "migrate"]);
        assert_eq!(pod.containers[0].id.as_deref(), Some(ID));
        assert_eq!(pod.containers[1].id, None, "it was not started");
        assert_eq!(pod.annotated.len(), 1);
        let kept = format!("{pod:?}");
        assert!(!kept.contains("hunter2"), "a secret of its environment: {kept}");
    }

    #[test]
    fn ids_of_all_runtimes_are_read() {
        for text in ["containerd://ab", "cri-o://ab", "docker://ab", "ab"] {
            assert_eq!(bare_id(text).as_deref(), Some("ab"));
        }
        assert_eq!(bare_id("containerd://"), None);
    }

    #[test]
    fn a_pod_of_which_almost_nothing_is_known_is_none_the_less_one() {
        let sent: Sent = serde_json::from_str(r#"{"metadata": {"name": "x"}}"#).unwrap();
        let pod = Pod::from(sent);
        assert_eq!((pod.name.as_str(), pod.containers.len(), pod.owner), ("x", 0, None));
    }
}
