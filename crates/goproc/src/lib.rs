//! What a live process says of itself through `/proc`: its executable, where it is loaded, its
//! environment, the ports it listens on and a few things in its memory. Nothing here stops or
//! changes the process.
//!
//! Not here: what the executable contains (`gobin`) and what its probes report (`probes`).

mod executable;
mod memory;
mod ports;
mod process;

pub use executable::{Executable, FileId};
pub use memory::Memory;
pub use ports::listening_ports;
pub use process::{Process, pids};

/// Why something could not be learnt about a process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such process (any more).
    #[error("there is no process {0}")]
    NoSuchProcess(u32),
    /// The kernel refused.
    #[error("not allowed to look into process {0}; run as root or with CAP_SYS_PTRACE")]
    Denied(u32),
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
