//! Cumulative metrics as what came since the back end took some last. What it did not take is in the next
//! ones, so that nothing is lost where a delivery fails.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use metrics::{Attributes, Data, Exponential, Histogram, HistogramPoint, Metric, Number, Point};
use trace::Resource;

use crate::config::Temporality;
use crate::metric::Group;

/// How long what was taken of a process stays that has no metrics any more, in nanoseconds.
const KEPT: u64 = 3_600_000_000_000;

/// Names a point for good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Address of the process's resource; zero for the agent's own.
    owner: usize,
    metric: &'static str,
    attributes: Attributes,
}

/// What a point had counted at a time.
#[derive(Debug, Clone)]
struct Counted {
    value: Value,
    time: u64,
    /// Keeps the address from being used again.
    _owner: Option<Arc<Resource>>,
}

#[derive(Debug, Clone)]
enum Value {
    Number(Number),
    Histogram(Histogram, Option<Exponential>),
}

/// What the back end has taken, and what is on its way.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    taken: HashMap<Key, Counted>,
    sent: Vec<(u64, Vec<(Key, Counted)>)>,
}

impl Deltas {
    /// Settles what was on its way: the back end has taken the requests of these numbers, and no others.
    pub(crate) fn settle(&mut self, taken: &HashSet<u64>) {
        for (number, counted) in self.sent.drain(..) {
            if taken.contains(&number) {
                self.taken.extend(counted);
            }
        }
    }

    /// Makes of metrics what came since they were taken last. They are sent as request `number`. Points that
    /// have nothing new are left out.
    pub(crate) fn since(
        &mut self,
        group: Group,
        number: u64,
        temporality: Temporality,
        start: u64,
        now: u64,
    ) -> Group {
        let owner = group.owner.as_ref().map_or(0, |owner| Arc::as_ptr(owner) as usize);
        let mut counted = Vec::new();
        let mut out = Group { owner: group.owner.clone(), metrics: Vec::new() };
        for mut metric in group.metrics {
            if !is_delta(&metric, temporality) {
                out.metrics.push(metric);
                continue;
            }
            let (name, begun) = (metric.name, metric.since.unwrap_or(start));
            // Points of one metric may have been taken at different times.
            let mut by_start: HashMap<u64, Data> = HashMap::new();
            let mut add = |attributes: &Attributes, value: Value| {
                let key = Key { owner, metric: name, attributes: attributes.clone() };
                let before = self.taken.get(&key);
                let found = (before.map_or(begun, |b| b.time), before.map(|b| b.value.clone()));
                counted.push((key, Counted { value, time: now, _owner: group.owner.clone() }));
                found
            };
            match std::mem::replace(&mut metric.data, Data::Gauge(Vec::new())) {
                Data::Counter(points) => points.into_iter().for_each(|point| {
                    let (from, before) = add(&point.attributes, Value::Number(point.value));
                    let Some(point) = number_since(point, before.as_ref()) else { return };
                    let data = by_start.entry(from).or_insert_with(|| Data::Counter(Vec::new()));
                    if let Data::Counter(points) = data {
                        points.push(point);
                    }
                }),
                Data::Histogram(points) => points.into_iter().for_each(|point| {
                    let value =
                        Value::Histogram(point.histogram.clone(), point.exponential.clone());
                    let (from, before) = add(&point.attributes, value);
                    let Some(point) = histogram_since(point, before.as_ref()) else { return };
                    let data = by_start.entry(from).or_insert_with(|| Data::Histogram(Vec::new()));
                    if let Data::Histogram(points) = data {
                        points.push(point);
                    }
                }),
                Data::UpDownCounter(_) | Data::Gauge(_) => {}
            }
            let parts = by_start.into_iter();
            out.metrics.extend(parts.map(|(from, data)| Metric {
                since: Some(from),
                data,
                ..metric.clone()
            }));
        }
        self.sent.push((number, counted));
        out
    }

    /// Forgets processes that have had no metrics for long.
    pub(crate) fn forget(&mut self, owners: &HashSet<usize>, now: u64) {
        self.taken.retain(|key, counted| {
            key.owner == 0 || owners.contains(&key.owner) || now.saturating_sub(counted.time) < KEPT
        });
    }
}

/// Whether a metric is sent as what came since it was taken last.
pub(crate) fn is_delta(metric: &Metric, temporality: Temporality) -> bool {
    match (&metric.data, temporality) {
        // The specification wants sums that shrink to be cumulative always.
        (Data::Gauge(_) | Data::UpDownCounter(_), _) | (_, Temporality::Cumulative) => false,
        (_, Temporality::Delta) => true,
        // They are read when they are collected, as what OpenTelemetry calls asynchronous.
        (Data::Counter(_), Temporality::LowMemory) => false,
        (Data::Histogram(_), Temporality::LowMemory) => true,
    }
}

/// What came since; a number that went back began anew.
fn number_since(mut point: Point, before: Option<&Value>) -> Option<Point> {
    point.value = match (point.value, before) {
        (Number::Int(now), Some(Value::Number(Number::Int(then)))) => {
            Number::Int(now.checked_sub(*then).unwrap_or(now))
        }
        (Number::Float(now), Some(Value::Number(Number::Float(then)))) => {
            Number::Float(if now < *then { now } else { now - then })
        }
        (now, _) => now,
    };
    let nothing = matches!(point.value, Number::Int(0)) || point.value == Number::Float(0.0);
    (!nothing).then_some(point)
}

fn histogram_since(mut point: HistogramPoint, before: Option<&Value>) -> Option<HistogramPoint> {
    if let Some(Value::Histogram(then, exponential)) = before
        && point.histogram.count() >= then.count()
    {
        point.histogram = point.histogram.since(then);
        if let (Some(now), Some(then)) = (&mut point.exponential, exponential) {
            *now = now.since(then);
        }
    }
    (point.histogram.count() > 0).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(n: u64) -> Group {
        let mut histogram = Histogram::new(&[1.0]);
        histogram.record_many(0.5, n);
        let points = vec![Point::int(n, Vec::new())];
        let metrics = vec![
            Metric::counter("c", "1", "", points.clone()),
            Metric::gauge("g", "1", "", points.clone()),
            Metric::up_down_counter("u", "1", "", points),
            Metric::histogram("h", "s", "", [HistogramPoint::new(Vec::new(), histogram)]),
        ];
        Group { owner: None, metrics }
    }

    /// What is sent: the counter, the histogram's count, and since when.
    fn sent(deltas: &mut Deltas, n: u64, number: u64, now: u64) -> Option<(u64, u64, u64)> {
        let group = deltas.since(group(n), number, Temporality::Delta, 1, now);
        let (mut counter, mut count, mut since) = (None, None, None);
        for metric in &group.metrics {
            match &metric.data {
                Data::Counter(points) => {
                    since = metric.since;
                    let Number::Int(n) = points[0].value else { panic!() };
                    counter = Some(n);
                }
                Data::Histogram(points) => count = Some(points[0].histogram.count()),
                // They are sent as they are.
                Data::Gauge(points) | Data::UpDownCounter(points) => {
                    assert_eq!(points[0].value, Number::Int(n));
                }
            }
        }
        Some((counter?, count?, since?))
    }

    #[test]
    fn what_was_not_taken_is_sent_again() {
        let mut deltas = Deltas::default();
        assert_eq!(sent(&mut deltas, 5, 1, 10), Some((5, 5, 1)));
        deltas.settle(&HashSet::from([1]));
        assert_eq!(sent(&mut deltas, 7, 2, 20), Some((2, 2, 10)));
        deltas.settle(&HashSet::new());
        assert_eq!(sent(&mut deltas, 8, 3, 30), Some((3, 3, 10)));
        deltas.settle(&HashSet::from([3]));
        assert_eq!(sent(&mut deltas, 8, 4, 40), None, "nothing is new");
        deltas.settle(&HashSet::from([4]));
        // It began anew.
        assert_eq!(sent(&mut deltas, 3, 5, 50), Some((3, 3, 40)));
    }

    #[test]
    fn with_little_memory_sums_count_since_the_start() {
        let mut deltas = Deltas::default();
        for (number, n) in [(1, 5), (2, 9)] {
            let out = deltas.since(group(n), number, Temporality::LowMemory, 1, 10);
            let counter = out.metrics.iter().find(|metric| metric.name == "c").unwrap();
            assert_eq!(counter.data, Data::Counter(vec![Point::int(n, Vec::new())]));
            deltas.settle(&HashSet::from([number]));
        }
    }
}
