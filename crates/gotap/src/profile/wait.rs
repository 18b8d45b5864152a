//! Waiting while something is collected: until the time is over, the user stops it, or the process ends.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use goproc::Process;

/// How often it is looked whether there is more.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the process and the progress are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Letters of the bar.
const BAR: usize = 30;

/// Signals that stop the collecting and nothing else.
pub(super) struct Stop {
    stopped: Arc<AtomicBool>,
    /// Whether somebody looks at a bar.
    shown: bool,
}

/// How the collecting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it was meant to.
    Time,
    /// By a signal.
    Stopped,
    /// The process is gone.
    Exited,
}

impl Stop {
    /// From now on signals stop the collecting.
    pub(super) fn new() -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        crate::signals::on_stop(move || stopping.store(true, Ordering::Relaxed))?;
        Ok(Self { stopped: stop, shown: stderr().is_terminal() })
    }

    /// Somebody else says when to stop.
    pub(super) fn by(stopped: Arc<AtomicBool>) -> Self {
        Self { stopped, shown: false }
    }

    /// Waits, and calls `each` all the while; it gives what has been collected, for the bar.
    pub(super) fn wait(
        &self,
        process: Process,
        duration: Duration,
        pause: Option<Duration>,
        mut each: impl FnMut() -> Result<String>,
    ) -> Result<End> {
        let started = Instant::now();
        let mut looked = None::<Instant>;
        let shown = self.shown;
        let end = loop {
            let collected = each()?;
            if self.stopped.load(Ordering::Relaxed) {
                break End::Stopped;
            }
            let elapsed = started.elapsed();
            if elapsed >= duration {
                break End::Time;
            }
            if looked.is_none_or(|at| at.elapsed() > LOOK) {
                looked = Some(Instant::now());
                if !process.is_alive() {
                    break End::Exited;
                }
                if shown {
                    // A bar that can't be shown is no fault of the profile.
                    let _ = write!(stderr(), "\r{}", bar(elapsed, duration, &collected));
                }
            }
            std::thread::sleep(pause.unwrap_or(PAUSE).min(duration.saturating_sub(elapsed)));
        };
        if shown {
            let _ = write!(stderr(), "\r{:100}\r", "");
        }
        Ok(end)
    }
}

fn bar(elapsed: Duration, duration: Duration, collected: &str) -> String {
    let share = (elapsed.as_secs_f64() / duration.as_secs_f64().max(1e-9)).min(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most BAR")]
    let filled = (share * BAR as f64) as usize;
    let (full, empty) = ("█".repeat(filled), "░".repeat(BAR - filled));
    format!(
        "{full}{empty} {:.0}s of {:.0}s, {collected}  ",
        elapsed.as_secs_f64(),
        duration.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end_and_never_longer() {
        let second = Duration::from_secs(1);
        assert_eq!(bar(second * 5, second * 10, "7 samples").matches('█').count(), 15);
        assert_eq!(bar(second * 20, second * 10, "").matches('█').count(), 30);
        assert_eq!(bar(second, Duration::ZERO, "").matches('░').count(), 0);
    }
}
