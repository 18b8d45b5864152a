//! `gotap alloc` against programs that allocate in known shares, and `gotap flight` against what a program's
//! own flight recorder writes, and against Go's own reader of traces.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use gotap_testkit::setup;
use serde_json::Value;
use tempfile::TempDir;

/// Bytes of each function of `apps/runtimeapp/alloc.go`, of 1000.
const SHARES: [(&str, f64); 12] = [
    ("main.alloc01", 200.0),
    ("main.alloc02", 150.0),
    ("main.alloc03", 130.0),
    ("main.alloc04", 110.0),
    ("main.alloc05", 90.0),
    ("main.inlinedAlloc", 80.0),
    ("main.alloc07", 70.0),
    ("main.alloc08", 60.0),
    ("main.worker.alloc09", 50.0),
    ("main.alloc10.func1", 40.0),
    ("main.alloc11", 10.0),
    ("main.alloc12", 10.0),
];

fn each(minors: &[u32], arguments: &[&str], check: impl Fn(&mut RuntimeApp) -> Result<()>) {
    let mut failures = Vec::new();
    for (version, mode) in minors.iter().flat_map(|minor| go::selected_of(*minor)) {
        let result = go::build("runtimeapp", version, mode)
            .and_then(|program| RuntimeApp::start(&program, arguments, &[]))
            .and_then(|mut app| check(&mut app));
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn gotap(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).output().context("run gotap")
}

#[test]
fn functions_have_the_shares_that_they_allocate() {
    if can_trace("functions_have_the_shares_that_they_allocate") {
        each(&[18, 27], &["-quiet", "-allocate", "1500", "-rate", "262144"], |app| {
            shares(&app.gotap("alloc", &[])?, "profile buckets since the start")?;
            let object = app.gotap("alloc", &["-d", "3s", "--top", "12"])?;
            ensure!(
                object["seconds"].as_f64().is_some_and(|s| (2.7..20.0).contains(&s)),
                "{object}"
            );
            shares(&object, "profile buckets")
        });
    }
}

/// The same by traps: samples where the runtime takes a new span, and each allocation.
#[test]
fn traps_tell_who_allocates() {
    if !can_trace("traps_tell_who_allocates") {
        return;
    }
    let mut failures = Vec::new();
    for (minor, mode) in
        [(18, Mode::Plain), (23, Mode::Stripped), (26, Mode::Plain), (27, Mode::Pie)]
    {
        let version = Version::of(minor);
        let check = |app: RuntimeApp| -> Result<()> {
            let object = app.gotap("alloc", &["-d", "1s", "--sampled"])?;
            told(&object, "samples of spans and large objects", 0.1)?;
            let unlimited = ["-d", "1s", "--exact", "--overhead-budget", "unlimited"];
            let object = app.gotap("alloc", &unlimited)?;
            told(&object, "every allocation", 0.04)?;
            // What is counted one by one is what the runtime counts, up to what begins or ends meanwhile.
            let number = |key: &str| object[key].as_f64().with_context(|| format!("no {key}"));
            for (ours, theirs) in
                [("totalBytes", "countedBytes"), ("totalObjects", "countedObjects")]
            {
                let (ours, theirs) = (number(ours)?, number(theirs)?);
                ensure!((ours / theirs - 1.0).abs() < 0.2, "{ours} {theirs}: {object}");
            }
            Ok(())
        };
        let arguments = ["-quiet", "-allocate", "20", "-grain", "2"];
        let result = go::build("runtimeapp", version, mode)
            .and_then(|program| RuntimeApp::start(&program, &arguments, &[]))
            .and_then(check);
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Each collection takes the spans of all processors away: who allocates first after it is not who allocates much.
#[test]
fn who_allocates_first_after_a_collection_does_not_count_for_all() -> Result<()> {
    if !can_trace("who_allocates_first_after_a_collection_does_not_count_for_all") {
        return Ok(());
    }
    for (version, mode) in
        go::selected_or(&[(18, Mode::Plain), (22, Mode::Plain), (27, Mode::Stripped)])
    {
        let program = go::build("runtimeapp", version, mode)?;
        let app = RuntimeApp::start(&program, &["-quiet", "-collect"], &[])?;
        let arguments = ["-d", "3s", "--sampled", "--top", "100", "--overhead-budget", "unlimited"];
        let object = app.gotap("alloc", &arguments)?;
        let objects = |name: &str| -> f64 {
            let functions = object["functions"].as_array().into_iter().flatten();
            let of_it = functions.filter(|one| one["function"] == name);
            of_it.filter_map(|one| one["objects"].as_f64()).sum()
        };
        let (few, many) = (objects("main.allocateFew"), objects("main.allocateMany"));
        ensure!(
            many > 10_000.0 && few < many / 100.0,
            "{version}, {mode}: {few}, {many}: {object}"
        );
    }
    Ok(())
}

/// That the first ten functions are the right ones, with their shares.
fn told(object: &Value, source: &str, tolerance: f64) -> Result<()> {
    ensure!(object["source"] == source && object["rate"].is_null(), "{object}");
    // These programs allocate so much that samples may exceed the budget.
    let notes = object["notes"].as_array().context("notes")?;
    let of_budget = |note: &Value| note.as_str().is_some_and(|note| note.contains("budget"));
    let overhead = &object["overhead"];
    // The kernel keeps stacks by a hash, so that single ones may find their place taken.
    let few = |note: &Value| {
        let count = note
            .as_str()?
            .strip_suffix(" allocations have their caller alone: there are too many stacks")?;
        Some(count.parse::<u64>().ok()? * 100 < overhead["hits"].as_u64()?)
    };
    ensure!(notes.iter().all(|note| of_budget(note) || few(note) == Some(true)), "{object}");
    ensure!(overhead["complete"] == !notes.iter().any(of_budget), "{object}");
    ensure!(overhead["complete"] == true || !overhead["budget"].is_null(), "{object}");
    ensure!(overhead["hits"].as_u64() > Some(100), "{overhead}");
    let functions = object["functions"].as_array().context("functions")?;
    for (name, share) in &SHARES[..10] {
        let at = functions.iter().position(|f| f["function"] == *name);
        let function =
            &functions[at.filter(|at| *at < 10).with_context(|| format!("no {name}: {object}"))?];
        let got = function["share"].as_f64().context("a share")?;
        ensure!((got - share / 1000.0).abs() < tolerance, "{name}: {got} instead of {share}");
        ensure!(function["file"].as_str().is_some_and(|f| f.ends_with("alloc.go")), "{function}");
        let stack = function["stack"].as_array().context("a stack")?;
        let through = stack.iter().any(|frame| frame["function"] == "main.allocateRound");
        ensure!(through, "{function}");
    }
    Ok(())
}

fn shares(object: &Value, source: &str) -> Result<()> {
    ensure!(object["source"] == source && object["rate"] == 262_144, "{object}");
    // A bucket may be written to each time that it is read, where other programs want the processors, too.
    let is_known = |note: &Value| note.as_str().is_some_and(|n| n.contains("changed each time"));
    ensure!(object["notes"].as_array().is_some_and(|n| n.iter().all(is_known)), "{object}");
    let functions = object["functions"].as_array().context("functions")?;
    let found: BTreeMap<&str, &Value> =
        functions.iter().filter_map(|f| Some((f["function"].as_str()?, f))).collect();
    ensure!(functions.len() >= 10, "{object}");
    for (name, share) in &SHARES[..10] {
        let function = found.get(name).with_context(|| format!("no {name}: {object}"))?;
        let got = function["share"].as_f64().context("a share")?;
        ensure!((got - share / 1000.0).abs() < 0.1, "{name}: {got} instead of {share}");
        let rank = functions.iter().position(|f| f["function"] == *name);
        ensure!(rank.is_some_and(|rank| rank < 10), "{name} is number {rank:?}");
        ensure!(function["file"].as_str().is_some_and(|f| f.ends_with("alloc.go")), "{function}");
        let stack = function["stack"].as_array().context("a stack")?;
        let through = stack.iter().any(|frame| frame["function"] == "main.allocateRound");
        ensure!(through, "{function}");
        let expected = function["expectedError"].as_f64().context("an error")?;
        ensure!((got / (share / 1000.0) - 1.0).abs() < 6.0 * expected, "{name}: {got}, {expected}");
    }
    // What is estimated is what is counted, as far as so many samples tell.
    let number = |key: &str| object[key].as_f64().with_context(|| format!("no {key}"));
    let (bytes, counted) = (number("totalBytes")?, number("countedBytes")?);
    let expected = 6.0 * number("expectedError")? + 0.1;
    ensure!((bytes / counted - 1.0).abs() < expected, "{bytes} bytes, {counted} counted");
    ensure!(number("samples")? > 200.0, "{object}");
    let large = object["large"].as_array().context("large")?;
    ensure!(large.first().is_some_and(|one| one["function"] == "main.alloc03"), "{large:?}");
    // In each class what is allocated in it.
    let classes = object["sizeClasses"].as_array().context("classes")?;
    for (size, share) in [(256, 150.0), (4096, 110.0), (512, 90.0), (2048, 80.0), (128, 70.0)] {
        let class = classes.iter().find(|class| class["size"] == size);
        let bytes = class.and_then(|class| class["bytes"].as_f64()).context("a class")?;
        let got = 1000.0 * bytes / counted;
        ensure!((got - share).abs() < 25.0, "{size}: {got} instead of {share}");
    }
    let larger = object["largeObjects"]["bytes"].as_f64().context("large objects")?;
    ensure!((1000.0 * larger / counted - 130.0).abs() < 30.0, "{larger} of {counted}");
    Ok(())
}

/// Without samples there is a sentence that says what to do, and what is counted in any case.
#[test]
fn a_program_that_samples_nothing_has_no_functions() -> Result<()> {
    if !can_trace("a_program_that_samples_nothing_has_no_functions") {
        return Ok(());
    }
    for (minor, mode) in [(18, Mode::Plain), (27, Mode::Stripped)] {
        let app =
            Running::start(&go::build("idle", Version::of(minor), mode)?, &[] as &[&str], &[])?;
        app.wait_for("listening", SOON)?;
        let pid = app.pid().to_string();
        for arguments in [&["--format", "json"][..]] {
            let output = gotap(&[&["alloc", &pid], arguments].concat())?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(1) && said.lines().count() == 1, "{said}");
            ensure!(said.contains("MemProfileRate") && said.contains("net/http/pprof"), "{said}");
            let object: Value = serde_json::from_slice(&output.stdout)?;
            for unknown in ["functions", "large", "samples", "rate", "expectedError"] {
                ensure!(object[unknown].is_null(), "{unknown}: {object}");
            }
            ensure!(object["source"] == "runtime counters", "{object}");
            ensure!(object["sizeClasses"].is_array(), "{object}");
            let bytes = object["totalBytes"].as_u64().context("bytes")?;
            ensure!(bytes > 10_000, "{object}");
        }
        // With a duration gotap takes samples itself.
        let output = gotap(&["alloc", &pid, "-d", "100ms", "--format", "json"])?;
        let object: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(output.status.success() && object["functions"].is_array(), "{object}");
        ensure!(object["source"] == "samples of spans and large objects", "{object}");
        let text = gotap(&["alloc", &pid])?;
        let shown = String::from_utf8_lossy(&text.stdout);
        ensure!(
            text.status.code() == Some(1) && shown.contains("by the runtime's counters"),
            "{shown}"
        );
    }
    Ok(())
}

/// A copy begins with what the recorder itself has written before, byte for byte, and Go can read it.
#[test]
fn a_flight_recorders_window_is_copied() {
    if !can_trace("a_flight_recorders_window_is_copied") {
        return;
    }
    for minor in [25, 26, 27] {
        let folder = TempDir::new().expect("a folder");
        let own = folder.path().join("own.trace");
        let own_name = own.to_str().expect("a path");
        each(&[minor], &["-quiet", "-flight", own_name], |app| {
            let copy = folder.path().join("copy.trace");
            let name = copy.to_str().context("a path")?;
            let object = app.gotap("flight", &["-o", name])?;
            let (copied, written) = (fs::read(&copy)?, fs::read(&own)?);
            ensure!(object["bytes"].as_u64() == Some(copied.len() as u64), "{object}");
            ensure!(object["generations"].as_u64() >= Some(2), "{object}");
            let same = copied.iter().zip(&written).take_while(|(a, b)| a == b).count();
            ensure!(same == written.len() && same > 1000, "{same} of {}: {object}", written.len());
            let goroot = setup(&["go", &Version::of(minor).to_string()])?;
            let mut reader = Command::new(goroot.join("bin/go"));
            reader.env("GOTOOLCHAIN", "local").args(["tool", "trace", "-d=parsed", name]);
            let output = reader.stdin(Stdio::null()).output().context("run go tool trace")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "go tool trace: {said}");
            let events = String::from_utf8_lossy(&output.stdout);
            let regions = events.lines().filter(|line| line.contains("\"gotapRegion\"")).count();
            ensure!(regions > 20, "{regions} regions in {} events", events.lines().count());
            Ok(())
        });
    }
}

#[test]
fn a_program_without_a_flight_recorder_is_told_so() -> Result<()> {
    if !can_trace("a_program_without_a_flight_recorder_is_told_so") {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let file = folder.path().join("none.trace");
    for (app, arguments, word) in [
        ("idle", &[][..], "does not use runtime/trace.FlightRecorder"),
        ("runtimeapp", &["-quiet"], "has started no flight recorder"),
    ] {
        let program = go::build(app, Version::NEWEST, Mode::Stripped)?;
        let process = Running::start(&program, arguments, &[])?;
        process.wait_for(if app == "idle" { "listening" } else { "ready" }, SOON)?;
        let name = file.to_str().context("a path")?;
        let output = gotap(&["flight", &process.pid().to_string(), "-o", name])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1) && said.lines().count() == 1, "{said}");
        ensure!(said.contains(word) && output.stdout.is_empty() && !file.exists(), "{said}");
    }
    Ok(())
}
