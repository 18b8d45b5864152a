//! The Go runtime from outside: goroutines and what they wait for, the scheduler, and the counters
//! that the runtime keeps, all read from a process's memory while it runs.
//!
//! - [`Layout`] says where things are in one binary, and what can't be found in it.
//! - [`Snapshot`] is what was read at one moment; nothing in the process was stopped for it, and a
//!   goroutine that changed meanwhile is marked.
//! - [`Symbols`] names functions and lines.
//! - [`group`](mod@group) puts goroutines that are alike together; [`leaks`] compares two snapshots.
//! - [`Scheduler`], [`Counters`] and [`SizeClasses`] are the runtime's own numbers.
//! - [`cycles`] is what the runtime notes of each collection.
//! - [`AllocationProfile`] and [`WaitProfile`] are what the runtime's own profiler has sampled.
//! - [`flight`] copies the window of a flight recorder that the program runs.
//! - [`timeline`] reads what processors and threads do, many times a second; [`runs`] makes slices of it, and
//!   [`usage`] shares of the time.
//!
//! Memory is read through [`gomem::Memory`], so that all of this is tested with bytes that are made
//! up. What a process says is hostile: lists are bounded, cycles end, and what can't be read is
//! missing. Not here: processes, printing.

mod buckets;
mod census;
mod classes;
mod counters;
pub mod cycles;
mod deferred;
mod descent;
pub mod flight;
mod goroutine;
pub mod group;
pub mod holders;
mod layout;
pub mod leaks;
mod lists;
mod modules;
mod offsets;
pub mod runs;
mod scheduler;
mod search;
mod snapshot;
mod stacks;
mod symbols;
pub mod timeline;
pub mod usage;
mod waiting;

pub use buckets::{AllocationProfile, Allocations, Site, Wait, WaitProfile, Waits, scaled};
pub use census::{Census, Origin};
pub use classes::SizeClasses;
pub use counters::{Counters, Histogram};
pub use descent::Born;
pub use goroutine::{Goroutine, StackState, State};
pub use holders::{Hold, Holds};
pub use layout::{Layout, Missing};
pub use scheduler::{Machine, Processor, Scheduler};
pub use search::LeakSearch;
pub use snapshot::Snapshot;
pub use symbols::{Position, Symbols, printed};
pub use waiting::{Channel, Lock, LockKind, WaitingOn};

/// Why nothing can be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process ended, or may not be read.
    #[error(transparent)]
    Memory(#[from] gomem::Error),
    /// The binary lacks something that nothing goes without.
    #[error("its goroutines can't be read: {0}")]
    Layout(String),
    /// What was read contradicts itself.
    #[error("its goroutines can't be read: {0}")]
    Contradiction(String),
    /// A profile lacks something, or contradicts itself.
    #[error("what its profiler keeps can't be read: {0}")]
    Profile(String),
    /// A flight recorder's window can't be copied.
    #[error("its flight recorder can't be read: {0}")]
    Flight(String),
}
