//! The thread that sends what waits of one signal, and tries again where that may help. Not here: what waits.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Shared;
use super::queue::State;
use crate::batch::Batch;
use crate::config::Temporality;
use crate::endpoint::masked;
use crate::signal::Signal;
use crate::transport::{Failure, Rejected, Transport};
use crate::{Config, Error};

const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The longest pause that a back end may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(30);
/// The longest pause where the back end answers, and says that it takes nothing now.
const LAST_RETRY: Duration = Duration::from_secs(5);
/// The longest pause where nobody answers: to ask costs little, and the queue fills meanwhile.
const LAST_CONNECT: Duration = Duration::from_secs(1);
/// How often a request that is on its way looks whether there is time left.
const LOOK_UP: Duration = Duration::from_millis(50);

pub(super) struct Worker {
    shared: Arc<Shared>,
    signal: Signal,
    runtime: tokio::runtime::Runtime,
    sender: Sender,
}

/// What a worker sends with.
struct Sender {
    shared: Arc<Shared>,
    signal: Signal,
    transport: Transport,
    /// Whether it must be known which requests were taken.
    counts_taken: bool,
    /// As it may be shown.
    endpoint: String,
    /// Whether it was said that something was refused, and still holds.
    refusing: bool,
}

impl Worker {
    /// Prepares one for a signal.
    ///
    /// # Errors
    /// [`Error`] for a configuration that can never work.
    pub(super) fn new(
        config: &Config,
        signal: Signal,
        shared: &Arc<Shared>,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (endpoint, exact_url) = signal.endpoint(config);
        let transport = {
            let _inside = runtime.enter();
            Transport::new(config, signal, endpoint, exact_url)?
        };
        let to = config.metrics.as_ref().filter(|_| signal == Signal::Metrics);
        let sender = Sender {
            shared: shared.clone(),
            signal,
            transport,
            counts_taken: to.is_some_and(|to| to.temporality != Temporality::Cumulative),
            endpoint: masked(endpoint),
            refusing: false,
        };
        Ok(Self { shared: shared.clone(), signal, runtime, sender })
    }

    /// Starts its thread.
    pub(super) fn start(self) -> Result<JoinHandle<()>, Error> {
        let Self { shared, signal, runtime, mut sender } = self;
        let name = format!("gotap-{}", signal.name());
        Ok(std::thread::Builder::new().name(name).spawn(move || {
            let _counts = OnPanic { shared: shared.clone(), signal };
            while let Some(batch) = shared.queues.next(signal) {
                let outcome = runtime.block_on(sender.deliver(&batch));
                // It is counted before its room is free: what waits and what is counted is never less than all.
                sender.count(&batch, &outcome);
                shared.queues.done(&batch);
                sender.report(&batch, outcome);
            }
            // A request that was given up may take its time to notice.
            runtime.shutdown_background();
        })?)
    }
}

/// Counts what a thread that fails leaves behind.
struct OnPanic {
    shared: Arc<Shared>,
    signal: Signal,
}

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let left = self.shared.queues.fail(self.signal);
            self.shared.counts(self.signal).failed.fetch_add(left, Ordering::Relaxed);
        }
    }
}

/// What became of a batch.
enum Outcome {
    /// The back end took it, but for so many items.
    Taken(Rejected),
    /// The back end refused it for good.
    Refused(String),
    /// These metrics are not sent again, as there will be newer ones.
    Unreachable(String),
    /// The shutdown came first.
    Shutdown,
}

impl Sender {
    /// Sends until it is taken or refused for good, or the shutdown comes first.
    async fn deliver(&mut self, batch: &Batch) -> Outcome {
        let (mut failed, mut at_once) = (0, true);
        loop {
            let Some(result) = self.attempt(batch).await else { return Outcome::Shutdown };
            match result {
                Ok((rejected, message)) => {
                    return Outcome::Taken((rejected.min(batch.items), message));
                }
                Err(Failure { why, retry: None, .. }) => return Outcome::Refused(why),
                // A back end may end a connection that is idle, or is itself replaced: that is no news.
                Err(Failure { connected: false, .. }) if std::mem::take(&mut at_once) => {
                    self.shared.stats.retries.fetch_add(1, Ordering::Relaxed);
                }
                Err(Failure { why, .. }) if self.signal == Signal::Metrics => {
                    return Outcome::Unreachable(why);
                }
                Err(Failure { why, retry: Some(asked), connected }) => {
                    self.say(self.shared.outages.fails(self.signal, &why));
                    self.shared.stats.retries.fetch_add(1, Ordering::Relaxed);
                    self.pause(pause_after(failed, connected, asked));
                    failed += 1;
                }
            }
        }
    }

    /// Sends once; `None` when the shutdown's time is over, also in the middle of it.
    async fn attempt(&mut self, batch: &Batch) -> Option<Result<Rejected, Failure>> {
        let queues = &self.shared.queues;
        if queues.left() == Some(Duration::ZERO) {
            return None;
        }
        let mut send = std::pin::pin!(self.transport.send(batch.request.clone()));
        loop {
            let time = queues.left().unwrap_or(LOOK_UP).min(LOOK_UP);
            match tokio::time::timeout(time, &mut send).await {
                Ok(result) => return Some(result),
                Err(_) if queues.left() == Some(Duration::ZERO) => return None,
                Err(_) => {}
            }
        }
    }

    /// Says that something was refused, once until some is taken again.
    fn refused(&mut self, why: &str) {
        let what = match self.signal {
            Signal::Traces => "refused spans",
            Signal::Metrics => "took no metrics",
            Signal::Logs => "refused log records",
        };
        if !std::mem::replace(&mut self.refusing, true) {
            self.say(Some(format!("the collector at {} {what}: {why}", self.endpoint)));
        }
    }

    /// Counts each item of a batch once.
    fn count(&self, batch: &Batch, outcome: &Outcome) {
        let counts = self.shared.counts(self.signal);
        let (counter, items) = match outcome {
            Outcome::Taken((rejected, _)) => {
                if self.counts_taken {
                    self.shared.queues.lock().taken.insert(batch.number);
                }
                counts.rejected.fetch_add(*rejected, Ordering::Relaxed);
                (&counts.exported, batch.items - rejected)
            }
            Outcome::Refused(_) => (&counts.rejected, batch.items),
            Outcome::Unreachable(_) => (&self.shared.stats.points.unreachable, batch.items),
            Outcome::Shutdown => (&counts.shutdown, batch.items),
        };
        counter.fetch_add(items, Ordering::Relaxed);
    }

    /// Says what is news.
    fn report(&mut self, batch: &Batch, outcome: Outcome) {
        match outcome {
            Outcome::Taken((rejected, message)) => {
                self.say(self.shared.outages.works(self.signal));
                if rejected > 0 {
                    self.refused(&format!("{rejected} of {}: {message}", batch.items));
                } else {
                    self.refusing = false;
                }
            }
            Outcome::Refused(why) => self.refused(&why),
            Outcome::Unreachable(why) => self.say(self.shared.outages.fails(self.signal, &why)),
            Outcome::Shutdown => {}
        }
    }

    fn say(&self, sentence: Option<String>) {
        if let Some(sentence) = sentence {
            (self.shared.notice)(sentence);
        }
    }

    /// Sleeps, but not past a shutdown.
    fn pause(&self, time: Duration) {
        let state = self.shared.queues.lock();
        if let Some(deadline) = state.deadline {
            drop(state);
            let left = deadline.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(FIRST_RETRY));
            return;
        }
        let running = |state: &mut State| state.deadline.is_none();
        // Woken by the shutdown, or by time.
        let _ = self.shared.queues.changed.wait_timeout_while(state, time, running);
    }
}

/// How long to wait where so many requests have failed before; as long as the back end asked for, if it did, but
/// always for a while.
fn pause_after(failed: u32, connected: bool, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.clamp(FIRST_RETRY, LONGEST_ASKED);
    }
    let most = if connected { LAST_RETRY } else { LAST_CONNECT };
    let time = FIRST_RETRY.saturating_mul(1 << failed.min(10)).min(most);
    // Between three and five quarters of it, so that many agents do not ask at once.
    let chance = RandomState::new().hash_one(()) % 1024;
    time * 3 / 4 + time / 2 * u32::try_from(chance).unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_vary_within_bounds() {
        for (failed, connected, meant) in [
            (0, true, 250),
            (0, false, 250),
            (2, true, 1000),
            (2, false, 1000),
            (4, true, 4000),
            (9, true, 5000),
            (u32::MAX, true, 5000),
            (3, false, 1000),
            (u32::MAX, false, 1000),
        ] {
            let all: Vec<_> = (0..200).map(|_| pause_after(failed, connected, None)).collect();
            let meant = Duration::from_millis(meant);
            let (least, most) = (meant * 3 / 4, meant * 5 / 4);
            assert!(all.iter().all(|time| (least..=most).contains(time)), "{failed}: {all:?}");
            assert!(all.iter().any(|time| *time < meant), "{failed}: {all:?}");
            assert!(all.iter().any(|time| *time > meant), "{failed}: {all:?}");
        }
    }

    #[test]
    fn a_back_end_can_ask_for_a_pause_but_not_for_none() {
        for (asked, meant) in [(0, 250), (2_000, 2_000), (3_600_000, 30_000)] {
            let asked = Some(Duration::from_millis(asked));
            assert_eq!(pause_after(5, true, asked), Duration::from_millis(meant));
        }
    }
}
