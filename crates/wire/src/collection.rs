//! The contract of the observer of garbage collections: the twin of `bpf/gc.h`.
//!
//! Not here: what the words mean, which `goruntime` knows.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::DecodeError;

/// Words of the runtime that an event has (`GT_GC_WORDS`).
pub const GC_WORDS: usize = 20;

/// The constants of the process that is observed (`struct gt_gc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Collected {
    /// The process.
    pub tgid: u32,
    /// Fills the structure.
    pub pad: u32,
    /// Addresses of the words; 0 for what the Go version lacks.
    pub words: [u64; 20],
}

/// What the programs count (`enum gt_gc_counter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum CollectedCounter {
    /// Hits of the site.
    Seen = 0,
    /// Events that did not fit into the ring buffer.
    RingFull = 1,
}

/// The runtime lets the goroutines run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldStart {
    /// When, by the monotonic clock.
    pub time_ns: u64,
    /// Why they were stopped; of Go 1.22 and newer.
    pub reason: u64,
    /// Since when they were stopped, by the monotonic clock; of Go 1.22 and newer.
    pub stopped_at: u64,
    /// The words; `None` where one could not be read.
    pub words: [Option<u64>; GC_WORDS],
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct GcEvent {
    time_ns: u64,
    reason: u64,
    stopped_at: u64,
    unread: u32,
    pad: u32,
    words: [u64; 20],
}

const _: () = assert!(size_of::<Collected>() == 8 + 8 * GC_WORDS);
const _: () = assert!(size_of::<GcEvent>() == 32 + 8 * GC_WORDS);

/// Decodes a record of the ring buffer.
///
/// # Errors
/// [`DecodeError`], if it is none.
pub fn decode_world_start(bytes: &[u8]) -> Result<WorldStart, DecodeError> {
    let (raw, _) = GcEvent::read_from_prefix(bytes).map_err(|_| DecodeError::Short(bytes.len()))?;
    let word = |i: usize| (raw.unread & 1 << i == 0).then_some(raw.words[i]);
    Ok(WorldStart {
        time_ns: raw.time_ns,
        reason: raw.reason,
        stopped_at: raw.stopped_at,
        words: std::array::from_fn(word),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_missing() {
        let mut bytes = Vec::new();
        for word in [5u64, 2, 3, 0b10] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend((0..GC_WORDS as u64).flat_map(u64::to_ne_bytes));
        let event = decode_world_start(&bytes).unwrap();
        assert_eq!((event.time_ns, event.reason, event.stopped_at), (5, 2, 3));
        assert_eq!(&event.words[..3], &[Some(0), None, Some(2)]);
        assert!(decode_world_start(&bytes[1..]).is_err());
    }
}
