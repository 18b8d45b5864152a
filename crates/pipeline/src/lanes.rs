//! From those who read to those who write: each sink has a thread and a bounded queue of its own, so that
//! a stopped terminal or a slow disk holds up neither the ring buffers nor another sink. What finds a
//! queue full is counted by sink. Not here: what sinks do.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use metrics::Metric;
use trace::{LogRecord, Resource, Span};

/// Spans that may wait for one sink, unless fewer are wanted: twice what the ring buffer holds.
pub const MAX_QUEUED: usize = 1 << 15;
/// The share of them that log records may be, and how many collections of metrics may wait. What they take is not
/// taken from spans, nor from them by spans.
const LOGS_SHARE: usize = 4;
const MAX_COLLECTIONS: usize = 4;
/// How often a sink is called that gets nothing.
const TICK: Duration = Duration::from_millis(250);
/// How much longer than its patience a sink may take to finish that gets nowhere.
const GRACE: Duration = Duration::from_millis(500);
/// How long all of them may take together that get on.
const LONGEST: Duration = Duration::from_secs(15);

/// Where telemetry goes.
pub trait Sink: Send {
    /// Its name in metrics.
    fn name(&self) -> &'static str;
    /// Takes a span. An error ends the program: the output is gone.
    fn span(&mut self, span: &Span) -> anyhow::Result<()>;
    /// Takes a log record. An error ends the program: the output is gone.
    fn log(&mut self, _record: &LogRecord) -> anyhow::Result<()> {
        Ok(())
    }
    /// Whether it takes log records. None wait for one that does not.
    fn takes_logs(&self) -> bool {
        false
    }
    /// Takes all metrics of one time.
    fn metrics(&mut self, _measured: &Measured) {}
    /// Whether it takes metrics. None wait for one that does not.
    fn takes_metrics(&self) -> bool {
        false
    }
    /// Called after each batch, and when there is none for a while.
    fn tick(&mut self) -> anyhow::Result<()>;
    /// Called once at the end, with the time that is left. An error says that what was left is not where it should be.
    fn finish(self: Box<Self>, patience: Duration) -> anyhow::Result<()>;
}

/// Metrics of one time.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Of gotap itself.
    pub metrics: Vec<Metric>,
    /// Of the observed processes: their operations and Go runtimes.
    pub processes: Vec<(Arc<Resource>, Vec<Metric>)>,
    /// When, in nanoseconds since 1970.
    pub time_unix_nano: u64,
}

enum Item {
    Spans(Arc<Vec<Span>>),
    Logs(Arc<Vec<LogRecord>>),
    Metrics(Arc<Measured>),
    Finish(Duration),
}

/// What waits or is dropped.
#[derive(Debug, Default)]
struct Queued {
    limit: usize,
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Queued {
    fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Takes room for `n`; false, and counted, if there is none.
    fn enter(&self, n: usize) -> bool {
        let room = |waiting: usize| (waiting < self.limit).then_some(waiting + n);
        let entered = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if !entered {
            self.drop(n);
        }
        entered
    }

    fn drop(&self, n: usize) {
        self.dropped.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// So many do not wait any more; how many of them still did. Those that were given up meanwhile did not.
    fn leave(&self, n: usize) -> usize {
        let rest = |waiting: usize| Some(waiting.saturating_sub(n));
        let before = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        before.unwrap_or(0).min(n)
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts what waits as dropped.
    fn give_up(&self) {
        self.drop(self.waiting.swap(0, Ordering::Relaxed));
    }
}

/// What is known of a sink from outside.
#[derive(Debug)]
pub struct Outlet {
    /// The sink's name.
    pub name: &'static str,
    spans: Queued,
    logs: Queued,
    /// Collections.
    metrics: Queued,
}

impl Outlet {
    /// For so many spans.
    fn new(name: &'static str, limit: usize) -> Self {
        let (spans, logs) = (Queued::new(limit), Queued::new((limit / LOGS_SHARE).max(1)));
        Self { name, spans, logs, metrics: Queued::new(MAX_COLLECTIONS) }
    }

    /// Spans that may wait.
    pub fn limit(&self) -> usize {
        self.spans.limit
    }

    /// Spans that wait.
    pub fn queued(&self) -> usize {
        self.spans.waiting()
    }

    /// All that waits.
    pub fn waiting(&self) -> usize {
        self.all().map(Queued::waiting).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Queued> {
        [&self.spans, &self.logs, &self.metrics].into_iter()
    }

    fn of(&self, item: &Item) -> Option<&Queued> {
        match item {
            Item::Spans(_) => Some(&self.spans),
            Item::Logs(_) => Some(&self.logs),
            Item::Metrics(_) => Some(&self.metrics),
            Item::Finish(_) => None,
        }
    }

    /// Spans that found the queue full, or that were left when the sink was given up at the end.
    pub fn dropped(&self) -> u64 {
        self.spans.dropped.load(Ordering::Relaxed)
    }

    /// The same of log records.
    pub fn logs_dropped(&self) -> u64 {
        self.logs.dropped.load(Ordering::Relaxed)
    }

    /// The same of metrics, all of one time being one.
    pub fn metrics_dropped(&self) -> u64 {
        self.metrics.dropped.load(Ordering::Relaxed)
    }
}

struct Lane {
    outlet: Arc<Outlet>,
    takes_logs: bool,
    takes_metrics: bool,
    items: Sender<Item>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The sinks, for any thread.
#[derive(Clone)]
pub struct Pipeline {
    lanes: Arc<[Lane]>,
}

impl Pipeline {
    /// Starts a thread for each sink, for which so many spans may wait. `failed` is called with the error of a sink whose output is gone.
    pub fn start(
        sinks: Vec<Box<dyn Sink>>,
        limit: usize,
        failed: impl Fn(anyhow::Error) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let lanes = sinks.into_iter().map(|sink| Lane::start(sink, limit, failed.clone()));
        Ok(Self { lanes: lanes.collect::<std::io::Result<_>>()? })
    }

    /// Hands spans to all sinks. Never blocks.
    pub fn spans(&self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let spans = Arc::new(spans);
        for lane in self.lanes.iter() {
            lane.send(Item::Spans(spans.clone()), spans.len());
        }
    }

    /// Hands log records to all sinks. Never blocks.
    pub fn logs(&self, records: Vec<LogRecord>) {
        if records.is_empty() {
            return;
        }
        let records = Arc::new(records);
        for lane in self.lanes.iter().filter(|lane| lane.takes_logs) {
            lane.send(Item::Logs(records.clone()), records.len());
        }
    }

    /// Hands metrics to all sinks. Never blocks; those that find a queue full are cumulative, so that
    /// the next ones make up for them.
    pub fn metrics(&self, measured: Measured) {
        let measured = Arc::new(measured);
        for lane in self.lanes.iter().filter(|lane| lane.takes_metrics) {
            lane.send(Item::Metrics(measured.clone()), 1);
        }
    }

    /// The sinks.
    pub fn outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.lanes.iter().map(|lane| &*lane.outlet)
    }

    /// Lets the sinks finish: what they have still to write, and then within `patience`. One that hangs is
    /// left behind, and what waits for it is counted as dropped.
    pub fn finish(&self, patience: Duration) {
        for lane in self.lanes.iter() {
            // A sink that failed is gone already.
            let _ = lane.items.send(Item::Finish(patience));
        }
        let last = Instant::now() + LONGEST;
        for lane in self.lanes.iter() {
            let thread = lane.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(thread) = thread else { continue };
            let (mut left, mut since) = (lane.outlet.waiting(), Instant::now());
            while !thread.is_finished() && since.elapsed() < patience + GRACE {
                std::thread::sleep(Duration::from_millis(2));
                if lane.outlet.waiting() != left && Instant::now() < last {
                    (left, since) = (lane.outlet.waiting(), Instant::now());
                }
            }
            lane.outlet.all().for_each(Queued::give_up);
        }
    }
}

impl Lane {
    fn start(
        sink: Box<dyn Sink>,
        limit: usize,
        failed: impl Fn(anyhow::Error) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (items, receiver) = channel();
        let (takes_logs, takes_metrics) = (sink.takes_logs(), sink.takes_metrics());
        let outlet = Arc::new(Outlet::new(sink.name(), limit));
        let shared = outlet.clone();
        let thread = std::thread::Builder::new().name(format!("gotap-{}", sink.name())).spawn(
            move || {
                if let Err(error) = write(sink, &receiver, &shared) {
                    failed(error);
                }
            },
        )?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { outlet, takes_logs, takes_metrics, items, thread })
    }

    fn send(&self, item: Item, n: usize) {
        let Some(queued) = self.outlet.of(&item) else { return };
        // A sink that failed is gone: nothing waits for it.
        if queued.enter(n) && self.items.send(item).is_err() {
            queued.drop(queued.leave(n));
        }
    }
}

/// The thread of a sink.
fn write(mut sink: Box<dyn Sink>, items: &Receiver<Item>, outlet: &Outlet) -> anyhow::Result<()> {
    loop {
        match items.recv_timeout(TICK) {
            Ok(Item::Spans(spans)) => {
                for span in spans.iter() {
                    sink.span(span)?;
                    outlet.spans.leave(1);
                }
            }
            Ok(Item::Logs(records)) => {
                for record in records.iter() {
                    sink.log(record)?;
                    outlet.logs.leave(1);
                }
            }
            Ok(Item::Metrics(measured)) => {
                sink.metrics(&measured);
                outlet.metrics.leave(1);
            }
            Ok(Item::Finish(patience)) => return sink.finish(patience),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        sink.tick()?;
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
