//! The contract of the meter: the twin of `bpf/meter.h`.
//!
//! Not here: which places are metered, and what the counts mean.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Places in the code (`GT_METER_SITES`).
pub const METER_SITES: usize = 256;
/// Different keys that are counted (`GT_METER_KEYS`).
pub const METER_KEYS: usize = 32_768;
/// Different requests, with what is counted of each, that were not read yet (`GT_METER_REQUESTS`).
pub const METER_REQUESTS: usize = 16_384;
/// Different stacks that are kept (`GT_METER_STACKS`).
pub const METER_STACKS: usize = 16_384;
/// Frames of a stack (`GT_METER_FRAMES`).
pub const METER_FRAMES: usize = 48;

/// What is done at a place (`enum gt_meter_flag`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MeterFlag {
    /// The branch of the stack check: it does not count where the stack grows.
    Guarded = 1,
    /// The caller's caller counts as the caller.
    Outer = 2,
    /// Stacks are kept apart.
    Stack = 4,
    /// The first argument is a size.
    Size = 8,
    /// The second argument is a size.
    SecondSize = 16,
    /// The first argument keeps keys apart.
    First = 32,
    /// The lowest byte of the second argument does.
    SecondByte = 64,
    /// The first argument is a `runtime.mcache`, and that byte a class: what its span has served is added up, and hits
    /// where that is nothing do not count.
    Span = 128,
}

/// What is counted at a place (`struct gt_meter_site`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeterSite {
    /// A number that comes back with the counts.
    pub operation: u32,
    /// Of [`MeterFlag`].
    pub flags: u32,
}

/// Offsets in `runtime.mcache` and `runtime.mspan` (`struct gt_meter_spans`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeterSpans {
    /// `mcache.alloc`.
    pub alloc: u32,
    /// `mspan.nelems`.
    pub nelems: u32,
    /// Its size, two bytes or eight.
    pub nelems_size: u32,
    /// `mspan.allocBits`.
    pub alloc_bits: u32,
}

/// What is counted apart (`struct gt_meter_key`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeterKey {
    /// The argument; of a size, its step.
    pub value: u64,
    /// The address behind the call.
    pub caller: u64,
    /// The stack's number; negative for none.
    pub stack: i32,
    /// The number of the place.
    pub operation: u32,
}

/// How often (`struct gt_meter_value`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeterValue {
    /// How often it happened.
    pub count: u64,
    /// Of sizes, their sum; of spans, the objects that they served.
    pub amount: u64,
}

/// Constants of a process whose hits are counted by request (`struct gt_meter_served`).
#[expect(missing_docs, reason = "bpf/meter.h and bpf/span_of.h say what each is")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeterServed {
    pub dial_conn: u64,
    pub dial_conn_size: u64,
    pub inner: u64,
    pub inner_size: u64,
    pub instance: u32,
    pub epoch: u32,
    pub g_m: u16,
    pub m_curg: u16,
    pub g_goid: u16,
    pub g_parent_goid: u16,
    pub g_gopc: u16,
    pub pad: u16,
    pub pad2: u32,
}

/// For whom a goroutine reached a place (`enum gt_meter_owner`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum MeterOwner {
    /// For no request.
    None = 0,
    /// For a request.
    Request = 1,
    /// It could not be read which goroutine it was.
    Unread = 2,
}

/// What is counted of a request (`struct gt_meter_request`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeterRequest {
    /// Of a request, else 0.
    pub span_id: u64,
    /// The argument; of a size, its step.
    pub value: u64,
    /// The number of the place.
    pub operation: u32,
    /// A [`MeterOwner`].
    pub owner: u16,
    /// The lowest bit of [`MeterServed::epoch`].
    pub epoch: u16,
}

/// What the programs count of themselves (`enum gt_meter_counter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MeterCounter {
    /// Hits of all places.
    Seen = 0,
    /// Hits that were not counted, as there were too many keys.
    KeysFull = 1,
    /// Hits whose stack is not known.
    StacksLost = 2,
    /// Hits that are not counted by request, as there were too many requests.
    RequestsFull = 3,
    /// It could not be read what a span has served.
    SpansUnread = 4,
}

const _: () = assert!(size_of::<MeterSite>() == 8);
const _: () = assert!(size_of::<MeterKey>() == 24);
const _: () = assert!(size_of::<MeterValue>() == 16);
const _: () = assert!(size_of::<MeterSpans>() == 16);
const _: () = assert!(size_of::<MeterServed>() == 56);
const _: () = assert!(size_of::<MeterRequest>() == 24);
