//! The thread that sends profiles to one back end, and tries again where that may help. Not here: what waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use prost::bytes::Bytes;

use super::{Queue, Shared};
use crate::LiveStats;
use crate::transport::{Failure, Rejected, Transport};

/// How often one profile is sent before it is given up: newer ones wait behind it.
pub(super) const TRIES: u32 = 5;
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How often a request that is on its way looks whether there is time left.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Counts what a thread that fails leaves behind.
pub(super) struct OnPanic(pub(super) Arc<Shared>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.lock();
            let left = queue.requests.len() + usize::from(queue.sending);
            *queue = Queue { failed: true, deadline: queue.deadline, ..Queue::default() };
            self.0.stats.failed.fetch_add(left as u64, Ordering::Relaxed);
        }
    }
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) transport: Transport,
    /// As it may be shown.
    pub(super) endpoint: String,
    pub(super) url: String,
    /// Who may have said of the back end that it takes nothing.
    pub(super) beside: Option<LiveStats>,
    /// Whether that was said, and still holds.
    pub(super) failing: bool,
}

impl Worker {
    pub(super) async fn run(mut self) {
        while let Some(request) = self.next() {
            let bytes = request.len();
            let stats = self.shared.stats.clone();
            let outcome = self.deliver(request).await;
            let counter = match outcome {
                Ok(()) => &stats.sent,
                Err(Lost::Rejected) => &stats.rejected,
                Err(Lost::GivenUp) => &stats.given_up,
                Err(Lost::Shutdown) => &stats.shutdown,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            let mut queue = self.shared.lock();
            (queue.bytes, queue.sending) = (queue.bytes - bytes, false);
            drop(queue);
            if outcome.is_ok() {
                self.delivered();
            }
        }
    }

    /// The next request; `None` once all is sent after the shutdown.
    fn next(&self) -> Option<Bytes> {
        let mut queue = self.shared.lock();
        loop {
            if let Some(request) = queue.requests.pop_front() {
                queue.sending = true;
                return Some(request);
            }
            if queue.deadline.is_some() {
                return None;
            }
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    async fn deliver(&mut self, request: Bytes) -> Result<(), Lost> {
        let mut delay = FIRST_RETRY;
        for tried in 1..=TRIES {
            let Failure { why, retry, connected } = match self.attempt(&request).await {
                None => return Err(Lost::Shutdown),
                Some(Ok((0, _))) => return Ok(()),
                Some(Ok((_, message))) => Failure { why: message, retry: None, connected: true },
                Some(Err(failure)) => failure,
            };
            let Some(asked) = retry else {
                self.say("took no profile", &why);
                return Err(Lost::Rejected);
            };
            // A back end may end a connection that is idle, which is no news.
            let is_known = self.beside.as_ref().is_some_and(|other| other.names(&self.url));
            if (connected || tried > 1) && !is_known {
                self.say("can't be reached", &why);
            }
            if tried < TRIES {
                self.shared.stats.retries.fetch_add(1, Ordering::Relaxed);
                self.pause(asked.unwrap_or(delay).clamp(FIRST_RETRY, LAST_RETRY));
                delay *= 2;
            }
        }
        Err(Lost::GivenUp)
    }

    /// Sends once; `None` when the shutdown's time is over, also in the middle of it.
    async fn attempt(&mut self, request: &Bytes) -> Option<Result<Rejected, Failure>> {
        let shared = &self.shared;
        if shared.is_over() {
            return None;
        }
        let mut send = std::pin::pin!(self.transport.send(request.clone()));
        loop {
            match tokio::time::timeout(LOOK_UP, &mut send).await {
                Ok(result) => return Some(result),
                Err(_) if shared.is_over() => return None,
                Err(_) => {}
            }
        }
    }

    fn delivered(&mut self) {
        if std::mem::take(&mut self.failing) {
            (self.shared.notice)(format!("profiles arrive at {} again", self.endpoint));
        }
    }

    /// Says what is wrong, once until a profile is taken again.
    fn say(&mut self, what: &str, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            let endpoint = &self.endpoint;
            (self.shared.notice)(format!("profiles: {endpoint} {what}: {why}; tracing goes on"));
        }
    }

    /// Sleeps; during a shutdown only for a moment.
    fn pause(&self, time: Duration) {
        let queue = self.shared.lock();
        if queue.deadline.is_some() {
            drop(queue);
            std::thread::sleep(time.min(FIRST_RETRY));
            return;
        }
        let running = |queue: &mut Queue| queue.deadline.is_none();
        // Woken by the shutdown, or by time.
        let _ = self.shared.changed.wait_timeout_while(queue, time, running);
    }
}

/// Why a profile did not arrive.
enum Lost {
    Rejected,
    GivenUp,
    Shutdown,
}
