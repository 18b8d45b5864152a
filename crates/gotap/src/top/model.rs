//! What is shown: the counts of two times become rates and quantiles. Not here: where counts come from, and
//! how they look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Data, Exponential, Metric, Number};
use trace::{Kind, Named, Resource, Span, Status};

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
                _ => out.add(metric),
            }
        }
        out
    }

    /// The operations of a metric, if it is of such.
    fn add(&mut self, metric: &Metric) {
        let Data::Histogram(points) = &metric.data else { return };
        for point in points {
            let Some(times) = &point.exponential else { continue };
            let described = red::described(metric.name, &point.attributes);
            let Some(red::Described { made, name, failed }) = described else { return };
            let totals = self.operations.entry(Operation { made, name }).or_default();
            totals.times.merge(times);
            totals.errors += if failed { times.count() } else { 0 };
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
            pid: self.resource.pid().unwrap_or(0),
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
        let failed = matches!(span.status, Status::Error(_));
        let (outcome, what) = told(span);
        let outcome = outcome.or_else(|| span.error_type.as_ref().map(|kind| kind.to_string()));
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        Self {
            pid: span.resource.pid().unwrap_or(0),
            operation: Operation {
                made: span.kind == Kind::Client,
                name: red::operation_name(span),
            },
            end_unix_nano: span.end_unix_nano,
            seconds: took as f64 / 1e9,
            failed,
            outcome: outcome.unwrap_or_else(|| if failed { "error" } else { "ok" }.to_owned()),
            what: what.unwrap_or_default().to_owned(),
            trace_id: span.trace_id,
        }
    }
}

/// The code that an operation ended with, and what was asked for.
fn told(span: &Span) -> (Option<String>, Option<&str>) {
    let call = span.operation.call();
    let code = call.and_then(|call| call.code.as_ref().map(|code| code.to_string()));
    let method = call.and_then(|call| call.method.as_ref().map(Named::label));
    match &span.operation {
        trace::Operation::Http(http) => {
            let status = || http.status.map(|status| status.to_string());
            let what = http.path.as_deref().or(http.url.as_deref());
            (code.or_else(status), what.or(method))
        }
        trace::Operation::Database(query) => {
            (None, query.text.as_deref().or(query.operation.as_deref()))
        }
        trace::Operation::Rpc(_) | trace::Operation::Connection(_) => (code, method),
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
