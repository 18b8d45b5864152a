//! Metrics as every exporter takes them, and Prometheus's text formats. One collection feeds both OTLP
//! and `/metrics`, which the libraries for either do not offer: so the model is our own.
//!
//! Not here: IO, OTLP (`export`), and what is measured.

mod model;
mod names;
mod text;

pub use model::{Attributes, Data, Histogram, HistogramPoint, Metric, Number, Point};
pub use text::{Format, render};
