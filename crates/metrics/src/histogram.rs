//! A distribution over fixed buckets. Not here: one over buckets that grow with the values (`exponential`).

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
        self.record_many(value, 1);
    }

    /// Counts a value that came so many times; gives its bucket.
    pub fn record_many(&mut self, value: f64, times: u64) -> usize {
        // Most values are small, and so are most lists of bounds.
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        let bucket = bucket.unwrap_or(self.bounds.len());
        self.counts[bucket] += times;
        self.sum = self.sum.map(|sum| sum + value * times as f64);
        bucket
    }

    /// What came since `before`, which was this one at an earlier time.
    pub fn since(&self, before: &Self) -> Self {
        let counts = self.counts.iter().zip(&before.counts);
        Self {
            bounds: self.bounds,
            counts: counts.map(|(now, then)| now.saturating_sub(*then)).collect(),
            sum: self.sum.zip(before.sum).map(|(now, then)| now - then),
        }
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
        assert_eq!(histogram.record_many(2.0, 3), 1);
        assert_eq!((histogram.count(), histogram.sum()), (8, Some(20.0)));
    }
}
