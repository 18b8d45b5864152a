//! Programs and gotaps that come and go, and targets that must not notice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, LOADING, Load, SOON, Span, binary, can_trace, eventually, sites_in};
use gotap_testkit::process::Running;
use tempfile::TempDir;

/// A copy of the newest build in a folder of its own, so that a glob finds nothing else.
fn copy() -> Result<(TempDir, PathBuf)> {
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
    let program = folder.path().join("a-copy");
    fs::copy(App::newest()?, &program).context("copy httpapp")?;
    Ok((folder, program))
}

fn no_sites_left(pid: u32) -> Result<()> {
    let gone = eventually(SOON, || matches!(sites_in(pid), Ok(0)));
    ensure!(gone, "{} probes left in the code", sites_in(pid)?);
    Ok(())
}

#[test]
fn programs_that_start_later_are_traced_and_again_after_a_restart() -> Result<()> {
    if !can_trace("programs_that_start_later_are_traced_and_again_after_a_restart") {
        return Ok(());
    }
    let (folder, program) = copy()?;
    let glob = format!("{}/*", folder.path().display());
    let gotap = Gotap::trace(&["--executable", &glob])?;
    let mut pids = Vec::new();
    for i in 0..3 {
        let mut app = App::start(&program)?;
        gotap.process.wait_for_error(&format!("attached to httpapp[{}]", app.pid()), SOON)?;
        app.get(&format!("/users/{i}"), &[])?;
        gotap.wait_for_spans(i + 1)?;
        pids.push(app.pid());
        app.process.stop()?;
        gotap.process.wait_for_error(&format!("[{}] ended", app.pid()), SOON)?;
    }
    let spans = gotap.finish(3)?;
    for (i, span) in spans.iter().enumerate() {
        ensure!(span.target() == format!("/users/{i}"), "{span:#?}");
        ensure!(span.resource["process.pid"] == pids[i], "{span:#?}");
    }
    Ok(())
}

#[test]
fn a_killed_gotap_leaves_nothing_behind() -> Result<()> {
    if !can_trace("a_killed_gotap_leaves_nothing_behind") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    ensure!(sites_in(app.pid())? == 0, "probes before any gotap");
    let load = Load::start(&app.address, "/hello", 4);
    let mut gotap = Gotap::trace_pid(app.pid())?;
    gotap.wait_for_lines(100)?;
    ensure!(sites_in(app.pid())? > 0, "no probes while it is traced");
    gotap.process.signal(libc::SIGKILL)?;
    gotap.process.wait(SOON)?;
    no_sites_left(app.pid())?;
    let before = load.sent();
    ensure!(eventually(SOON, || load.sent() > before + 100), "the target does not go on");

    let second = Gotap::trace_pid(app.pid())?;
    second.wait_for_lines(100)?;
    ensure!(second.stop()?.status.success(), "the second gotap fails");
    let outcome = load.stop()?;
    ensure!(outcome.failed == 0, "{outcome:?}");
    no_sites_left(app.pid())
}

#[test]
fn attaching_and_detaching_under_load_harms_nothing() -> Result<()> {
    if !can_trace("attaching_and_detaching_under_load_harms_nothing") {
        return Ok(());
    }
    let (app, _backend) = App::start_pair(&App::newest()?)?;
    let loads = ["/hello", "/call/same", "/call/go"].map(|path| Load::start(&app.address, path, 4));
    for cycle in 0..10 {
        let gotap = Gotap::trace_pid(app.pid())?;
        gotap.wait_for_lines(100)?;
        let ended = gotap.stop().with_context(|| format!("cycle {cycle}"))?;
        ensure!(ended.status.success(), "cycle {cycle}: {:?}", ended.status);
        ensure!(ended.summary.spans == ended.spans.len() as u64, "{:?}", ended.summary);
    }
    for load in loads {
        let outcome = load.stop()?;
        ensure!(outcome.failed == 0 && outcome.answered > 100, "{outcome:?}");
    }
    no_sites_left(app.pid())
}

#[test]
fn two_gotaps_see_the_same() -> Result<()> {
    if !can_trace("two_gotaps_see_the_same") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let gotaps = [Gotap::trace_pid(app.pid())?, Gotap::trace_pid(app.pid())?];
    let mut connection = app.connect()?;
    for i in 0..100 {
        connection.get(&format!("/users/{i}"), &[])?;
    }
    let [one, two] = gotaps;
    one.wait_for_lines(100)?;
    let first = one.finish(100)?;
    // The other one goes on.
    connection.get("/users/100", &[])?;
    let second = two.finish(101)?;
    let paths = |spans: &[Span]| spans.iter().map(|s| s.target().to_owned()).collect::<Vec<_>>();
    ensure!(paths(&first) == paths(&second)[..100], "they differ");
    Ok(())
}

#[test]
fn gotap_ends_with_its_only_target() -> Result<()> {
    if !can_trace("gotap_ends_with_its_only_target") {
        return Ok(());
    }
    let mut app = App::start(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    app.get("/hello", &[])?;
    gotap.wait_for_lines(1)?;
    app.process.signal(libc::SIGKILL)?;
    let ended = gotap.wait()?;
    ensure!(ended.status.code() == Some(0), "{:?}", ended.status);
    ensure!(ended.spans.len() == 1 && ended.summary.spans == 1, "{:?}", ended.summary);
    Ok(())
}

#[test]
fn spans_right_before_the_end_of_a_program_are_kept() -> Result<()> {
    if !can_trace("spans_right_before_the_end_of_a_program_are_kept") {
        return Ok(());
    }
    let mut app = App::start(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let mut connection = app.connect()?;
    for i in 0..50 {
        connection.get(&format!("/users/{i}"), &[])?;
    }
    // A server answers before its handler's caller returns. When it answers this one, the others are over.
    connection.get("/hello", &[])?;
    app.process.signal(libc::SIGKILL)?;
    let ended = gotap.wait()?;
    let kept = ended.spans.iter().filter(|span| span.target().starts_with("/users/")).count();
    ensure!(kept == 50, "{kept} spans of 50: {:?}", ended.summary);
    Ok(())
}

#[test]
fn processes_are_selected_by_port_and_by_name() -> Result<()> {
    if !can_trace("processes_are_selected_by_port_and_by_name") {
        return Ok(());
    }
    let program = App::newest()?;
    let name = format!("e2e-{}", std::process::id());
    let app = App::start_with(&program, &[], &[("OTEL_SERVICE_NAME", &name)])?;
    let other = App::start(&program)?;
    let port = app.port()?.to_string();
    let glob = format!("{}*", &name[..name.len() - 1]);
    for selection in [["--port", &port], ["--name", &name], ["--service", &glob]] {
        let gotap = Gotap::trace(&selection)?;
        other.get("/users/other", &[])?;
        app.get("/users/wanted", &[])?;
        let spans = gotap.finish(1).with_context(|| format!("{selection:?}"))?;
        ensure!(spans[0].target() == "/users/wanted", "{selection:?}: {spans:#?}");
    }
    Ok(())
}

#[test]
fn a_port_is_waited_for() -> Result<()> {
    if !can_trace("a_port_is_waited_for") {
        return Ok(());
    }
    let program = App::newest()?;
    // A port that was free a moment ago.
    let port = {
        let before = App::start(&program)?;
        before.port()?.to_string()
    };
    let gotap = Gotap::trace(&["--port", &port])?;
    let app = App::start_with(&program, &["-addr", &format!("127.0.0.1:{port}")], &[])?;
    gotap.process.wait_for_error(&format!("attached to httpapp[{}]", app.pid()), SOON)?;
    app.get("/hello", &[])?;
    gotap.finish(1).map(drop)
}

#[test]
fn single_uprobes_give_the_same_spans() -> Result<()> {
    if !can_trace("single_uprobes_give_the_same_spans") {
        return Ok(());
    }
    let (app, _backend) = App::start_pair(&App::newest()?)?;
    let pid = app.pid().to_string();
    let multi = Gotap::trace(&["--pid", &pid])?;
    let single = Gotap::trace(&["--pid", &pid, "--no-uprobe-multi"])?;
    for path in ["/hello", "/call/same", "/call/go", "/call/refused", "/call/precanceled"] {
        app.get(path, &[])?;
    }
    ensure!(app.get("/panic", &[]).is_err(), "a handler that panics answered");
    let (first, second) = (multi.finish(10)?, single.finish(10)?);
    for (one, other) in first.iter().zip(&second) {
        ensure!(one.attributes == other.attributes, "{one:#?} {other:#?}");
        let (a, b) = ((&one.name, &one.parent), (&other.name, &other.parent));
        ensure!(a == b, "{one:#?} {other:#?}");
    }
    no_sites_left(app.pid())
}

#[test]
fn a_hangup_ends_gotap_unless_it_is_ignored() -> Result<()> {
    if !can_trace("a_hangup_ends_gotap_unless_it_is_ignored") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let pid = app.pid().to_string();
    let mut heeds = Gotap::trace_pid(app.pid())?;
    heeds.process.signal(libc::SIGHUP)?;
    let ended = heeds.wait()?;
    ensure!(ended.status.success(), "{:?}", ended.status);

    // As nohup does, and a shell of what runs in its background.
    let ignoring = ["-c", "trap '' HUP INT; exec \"$@\"", "sh"];
    let gotap = binary();
    let program = gotap.to_str().context("a path in UTF-8")?;
    let arguments = [program, "trace", "http", "--format", "json", "--pid", &pid];
    let arguments = [&ignoring[..], &arguments[..]].concat();
    let mut ignores = Gotap::of(Running::start(Path::new("/bin/sh"), &arguments, &[])?);
    ignores.wait_ready()?;
    for (spans, signal) in [(1, libc::SIGHUP), (2, libc::SIGINT)] {
        ignores.process.signal(signal)?;
        app.get("/hello", &[])?;
        ignores.wait_for_lines(spans)?;
    }
    ignores.process.signal(libc::SIGTERM)?;
    let ended = ignores.wait()?;
    ensure!(ended.status.success() && ended.spans.len() == 2, "{:?}", ended.summary);
    Ok(())
}

/// Who stops gotap need not wait until it has attached to all that there is.
#[test]
fn a_stop_comes_before_what_is_still_to_be_attached_to() -> Result<()> {
    const MANY: usize = 60;
    if !can_trace("a_stop_comes_before_what_is_still_to_be_attached_to") {
        return Ok(());
    }
    let (folder, program) = copy()?;
    let many = (0..MANY).map(|_| Running::start(&program, &["-hold"], &[]));
    let _many = many.collect::<Result<Vec<_>>>()?;
    let glob = format!("{}/*", folder.path().display());
    let gotap = Gotap::start(&["trace", "http", "--executable", &glob], &[])?;
    gotap.process.wait_for_error("attached to", LOADING)?;
    let ended = gotap.stop()?;
    let attached = ended.stderr.iter().filter(|line| line.contains("attached to")).count();
    ensure!(attached < MANY, "it attached to all {attached} before it stopped");
    Ok(())
}
