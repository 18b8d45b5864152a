//! Recordings: what the reader of the ring buffers was given, as lines of JSON, so that the same spans are made again
//! without the programs, without root and without a kernel. Tests replay them, and people who report a fault send them.
//!
//! A [`Recorder`] stands in the reader: it makes [`Line`]s of records, of what is known of processes, of what routers
//! and databases answered, and of the clock. A [`Recording`] gives all that to `pipeline`'s stages in the same order.
//!
//! A recording holds records as they were read: statements with their literals, whole paths, texts of errors. Not
//! here: files and threads (`gotap`), lines of logs, which do not come from these ring buffers.

mod line;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;

pub use line::{FORMAT, Line, Settings, Start};
pub use recorder::{Keep, Recorder};
pub use replay::{Error, Outcome, Recording};
