//! What commands share that print events until they are stopped: the time, and when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::opened::{monotonic, unix_nanoseconds};

/// Between looks at a ring buffer.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// Whether it is time to end: after a signal, or a duration.
pub(crate) struct Until {
    stop: Arc<AtomicBool>,
    began: Instant,
    limit: Option<Duration>,
}

impl Until {
    /// Listens to signals from now on.
    pub(crate) fn new(limit: Option<Duration>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        crate::signals::on_stop(move || stopping.store(true, Ordering::Relaxed))?;
        Ok(Self { stop, began: Instant::now(), limit })
    }

    /// Somebody else listens to signals, and says when to stop.
    pub(crate) fn by(stop: Arc<AtomicBool>, limit: Option<Duration>) -> Self {
        Self { stop, began: Instant::now(), limit }
    }

    /// Lets the duration begin now.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.limit.is_some_and(|limit| self.began.elapsed() >= limit)
    }

    /// Reads until it is time to end. `read` gives whether there was something.
    pub(crate) fn read(&self, mut read: impl FnMut() -> Result<bool>) -> Result<()> {
        while !self.is_over() {
            if !read()? {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// From the monotonic clock, which events have, to nanoseconds since 1970. Made anew for each batch of
/// events, so that a clock that is set counts for what happens then.
pub(crate) fn clock_offset() -> u64 {
    unix_nanoseconds().wrapping_sub(monotonic())
}
