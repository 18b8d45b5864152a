//! Prometheus's protobuf format, `io.prometheus.client`: the only one that has native histograms. Not here:
//! HTTP, and who wants it.

use prost::Message;

use crate::exponential::Exponential;
use crate::model::{Attributes, Data, Exemplar, HistogramPoint, Metric, Number};
use crate::names::{label, prometheus};
use crate::target::Labels;

/// The finest buckets that Prometheus knows, and the coarsest.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, optional, tag = "3")]
    r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Sample>,
}

const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const HISTOGRAM: i32 = 4;

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Single>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Single>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Single {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<Example>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<Example>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct Example {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Its `Content-Type`.
pub const PROTOBUF: &str = "application/vnd.google.protobuf; \
                            proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Whether an `Accept` header takes it. Prometheus asks for it where it takes native histograms.
pub fn accepts_protobuf(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let parts: Vec<_> = range.split(';').map(str::trim).collect();
        parts.first() == Some(&"application/vnd.google.protobuf")
            && parts.contains(&"proto=io.prometheus.client.MetricFamily")
            && parts.contains(&"encoding=delimited")
            && !parts.contains(&"q=0")
    })
}

/// All metrics. Distributions with exponential buckets are native histograms, and have the others, too.
pub fn render_protobuf(metrics: &[Metric], targets: &[Labels]) -> Vec<u8> {
    let mut out = Vec::new();
    let pair = |(name, value): &(String, String)| pair(name.clone(), value.clone());
    let info = targets.iter().map(|labels| Sample {
        label: labels.iter().map(pair).collect(),
        gauge: Some(Single { value: Some(1.0) }),
        ..Sample::default()
    });
    let target = MetricFamily {
        name: "target_info".to_owned(),
        help: "Attributes of gotap and of the processes that it observes".to_owned(),
        r#type: Some(GAUGE),
        metric: info.collect(),
    };
    let families = metrics.iter().filter(|metric| metric.points() > 0).map(family);
    for family in std::iter::once(target).chain(families) {
        // A vector takes all that there is.
        let _ = family.encode_length_delimited(&mut out);
    }
    out
}

fn family(metric: &Metric) -> MetricFamily {
    let single = |n: Number| {
        let value = match n {
            Number::Int(n) => n as f64,
            Number::Float(n) => n,
        };
        Some(Single { value: Some(value) })
    };
    let (kind, samples) = match &metric.data {
        Data::Counter(points) => {
            let sample = |label, n| Sample { label, counter: single(n), ..Sample::default() };
            (COUNTER, points.iter().map(|p| sample(pairs(&p.attributes), p.value)).collect())
        }
        // Prometheus has no other word for it.
        Data::UpDownCounter(points) | Data::Gauge(points) => {
            let sample = |label, n| Sample { label, gauge: single(n), ..Sample::default() };
            (GAUGE, points.iter().map(|p| sample(pairs(&p.attributes), p.value)).collect())
        }
        Data::Histogram(points) => {
            let sample = |point: &HistogramPoint| Sample {
                label: pairs(&point.attributes),
                histogram: Some(histogram(point)),
                ..Sample::default()
            };
            (HISTOGRAM, points.iter().map(sample).collect())
        }
    };
    MetricFamily {
        name: prometheus(metric),
        help: metric.description.to_owned(),
        r#type: Some(kind),
        metric: samples,
    }
}

fn histogram(point: &HistogramPoint) -> Histogram {
    let classic = &point.histogram;
    let bucket_of = |value: f64| classic.bounds().partition_point(|bound| *bound < value);
    let mut below = 0;
    let buckets = classic.counts().iter().enumerate().map(|(i, n)| {
        below += n;
        let exemplar = point.exemplars.iter().find(|one| bucket_of(one.value) == i);
        let bound = classic.bounds().get(i).copied().unwrap_or(f64::INFINITY);
        let (cumulative_count, upper_bound) = (Some(below), Some(bound));
        Bucket { cumulative_count, upper_bound, exemplar: exemplar.map(example) }
    });
    let mut out = Histogram {
        sample_count: Some(classic.count()),
        sample_sum: classic.sum(),
        bucket: buckets.collect(),
        ..Histogram::default()
    };
    let native = point.exponential.as_ref().map(|one| one.at_scale(*SCHEMAS.end()));
    if let Some(native) = native.filter(|one| SCHEMAS.contains(&one.scale())) {
        add_native(&native, &mut out);
        out.exemplars = point.exemplars.iter().map(example).collect();
    }
    out
}

fn add_native(native: &Exponential, out: &mut Histogram) {
    out.schema = Some(native.scale());
    out.zero_threshold = Some(f64::MIN_POSITIVE);
    out.zero_count = Some(native.zero());
    let length = u32::try_from(native.counts().len()).unwrap_or(0);
    // Its buckets are called by their upper ends, and OpenTelemetry's by their lower ones. One span says
    // that this is a native histogram, also where it has no buckets.
    out.positive_span =
        vec![BucketSpan { offset: Some(native.offset() + 1), length: Some(length) }];
    let mut last = 0;
    out.positive_delta = native
        .counts()
        .map(|n| {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            n - std::mem::replace(&mut last, n)
        })
        .collect();
}

fn example(one: &Exemplar) -> Example {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let label = vec![
        pair("trace_id".to_owned(), hex(&one.trace_id)),
        pair("span_id".to_owned(), hex(&one.span_id)),
    ];
    let seconds = i64::try_from(one.time_unix_nano / 1_000_000_000).unwrap_or(0);
    let nanos = i32::try_from(one.time_unix_nano % 1_000_000_000).unwrap_or(0);
    Example { label, value: Some(one.value), timestamp: Some(Timestamp { seconds, nanos }) }
}

fn pairs(attributes: &Attributes) -> Vec<LabelPair> {
    attributes.iter().map(|(key, value)| pair(label(key), value.to_text().into())).collect()
}

fn pair(name: String, value: String) -> LabelPair {
    LabelPair { name, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_called_by_their_upper_ends() {
        let mut point = HistogramPoint::new(Vec::new(), crate::Histogram::new(&[1.0]));
        let mut values = Exponential::default();
        for value in [0.0, 1.0, 4.0, 4.0] {
            values.record_many(value, 1);
            point.histogram.record(value);
        }
        point.exponential = Some(values.at_scale(0));
        let out = histogram(&point);
        assert_eq!((out.schema, out.zero_count, out.sample_count), (Some(0), Some(1), Some(4)));
        // 1 is in bucket 0, (½, 1]; 4 in bucket 2, (2, 4].
        assert_eq!(out.positive_span[0].offset, Some(0));
        assert_eq!(out.positive_delta, [1, -1, 2]);
        assert_eq!(out.bucket[1].cumulative_count, Some(4));
        point.exponential = Some(Exponential::default());
        assert_eq!(histogram(&point).schema, Some(8), "no finer than Prometheus knows");
    }

    #[test]
    fn only_who_asks_for_it_gets_it() {
        let prometheus = "application/vnd.google.protobuf;\
                          proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*";
        assert!(accepts_protobuf(prometheus));
        assert!(!accepts_protobuf("application/openmetrics-text,text/plain"));
        assert!(!accepts_protobuf(&prometheus.replace("q=0.6", "q=0")));
    }
}
