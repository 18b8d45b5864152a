//! Metrics as OTLP. They are few and come every few seconds, so the generated types do, which spans are
//! too many for.

use std::sync::Arc;

use metrics::{Attributes, Data, HistogramPoint, Metric, Number, Point};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value,
};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use crate::batch::Batch;
use crate::config::Temporality;
use crate::delta::is_delta;
use crate::signal::Signal;

/// Everything that was measured at one time.
#[derive(Debug, Clone, Copy)]
pub struct Collected<'a> {
    /// Attributes of the agent, such as `service.name`.
    pub resource: &'a [(String, String)],
    /// The metrics.
    pub metrics: &'a [Metric],
    /// Metrics of others, with their attributes.
    pub of_others: &'a [(Arc<trace::Resource>, Vec<Metric>)],
    /// When counting began, in nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// When it was measured, in nanoseconds since 1970.
    pub time_unix_nano: u64,
}

impl Collected<'_> {
    /// How many points there are.
    pub(crate) fn points(&self) -> u64 {
        let others = self.of_others.iter().flat_map(|(_, metrics)| metrics);
        self.metrics.iter().chain(others).map(|metric| metric.points() as u64).sum()
    }
}

/// Metrics of one resource.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// The process; the agent itself if there is none.
    pub(crate) owner: Option<Arc<trace::Resource>>,
    pub(crate) metrics: Vec<Metric>,
}

/// How metrics are sent, beside what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How<'a> {
    /// Attributes of the agent.
    pub(crate) resource: &'a [(String, String)],
    pub(crate) start_unix_nano: u64,
    pub(crate) time_unix_nano: u64,
    pub(crate) clock: Clock,
    pub(crate) temporality: Temporality,
    pub(crate) exponential: bool,
    /// Exemplars that are older were sent already.
    pub(crate) exemplars_since: u64,
}

/// The times of requests, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    /// Of the last one.
    pub(crate) last: u64,
    /// Of the first one after the clock was set back last; 0 if it never was.
    set_back: u64,
}

impl Clock {
    /// Another request is made.
    pub(crate) fn shows(&mut self, time: u64) {
        if time < self.last {
            self.set_back = time;
        }
        self.last = time;
    }
}

impl How<'_> {
    /// Since when points count, as it is sent: none may begin after its end, which a clock that was set back says.
    /// Such points begin when that was, so that their begin does not change with each request.
    fn start(&self, since: u64) -> u64 {
        if since > self.time_unix_nano {
            self.clock.set_back.min(self.time_unix_nano)
        } else {
            since
        }
    }
}

/// Points of one request: well below what gRPC servers take by default.
const MAX_POINTS: usize = 1500;

/// All metrics, in groups for one request each.
pub(crate) fn requests(collected: &Collected<'_>) -> Vec<Vec<Group>> {
    let own = (None, collected.metrics);
    let others = collected.of_others.iter().map(|(owner, metrics)| (Some(owner), &**metrics));
    let (mut out, mut points) = (vec![Vec::<Group>::new()], 0);
    for (owner, metrics) in std::iter::once(own).chain(others) {
        let mut group = Group { owner: owner.cloned(), metrics: Vec::new() };
        for part in metrics.iter().flat_map(|metric| metric.parts(MAX_POINTS)) {
            if points + part.points() > MAX_POINTS {
                let next = Group { owner: owner.cloned(), metrics: Vec::new() };
                out.last_mut().into_iter().for_each(|last| {
                    last.push(std::mem::replace(&mut group, next.clone()));
                });
                out.push(Vec::new());
                points = 0;
            }
            points += part.points();
            group.metrics.push(part);
        }
        out.last_mut().into_iter().for_each(|last| last.push(group.clone()));
    }
    out
}

/// A request.
pub(crate) fn batch(groups: &[Group], how: &How<'_>, number: u64) -> Batch {
    let groups = groups.iter().filter(|group| !group.metrics.is_empty());
    let items = groups.clone().flat_map(|group| &group.metrics).map(|m| m.points() as u64).sum();
    let resource_metrics = groups.map(|group| resource_metrics(group, how)).collect();
    let request = ExportMetricsServiceRequest { resource_metrics };
    Batch { signal: Signal::Metrics, request: request.encode_to_vec().into(), items, number }
}

fn resource_metrics(group: &Group, how: &How<'_>) -> otlp::ResourceMetrics {
    let scope = InstrumentationScope {
        name: "gotap".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let attributes = match &group.owner {
        None => how.resource.iter().map(|(key, value)| text(key, value)).collect(),
        Some(owner) => owner.attributes().iter().map(|(key, value)| typed(key, value)).collect(),
    };
    let metrics = group.metrics.iter().filter(|metric| metric.points() > 0);
    otlp::ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![otlp::ScopeMetrics {
            scope: Some(scope),
            metrics: metrics.map(|metric| encode(metric, how)).collect(),
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    }
}

fn encode(metric: &Metric, how: &How<'_>) -> otlp::Metric {
    let temporality = if is_delta(metric, how.temporality) {
        otlp::AggregationTemporality::Delta
    } else {
        otlp::AggregationTemporality::Cumulative
    };
    let since = how.start(metric.since.unwrap_or(how.start_unix_nano));
    let numbers = |points: &[Point]| points.iter().map(|point| number(point, since, how)).collect();
    let has_exponential = |points: &[HistogramPoint]| {
        how.exponential && points.iter().all(|point| point.exponential.is_some())
    };
    let data = match &metric.data {
        Data::Counter(points) => otlp::metric::Data::Sum(otlp::Sum {
            data_points: numbers(points),
            aggregation_temporality: temporality.into(),
            is_monotonic: true,
        }),
        Data::UpDownCounter(points) => otlp::metric::Data::Sum(otlp::Sum {
            data_points: numbers(points),
            aggregation_temporality: temporality.into(),
            is_monotonic: false,
        }),
        Data::Gauge(points) => {
            otlp::metric::Data::Gauge(otlp::Gauge { data_points: numbers(points) })
        }
        Data::Histogram(points) if has_exponential(points) => {
            let points = points.iter().filter_map(|point| exponential(point, since, how));
            otlp::metric::Data::ExponentialHistogram(otlp::ExponentialHistogram {
                data_points: points.collect(),
                aggregation_temporality: temporality.into(),
            })
        }
        Data::Histogram(points) => otlp::metric::Data::Histogram(otlp::Histogram {
            data_points: points.iter().map(|point| histogram(point, since, how)).collect(),
            aggregation_temporality: temporality.into(),
        }),
    };
    otlp::Metric {
        name: metric.name.into(),
        description: metric.description.into(),
        unit: metric.unit.into(),
        data: Some(data),
        ..otlp::Metric::default()
    }
}

fn number(point: &Point, since: u64, how: &How<'_>) -> otlp::NumberDataPoint {
    use otlp::number_data_point::Value;
    otlp::NumberDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: since,
        time_unix_nano: how.time_unix_nano,
        value: Some(match point.value {
            Number::Int(n) => Value::AsInt(n.try_into().unwrap_or(i64::MAX)),
            Number::Float(n) => Value::AsDouble(n),
        }),
        ..otlp::NumberDataPoint::default()
    }
}

fn histogram(point: &HistogramPoint, since: u64, how: &How<'_>) -> otlp::HistogramDataPoint {
    otlp::HistogramDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: since,
        time_unix_nano: how.time_unix_nano,
        count: point.histogram.count(),
        sum: point.histogram.sum(),
        bucket_counts: point.histogram.counts().to_vec(),
        explicit_bounds: point.histogram.bounds().to_vec(),
        exemplars: exemplars(point, how),
        ..otlp::HistogramDataPoint::default()
    }
}

fn exponential(
    point: &HistogramPoint,
    since: u64,
    how: &How<'_>,
) -> Option<otlp::ExponentialHistogramDataPoint> {
    let values = point.exponential.as_ref()?;
    Some(otlp::ExponentialHistogramDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: since,
        time_unix_nano: how.time_unix_nano,
        count: values.count(),
        sum: Some(values.sum()),
        scale: values.scale(),
        zero_count: values.zero(),
        positive: Some(otlp::exponential_histogram_data_point::Buckets {
            offset: values.offset(),
            bucket_counts: values.counts().collect(),
        }),
        exemplars: exemplars(point, how),
        ..otlp::ExponentialHistogramDataPoint::default()
    })
}

fn exemplars(point: &HistogramPoint, how: &How<'_>) -> Vec<otlp::Exemplar> {
    let newer = point.exemplars.iter().filter(|one| one.time_unix_nano > how.exemplars_since);
    newer
        .map(|one| otlp::Exemplar {
            time_unix_nano: one.time_unix_nano,
            trace_id: one.trace_id.to_vec(),
            span_id: one.span_id.to_vec(),
            value: Some(otlp::exemplar::Value::AsDouble(one.value)),
            ..otlp::Exemplar::default()
        })
        .collect()
}

fn key_values(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| key_value(key, any(value))).collect()
}

fn any(value: &metrics::Value) -> any_value::Value {
    match value {
        metrics::Value::Static(text) => any_value::Value::StringValue((*text).into()),
        metrics::Value::Text(text) => any_value::Value::StringValue(text.as_str().into()),
        metrics::Value::Int(n) => any_value::Value::IntValue(*n),
        metrics::Value::Bool(value) => any_value::Value::BoolValue(*value),
    }
}

/// An attribute of a span's resource, integers as such.
fn typed(key: &str, value: &trace::Value) -> KeyValue {
    let value = match value {
        trace::Value::Int(n) => any_value::Value::IntValue(*n),
        trace::Value::Double(n) => any_value::Value::DoubleValue(*n),
        trace::Value::Texts(texts) => {
            let text = |text: &str| any_value::Value::StringValue(text.into());
            let values = texts.iter().map(|one| AnyValue { value: Some(text(one)) });
            any_value::Value::ArrayValue(ArrayValue { values: values.collect() })
        }
        other => any_value::Value::StringValue(other.as_str().unwrap_or_default().into()),
    };
    key_value(key, value)
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, any_value::Value::StringValue(value.into()))
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    let value = AnyValue { value: Some(value) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The starts that a counter is sent with which counts since 100, at these times.
    #[test]
    fn no_point_begins_after_its_end_when_the_clock_is_set_back() {
        let mut clock = Clock::default();
        let starts = [110, 120, 50, 60, 99, 100, 130, 40].map(|time| {
            clock.shows(time);
            let how = How {
                resource: &[],
                start_unix_nano: 100,
                time_unix_nano: time,
                clock,
                temporality: Temporality::Cumulative,
                exponential: false,
                exemplars_since: 0,
            };
            let metric = Metric::counter("a", "1", "", [Point::int(1, Vec::new())]);
            match encode(&metric, &how).data.unwrap() {
                otlp::metric::Data::Sum(sum) => sum.data_points[0].start_time_unix_nano,
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(starts, [100, 100, 50, 50, 50, 100, 100, 40]);
    }

    #[test]
    fn a_request_has_no_more_points_than_a_server_takes() {
        let points = (0..4000).map(|i| Point::int(i, Vec::new()));
        let own = [Metric::counter("a", "1", "", points)];
        let other = vec![Metric::gauge("b", "1", "", [Point::int(1, Vec::new())])];
        let of_others = [(Arc::default(), other)];
        let collected = Collected {
            resource: &[],
            metrics: &own,
            of_others: &of_others,
            start_unix_nano: 1,
            time_unix_nano: 2,
        };
        let all = requests(&collected);
        let count = |groups: &Vec<Group>| -> usize {
            groups.iter().flat_map(|group| &group.metrics).map(Metric::points).sum()
        };
        assert_eq!(all.iter().map(count).collect::<Vec<_>>(), [1500, 1500, 1001]);
        assert!(all.last().is_some_and(|groups| groups.iter().any(|group| group.owner.is_some())));
    }
}
