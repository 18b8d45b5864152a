//! Kubernetes' API server: a real one ([`Cluster`]), one that replays recorded answers ([`Replay`]), and objects as
//! they send them.

mod cluster;
mod replay;

pub use cluster::{Cluster, helm, output};
pub use replay::{Answer, Replay, kubeconfig};

/// A pod of one container on the node `node-a`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pod<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its id.
    pub uid: &'a str,
    /// The runtime's id of the container; none yet if empty.
    pub container: &'a str,
    /// More of its metadata, which begins with a comma.
    pub more: &'a str,
}

impl Pod<'_> {
    /// As the server sends it.
    pub fn json(&self, version: u32) -> String {
        let Self { name, namespace, uid, container, more } = self;
        let status = match *container {
            "" => String::new(),
            id => format!(
                r#""status":{{"phase":"Running","containerStatuses":[{{"name":"app","ready":true,"restartCount":0,"image":"{name}:1","imageID":"sha256:1","containerID":"containerd://{id}"}}]}},"#
            ),
        };
        format!(
            r#"{{"kind":"Pod","apiVersion":"v1",{status}"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{version}","creationTimestamp":"2026-11-29T09:00:00Z"{more}}},"spec":{{"nodeName":"node-a","containers":[{{"name":"app","image":"{name}:1"}}]}}}}"#
        )
    }
}

/// A line of a watch.
pub fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// What a streaming list ends with.
pub fn end_of_list(version: u32) -> String {
    event(
        "BOOKMARK",
        &format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","creationTimestamp":null,"annotations":{{"k8s.io/initial-events-end":"true"}}}},"spec":{{"containers":null}},"status":{{}}}}"#
        ),
    )
}

/// A list of pods.
pub fn list(pods: &[String], version: u32) -> String {
    let items = pods.join(",");
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#
    )
}

/// What a server answers when it refuses.
pub fn status(code: u16, reason: &str, message: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}"#
    )
}
