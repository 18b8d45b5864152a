//! `gotap profile wall` and `offcpu`: what goroutines and threads wait for, in a program whose waits are known.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gotap_e2e::can_trace;
use gotap_e2e::profiles::{ProfileApp, Top};
use gotap_testkit::go::{Mode, Version};
use serde_json::Value;

/// Seconds of functions in a second, flat and cumulative.
fn seconds(table: &Value) -> Result<BTreeMap<String, (f64, f64)>> {
    let length = table["seconds"].as_f64().context("seconds")?;
    let functions = table["functions"].as_array().context("functions")?;
    let one = |function: &Value| {
        let part = |key: &str| Some(function[key].as_f64()? / 1e9 / length);
        Some((function["function"].as_str()?.to_owned(), (part("flat")?, part("cumulative")?)))
    };
    functions.iter().map(|function| one(function).context("a function")).collect()
}

#[test]
fn goroutines_have_the_time_that_they_wait() {
    if !can_trace("goroutines_have_the_time_that_they_wait") {
        return;
    }
    let mut failures = Vec::new();
    for (minor, mode) in [(18, Mode::Plain), (27, Mode::Pie)] {
        if let Err(error) = wall(Version::of(minor), mode) {
            failures.push(format!("Go 1.{minor}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn wall(version: Version, mode: Mode) -> Result<()> {
    let app = ProfileApp::start(version, mode, &["-wait", "-recurse"], "1s")?;
    let table = app.table("wall", &["-d", "2s"])?;
    let all = seconds(&table)?;
    let of = |name: &str| all.get(name).copied().unwrap_or_default();
    let near = |what: &str, found: f64, wanted: f64| {
        ensure!((found - wanted).abs() < 0.3, "{what}: {found} instead of {wanted}\n{table}");
        Ok(())
    };
    // Of two goroutines with one lock, one sleeps with it and one waits for it.
    near("main.holdLock", of("main.holdLock").1, 2.0)?;
    near("main.receiveAll", of("main.receiveAll").1, 1.0)?;
    near("[IO wait]", of("[IO wait]").0, 1.0)?;
    near("[running]", of("[running]").0 + of("[runnable]").0, 1.0)?;
    let lock = of("[sync.Mutex.Lock]").0 + of("[semacquire]").0;
    near("a lock", lock, 1.0)?;
    let file = app.file("wall.pb.gz");
    let output = app.gotap("wall", &["-d", "500ms", "-o", file.to_str().context("a path")?])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let top = Top::of(&file, None)?;
    ensure!(
        top.heading.contains("Type: wall") && top.cumulative("main.receiveAll") > 5.0,
        "{}",
        top.heading
    );
    Ok(())
}

#[test]
fn threads_have_the_time_that_they_are_off_their_processors() -> Result<()> {
    if !can_trace("threads_have_the_time_that_they_are_off_their_processors") {
        return Ok(());
    }
    for (minor, mode) in [(18, Mode::Plain), (27, Mode::Cgo)] {
        let app = ProfileApp::start(Version::of(minor), mode, &["-blocked", "-recurse"], "1s")?;
        let table = app.table("offcpu", &["-d", "2s"])?;
        let all = seconds(&table)?;
        let of = |name: &str| all.get(name).copied().unwrap_or_default();
        // A thread sleeps in the kernel nearly all the time, and comes back now and then.
        let blocked = of("main.blockInKernel").1;
        ensure!((0.8..1.1).contains(&blocked), "Go 1.{minor}: {blocked}\n{table}");
        let kernel =
            all.keys().any(|name| name.contains("nanosleep") && name.ends_with("[kernel]"));
        ensure!(kernel, "Go 1.{minor}: {table}");
        let lost = table["notes"].to_string();
        ensure!(!lost.contains("lost"), "{lost}");
    }
    Ok(())
}
