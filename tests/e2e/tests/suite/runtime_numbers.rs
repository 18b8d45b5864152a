//! What gotap reads of collections, the heap, the scheduler, channels and locks, against what the
//! program's own runtime says of them.

mod collections;

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

fn each(arguments: &[&str], check: impl Fn(&mut RuntimeApp, Version) -> Result<()>) {
    let builds = go::selected_or(&[
        (18, Mode::Plain),
        (21, Mode::Cgo),
        (23, Mode::Stripped),
        (25, Mode::Cgo),
        (27, Mode::Stripped),
    ]);
    let mut failures = Vec::new();
    for (version, mode) in builds {
        let result = go::build("runtimeapp", version, mode)
            .and_then(|program| RuntimeApp::start(&program, arguments, &[]))
            .and_then(|mut app| check(&mut app, version));
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn collections_and_the_heap_are_as_the_runtime_says() {
    if can_trace("collections_and_the_heap_are_as_the_runtime_says") {
        each(&["-goroutines", "2000"], collections);
    }
}

fn collections(app: &mut RuntimeApp, version: Version) -> Result<()> {
    // Nothing is allocated between a report and what is read then, and no collection begins but every
    // two minutes.
    let report = app.report()?;
    let object = app.gotap("gc", &[])?;
    let memory = &report["memory"];
    let missing = object["missing"].as_array().context("missing")?;
    let of_heap = missing.iter().filter(|m| m["what"] == "most sizes of the heap").count();
    ensure!(of_heap == usize::from(version.minor == 18), "{object}");
    let others: Vec<_> = missing.iter().filter(|m| m["what"] != "most sizes of the heap").collect();
    ensure!(only_parents(&others), "{object}");
    for (ours, theirs) in [
        ("collections", "NumGC"),
        ("forcedCollections", "NumForcedGC"),
        ("lastCollectionUnixNano", "LastGC"),
    ] {
        ensure!(object[ours] == memory[theirs], "{ours}: {object} {memory}");
    }
    ensure!(memory["NumGC"].as_u64() >= Some(2), "{memory}");
    let seconds = |n: &Value| n.as_u64().map(|n| n as f64 / 1e9);
    ensure!(object["pauseTotalSeconds"].as_f64() == seconds(&memory["PauseTotalNs"]), "{memory}");
    let pauses = memory["Pauses"].as_array().context("pauses")?;
    let ours = object["lastPausesSeconds"].as_array().context("pauses")?;
    ensure!(!ours.is_empty() && ours.len() == pauses.len().min(8), "{ours:?}");
    for (got, want) in ours.iter().zip(pauses) {
        ensure!(got.as_f64() == seconds(want), "{ours:?} {pauses:?}");
    }
    if version.minor >= 19 {
        ensure!(object["heapGoalBytes"] == memory["NextGC"], "{object} {memory}");
    }
    ensure!(object["gcPercent"] == 100 && object["memoryLimitBytes"].is_null(), "{object}");
    let stops = &object["gcStops"];
    let cycles = memory["NumGC"].as_u64().unwrap_or(0);
    ensure!(stops["count"].as_u64().is_some_and(|n| n >= cycles && n <= 2 * cycles + 2), "{stops}");
    Ok(())
}

fn only_parents(missing: &[&Value]) -> bool {
    missing.iter().all(|missing| missing["what"] == "parents of goroutines")
}

#[test]
fn the_scheduler_is_as_the_runtime_says() {
    if can_trace("the_scheduler_is_as_the_runtime_says") {
        each(&["-goroutines", "2000"], scheduler);
    }
}

fn scheduler(app: &mut RuntimeApp, _: Version) -> Result<()> {
    let object = app.gotap("sched", &["-d", "200ms"])?;
    let report = app.report()?;
    let missing = object["missing"].as_array().context("missing")?;
    ensure!(only_parents(&missing.iter().collect::<Vec<_>>()), "{object}");
    let processors = object["processors"].as_array().context("processors")?;
    let count = processors.len() as u64;
    ensure!(count > 0 && object["maxProcessors"].as_u64() == Some(count), "{object}");
    let numbers = &report["numbers"];
    if let Some(max) = numbers["/sched/gomaxprocs:threads"].as_u64() {
        ensure!(max == count, "{object}");
    }
    ensure!(object["threads"].as_u64() >= Some(2) && object["queued"].is_u64(), "{object}");
    let created = object["goroutinesCreated"].as_u64().context("created")?;
    let live = report["goroutines"].as_u64().context("goroutines")?;
    ensure!(created >= live && created < live + 200, "{created} created, {live} live");
    if let Some(truth) = numbers["/sched/goroutines-created:goroutines"].as_u64() {
        ensure!(truth.abs_diff(created) <= 16, "{created} {truth}");
    }
    // All waited for a processor before they waited for something else; one in eight is counted.
    let latency = &object["schedulingLatency"];
    ensure!(latency["count"].is_u64(), "{object}");
    Ok(())
}

#[test]
fn channels_and_locks_are_listed_with_who_waits() {
    if can_trace("channels_and_locks_are_listed_with_who_waits") {
        each(&[], channels);
    }
}

#[test]
fn waits_and_rates_are_told_by_line() {
    if !can_trace("waits_and_rates_are_told_by_line") {
        return;
    }
    let mut failures = Vec::new();
    for (version, mode) in [(Version::of(18), Mode::Plain), (Version::of(27), Mode::Pie)] {
        let result = go::build("runtimeapp", version, mode)
            .and_then(|program| RuntimeApp::start(&program, &["-quiet", "-channels"], &[]))
            .and_then(waits_and_rates);
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn waits_and_rates(mut app: RuntimeApp) -> Result<()> {
    let pid = app.process.pid().to_string();
    let arguments = ["chan", &pid, "-d", "3s", "--rates", "--format", "json"];
    let mut gotap = Running::start(binary(), &arguments, &[])?;
    gotap.wait_for_error("gotap: ready", SOON)?;
    let facts = app.report()?["facts"].clone();
    app.report()?;
    ensure!(gotap.wait(SOON)?.success(), "{:?}", gotap.stderr());
    let object: Value = serde_json::from_str(&gotap.stdout().join(""))?;
    // Two bursts of a thousand each, to one: all are seen, and only once.
    let rates = &object["rates"];
    ensure!(rates["overhead"]["complete"] == true && rates["lost"] == 0, "{rates}");
    let channels = rates["channels"].as_array().context("channels")?;
    let bursts = channels.iter().find(|c| c["address"] == facts["bursts"]).context("bursts")?;
    ensure!(bursts["sends"] == 2000 && bursts["receives"] == 2000, "{bursts}");
    ensure!(bursts["elementType"] == "main.item" && bursts["cap"] == 16, "{bursts}");
    let rate = bursts["sendsPerSecond"].as_f64().context("a rate")?;
    ensure!(rate > 100.0 && rate < 700.0, "{bursts}");
    let lines = rates["lines"].as_array().context("lines")?;
    for (operation, function, least) in [
        ("send", "main.sendBurst", 2000),
        ("receive", "main.receiveBurst", 2000),
        ("select", "main.selectSlowly", 5),
        ("mutex wait", "main.lockSlowly", 5),
        ("waitgroup wait", "main.waitForGroup", 5),
    ] {
        let line = lines.iter().find(|l| l["operation"] == operation && l["function"] == function);
        let line = line.with_context(|| format!("no {operation}: {rates}"))?;
        ensure!(line["count"].as_u64() >= Some(least), "{line}");
        ensure!(line["file"].as_str().is_some_and(|f| f.ends_with("channels.go")), "{line}");
    }
    // Each waits for a tenth of a second, again and again.
    let waits = object["waits"]["lines"].as_array().context("waits")?;
    for function in ["main.waitSlowly", "main.selectSlowly", "main.waitForGroup"] {
        let line = waits.iter().find(|l| l["function"] == function);
        let line = line.with_context(|| format!("no {function}: {object}"))?;
        let ended = line["ended"].as_u64().context("ended")?;
        ensure!((10..40).contains(&ended), "{line}");
        let buckets = line["buckets"].as_array().context("buckets")?;
        let about = |from: f64| buckets.iter().find(|b| b["fromSeconds"] == from);
        let near = [0.03, 0.1].map(|from| about(from).and_then(|b| b["count"].as_u64()));
        ensure!(near.iter().flatten().sum::<u64>() * 10 >= ended * 7, "{line}");
        let average = line["averageWaiting"].as_f64().context("an average")?;
        ensure!(average > 0.5 && average <= 1.0, "{line}");
    }
    Ok(())
}

fn channels(app: &mut RuntimeApp, _: Version) -> Result<()> {
    let facts = app.report()?["facts"].clone();
    let object = app.gotap("chan", &[])?;
    let find = |list: &str, name: &str| -> Result<Value> {
        let list = object[list].as_array().context("a list")?;
        let found = list.iter().find(|one| one["address"] == facts[name]);
        Ok(found.with_context(|| format!("no {name}: {object}"))?.clone())
    };
    let len = |value: &Value| value.as_array().map(Vec::len);
    let full = find("channels", "full")?;
    ensure!(full["len"] == 2 && full["cap"] == 2 && full["elementType"] == "main.item", "{full}");
    ensure!(len(&full["senders"]) == Some(4) && len(&full["receivers"]) == Some(0), "{full}");
    let empty = find("channels", "empty")?;
    ensure!(len(&empty["receivers"]) == Some(3), "{empty}");
    ensure!(empty["oldestWaitSeconds"].as_f64().is_some_and(|s| s > 0.0 && s < 600.0), "{empty}");
    let mutex = find("mutexes", "mutex")?;
    ensure!(len(&mutex["waiters"]) == Some(4) && mutex["kind"] == "mutex", "{mutex}");
    let hints = object["hints"].as_array().context("hints")?;
    let nil = hints.iter().any(|hint| hint.as_str().is_some_and(|hint| hint.contains("nil")));
    ensure!(nil, "{hints:?}");
    Ok(())
}
