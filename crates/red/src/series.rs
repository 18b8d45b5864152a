//! The distributions of operations that have the same attributes.

use metrics::{Attributes, Exemplar, Exponential, Histogram, HistogramPoint, Value};
use trace::{Span, ValueRef};

use crate::class::{Class, SIZE_BOUNDS};

/// What is measured of one operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// Bytes of the bodies of request and answer.
    pub(crate) sizes: [Option<f64>; 2],
    /// For how many operations it stands.
    pub(crate) times: u64,
    /// Of one whose span is sent.
    pub(crate) exemplar: Option<Exemplar>,
}

/// A distribution in the buckets that are wanted.
#[derive(Debug)]
pub(crate) struct Distribution {
    histogram: Histogram,
    exponential: Option<Exponential>,
    /// The newest of each bucket.
    exemplars: Box<[Option<Exemplar>]>,
}

impl Distribution {
    fn new(bounds: &'static [f64], exponential: bool, exemplars: bool) -> Self {
        let exemplars = if exemplars { bounds.len() + 1 } else { 0 };
        Self {
            histogram: Histogram::new(bounds),
            exponential: exponential.then(Exponential::default),
            exemplars: vec![None; exemplars].into(),
        }
    }

    fn record(&mut self, value: f64, times: u64, exemplar: Option<Exemplar>) {
        let bucket = self.histogram.record_many(value, times);
        if let Some(exponential) = &mut self.exponential {
            exponential.record_many(value, times);
        }
        if let (Some(exemplar), Some(slot)) = (exemplar, self.exemplars.get_mut(bucket)) {
            *slot = Some(exemplar);
        }
    }

    pub(crate) fn point(&self, attributes: Attributes) -> HistogramPoint {
        HistogramPoint {
            attributes,
            histogram: self.histogram.clone(),
            exponential: self.exponential.clone(),
            exemplars: self.exemplars.iter().flatten().copied().collect(),
        }
    }
}

/// Operations with the same attributes.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) class: Class,
    pub(crate) hash: u64,
    /// `None` for those that found no room.
    /// In the order of the class's keys.
    values: Option<Box<[Option<Value>]>>,
    pub(crate) duration: Distribution,
    /// Of the bodies of requests and answers, from the first one on.
    pub(crate) sizes: [Option<Box<Distribution>>; 2],
}

impl Series {
    pub(crate) fn new(class: Class, hash: u64, span: &Span, exponential: bool) -> Self {
        let values = class.keys().iter().map(|key| key.of(span).and_then(owned));
        Self { hash, values: Some(values.collect()), ..Self::overflow(class, exponential) }
    }

    /// The one of operations that found no room.
    pub(crate) fn overflow(class: Class, exponential: bool) -> Self {
        let duration = Distribution::new(class.bounds(), exponential, true);
        Self { class, hash: 0, values: None, duration, sizes: [None, None] }
    }

    /// Whether an operation belongs here.
    pub(crate) fn matches(&self, class: Class, span: &Span) -> bool {
        if self.class != class {
            return false;
        }
        let Some(values) = &self.values else { return false };
        values.iter().zip(class.keys()).all(|(known, key)| match (known, key.of(span)) {
            (Some(known), Some(value)) => is_same(known, value),
            (None, None) => true,
            _ => false,
        })
    }

    pub(crate) fn record(&mut self, measured: &Measured) {
        self.duration.record(measured.seconds, measured.times, measured.exemplar);
        let exponential = self.duration.exponential.is_some();
        for (slot, size) in self.sizes.iter_mut().zip(measured.sizes) {
            if let Some(size) = size {
                let new = || Box::new(Distribution::new(SIZE_BOUNDS, exponential, false));
                slot.get_or_insert_with(new).record(size, measured.times, None);
            }
        }
    }

    pub(crate) fn attributes(&self) -> Attributes {
        let Some(values) = &self.values else {
            return metrics::overflow();
        };
        let pairs = self.class.keys().iter().zip(values);
        pairs.filter_map(|(key, value)| Some((key.name(), value.clone()?))).collect()
    }
}

fn is_same(one: &Value, other: ValueRef<'_>) -> bool {
    match (one, other) {
        (Value::Text(one), ValueRef::Text(other)) => one == other,
        (Value::Int(one), ValueRef::Int(other)) => *one == other,
        _ => false,
    }
}

/// A value to keep. No key has one of another sort.
fn owned(value: ValueRef<'_>) -> Option<Value> {
    match value {
        ValueRef::Text(text) => Some(Value::Text(text.into())),
        ValueRef::Int(n) => Some(Value::Int(n)),
        ValueRef::Double(_) | ValueRef::Texts(_) => None,
    }
}
