//! `gotap sched` against programs that are known: how many processors they keep busy, and how many system calls they
//! make.

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

const BUILDS: [(Version, Mode); 2] =
    [(Version::OLDEST, Mode::Plain), (Version::NEWEST, Mode::Stripped)];

fn each(check: impl Fn(Version, Mode) -> Result<()>) {
    let mut failures = Vec::new();
    for (version, mode) in BUILDS {
        if let Err(error) = check(version, mode) {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What the processors say, added up.
fn sum(object: &Value, key: &str) -> Result<f64> {
    let processors = object["processors"].as_array().context("processors")?;
    let all: Option<Vec<f64>> = processors.iter().map(|p| p[key].as_f64()).collect();
    Ok(all.with_context(|| format!("no {key}: {object}"))?.iter().sum())
}

/// Two goroutines that compute keep two processors busy, however many there are, and however busy the machine is: a
/// processor of Go's has its goroutine also while the machine does something else.
#[test]
fn processors_are_in_use_for_as_long_as_goroutines_run() {
    if !can_trace("processors_are_in_use_for_as_long_as_goroutines_run") {
        return;
    }
    each(|version, mode| {
        let program = go::build("spinapp", version, mode)?;
        for count in [1, 4, 8] {
            let threads = count.to_string();
            let process =
                Running::start(&program, &[] as &[&str], &[("GOMAXPROCS", threads.as_str())])?;
            process.wait_for("ready ", SOON)?;
            let object = RuntimeApp::of(process).gotap("sched", &["-d", "1500ms"])?;
            let busy = f64::from(count.min(2));
            let running = sum(&object, "runningShare")?;
            ensure!((running - busy).abs() < 0.3, "{running} of {count} run: {object}");
            let share = object["utilization"].as_f64().context("utilization")?;
            ensure!((share - running / f64::from(count)).abs() < 1e-6, "{object}");
            ensure!(sum(&object, "syscallShare")? < 0.2, "{object}");
            let samples = object["samples"].as_u64().context("samples")?;
            ensure!((5..=301).contains(&samples), "{object}");
            ensure!(object["processors"].as_array().map(Vec::len) == Some(count as usize));
        }
        Ok(())
    });
}

/// A program that writes to a pipe and waits for what comes out of it does nothing else.
#[test]
fn system_calls_are_as_many_as_the_program_makes() {
    if !can_trace("system_calls_are_as_many_as_the_program_makes") {
        return;
    }
    each(|version, mode| {
        let program = go::build("runtimeapp", version, mode)?;
        let mut app = RuntimeApp::start(&program, &["-quiet", "-syscalls", "200"], &[])?;
        let state = |app: &mut RuntimeApp| -> Result<(f64, f64)> {
            let report = app.report()?;
            let number = |value: &Value| value.as_f64().with_context(|| value.to_string());
            Ok((number(&report["counted"]["calls"])?, number(&report["counted"]["unixNano"])?))
        };
        let before = state(&mut app)?;
        let object = app.gotap("sched", &["-d", "2s"])?;
        let after = state(&mut app)?;
        let seconds = object["seconds"].as_f64().context("seconds")?;
        ensure!((2.0..30.0).contains(&seconds), "{object}");
        let ours = sum(&object, "syscallsPerSecond")? * seconds;
        let (made, time) = (after.0 - before.0, (after.1 - before.1) / 1e9);
        // The runtime counts one twice for which it has taken the processor away, and some are the reports' own.
        ensure!(ours <= 2.0 * made + 20.0, "{ours} of {made}: {object}");
        ensure!(ours >= 0.5 * made * seconds / time, "{ours} of {made} in {time} s: {object}");
        // Whoever waits in the kernel keeps no processor.
        ensure!(object["utilization"].as_f64() < Some(0.5), "{object}");
        Ok(())
    });
}
