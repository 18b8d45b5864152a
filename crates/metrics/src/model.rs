//! Metrics, by OpenTelemetry's data model. All sums and histograms are cumulative since the start of
//! the agent.

/// Attributes of one point, in the order in which they are shown.
pub type Attributes = Vec<(&'static str, String)>;

/// A metric with all its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// OpenTelemetry's name, such as `process.cpu.time`.
    pub name: &'static str,
    /// One sentence, without a full stop.
    pub description: &'static str,
    /// UCUM unit, such as `s`, `By`, `{span}` or `1`.
    pub unit: &'static str,
    /// What was measured.
    pub data: Data,
}

/// The points of a metric, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Sums that only grow.
    Counter(Vec<Point>),
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
}

/// A distribution over fixed buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: Option<f64>,
}

impl Histogram {
    /// An empty one. A value falls into the first bucket whose bound (in ascending order) is not below
    /// it, and into a last one beyond all bounds.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Some(0.0) }
    }

    /// One that somebody else has counted without a sum; `counts` are one more than bounds.
    pub fn from_counts(bounds: &'static [f64], counts: Vec<u64>) -> Self {
        Self { bounds, counts, sum: None }
    }

    /// Counts a value.
    pub fn record(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum = self.sum.map(|sum| sum + value);
    }

    /// Upper bounds of the buckets but the last one.
    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Values in each bucket; one more than bounds.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All values together, if that is known.
    pub fn sum(&self) -> Option<f64> {
        self.sum
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
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
        Self { name, description, unit, data: Data::Counter(points.into_iter().collect()) }
    }

    /// Values that go up and down.
    pub fn gauge(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        points: impl IntoIterator<Item = Point>,
    ) -> Self {
        Self { name, description, unit, data: Data::Gauge(points.into_iter().collect()) }
    }

    /// Adds attributes in front of those of each point.
    pub fn add_attributes(&mut self, attributes: &Attributes) {
        let add = |own: &mut Attributes| {
            own.splice(0..0, attributes.iter().cloned());
        };
        match &mut self.data {
            Data::Counter(points) | Data::Gauge(points) => {
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
            (Data::Counter(to), Data::Counter(from)) | (Data::Gauge(to), Data::Gauge(from)) => {
                to.extend(from);
            }
            (Data::Histogram(to), Data::Histogram(from)) => to.extend(from),
            _ => {}
        }
    }

    /// How many points it has.
    pub fn points(&self) -> usize {
        match &self.data {
            Data::Counter(points) | Data::Gauge(points) => points.len(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 9.0] {
            histogram.record(value);
        }
        assert_eq!(histogram.counts(), [2, 2, 1]);
        assert_eq!((histogram.count(), histogram.sum()), (5, Some(14.0)));
    }
}
