//! The distributions of operations that have the same attributes.

use metrics::{Attributes, Exemplar, Exponential, Histogram, HistogramPoint};

use crate::class::{Class, SIZE_BOUNDS};
use crate::keys::Seen;

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
    values: Option<Box<[Option<trace::Value>]>>,
    pub(crate) duration: Distribution,
    /// Of the bodies of requests and answers, from the first one on.
    pub(crate) sizes: [Option<Box<Distribution>>; 2],
}

impl Series {
    pub(crate) fn new(class: Class, hash: u64, seen: &Seen<'_>, exponential: bool) -> Self {
        let values = class.keys().iter().map(|key| seen.get(*key).cloned());
        Self { hash, values: Some(values.collect()), ..Self::overflow(class, exponential) }
    }

    /// The one of operations that found no room.
    pub(crate) fn overflow(class: Class, exponential: bool) -> Self {
        let duration = Distribution::new(class.bounds(), exponential, true);
        Self { class, hash: 0, values: None, duration, sizes: [None, None] }
    }

    /// Whether an operation belongs here.
    pub(crate) fn matches(&self, class: Class, seen: &Seen<'_>) -> bool {
        if self.class != class {
            return false;
        }
        let Some(values) = &self.values else { return false };
        values.iter().zip(class.keys()).all(|(known, key)| match (known, seen.get(*key)) {
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
        pairs.filter_map(|(key, value)| Some((key.name(), converted(value.as_ref()?)))).collect()
    }
}

/// Whether two values are the same, also where one of the texts is known at compile time.
fn is_same(one: &trace::Value, other: &trace::Value) -> bool {
    match (one, other) {
        (trace::Value::Int(one), trace::Value::Int(other)) => one == other,
        (trace::Value::Static(one), trace::Value::Static(other)) if std::ptr::eq(*one, *other) => {
            true
        }
        _ => one.as_str().is_some_and(|text| other.as_str() == Some(text)),
    }
}

fn converted(value: &trace::Value) -> metrics::Value {
    match value {
        trace::Value::Static(text) => metrics::Value::Static(text),
        trace::Value::Text(text) => metrics::Value::Text(text.clone()),
        trace::Value::Int(n) => metrics::Value::Int(*n),
        trace::Value::Double(n) => metrics::Value::Text(n.to_string().into()),
        trace::Value::Texts(texts) => metrics::Value::Text(texts.join(",").into()),
    }
}
