//! Many processes that come and go, and a gotap that is too slow for a while.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Load, SOON, can_trace, eventually, usage};
use gotap_testkit::process::Running;
use tempfile::TempDir;

/// Short-lived processes; at a thousand a minute.
const CROWD: usize = 300;
const PAUSE: Duration = Duration::from_millis(60);
/// How long the kernel may take to detach from all of them, on a busy machine.
const DETACHING: Duration = Duration::from_secs(120);

/// Starts the crowd, of which each sends one request to `url`, at a bounded pace.
fn crowd(program: &Path, url: &str, n: usize) -> Result<()> {
    let mut running: Vec<Running> = Vec::new();
    for i in 0..n {
        let start = Instant::now();
        running.push(Running::start(program, &["-client", "1", &format!("{url}/id/{i}")], &[])?);
        if running.len() > 10 {
            let mut oldest = running.remove(0);
            ensure!(oldest.wait(SOON)?.success(), "one of the crowd failed");
        }
        std::thread::sleep(PAUSE.saturating_sub(start.elapsed()));
    }
    running.iter_mut().try_for_each(|one| one.wait(SOON).map(drop))
}

#[test]
fn short_lived_processes_do_not_disturb_a_selected_one() -> Result<()> {
    if !can_trace("short_lived_processes_do_not_disturb_a_selected_one") {
        return Ok(());
    }
    let program = App::newest()?;
    let name = format!("server-{}", std::process::id());
    let server = App::start_with(&program, &[], &[("OTEL_SERVICE_NAME", &name)])?;
    let gotap = Gotap::trace(&["--name", &name])?;
    let url = format!("http://{}", server.address);
    crowd(&program, &url, 20)?;
    let before = usage(gotap.process.pid())?;
    crowd(&program, &url, CROWD)?;
    // It may still look at the last of them.
    let settles = || {
        let now = usage(gotap.process.pid());
        now.is_ok_and(|now| now.1 <= before.1 + 2 && now.0 < before.0 + 8 * 1024)
    };
    let settled = eventually(SOON, settles);
    let after = usage(gotap.process.pid())?;
    println!("before {before:?}, after {after:?}");
    ensure!(settled, "KiB and files: {before:?} and then {after:?}");
    gotap.finish(20 + CROWD).map(drop)
}

#[test]
fn each_short_lived_process_is_seen_or_accounted_for() -> Result<()> {
    if !can_trace("each_short_lived_process_is_seen_or_accounted_for") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
    let program = folder.path().join("visitor");
    fs::copy(App::newest()?, &program).context("copy httpapp")?;
    let server = App::start(&App::newest()?)?;
    let gotap = Gotap::trace(&["--executable", &format!("{}/*", folder.path().display())])?;
    let url = format!("http://{}", server.address);
    crowd(&program, &url, 30)?;
    let before = usage(gotap.process.pid())?;
    crowd(&program, &url, CROWD)?;
    let said = |what: &str| gotap.process.stderr().iter().filter(|l| l.contains(what)).count();
    let all = || said("] ended") == said("attached to");
    ensure!(eventually(SOON, all), "{} of {} ended", said("] ended"), said("attached to"));
    let closed = || usage(gotap.process.pid()).is_ok_and(|(_, files)| files <= before.1 + 15);
    ensure!(eventually(DETACHING, closed), "files: {before:?}, {:?}", usage(gotap.process.pid()));
    let after = usage(gotap.process.pid())?;
    let ended = gotap.stop()?;
    let attached = ended.stderr.iter().filter(|line| line.contains("attached to")).count();
    println!("{attached} attached, {:?}, before {before:?}, after {after:?}", ended.summary);
    ensure!(after.0 < before.0 + 16 * 1024, "KiB: {} and then {}", before.0, after.0);
    // A process that is over before gotap is there is not seen at all; one that is attached to is
    // a span, or its call was under way already.
    ensure!(ended.spans.len() <= attached, "{} spans of {attached}", ended.spans.len());
    ensure!(attached <= CROWD + 30, "{attached} attached");
    Ok(())
}

#[test]
fn processes_that_live_a_moment_longer_are_all_seen() -> Result<()> {
    if !can_trace("processes_that_live_a_moment_longer_are_all_seen") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
    let program = folder.path().join("visitor");
    fs::copy(App::newest()?, &program).context("copy httpapp")?;
    let server = App::start(&App::newest()?)?;
    let gotap = Gotap::trace(&["--executable", &format!("{}/*", folder.path().display())])?;
    let (_, files) = usage(gotap.process.pid())?;
    let (url, go) = (format!("http://{}/", server.address), folder.path().join("go"));
    let go_name = go.display().to_string();
    let mut crowd = Vec::new();
    for _ in 0..100 {
        let arguments = ["-client", "1", "-until", &go_name, &url];
        crowd.push(Running::start(&program, &arguments, &[])?);
        std::thread::sleep(PAUSE);
    }
    let attached = || gotap.process.stderr().iter().filter(|l| l.contains("attached to")).count();
    ensure!(eventually(SOON, || attached() == 100), "attached to {} of 100", attached());
    fs::write(&go, "").context("let them go on")?;
    for one in &mut crowd {
        ensure!(one.wait(SOON)?.success(), "{one:?} failed");
    }
    let closed = || usage(gotap.process.pid()).is_ok_and(|(_, now)| now <= files + 15);
    ensure!(eventually(DETACHING, closed), "{files} files, {:?}", usage(gotap.process.pid()));
    gotap.finish(100).map(drop)
}

#[test]
fn what_a_stopped_gotap_misses_is_counted() -> Result<()> {
    if !can_trace("what_a_stopped_gotap_misses_is_counted") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let mut gotap = Gotap::trace_pid(app.pid())?;
    let mut answered = 0;
    for round in 0..2 {
        gotap.process.signal(libc::SIGSTOP)?;
        // More than fit into the buffer.
        let flood = Load::send(&app.address, "/hello", 8, 40_000)?;
        gotap.process.signal(libc::SIGCONT)?;
        ensure!(flood.failed == 0, "{flood:?}");
        // One after the other until one has a span: what had waited was read before.
        let probe = format!("/users/probe-{round}");
        let mut connection = app.connect()?;
        let is_read = || gotap.process.has_printed(&probe);
        ensure!(
            eventually(SOON, || {
                answered += u64::from(connection.get(&probe, &[]).is_ok());
                is_read()
            }),
            "round {round}: it does not go on"
        );
        let before = gotap.process.printed();
        let after = Load::send(&app.address, "/users/later", 2, 500)?;
        answered += flood.answered + after.answered;
        gotap.wait_for_lines(before + 500).with_context(|| format!("round {round}"))?;
    }
    let ended = gotap.stop()?;
    let summary = &ended.summary;
    ensure!(summary.drops("ring_full") > 0, "the buffer was never full: {summary:?}");
    let dropped: u64 = summary.dropped.values().sum();
    ensure!(summary.spans + dropped == answered, "{answered} answered: {summary:?}");
    let later = ended.spans.iter().filter(|span| span.target() == "/users/later").count();
    ensure!(later == 1000, "{later} of the requests after it are spans");
    Ok(())
}
