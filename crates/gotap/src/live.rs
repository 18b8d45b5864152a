//! What commands share that observe until they are stopped: the time, that which they take, and when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::opened::{Target, monotonic, unix_nanoseconds};

/// How old what is shown of a process that has ended is at most.
const LATEST: Duration = Duration::from_millis(500);
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

/// The processor time that this thread has taken.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What was read last of a process, so that something is known of one that ends before the time is over.
pub(crate) struct Latest<T> {
    value: Option<T>,
    at: Instant,
}

impl<T> Latest<T> {
    /// Nothing was read yet.
    pub(crate) fn new() -> Self {
        Self { value: None, at: Instant::now() }
    }

    /// Reads again, if it is time to.
    pub(crate) fn renew(&mut self, read: impl FnOnce() -> Result<T>) {
        if self.at.elapsed() >= LATEST
            && let Ok(value) = read()
        {
            *self = Self { value: Some(value), at: Instant::now() };
        }
    }

    /// Reads for the last time; what was read before if the process has ended meanwhile, with a sentence that says so.
    ///
    /// # Errors
    /// When the process goes on and can't be read, or runs another program.
    pub(crate) fn end(
        self,
        target: &Target<'_, '_>,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Option<String>)> {
        let now = read();
        if target.process.is_alive() {
            let now = now?;
            target.check()?;
            return Ok((now, None));
        }
        let Some(value) = self.value else { return now.map(|now| (now, None)) };
        let (pid, age) = (target.process.pid, self.at.elapsed().as_secs_f64());
        let ended =
            format!("process {pid} has ended: it was read {age:.1} s before for the last time");
        Ok((value, Some(ended)))
    }
}

/// From the monotonic clock, which events have, to nanoseconds since 1970. Made anew for each batch of
/// events, so that a clock that is set counts for what happens then.
pub(crate) fn clock_offset() -> u64 {
    unix_nanoseconds().wrapping_sub(monotonic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_takes_time_when_it_computes_and_not_when_it_sleeps() {
        let before = thread_time();
        while thread_time() == before {}
        let (computed, slept) = (thread_time(), Duration::from_millis(50));
        std::thread::sleep(slept);
        assert!(thread_time() < computed + slept);
    }
}
