//! Metrics of operations, by the semantic conventions of OpenTelemetry: how many there were, how long they
//! took, and how they failed. They come from spans, before any queue may lose one.
//!
//! Not here: IO, clocks, and how metrics leave.

mod class;
mod edge;
mod graph;
mod keys;
mod meter;
mod name;
mod process;
mod series;

pub use class::{Class, Groups};
pub use graph::MAX_GRAPH_CALLS;
pub use meter::{Consumer, MAX_SERIES, Meter, Settings};
pub use name::{Described, described, operation_name};
