//! From the kernel's records to the sinks: events become spans, spans become metrics, sampling leaves some of
//! them out, and each sink gets the others through a queue of its own. Whatever goes missing is counted.
//!
//! Not here: reading ring buffers (`probes`), what events mean (`trace`), what sinks do.

mod beside;
mod connections;
mod held;
mod lanes;
mod logs;
mod meter;
mod peers;
mod stages;
mod tail;

pub use beside::Beside;
pub use connections::{Connections, Requests};
pub use held::Place;
pub use lanes::{MAX_QUEUED, Measured, Outlet, Pipeline, Sink};
pub use meter::SharedMeter;
pub use stages::{Counts, Now, Sampling, Stages};
pub use tail::TailSettings;
