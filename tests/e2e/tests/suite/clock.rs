//! The clock of the machine is set while programs are observed.
//!
//! No namespace isolates the real-time clock, so this runs only where it is asked for, such as in a
//! virtual machine of its own: `GOTAP_E2E_STEP_CLOCK=1`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, can_trace, now, skip};

/// How far the clock is set forward, in seconds.
const STEP: i64 = 300;

/// Sets the clock forward, and back when this value is dropped.
struct Stepped;

impl Stepped {
    fn forward() -> std::io::Result<Self> {
        step(STEP).map(|()| Self)
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        // It worked the other way.
        step(-STEP).ok();
    }
}

fn step(seconds: i64) -> std::io::Result<()> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both get a valid structure, which the first one fills.
    let result = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time);
        time.tv_sec += seconds;
        libc::clock_settime(libc::CLOCK_REALTIME, &raw const time)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn spans_follow_a_clock_that_is_set() -> Result<()> {
    let name = "spans_follow_a_clock_that_is_set";
    if !can_trace(name) {
        return Ok(());
    }
    if std::env::var_os("GOTAP_E2E_STEP_CLOCK").is_none() {
        // Also where all must run: most machines have other things to do.
        eprintln!("SKIPPED {name}: it sets the machine's clock; ask with GOTAP_E2E_STEP_CLOCK=1");
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    app.get("/users/before", &[])?;
    gotap.wait_for_lines(1)?;
    let stepped = match Stepped::forward() {
        Ok(stepped) => stepped,
        Err(why) => {
            skip(name, &format!("the clock can't be set: {why}"));
            return Ok(());
        }
    };
    let start = Instant::now();
    // The clock is looked at every few milliseconds.
    std::thread::sleep(Duration::from_millis(500));
    let before = now();
    app.get("/users/after", &[])?;
    let after = now();
    gotap.wait_for_lines(2)?;
    drop(stepped);
    let spans = gotap.finish(2)?;
    let tolerance = 1_000_000_000;
    ensure!(spans[1].start + tolerance > before, "{} and {before}", spans[1].start);
    ensure!(spans[1].end < after + tolerance, "{} and {after}", spans[1].end);
    for span in &spans {
        // Durations do not depend on that clock.
        ensure!(span.end - span.start < start.elapsed().as_nanos() as u64, "{span:#?}");
    }
    Ok(())
}
