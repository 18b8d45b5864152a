//! Why a process's memory can't be read at all.

/// Unmapped addresses are no errors; these are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process ended, or the kernel refused.
    #[error(transparent)]
    Process(#[from] goproc::Error),
    /// More was asked for at once than is sensible.
    #[error("{0} bytes are too many to be read at once")]
    TooMuch(usize),
}
