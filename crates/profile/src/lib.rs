//! Stacks with counts, as files that profile viewers read: today pprof's format, which is protocol
//! buffers compressed by gzip. Not here: where stacks come from, and writing files.

mod pprof;
mod proto;

pub use pprof::{Builder, Frame};
