//! Metrics as OTLP. They are few and come every few seconds, so the generated types do, which spans are
//! too many for.

use std::sync::Arc;

use metrics::{Attributes, Data, HistogramPoint, Metric, Number, Point};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use crate::batch::Batch;
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

/// The request that sends all of it.
pub(crate) fn batch(collected: &Collected<'_>) -> Batch {
    let own = collected.resource.iter().map(|(key, value)| key_value(key, value)).collect();
    let own = resource_metrics(own, collected.metrics, collected);
    let others = collected.of_others.iter().map(|(resource, metrics)| {
        let attributes = resource.attributes.iter().map(|(key, value)| typed(key, value));
        resource_metrics(attributes.collect(), metrics, collected)
    });
    let resource_metrics = std::iter::once(own).chain(others).collect();
    let all = collected.of_others.iter().flat_map(|(_, metrics)| metrics).chain(collected.metrics);
    let items = all.map(|metric| metric.points() as u64).sum();
    let request = ExportMetricsServiceRequest { resource_metrics };
    Batch { signal: Signal::Metrics, request: request.encode_to_vec().into(), items }
}

fn resource_metrics(
    attributes: Vec<KeyValue>,
    metrics: &[Metric],
    when: &Collected<'_>,
) -> otlp::ResourceMetrics {
    let scope = InstrumentationScope {
        name: "gotap".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let metrics = metrics.iter().filter(|metric| metric.points() > 0);
    otlp::ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![otlp::ScopeMetrics {
            scope: Some(scope),
            metrics: metrics.map(|metric| encode(metric, when)).collect(),
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    }
}

fn encode(metric: &Metric, when: &Collected<'_>) -> otlp::Metric {
    let cumulative = otlp::AggregationTemporality::Cumulative.into();
    let numbers = |points: &[Point]| points.iter().map(|point| number(point, when)).collect();
    let data = match &metric.data {
        Data::Counter(points) => otlp::metric::Data::Sum(otlp::Sum {
            data_points: numbers(points),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Data::Gauge(points) => {
            otlp::metric::Data::Gauge(otlp::Gauge { data_points: numbers(points) })
        }
        Data::Histogram(points) => otlp::metric::Data::Histogram(otlp::Histogram {
            data_points: points.iter().map(|point| histogram(point, when)).collect(),
            aggregation_temporality: cumulative,
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

fn number(point: &Point, when: &Collected<'_>) -> otlp::NumberDataPoint {
    use otlp::number_data_point::Value;
    otlp::NumberDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: when.start_unix_nano,
        time_unix_nano: when.time_unix_nano,
        value: Some(match point.value {
            Number::Int(n) => Value::AsInt(n.try_into().unwrap_or(i64::MAX)),
            Number::Float(n) => Value::AsDouble(n),
        }),
        ..otlp::NumberDataPoint::default()
    }
}

fn histogram(point: &HistogramPoint, when: &Collected<'_>) -> otlp::HistogramDataPoint {
    otlp::HistogramDataPoint {
        attributes: key_values(&point.attributes),
        start_time_unix_nano: when.start_unix_nano,
        time_unix_nano: when.time_unix_nano,
        count: point.histogram.count(),
        sum: point.histogram.sum(),
        bucket_counts: point.histogram.counts().to_vec(),
        explicit_bounds: point.histogram.bounds().to_vec(),
        ..otlp::HistogramDataPoint::default()
    }
}

fn key_values(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| key_value(key, value)).collect()
}

/// An attribute of a span's resource, integers as such.
fn typed(key: &str, value: &trace::Value) -> KeyValue {
    let value = match value {
        trace::Value::Int(n) => any_value::Value::IntValue(*n),
        other => any_value::Value::StringValue(other.as_str().unwrap_or_default().into()),
    };
    let value = AnyValue { value: Some(value) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

fn key_value(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}
