//! The contract with the BPF programs: the twin of `bpf/wire.h`, `bpf/tracker.h`, `bpf/gc.h`, `bpf/meter.h`,
//! `bpf/sampler.h`, `bpf/serving.h` and `bpf/logs.h`.
//!
//! [`decode`] turns the bytes of a ring-buffer record into an owned [`Event`]; [`raw`] holds the
//! structures that are written into maps. Records that one instrument alone knows stay bytes here: its own files
//! decode them with [`record`], and declare what they tell the programs with [`constants!`]. Nothing inward knows a
//! byte layout.

/// What records are made of, and a number for each that is another one whenever its layout or meaning in the BPF
/// headers is.
pub const RECORDS: &[(&str, u32)] = include!(concat!(env!("OUT_DIR"), "/records.rs"));

mod collection;
#[cfg(test)]
mod contract_tests;
mod decode;
mod event;
mod logged;
mod metered;
mod names;
pub mod raw;
pub mod record;
mod sampled;
mod serving;
/// For benchmarks and for tests that replay records; nobody else needs it.
#[doc(hidden)]
pub mod synthetic;
mod tracked;

pub use collection::{Collected, CollectedCounter, GC_WORDS, WorldStart, decode_world_start};
pub use decode::{DecodeError, decode};
pub use event::{
    CallEndEvent, Event, HttpEvent, PathEvent, PathPart, Record, Role, RpcEvent, SpanCore, Text,
    UnreadSet,
};
pub use logged::{
    LOG_PROCESSES, LOG_TEXT_LONG, LOG_TEXT_SHORT, LogCounter, LogLine, LogStream, Logging,
    decode_log,
};
pub use metered::{
    METER_FRAMES, METER_KEYS, METER_REQUESTS, METER_SITES, METER_STACKS, MeterCounter, MeterFlag,
    MeterKey, MeterOwner, MeterRequest, MeterServed, MeterSite, MeterSpans, MeterValue,
};
pub use names::{CallSite, Content, Drop, Outcome, Parent, Probe, Program, Unread};
pub use sampled::{
    INDEX_SHIFT, KERNEL_FRAMES, OFF_THREADS, OffThread, SAMPLED_FILES, SAMPLED_PROCESSES, STACKS,
    Sampled, SampledCounter, SampledStack, StackCount, StackRow, StepKind, ToldSample, USER_FRAMES,
    decode_sampled,
};
pub use serving::{Active, Serving, ServingAsked, decode_active, decode_serving};
pub use tracked::{Lifecycle, Tracked, TrackedCounter, TrackedEvent, decode_tracked};
