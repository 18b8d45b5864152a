//! Coming and going while a target is at full load: it must not notice, however gotap ends.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Load, SOON, can_trace, eventually, sites_in};
use gotap_testkit::go;

/// Attach and detach this often: fifty times in the whole matrix.
fn cycles() -> usize {
    if go::is_full() { 50 } else { 15 }
}

/// What a machine that does other things, too, may add to any request.
const NOISE: Duration = Duration::from_secs(10);

fn nothing_left(app: &App) -> Result<()> {
    let gone = eventually(SOON, || matches!(sites_in(app.pid()), Ok(0)));
    ensure!(gone, "{} probes left in the code", sites_in(app.pid())?);
    Ok(())
}

#[test]
fn cycles_at_full_load_slow_no_request() -> Result<()> {
    if !can_trace("cycles_at_full_load_slow_no_request") {
        return Ok(());
    }
    let (app, other) = (App::start(&App::newest()?)?, App::start(&App::newest()?)?);
    // What the machine does to requests meanwhile, it does to these, too.
    let unobserved = Load::start(&other.address, "/hello", 4);
    let load = Load::start(&app.address, "/hello", 8);
    for cycle in 0..cycles() {
        // Lines for people: to read all of these spans would take longer than to make them.
        let mut gotap = Gotap::start(&["trace", "http", "--pid", &app.pid().to_string()], &[])?;
        gotap.wait_ready().with_context(|| format!("cycle {cycle}"))?;
        let seen = || !gotap.process.stdout().is_empty();
        ensure!(eventually(SOON, seen), "cycle {cycle}: no spans");
        gotap.process.signal(libc::SIGINT)?;
        let status = gotap.process.wait(SOON).with_context(|| format!("cycle {cycle}"))?;
        ensure!(status.success(), "cycle {cycle}: {status:?}");
    }
    let (observed, unobserved) = (load.stop()?, unobserved.stop()?);
    ensure!(unobserved.failed == 0, "{unobserved:?}");
    let bound = NOISE.max(3 * unobserved.slowest);
    println!("unobserved: {unobserved:?}\nin {} cycles: {observed:?}", cycles());
    ensure!(observed.failed == 0, "{observed:?}");
    ensure!(observed.slowest <= bound, "one took more than {bound:?}: {observed:?}");
    nothing_left(&app)
}

#[test]
fn killed_at_any_moment_it_leaves_nothing() -> Result<()> {
    if !can_trace("killed_at_any_moment_it_leaves_nothing") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let pid = app.pid().to_string();
    let load = Load::start(&app.address, "/hello", 4);
    // From before the programs are loaded until well after they are attached; the times between
    // differ from run to run as the machine does.
    for (i, delay) in [0, 5, 15, 30, 60, 100, 160, 250, 400, 700].into_iter().enumerate() {
        let arguments = ["trace", "http", "--format", "json", "--pid", &pid];
        let mut gotap = Gotap::start(&arguments, &[])?;
        let jitter = u64::from(std::process::id()) * (i as u64 + 1) % 10;
        std::thread::sleep(Duration::from_millis(delay + jitter));
        gotap.process.signal(libc::SIGKILL)?;
        gotap.process.wait(SOON)?;
        nothing_left(&app).with_context(|| format!("killed after {delay} ms"))?;
    }
    let last = Gotap::trace_pid(app.pid())?;
    last.wait_for_lines(100)?;
    let ended = last.stop()?;
    ensure!(ended.status.success(), "{:?}", ended.status);
    let outcome = load.stop()?;
    ensure!(outcome.failed == 0 && outcome.answered > 100, "{outcome:?}");
    nothing_left(&app)
}

#[test]
fn one_of_two_gotaps_is_killed() -> Result<()> {
    if !can_trace("one_of_two_gotaps_is_killed") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let mut victim = Gotap::trace_pid(app.pid())?;
    let other = Gotap::trace_pid(app.pid())?;
    let mut connection = app.connect()?;
    let start = Instant::now();
    for i in 0..300 {
        if i == 100 {
            victim.process.signal(libc::SIGKILL)?;
        }
        connection.get(&format!("/users/{i}"), &[])?;
    }
    victim.process.wait(SOON)?;
    let spans = other.finish(300).with_context(|| format!("{:?} of load", start.elapsed()))?;
    for (i, span) in spans.iter().enumerate() {
        ensure!(span.target() == format!("/users/{i}"), "{i}: {span:#?}");
    }
    nothing_left(&app)
}
