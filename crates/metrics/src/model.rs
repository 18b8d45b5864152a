//! Metrics, by OpenTelemetry's data model. All sums and histograms are cumulative.

use crate::exponential::Exponential;
use crate::histogram::Histogram;
use crate::value::Value;

/// Attributes of one point, in the order in which they are shown.
pub type Attributes = Vec<(&'static str, Value)>;

/// The attribute of the series of what finds no room for one of its own, as the metrics data model wants it.
pub fn overflow() -> Attributes {
    vec![("otel.metric.overflow", Value::Bool(true))]
}

/// A metric with all its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// OpenTelemetry's name, such as `process.cpu.time`.
    pub name: &'static str,
    /// One sentence, without a full stop.
    pub description: &'static str,
    /// UCUM unit, such as `s`, `By`, `{span}` or `1`.
    pub unit: &'static str,
    /// Since when it counts, in nanoseconds since 1970; since the agent's start if not given.
    pub since: Option<u64>,
    /// What was measured.
    pub data: Data,
}

/// The points of a metric, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Sums that only grow.
    Counter(Vec<Point>),
    /// Sums that grow and shrink.
    UpDownCounter(Vec<Point>),
    /// Values that go up and down.
    Gauge(Vec<Point>),
    /// Distributions.
    Histogram(Vec<HistogramPoint>),
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// What it belongs to.
    pub attributes: Attributes,
    /// The value.
    pub value: Number,
}

/// A value of a [`Point`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer.
    Int(u64),
    /// A fraction.
    Float(f64),
}

/// One distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramPoint {
    /// What it belongs to.
    pub attributes: Attributes,
    /// The distribution.
    pub histogram: Histogram,
    /// The same in exponential buckets, where somebody wants those.
    pub exponential: Option<Exponential>,
    /// Values with their traces, at most one a bucket of `histogram`.
    pub exemplars: Vec<Exemplar>,
}

/// A value of a distribution, and the operation that it is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The value.
    pub value: f64,
    /// When it was measured, in nanoseconds since 1970.
    pub time_unix_nano: u64,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}

impl HistogramPoint {
    /// One without exponential buckets and exemplars.
    pub fn new(attributes: Attributes, histogram: Histogram) -> Self {
        Self { attributes, histogram, exponential: None, exemplars: Vec::new() }
    }
}

impl Metric {
    /// Sums that only grow.
    pub fn counter(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        points: impl IntoIterator<Item = Point>,
    ) -> Self {
        Self::new(name, unit, description, Data::Counter(points.into_iter().collect()))
    }

    /// Sums that grow and shrink.
    pub fn up_down_counter(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        points: impl IntoIterator<Item = Point>,
    ) -> Self {
        Self::new(name, unit, description, Data::UpDownCounter(points.into_iter().collect()))
    }

    /// Values that go up and down.
    pub fn gauge(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        points: impl IntoIterator<Item = Point>,
    ) -> Self {
        Self::new(name, unit, description, Data::Gauge(points.into_iter().collect()))
    }

    /// Distributions.
    pub fn histogram(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        points: impl IntoIterator<Item = HistogramPoint>,
    ) -> Self {
        Self::new(name, unit, description, Data::Histogram(points.into_iter().collect()))
    }

    fn new(name: &'static str, unit: &'static str, description: &'static str, data: Data) -> Self {
        Self { name, description, unit, since: None, data }
    }

    /// Adds attributes in front of those of each point.
    pub fn add_attributes(&mut self, attributes: &Attributes) {
        let add = |own: &mut Attributes| {
            own.splice(0..0, attributes.iter().cloned());
        };
        match &mut self.data {
            Data::Counter(points) | Data::UpDownCounter(points) | Data::Gauge(points) => {
                points.iter_mut().for_each(|point| add(&mut point.attributes));
            }
            Data::Histogram(points) => {
                points.iter_mut().for_each(|point| add(&mut point.attributes));
            }
        }
    }

    /// Takes over the points of a metric of the same name and kind.
    pub fn merge(&mut self, other: Metric) {
        match (&mut self.data, other.data) {
            (Data::Counter(to), Data::Counter(from))
            | (Data::UpDownCounter(to), Data::UpDownCounter(from))
            | (Data::Gauge(to), Data::Gauge(from)) => to.extend(from),
            (Data::Histogram(to), Data::Histogram(from)) => to.extend(from),
            _ => {}
        }
    }

    /// The same in parts of so many points at most.
    pub fn parts(&self, points: usize) -> Vec<Metric> {
        let part = |data: Data| Metric { data, ..self.empty() };
        match &self.data {
            Data::Counter(all) => {
                all.chunks(points).map(|some| part(Data::Counter(some.to_vec()))).collect()
            }
            Data::UpDownCounter(all) => {
                all.chunks(points).map(|some| part(Data::UpDownCounter(some.to_vec()))).collect()
            }
            Data::Gauge(all) => {
                all.chunks(points).map(|some| part(Data::Gauge(some.to_vec()))).collect()
            }
            Data::Histogram(all) => {
                all.chunks(points).map(|some| part(Data::Histogram(some.to_vec()))).collect()
            }
        }
    }

    /// The same without points.
    fn empty(&self) -> Metric {
        let data = Data::Gauge(Vec::new());
        Metric {
            name: self.name,
            description: self.description,
            unit: self.unit,
            since: self.since,
            data,
        }
    }

    /// How many points it has.
    pub fn points(&self) -> usize {
        match &self.data {
            Data::Counter(points) | Data::UpDownCounter(points) | Data::Gauge(points) => {
                points.len()
            }
            Data::Histogram(points) => points.len(),
        }
    }
}

impl Point {
    /// An integer.
    pub fn int(value: u64, attributes: Attributes) -> Self {
        Self { attributes, value: Number::Int(value) }
    }

    /// A fraction.
    pub fn float(value: f64, attributes: Attributes) -> Self {
        Self { attributes, value: Number::Float(value) }
    }
}
