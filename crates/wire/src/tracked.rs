//! The contract of the goroutine tracker: the twin of `bpf/tracker.h`.
//!
//! Not here: how long goroutines lived, which the reader of the events finds out.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::DecodeError;

/// The constants of the process that is tracked (`struct gt_tracked`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Tracked {
    /// The process.
    pub tgid: u32,
    /// Offset of `runtime.g.goid`.
    pub g_goid: u16,
    /// Offset of `runtime.g.parentGoid`, [`crate::raw::NONE`] before Go 1.21.
    pub g_parent_goid: u16,
    /// Offset of `runtime.g.gopc`.
    pub g_gopc: u16,
    /// Offset of `runtime.g.startpc`.
    pub g_startpc: u16,
    /// Offset of `runtime.g.m`.
    pub g_m: u16,
    /// Offset of `runtime.m.curg`.
    pub m_curg: u16,
    /// Where the site of a creation has the new g, by its x86 number.
    pub new_g_register: u16,
    /// Whether the site of an exit is the branch of the stack check.
    pub exit_guarded: u16,
    /// Fills the structure.
    pub pad: u32,
}

/// What happened to a goroutine (`enum gt_tracked_kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Lifecycle {
    /// A `go` statement, or the runtime, made it.
    Created = 0,
    /// It ended.
    Exited = 1,
}

/// What the programs count (`enum gt_tracked_counter`); of each kind, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TrackedCounter {
    /// Hits of the site.
    Seen = 0,
    /// Events that did not fit into the ring buffer.
    RingFull = 2,
    /// Goroutines whose number could not be read.
    Unread = 4,
}

impl TrackedCounter {
    /// Its index in the map.
    pub fn index(self, kind: Lifecycle) -> u32 {
        self as u32 + kind as u32
    }
}

/// One goroutine was created or ended. Addresses are those of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackedEvent {
    /// What happened.
    pub kind: Lifecycle,
    /// When, by the monotonic clock.
    pub time_ns: u64,
    /// Its number.
    pub goid: u64,
    /// The number of the goroutine that created it; a thread's own one has none.
    pub parent_goid: Option<u64>,
    /// Behind the call that its `go` statement became.
    pub created_at: Option<u64>,
    /// The function that it begins with.
    pub start: Option<u64>,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Raw {
    kind: u32,
    unread: u32,
    time_ns: u64,
    goid: u64,
    parent_goid: u64,
    created_at: u64,
    start: u64,
}

const NO_PARENT: u32 = 1;
const NO_CREATOR: u32 = 2;
const NO_START: u32 = 4;

const _: () = assert!(size_of::<Tracked>() == 24);
const _: () = assert!(size_of::<Raw>() == 48);

/// Decodes a record of the tracker's ring buffer.
///
/// # Errors
/// [`DecodeError`], if it is none.
pub fn decode_tracked(bytes: &[u8]) -> Result<TrackedEvent, DecodeError> {
    let (raw, _) = Raw::read_from_prefix(bytes).map_err(|_| DecodeError::Short(bytes.len()))?;
    let kind = match raw.kind {
        0 => Lifecycle::Created,
        1 => Lifecycle::Exited,
        other => return Err(DecodeError::Kind(u16::try_from(other).unwrap_or(u16::MAX))),
    };
    let unless = |bit: u32, value: u64| (raw.unread & bit == 0).then_some(value);
    Ok(TrackedEvent {
        kind,
        time_ns: raw.time_ns,
        goid: raw.goid,
        parent_goid: unless(NO_PARENT, raw.parent_goid).filter(|goid| *goid != 0),
        created_at: unless(NO_CREATOR, raw.created_at).filter(|pc| *pc != 0),
        start: unless(NO_START, raw.start).filter(|pc| *pc != 0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_header() {
        let header = include_str!("../../../bpf/tracker.h");
        let number = |name: &str| -> u32 {
            let rest = header.split(&format!("{name} = ")).nth(1).unwrap();
            rest.split(',').next().unwrap().parse().unwrap()
        };
        assert_eq!(number("GT_TRACKED_CREATED"), Lifecycle::Created as u32);
        assert_eq!(number("GT_TRACKED_EXITED"), Lifecycle::Exited as u32);
        assert_eq!(number("GT_TRACKED_SEEN"), TrackedCounter::Seen as u32);
        assert_eq!(number("GT_TRACKED_RING_FULL"), TrackedCounter::RingFull as u32);
        assert_eq!(number("GT_TRACKED_UNREAD"), TrackedCounter::Unread as u32);
        assert_eq!(number("GT_TRACKED_NO_PARENT"), NO_PARENT);
        assert_eq!(number("GT_TRACKED_NO_CREATOR"), NO_CREATOR);
        assert_eq!(number("GT_TRACKED_NO_START"), NO_START);
        let last = TrackedCounter::Unread.index(Lifecycle::Exited);
        assert_eq!(number("GT_TRACKED_COUNTERS"), last + 1);
    }

    #[test]
    fn what_could_not_be_read_is_missing() {
        let mut bytes = Vec::new();
        for half in [1u32, NO_PARENT | NO_START] {
            bytes.extend(half.to_ne_bytes());
        }
        for word in [5u64, 17, 0, 0x40_1000, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        let event = decode_tracked(&bytes).unwrap();
        let (kind, created_at) = (Lifecycle::Exited, Some(0x40_1000));
        let (time_ns, goid, parent_goid, start) = (5, 17, None, None);
        assert_eq!(event, TrackedEvent { kind, time_ns, goid, parent_goid, created_at, start });
        bytes[0] = 9;
        assert!(decode_tracked(&bytes).is_err());
        assert!(decode_tracked(&bytes[..47]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_tracked(&bytes);
        }
    }
}
