//! Metrics as every exporter takes them, and Prometheus's formats. One collection feeds both OTLP
//! and `/metrics`, which the libraries for either do not offer: so the model is our own.
//!
//! Not here: IO, OTLP (`export`), and what is measured.

mod exponential;
mod histogram;
mod model;
mod names;
mod protobuf;
mod target;
mod text;
mod value;

pub use exponential::{Exponential, MAX_BUCKETS};
pub use histogram::Histogram;
pub use model::{Attributes, Data, Exemplar, HistogramPoint, Metric, Number, Point, overflow};
pub use protobuf::{PROTOBUF, accepts_protobuf, render_protobuf};
pub use target::{Labels, Target, target_labels};
pub use text::{Format, render};
pub use value::Value;
