//! Where a process runs: its container and its pod, as its cgroup tells. Not here: what a pod is called, which the
//! API server knows.

use goproc::Process;
use host::container::{self, Container};

/// A container and a pod, as far as the process is in any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) container: Option<Container>,
    /// The id by which the kubelet knows the pod.
    pub(crate) pod: Option<String>,
}

impl Home {
    /// That of a process. One that can't be read is in none.
    pub(crate) fn of(process: Process) -> Self {
        let cgroup = std::fs::read_to_string(process.path("cgroup")).unwrap_or_default();
        let (container, pod) = container::of_proc(&cgroup);
        Self { container, pod }
    }

    /// The container's id.
    pub(crate) fn container_id(&self) -> Option<&str> {
        self.container.as_ref().map(|container| container.id.as_str())
    }

    /// The pod's id at the API server, unless that has another one for it: of a static pod the kubelet has a hash.
    pub(crate) fn pod_uid(&self) -> Option<&str> {
        self.pod.as_deref().filter(|id| id.contains('-'))
    }
}
