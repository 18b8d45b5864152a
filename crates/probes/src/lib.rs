//! From a Go binary to live probes: what the kernel can do ([`Features`]), what will be attached
//! where and at what cost ([`Plan`], pure), loading and attaching ([`Session`]), reading events
//! ([`Events`]) and the counters of hits and losses ([`Counters`]).
//!
//! The only crate that knows libbpf. Not here: what events mean (`trace`).

mod events;
mod features;
mod known;
mod object;
mod plan;
mod reaper;
mod session;
mod singles;
#[cfg(test)]
mod stack_tests;
mod verifier;

pub use events::{EventSource, Events};
pub use features::{Features, KernelVersion};
pub use plan::{
    Ability, ConnectorLayout, DatabaseLayout, Missing, PgxLayout, Plan, PlannedSite, RouteLayout,
    Router,
};
pub use session::{Attached, Counters, Options, Session};
pub use verifier::{Refused, Verified, verify};

/// Why probes could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The agent lacks rights.
    #[error(
        "not allowed to load BPF programs; run as root or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
    )]
    Denied,
    /// No BTF in the kernel.
    #[error(
        "the kernel has no type information (/sys/kernel/btf/vmlinux); gotap needs one built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// Too old a kernel.
    #[error("Linux {0} is too old; gotap needs 5.10 or newer")]
    OldKernel(KernelVersion),
    /// libbpf or the kernel refused.
    #[error("{what}: {source}")]
    Bpf {
        /// What was tried.
        what: String,
        /// What libbpf said.
        source: libbpf_rs::Error,
    },
    /// A map is full.
    #[error("more than {0} processes can't be observed at once")]
    TooManyProcesses(u32),
    /// A thread can't be started.
    #[error("start a thread: {0}")]
    Thread(std::io::Error),
}

impl Error {
    pub(crate) fn bpf(what: impl Into<String>) -> impl FnOnce(libbpf_rs::Error) -> Self {
        move |source| match source.kind() {
            // The verifier refuses a program with the same number as a lack of rights.
            libbpf_rs::ErrorKind::PermissionDenied if !features::is_privileged() => Self::Denied,
            _ => Self::Bpf { what: what.into(), source },
        }
    }
}
