//! Takes telemetry, makes batches of it and queues them. Each signal has a queue and a thread that empties it, so
//! that none waits for what becomes of another. Not here: what becomes of metrics before they are queued.

mod measured;
mod outages;
mod queue;
mod threads;
mod worker;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use trace::{LogRecord, Span};

use crate::batch::{Batch, Batcher};
use crate::delta::Deltas;
use crate::metric::Clock;
use crate::signal::Signal;
use crate::stats::{Delivered, Stats};
use crate::{Config, Error};
use measured::Metrics;
use outages::Outages;
use queue::{Pushed, Queues};
use threads::Threads;
use worker::Worker;

/// The counts of an exporter, and what its queue holds. After [`Exporter::shutdown`] they are final.
#[derive(Clone)]
pub struct LiveStats(Arc<Shared>);

impl LiveStats {
    /// Bytes that wait or are being sent.
    pub fn queued_bytes(&self) -> usize {
        self.0.queues.lock().bytes()
    }

    /// How many may.
    pub fn max_bytes(&self) -> usize {
        self.0.queues.max_bytes
    }
}

impl LiveStats {
    /// Others send something to this URL: a back end that both have and that is away is named with it.
    pub(crate) fn also_goes(&self, items: &'static str, endpoint: &str) {
        self.0.outages.add(items, endpoint);
    }

    /// Whether it was said that the back end at this URL takes nothing.
    pub(crate) fn names(&self, endpoint: &str) -> bool {
        self.0.outages.name(endpoint)
    }
}

impl std::fmt::Debug for LiveStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.stats.fmt(f)
    }
}

impl Deref for LiveStats {
    type Target = Stats;

    fn deref(&self) -> &Stats {
        &self.0.stats
    }
}

struct Shared {
    queues: Queues,
    stats: Stats,
    outages: Outages,
    notice: Box<dyn Fn(String) + Send + Sync>,
}

impl Shared {
    /// What became of spans, log records, or points of metrics.
    fn counts(&self, signal: Signal) -> &Delivered {
        match signal {
            Signal::Traces => &self.stats.spans,
            Signal::Logs => &self.stats.logs,
            Signal::Metrics => &self.stats.points.delivered,
        }
    }
}

/// Takes spans, log records and metrics and sees to it that they arrive. Its threads end when it is dropped.
pub struct Exporter {
    spans: Batcher,
    logs: Batcher,
    sends_logs: bool,
    /// `None` where none are sent.
    metrics: Option<Metrics>,
    shared: Arc<Shared>,
    threads: Threads,
    flushed: Instant,
    flush_interval: Duration,
}

impl Exporter {
    /// Starts the threads. Does not wait for the back end: what can't be delivered is kept within
    /// bounds and retried. `notice` gets a sentence when delivery fails and when it works again.
    ///
    /// # Errors
    /// [`Error`] for a configuration that can never work.
    pub fn start(
        config: &Config,
        notice: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let sent: Vec<_> =
            Signal::ALL.into_iter().filter(|signal| signal.is_sent(config)).collect();
        // What is collected for the next batch counts, too. Metrics are not collected.
        let batched = sent.iter().filter(|signal| **signal != Signal::Metrics).count();
        let collecting = batched * Batcher::room(config.queue_bytes);
        let shared = Arc::new(Shared {
            queues: Queues::new(config.queue_bytes - collecting, &sent),
            stats: Stats::default(),
            outages: Outages::new(config),
            notice: Box::new(notice),
        });
        let workers = sent.iter().map(|signal| Worker::new(config, *signal, &shared));
        // All are right before the first one starts.
        let workers = workers.collect::<Result<Vec<_>, Error>>()?;
        let threads = Threads::start(&shared, workers, Worker::start)?;
        let metrics = config.metrics.clone().map(|to| Metrics {
            to,
            deltas: Deltas::default(),
            number: 0,
            clock: Clock::default(),
        });
        Ok(Self {
            spans: Batcher::new(Signal::Traces, config.queue_bytes),
            logs: Batcher::new(Signal::Logs, config.queue_bytes),
            sends_logs: config.logs.is_some(),
            metrics,
            shared,
            threads,
            flushed: Instant::now(),
            flush_interval: config.flush_interval,
        })
    }

    /// Adds a span. Never blocks.
    pub fn push(&mut self, span: &Span) {
        if let Some(batch) = self.spans.span(span) {
            self.enqueue(batch);
        }
    }

    /// Whether log records are sent.
    pub fn sends_logs(&self) -> bool {
        self.sends_logs
    }

    /// Whether metrics are.
    pub fn sends_metrics(&self) -> bool {
        self.metrics.is_some()
    }

    /// Adds a log record, if they are sent at all. Never blocks.
    pub fn push_log(&mut self, record: &LogRecord) {
        let batch = self.sends_logs.then(|| self.logs.log(record)).flatten();
        if let Some(batch) = batch {
            self.enqueue(batch);
        }
    }

    /// Hands over what has waited long enough; call it every few milliseconds.
    pub fn tick(&mut self) {
        if self.flushed.elapsed() >= self.flush_interval {
            self.flush();
        }
    }

    /// The counts, also to be read later.
    pub fn stats(&self) -> LiveStats {
        LiveStats(self.shared.clone())
    }

    /// Sends what waits, for at most `patience`, stops, and gives the final counts.
    pub fn shutdown(mut self, patience: Duration) -> LiveStats {
        self.flush();
        self.threads.stop(patience);
        self.stats()
    }

    fn flush(&mut self) {
        self.flushed = Instant::now();
        for batch in [self.spans.take(), self.logs.take()].into_iter().flatten() {
            self.enqueue(batch);
        }
    }

    fn enqueue(&self, batch: Batch) {
        let (signal, items) = (batch.signal, batch.items);
        let counts = self.shared.counts(signal);
        let lost = match self.shared.queues.push(batch) {
            Pushed::Waits => return,
            Pushed::Full => &counts.queue_full,
            Pushed::Failed => &counts.failed,
        };
        lost.fetch_add(items, Ordering::Relaxed);
    }
}
