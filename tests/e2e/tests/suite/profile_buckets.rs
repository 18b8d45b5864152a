//! `gotap profile alloc`, `heap`, `mutex` and `block` against what `runtime/pprof` writes of the same program.

use anyhow::{Context, Result, ensure};
use gotap_e2e::can_trace;
use gotap_e2e::profiles::{ProfileApp, Top};
use gotap_testkit::go::{Mode, Version};

/// Kinds, how Go names its file, and functions whose shares are compared.
const KINDS: [(&str, &str, &str, &[&str]); 4] = [
    ("alloc", "allocs", "alloc_space", &["main.keepLarge", "main.keepSmall"]),
    ("heap", "heap", "inuse_space", &["main.keepLarge", "main.keepSmall"]),
    ("mutex", "mutex", "delay", &["sync.(*Mutex).Unlock", "main.holdLock"]),
    ("block", "block", "delay", &["main.holdLock", "main.receiveAll", "runtime.chanrecv2"]),
];

#[test]
fn buckets_are_what_gos_own_profiles_have() {
    if !can_trace("buckets_are_what_gos_own_profiles_have") {
        return;
    }
    let mut failures = Vec::new();
    for (minor, mode) in [(18, Mode::Plain), (20, Mode::Pie), (27, Mode::Stripped)] {
        if let Err(error) = compare(Version::of(minor), mode) {
            failures.push(format!("Go 1.{minor}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn compare(version: Version, mode: Mode) -> Result<()> {
    let mut app =
        ProfileApp::start(version, mode, &["-work", "-keep", "-wait", "-sample"], "1500ms")?;
    let own = app.profile_itself()?;
    for (kind, name, index, functions) in KINDS {
        let file = app.file(&format!("{kind}.pb.gz"));
        let path = file.to_str().context("a path")?;
        // All since it started, as Go's own.
        let said = app.gotap(kind, &["-d", "0s", "-o", path])?;
        ensure!(said.status.success(), "{kind}: {}", String::from_utf8_lossy(&said.stderr));
        let ours = Top::of(&file, None)?;
        ensure!(ours.heading.contains(&format!("Type: {index}")), "{}", ours.heading);
        let gos = Top::of(&own.with_file_name(format!("own.pb.gz.{name}")), Some(index))?;
        for name in functions {
            let (go, gotap) = (gos.cumulative(name), ours.cumulative(name));
            ensure!(go > 1.0, "{kind}: Go sees no {name}: {}", gos.heading);
            // What is kept is the same in both, to the byte; waits go on between the two reads, and the
            // runtime's own locks are waited for more when the machine is busy.
            let is_same = ours.values.get(*name) == gos.values.get(*name);
            ensure!(
                if index == "delay" { (go - gotap).abs() < 25.0 } else { is_same },
                "{kind} {name}: {gotap}% instead of {go}%\n{}\n{}",
                gos.heading,
                ours.heading
            );
        }
    }
    // A difference of two reads is of this time alone: two goroutines hold the lock in turn.
    let table = app.table("mutex", &["-d", "1s"])?;
    let all = table["functions"].as_array().context("functions")?;
    let lock = all.iter().find(|f| f["function"] == "main.holdLock").context("no main.holdLock")?;
    let delay = lock["cumulative"].as_f64().context("a sum")? / 1e9;
    ensure!((0.2..1.6).contains(&delay), "{delay} s of waiting for one lock in 1 s: {table}");
    let objects = app.table("alloc", &["-d", "1s"])?;
    ensure!(objects["values"][0]["total"].as_u64().is_some_and(|n| n > 10_000), "{objects}");
    Ok(())
}

/// Where the program's profiler is off, there is a sentence that says what to do.
#[test]
fn a_profiler_that_is_off_is_named() -> Result<()> {
    if !can_trace("a_profiler_that_is_off_is_named") {
        return Ok(());
    }
    let app = ProfileApp::start(Version::NEWEST, Mode::Plain, &["-wait"], "1s")?;
    for (kind, words) in [("mutex", "SetMutexProfileFraction"), ("block", "SetBlockProfileRate")] {
        let output = app.gotap(kind, &["-d", "10s"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1) && said.lines().count() == 1, "{said}");
        ensure!(said.contains(words), "{said}");
    }
    Ok(())
}
