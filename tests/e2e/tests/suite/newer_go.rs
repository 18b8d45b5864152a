//! A Go that is newer than all that gotap knows: it is traced like the newest one, and said to be
//! unknown.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::altered::{Altered, replace};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{App, Gotap, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use serde_json::Value;

/// What the newest Go is made to call itself, in as many letters.
const FUTURE: &str = "1.99.9";

/// A copy of an executable that says of itself that a Go of the future built it.
fn from_the_future(app: &str, mode: Mode) -> Result<Altered> {
    let original = go::build(app, Version::NEWEST, mode)?;
    let (known, future) = (format!("go{}", Version::NEWEST), format!("go{FUTURE}"));
    Altered::new(&original, |data| replace(data, known.as_bytes(), future.as_bytes()))
}

fn ps(pid: u32, format: &str) -> Result<String> {
    let mut command = Command::new(binary());
    let output =
        command.args(["ps", "-v", "--format", format, "--pid", &pid.to_string()]).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_newer_go_is_traced_and_said_to_be_unknown() -> Result<()> {
    if !can_trace("a_newer_go_is_traced_and_said_to_be_unknown") {
        return Ok(());
    }
    for mode in [Mode::Plain, Mode::Stripped] {
        let altered = from_the_future("httpapp", mode)?;
        let (app, _backend) = App::start_pair(&altered.program)?;
        let row = ps(app.pid(), "text")?;
        ensure!(row.contains(&format!("{FUTURE} (unknown)")), "{row}");
        let known: Value = serde_json::from_str(&ps(app.pid(), "json")?)?;
        ensure!(known["known_version"] == false, "{known:#}");
        ensure!(known["go"] == format!("go{FUTURE}"), "{known:#}");
        ensure!(known["missing"] == serde_json::json!([]), "{known:#}");

        let gotap = Gotap::trace_pid(app.pid())?;
        for case in ["same", "go-deep?n=3", "ctx-pool"] {
            app.get(&format!("/call/{case}"), &[])?;
        }
        let spans = gotap.finish(6)?;
        for (pair, how) in spans.chunks(2).zip(["context", "ancestor", "context"]) {
            let [client, server] = pair else { unreachable!("chunks of two") };
            ensure!(client.is_child_of(server) && client.parent == how, "{mode}: {pair:#?}");
            let version = &server.resource["process.runtime.version"];
            ensure!(*version == format!("go{FUTURE}"), "{server:#?}");
        }
    }
    Ok(())
}

/// Whoever traces such a program is told, too, once.
#[test]
fn tracing_a_newer_go_says_that_it_is_unknown() -> Result<()> {
    if !can_trace("tracing_a_newer_go_says_that_it_is_unknown") {
        return Ok(());
    }
    let altered = from_the_future("httpapp", Mode::Plain)?;
    let app = App::start(&altered.program)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let said = gotap.process.stderr().join("\n");
    ensure!(said.matches("unknown").count() == 1 && said.contains(FUTURE), "{said}");
    app.get("/hello", &[])?;
    gotap.finish(1).map(drop)
}

/// What is read of such a program's runtime is right, or missing; that it is uncertain stands beside it.
#[test]
fn the_runtime_of_a_newer_go_is_read_with_a_warning() -> Result<()> {
    if !can_trace("the_runtime_of_a_newer_go_is_read_with_a_warning") {
        return Ok(());
    }
    let altered = from_the_future("runtimeapp", Mode::Stripped)?;
    let mut app = RuntimeApp::start(&altered.program, &["-goroutines", "100"], &[])?;
    let report = app.report()?;
    let (goroutines, gc) = (app.gotap("goroutines", &[])?, app.gotap("gc", &[])?);
    let chan = app.gotap("chan", &[])?;
    for object in [&goroutines, &gc, &chan] {
        let missing = object["missing"].as_array().context("missing")?;
        let uncertain = |m: &&Value| m["what"] == "certainty about counters";
        let why = missing.iter().find(uncertain).with_context(|| object.to_string())?;
        ensure!(why["why"].as_str().is_some_and(|why| why.contains(FUTURE)), "{why}");
    }
    ensure!(goroutines["count"] == report["goroutines"], "{goroutines}");
    ensure!(gc["collections"] == report["memory"]["NumGC"], "{gc}");
    ensure!(chan["mutexes"].as_array().is_some_and(|m| !m.is_empty()), "{chan}");
    Ok(())
}
