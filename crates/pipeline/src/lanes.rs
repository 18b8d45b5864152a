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

/// Spans, log records and collections of metrics that may wait for one sink, unless fewer are wanted: twice what the ring
/// buffer holds.
pub const MAX_QUEUED: usize = 1 << 15;
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
    /// Takes all metrics of one time.
    fn metrics(&mut self, _measured: &Measured) {}
    /// Called after each batch, and when there is none for a while.
    fn tick(&mut self) -> anyhow::Result<()>;
    /// Called once at the end, with the time that is left.
    fn finish(self: Box<Self>, patience: Duration);
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

/// What is known of a sink from outside.
#[derive(Debug)]
pub struct Outlet {
    /// Spans, log records and collections of metrics that may wait.
    pub limit: usize,
    /// The sink's name.
    pub name: &'static str,
    queued: AtomicUsize,
    dropped: AtomicU64,
    logs_dropped: AtomicU64,
}

impl Outlet {
    /// Spans, log records and collections of metrics that wait.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Spans that found the queue full, or that were left when the sink was given up at the end.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Log records that found the queue full.
    pub fn logs_dropped(&self) -> u64 {
        self.logs_dropped.load(Ordering::Relaxed)
    }

    /// Takes room for `n`; false, and counted, if there is none.
    fn enter(&self, n: usize) -> bool {
        let room = |queued: usize| (queued < self.limit).then_some(queued + n);
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }
}

struct Lane {
    outlet: Arc<Outlet>,
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
        for lane in self.lanes.iter() {
            lane.send(Item::Logs(records.clone()), records.len());
        }
    }

    /// Hands metrics to all sinks. Never blocks; those that find a queue full are cumulative, so that
    /// the next ones make up for them.
    pub fn metrics(&self, measured: Measured) {
        let measured = Arc::new(measured);
        for lane in self.lanes.iter() {
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
            let (mut left, mut since) = (lane.outlet.queued(), Instant::now());
            while !thread.is_finished() && since.elapsed() < patience + GRACE {
                std::thread::sleep(Duration::from_millis(2));
                if lane.outlet.queued() != left && Instant::now() < last {
                    (left, since) = (lane.outlet.queued(), Instant::now());
                }
            }
            let left = lane.outlet.queued.swap(0, Ordering::Relaxed);
            lane.outlet.dropped.fetch_add(left as u64, Ordering::Relaxed);
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
        let (queued, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        let (name, logs_dropped) = (sink.name(), AtomicU64::new(0));
        let outlet = Arc::new(Outlet { limit, name, queued, dropped, logs_dropped });
        let shared = outlet.clone();
        let thread = std::thread::Builder::new().name(format!("gotap-{}", sink.name())).spawn(
            move || {
                if let Err(error) = write(sink, &receiver, &shared) {
                    failed(error);
                }
            },
        )?;
        Ok(Self { outlet, items, thread: Mutex::new(Some(thread)) })
    }

    fn send(&self, item: Item, n: usize) {
        let counter = match item {
            Item::Spans(_) => Some(&self.outlet.dropped),
            Item::Logs(_) => Some(&self.outlet.logs_dropped),
            _ => None,
        };
        if !self.outlet.enter(n) || self.items.send(item).is_err() {
            counter.map(|counter| counter.fetch_add(n as u64, Ordering::Relaxed));
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
                    outlet.queued.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Ok(Item::Logs(records)) => {
                for record in records.iter() {
                    sink.log(record)?;
                    outlet.queued.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Ok(Item::Metrics(measured)) => {
                sink.metrics(&measured);
                outlet.queued.fetch_sub(1, Ordering::Relaxed);
            }
            Ok(Item::Finish(patience)) => {
                sink.finish(patience);
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        sink.tick()?;
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
