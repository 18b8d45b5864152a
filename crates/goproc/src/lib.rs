//! What a live process says of itself through `/proc`: its executable, where it is loaded, its
//! environment, the ports it listens on and a few things in its memory. Nothing here stops or
//! changes the process. Also what this process itself uses.
//!
//! Not here: what the executable contains (`gobin`) and what its probes report (`probes`).

mod cut;
mod executable;
mod memory;
mod namespace;
mod ports;
mod process;
mod sockets;
mod traffic;
mod usage;

pub use executable::{Executable, FileId};
pub use memory::Memory;
pub use namespace::{ForeignPids, check_pids, in_user_namespace};
pub use ports::listening_ports;
pub use process::{Process, pids};
pub use sockets::{Owner, Sockets, Transport, netns_of};
pub use traffic::{Received, received};
pub use usage::{Usage, cpu_time, own_usage};

/// Root needs no advice to become root.
fn what_to_do() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "root lacks CAP_SYS_PTRACE here, as in a container, or a security module forbids it"
    } else {
        "run as root or with CAP_SYS_PTRACE"
    }
}

impl Error {
    /// Whether a right is missing.
    pub fn is_denied(&self) -> bool {
        matches!(self, Error::Denied(_) | Error::Unreadable(_))
    }
}

/// Why something could not be learnt about a process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such process (any more).
    #[error("there is no process {0}")]
    NoSuchProcess(u32),
    /// The kernel refused.
    #[error("not allowed to look into process {0}; {advice}", advice = what_to_do())]
    Denied(u32),
    /// Its executable may not be read.
    #[error(
        "not allowed to read the executable of process {0}; run as root or with CAP_DAC_READ_SEARCH"
    )]
    Unreadable(u32),
    /// The id is a thread's.
    #[error("{thread} is a thread of process {process}; use --pid {process}")]
    Thread {
        /// The id that was given.
        thread: u32,
        /// Its process.
        process: u32,
    },
    /// It has no executable: a kernel thread or a zombie.
    #[error("process {0} has no executable (a kernel thread, or about to end)")]
    NoExecutable(u32),
    /// Something else.
    #[error("process {pid}: {source}")]
    Io {
        /// Process id.
        pid: u32,
        /// What went wrong.
        source: std::io::Error,
    },
}
