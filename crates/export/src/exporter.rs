//! The bounded queue and the thread that empties it. Not here: what becomes of metrics before they are queued.

mod measured;

use std::collections::{HashSet, VecDeque};
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use trace::{LogRecord, Span};

use crate::batch::{Batch, Batcher};
use crate::config::Temporality;
use crate::delta::Deltas;
use crate::endpoint::masked;
use crate::metric::Clock;
use crate::signal::Signal;
use crate::stats::{Delivered, Stats};
use crate::transport::{Failure, Rejected, Transport};
use crate::{Config, Error};
use measured::Metrics;

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// How often a request that is on its way looks whether there is time left.
const LOOK_UP: Duration = Duration::from_millis(50);

/// The counts of an exporter, and what its queue holds. After [`Exporter::shutdown`] they are final.
#[derive(Clone)]
pub struct LiveStats(Arc<Shared>);

impl LiveStats {
    /// Bytes that wait or are being sent.
    pub fn queued_bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// How many may.
    pub fn max_bytes(&self) -> usize {
        self.0.max_bytes
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

#[derive(Default)]
struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// Requests with metrics that were taken since this was looked at.
    taken: HashSet<u64>,
    /// Whether one of metrics is being sent.
    sending_metrics: bool,
    /// When to give up; set by the shutdown.
    deadline: Option<Instant>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    stats: Stats,
    max_bytes: usize,
    notice: Box<dyn Fn(String) + Send + Sync>,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        // The queue is consistent after each statement, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of spans or log records; of metrics only the newest count.
    fn counts(&self, signal: Signal) -> Option<&Delivered> {
        match signal {
            Signal::Traces => Some(&self.stats.spans),
            Signal::Logs => Some(&self.stats.logs),
            Signal::Metrics => None,
        }
    }

    /// Time until the shutdown's deadline; `None` before a shutdown.
    fn left(&self) -> Option<Duration> {
        self.lock().deadline.map(|d| d.saturating_duration_since(Instant::now()))
    }
}

/// Takes spans and log records and sees to it that they arrive.
pub struct Exporter {
    spans: Batcher,
    logs: Batcher,
    sends_logs: bool,
    /// `None` where none are sent.
    metrics: Option<Metrics>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    flushed: Instant,
    flush_interval: Duration,
}

impl Exporter {
    /// Starts the thread. Does not wait for the back end: what can't be delivered is kept within
    /// bounds and retried. `notice` gets a sentence when delivery fails and when it works again.
    ///
    /// # Errors
    /// [`Error`] for a configuration that can never work.
    pub fn start(
        config: &Config,
        notice: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let transport = {
            let _inside = runtime.enter();
            let traces =
                Transport::new(config, Signal::Traces, &config.endpoint, config.exact_url)?;
            let metrics = config
                .metrics
                .as_ref()
                .map(|to| Transport::new(config, Signal::Metrics, &to.endpoint, to.exact_url));
            let logs = config
                .logs
                .as_ref()
                .map(|to| Transport::new(config, Signal::Logs, &to.endpoint, to.exact_url));
            (traces, metrics.transpose()?, logs.transpose()?)
        };
        let sends_logs = transport.2.is_some();
        let sent = config.metrics.clone();
        let sent = sent.map(|to| Metrics {
            to,
            deltas: Deltas::default(),
            number: 0,
            clock: Clock::default(),
        });
        let counts_taken =
            sent.as_ref().is_some_and(|sent| sent.to.temporality != Temporality::Cumulative);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            stats: Stats::default(),
            max_bytes: config.queue_bytes,
            notice: Box::new(notice),
        });
        let worker = Worker {
            shared: shared.clone(),
            traces: transport.0,
            metrics: transport.1,
            logs: transport.2,
            counts_taken,
            endpoint: masked(&config.endpoint),
            metrics_endpoint: masked(config.metrics.as_ref().map_or("", |to| &to.endpoint)),
            logs_endpoint: masked(config.logs.as_ref().map_or("", |to| &to.endpoint)),
            said: Said::default(),
        };
        let thread = std::thread::Builder::new().name("gotap-export".into()).spawn(move || {
            runtime.block_on(worker.run());
            // A request that was given up may take its time to notice.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            spans: Batcher::new(Signal::Traces),
            logs: Batcher::new(Signal::Logs),
            sends_logs,
            metrics: sent,
            shared,
            thread: Some(thread),
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
        self.shared.lock().deadline = Some(Instant::now() + patience);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed already; its spans are counted as waiting.
            let _ = thread.join();
        }
        LiveStats(self.shared)
    }

    fn flush(&mut self) {
        self.flushed = Instant::now();
        for batch in [self.spans.take(), self.logs.take()].into_iter().flatten() {
            self.enqueue(batch);
        }
    }

    fn enqueue(&self, batch: Batch) {
        let mut queue = self.shared.lock();
        if queue.bytes + batch.request.len() > self.shared.max_bytes {
            if let Some(counts) = self.shared.counts(batch.signal) {
                counts.queue_full.fetch_add(batch.items, Ordering::Relaxed);
            }
            return;
        }
        queue.bytes += batch.request.len();
        queue.batches.push_back(batch);
        drop(queue);
        self.shared.changed.notify_all();
    }
}

struct Worker {
    shared: Arc<Shared>,
    traces: Transport,
    metrics: Option<Transport>,
    logs: Option<Transport>,
    /// Whether it must be known which metrics were taken.
    counts_taken: bool,
    /// As they may be shown.
    endpoint: String,
    metrics_endpoint: String,
    logs_endpoint: String,
    said: Said,
}

/// What was said of the back end and still holds.
#[derive(Default)]
struct Said {
    failing: bool,
    refusing: bool,
    /// Of metrics.
    refusing_metrics: bool,
    /// Of log records.
    refusing_logs: bool,
}

impl Worker {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            let delivered = self.deliver(&batch).await;
            let mut queue = self.shared.lock();
            queue.bytes -= batch.request.len();
            if batch.signal == Signal::Metrics {
                queue.sending_metrics = false;
                self.shared.changed.notify_all();
            }
            if let Some(counts) = self.shared.counts(batch.signal).filter(|_| !delivered) {
                counts.shutdown.fetch_add(batch.items, Ordering::Relaxed);
            }
        }
    }

    /// The next batch; `None` once all is sent after the shutdown.
    fn next(&self) -> Option<Batch> {
        let mut queue = self.shared.lock();
        loop {
            if let Some(batch) = queue.batches.pop_front() {
                queue.sending_metrics = batch.signal == Signal::Metrics;
                return Some(batch);
            }
            if queue.deadline.is_some() {
                return None;
            }
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends until it is taken or refused for good; false when the shutdown came first.
    async fn deliver(&mut self, batch: &Batch) -> bool {
        let mut delay = FIRST_RETRY;
        loop {
            let Some(result) = self.attempt(batch).await else { return false };
            match result {
                Ok((rejected, message)) => {
                    self.delivered(batch, rejected, &message);
                    return true;
                }
                Err(Failure { why, retry: None }) => {
                    self.count_rejected(batch.signal, batch.items);
                    self.refused(batch.signal, &why);
                    return true;
                }
                // There will be newer ones.
                Err(Failure { why, .. }) if batch.signal == Signal::Metrics => {
                    if !self.said.failing {
                        self.refused(batch.signal, &why);
                    }
                    return true;
                }
                Err(Failure { why, retry: Some(asked) }) => {
                    if !std::mem::replace(&mut self.said.failing, true) {
                        self.say(format!(
                            "cannot deliver to {}: {why}; keeping spans and retrying",
                            self.endpoint
                        ));
                    }
                    self.shared.stats.retries.fetch_add(1, Ordering::Relaxed);
                    self.pause(asked.unwrap_or(delay).min(LAST_RETRY));
                    delay = (delay * 2).min(LAST_RETRY);
                }
            }
        }
    }

    /// Sends once; `None` when the shutdown's time is over, also in the middle of it.
    async fn attempt(&mut self, batch: &Batch) -> Option<Result<Rejected, Failure>> {
        let shared = &self.shared;
        if shared.left() == Some(Duration::ZERO) {
            return None;
        }
        let transport = match batch.signal {
            Signal::Traces => Some(&mut self.traces),
            Signal::Metrics => self.metrics.as_mut(),
            Signal::Logs => self.logs.as_mut(),
        };
        // Only what has a transport is encoded.
        let transport = transport?;
        let mut send = std::pin::pin!(transport.send(batch.request.clone()));
        loop {
            let time = shared.left().unwrap_or(LOOK_UP).min(LOOK_UP);
            match tokio::time::timeout(time, &mut send).await {
                Ok(result) => return Some(result),
                Err(_) if shared.left() == Some(Duration::ZERO) => return None,
                Err(_) => {}
            }
        }
    }

    /// Says that something was refused, once until some is taken again.
    fn refused(&mut self, signal: Signal, why: &str) {
        let (said, what, endpoint) = match signal {
            Signal::Traces => (&mut self.said.refusing, "refused spans", &self.endpoint),
            Signal::Metrics => {
                (&mut self.said.refusing_metrics, "took no metrics", &self.metrics_endpoint)
            }
            Signal::Logs => {
                (&mut self.said.refusing_logs, "refused log records", &self.logs_endpoint)
            }
        };
        if !std::mem::replace(said, true) {
            self.say(format!("the collector at {endpoint} {what}: {why}"));
        }
    }

    fn count_rejected(&self, signal: Signal, items: u64) {
        let stats = &self.shared.stats;
        let counter = match signal {
            Signal::Traces => &stats.spans.rejected,
            Signal::Logs => &stats.logs.rejected,
            Signal::Metrics => &stats.points_rejected,
        };
        counter.fetch_add(items, Ordering::Relaxed);
    }

    fn delivered(&mut self, batch: &Batch, rejected: u64, message: &str) {
        let stats = &self.shared.stats;
        let rejected = rejected.min(batch.items);
        let exported = match batch.signal {
            Signal::Traces => &stats.spans.exported,
            Signal::Logs => &stats.logs.exported,
            Signal::Metrics => &stats.points_exported,
        };
        exported.fetch_add(batch.items - rejected, Ordering::Relaxed);
        if self.counts_taken && batch.signal == Signal::Metrics {
            self.shared.lock().taken.insert(batch.number);
        }
        self.count_rejected(batch.signal, rejected);
        if batch.signal != Signal::Metrics && std::mem::take(&mut self.said.failing) {
            self.say(format!("delivering to {} again", self.endpoint));
        }
        if rejected > 0 {
            self.refused(batch.signal, &format!("{rejected} of {}: {message}", batch.items));
        } else {
            match batch.signal {
                Signal::Traces => self.said.refusing = false,
                Signal::Metrics => self.said.refusing_metrics = false,
                Signal::Logs => self.said.refusing_logs = false,
            }
        }
    }

    fn say(&self, sentence: String) {
        (self.shared.notice)(sentence);
    }

    /// Sleeps, but not past a shutdown.
    fn pause(&self, time: Duration) {
        let queue = self.shared.lock();
        if let Some(deadline) = queue.deadline {
            drop(queue);
            let left = deadline.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(FIRST_RETRY));
            return;
        }
        let running = |queue: &mut Queue| queue.deadline.is_none();
        // Woken by the shutdown, or by time.
        let _ = self.shared.changed.wait_timeout_while(queue, time, running);
    }
}
