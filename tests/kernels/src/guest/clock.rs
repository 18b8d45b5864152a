//! The clock of the machine is set while a program is observed. No namespace isolates the real-time
//! clock, so only a machine of its own is fit for this.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, now};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;

/// How far the clock is set forward, and then back, in seconds.
const STEP: i64 = 300;
/// The clock is looked at every few milliseconds.
const SEEN: Duration = Duration::from_millis(500);
/// How far from the clock a span may be, in nanoseconds.
const TOLERANCE: u64 = 1_000_000_000;

/// Spans have the time that the clock shows then, and durations that do not depend on it.
pub(crate) fn is_set() -> Result<()> {
    let app = App::start(&program("httpapp", Version::NEWEST))?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let started = Instant::now();
    for (i, seconds) in [0, STEP, -STEP].into_iter().enumerate() {
        step(seconds).with_context(|| format!("set the clock by {seconds} s"))?;
        std::thread::sleep(SEEN);
        let before = now();
        app.get("/users/7", &[])?;
        let after = now();
        let spans = gotap.wait_for_spans(i + 1)?;
        check(&spans[i], before, after).with_context(|| format!("after {seconds} s"))?;
        let duration = u128::from(spans[i].end.saturating_sub(spans[i].start));
        ensure!(duration < started.elapsed().as_nanos(), "took {duration} ns");
    }
    gotap.finish(3).map(drop)
}

fn check(span: &Span, before: u64, after: u64) -> Result<()> {
    ensure!(span.start + TOLERANCE > before, "starts at {} instead of {before}", span.start);
    ensure!(span.end < after + TOLERANCE, "ends at {} instead of {after}", span.end);
    ensure!(span.start <= span.end, "{} to {}", span.start, span.end);
    Ok(())
}

fn step(seconds: i64) -> Result<()> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both get a valid structure, which the first one fills.
    let failed = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time);
        time.tv_sec += seconds;
        libc::clock_settime(libc::CLOCK_REALTIME, &raw const time)
    };
    ensure!(failed == 0, "{}", std::io::Error::last_os_error());
    Ok(())
}
