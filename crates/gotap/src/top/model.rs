//! What is shown: the counts of two times become rates and quantiles. Not here: where counts come from, and
//! how they look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Attributes, Data, Exponential, Metric, Number};
use trace::{Kind, Resource, Span, Status, Value};

/// Counts of one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// By the clock of the others.
    pub(crate) time: Duration,
    pub(crate) processes: Vec<Counts>,
}

/// Counts of a process.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub(crate) resource: Arc<Resource>,
    pub(crate) cpu: Option<Duration>,
    goroutines: Option<u64>,
    heap: Option<u64>,
    collections: Option<u64>,
    operations: BTreeMap<Operation, Totals>,
}

/// What an operation is: served or made, and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    /// Whether it was served. Those stand in front.
    pub(crate) made: bool,
    pub(crate) name: String,
}

#[derive(Debug, Clone, Default)]
struct Totals {
    errors: u64,
    times: Exponential,
}

/// What happened between two times.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    pub(crate) per_second: f64,
    /// In seconds; `None` where there was nothing.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

impl Rates {
    /// The share of operations that failed; `None` where there were none.
    pub(crate) fn error_share(&self) -> Option<f64> {
        (self.count > 0).then(|| self.errors as f64 / self.count as f64)
    }
}

/// A process as it is shown. What is not known is `None`.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) service: String,
    pub(crate) pid: u32,
    /// Of what it serves; of what it asks others for if it serves nothing.
    pub(crate) rates: Rates,
    pub(crate) goroutines: Option<u64>,
    pub(crate) collections_per_second: Option<f64>,
    pub(crate) heap: Option<u64>,
    /// Processors that it kept busy.
    pub(crate) cpu: Option<f64>,
    pub(crate) operations: Vec<(Operation, Rates)>,
}

/// Everything that is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Between which two times.
    pub(crate) over: Duration,
    pub(crate) rows: Vec<Row>,
}

/// An operation that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) pid: u32,
    pub(crate) operation: Operation,
    pub(crate) end_unix_nano: u64,
    pub(crate) seconds: f64,
    pub(crate) failed: bool,
    /// Its code, or what kind of error it ended in.
    pub(crate) outcome: String,
    /// What was asked for.
    pub(crate) what: String,
    pub(crate) trace_id: [u8; 16],
}

impl Counts {
    /// From the metrics of a process.
    pub(crate) fn new(resource: Arc<Resource>, metrics: &[Metric], cpu: Option<Duration>) -> Self {
        let (goroutines, heap, collections) = (None, None, None);
        let operations = BTreeMap::new();
        let mut out = Self { resource, cpu, goroutines, heap, collections, operations };
        for metric in metrics {
            match metric.name {
                "go.goroutine.count" => out.goroutines = integer(metric),
                "gotap.go.heap.live" => out.heap = integer(metric),
                "gotap.go.gc.cycles" => out.collections = integer(metric),
                name if name.ends_with(".duration") => out.add(metric),
                _ => {}
            }
        }
        out
    }

    /// The operations of a metric.
    fn add(&mut self, metric: &Metric) {
        let Data::Histogram(points) = &metric.data else { return };
        let made = metric.name.contains(".client.");
        for point in points {
            let Some(times) = &point.exponential else { continue };
            let operation = Operation { made, name: name(&Given(&point.attributes)) };
            let totals = self.operations.entry(operation).or_default();
            totals.times.merge(times);
            if point.attributes.iter().any(|(key, _)| *key == "error.type") {
                totals.errors += times.count();
            }
        }
    }

    fn since(&self, before: Option<&Self>, over: Duration) -> Row {
        let seconds = over.as_secs_f64();
        let rates = |operations: &[(&Operation, &Totals)]| {
            let (mut times, mut errors) = (Exponential::default(), 0);
            for (operation, totals) in operations {
                let then = before.and_then(|before| before.operations.get(operation));
                times.merge(
                    &then.map_or(totals.times.clone(), |then| totals.times.since(&then.times)),
                );
                errors += totals.errors.saturating_sub(then.map_or(0, |then| then.errors));
            }
            let (count, per_second) = (times.count(), times.count() as f64 / seconds);
            Rates { count, errors, per_second, p50: times.quantile(0.5), p99: times.quantile(0.99) }
        };
        let all: Vec<_> = self.operations.iter().collect();
        let served: Vec<_> = all.iter().copied().filter(|(operation, _)| !operation.made).collect();
        let growth = |now: Option<f64>, then: Option<f64>| Some((now? - then?) / seconds);
        let then = |value: fn(&Self) -> Option<f64>| before.and_then(value);
        let collections = |counts: &Self| counts.collections.map(|n| n as f64);
        let cpu = |counts: &Self| counts.cpu.map(|time| time.as_secs_f64());
        Row {
            service: self.resource.service_name().to_owned(),
            pid: pid(&self.resource),
            rates: rates(if served.is_empty() { &all } else { &served }),
            goroutines: self.goroutines,
            collections_per_second: growth(collections(self), then(collections)),
            heap: self.heap,
            cpu: growth(cpu(self), then(cpu)),
            operations: all.iter().map(|one| (one.0.clone(), rates(&[*one]))).collect(),
        }
    }
}

impl View {
    /// What happened between two times. Of processes that came between them, all.
    pub(crate) fn between(before: &Snapshot, now: &Snapshot) -> Self {
        let over = now.time.saturating_sub(before.time).max(Duration::from_millis(1));
        let row = |counts: &Counts| {
            let same = |old: &&Counts| Arc::ptr_eq(&old.resource, &counts.resource);
            counts.since(before.processes.iter().find(same), over)
        };
        Self { over, rows: now.processes.iter().map(row).collect() }
    }
}

impl Request {
    /// From its span.
    pub(crate) fn new(span: &Span) -> Self {
        let text = |key: &str| span.get(key).map(text);
        let codes = ["http.response.status_code", "rpc.response.status_code", "error.type"];
        let rpc = text("rpc.system.name").and(text("rpc.response.status_code"));
        let failed = matches!(span.status, Status::Error(_));
        let outcome = rpc.or_else(|| codes.iter().find_map(|key| text(key)));
        let what = ["url.path", "url.full", "rpc.method", "db.query.text", "db.operation.name"];
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        Self {
            pid: pid(&span.resource),
            operation: Operation { made: span.kind == Kind::Client, name: name(&Given(span)) },
            end_unix_nano: span.end_unix_nano,
            seconds: took as f64 / 1e9,
            failed,
            outcome: outcome.unwrap_or_else(|| if failed { "error" } else { "ok" }.to_owned()),
            what: what.iter().find_map(|key| text(key)).unwrap_or_default(),
            trace_id: span.trace_id,
        }
    }
}

/// Attributes, of a span or of a point.
struct Given<T>(T);

trait Attribute {
    fn text(&self, key: &str) -> Option<String>;
}

impl Attribute for Given<&Attributes> {
    fn text(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, value)| value.to_text().into())
    }
}

impl Attribute for Given<&Span> {
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(text)
    }
}

/// The name of an operation, which is the same from its span and from its metric.
fn name(of: &impl Attribute) -> String {
    let server = || match (of.text("server.address"), of.text("server.port")) {
        (Some(address), Some(port)) => format!(" {address}:{port}"),
        (Some(address), None) => format!(" {address}"),
        _ => String::new(),
    };
    if of.text("otel.metric.overflow").is_some() {
        return "(others)".to_owned();
    }
    if let Some(system) = of.text("rpc.system.name") {
        return of.text("rpc.method").unwrap_or(system);
    }
    if let Some(system) = of.text("db.system.name") {
        let what = of.text("db.query.summary").or_else(|| of.text("db.operation.name"));
        return format!("{system} {}", what.unwrap_or_default()).trim_end().to_owned();
    }
    let method = of.text("http.request.method").unwrap_or_else(|| "HTTP".to_owned());
    match of.text("http.route") {
        Some(route) => format!("{method} {route}"),
        // Only what is served has a scheme in its metric and no server there.
        None if of.text("url.scheme").is_some() => method,
        None => format!("{method}{}", server()),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        Value::Double(n) => n.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn pid(resource: &Resource) -> u32 {
    match resource.get("process.pid") {
        Some(Value::Int(pid)) => u32::try_from(*pid).unwrap_or(0),
        _ => 0,
    }
}

fn integer(metric: &Metric) -> Option<u64> {
    let (Data::Counter(points) | Data::Gauge(points)) = &metric.data else { return None };
    match points.first()?.value {
        Number::Int(n) => Some(n),
        Number::Float(_) => None,
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
pub(crate) mod tests;
