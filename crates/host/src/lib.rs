//! Events of any program of the host, not only of Go: processes that start and end, connections,
//! flows.
//!
//! Here is the contract with the programs in `bpf/host`, decoding ([`exec`], [`tcp`], [`flows`]), and what the events
//! mean: which process is which ([`processes`]), its container ([`container`]), and which of its
//! arguments are secret ([`mask`]). Nothing here does IO. Loading the programs is in `probes`, printing in
//! `gotap`.

pub mod container;
#[cfg(test)]
mod contract_tests;
pub mod exec;
pub mod flows;
pub mod mask;
pub mod processes;
mod raw;
pub mod tcp;

/// A record that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It has fewer bytes than it says.
    #[error("a record of {0} bytes is too short")]
    Short(usize),
    /// Nothing of this number is known.
    #[error("unknown kind of record {0}")]
    Kind(u32),
}

/// The text of a name that the kernel keeps in 16 bytes.
pub(crate) fn comm(bytes: &[u8; 16]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
