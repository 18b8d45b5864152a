//! Goroutines read from outside against what the program's own runtime says of them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::{Frame, RuntimeApp, Traced, listed, traced};
use gotap_e2e::{SOON, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use serde_json::Value;

/// Makes a Go program end with a stack trace.
const SIGQUIT: i32 = 3;

/// Each Go version that changed something, and each way to build.
fn builds() -> Vec<(Version, Mode)> {
    go::selected_or(&[
        (18, Mode::Plain),
        (21, Mode::Cgo),
        (23, Mode::Stripped),
        (25, Mode::Cgo),
        (27, Mode::Stripped),
        (27, Mode::Pie),
    ])
}

fn each(check: impl Fn(&mut RuntimeApp, Version) -> Result<()>, environment: &[(&str, &str)]) {
    let mut failures = Vec::new();
    for (version, mode) in builds() {
        let result = go::build("runtimeapp", version, mode)
            .and_then(|program| RuntimeApp::start(&program, &[], environment))
            .and_then(|mut app| check(&mut app, version));
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What both say of the same goroutines.
struct Both {
    truth: BTreeMap<u64, Traced>,
    listed: BTreeMap<u64, (Traced, Value)>,
    object: Value,
    report: Value,
}

/// What the program says twice, so that only what did not change meanwhile is compared, and what gotap
/// says in between.
fn compared(app: &mut RuntimeApp, arguments: &[&str]) -> Result<Both> {
    let first = app.report()?;
    let object = app.gotap("goroutines", arguments)?;
    let second = app.report()?;
    let of = |report: &Value| traced(report["stack"].as_str().unwrap_or_default());
    let (before, mut truth) = (of(&first)?, of(&second)?);
    truth.retain(|goid, now| before.get(goid) == Some(now) && now.doing != "running");
    ensure!(truth.len() > 30, "only {} goroutines to compare", truth.len());
    Ok(Both { truth, listed: listed(&object)?, object, report: second })
}

/// Whether a stack trace shows a function of the runtime: those that programs call.
fn is_shown(innermost: bool, name: &str) -> bool {
    let Some(rest) = name.strip_prefix("runtime.") else { return true };
    rest.starts_with(char::is_uppercase) || (name == "runtime.gopanic" && !innermost)
}

#[test]
fn every_goroutine_is_as_the_runtime_says() {
    if can_trace("every_goroutine_is_as_the_runtime_says") {
        each(compare_visible, &[]);
    }
}

fn compare_visible(app: &mut RuntimeApp, _: Version) -> Result<()> {
    let Both { truth, listed, object, report } = compared(app, &["--all"])?;
    let mut differences = Vec::new();
    for (goid, want) in &truth {
        let Some((got, value)) = listed.get(goid) else {
            differences.push(format!("no goroutine {goid}: {want:?}"));
            continue;
        };
        let shown = got.frames.iter().enumerate();
        let shown = shown.filter(|(i, (name, _, _))| is_shown(*i == 0, name));
        let got = Traced { frames: shown.map(|(_, f)| f.clone()).collect(), ..got.clone() };
        if got != *want || value["changed"] == true {
            differences.push(format!("goroutine {goid}:\n  {got:?}\n  {want:?}\n  {value}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(
        object["count"] == report["goroutines"],
        "{} {}",
        object["count"],
        report["goroutines"]
    );
    ensure!(listed.len() as u64 == object["count"].as_u64().unwrap_or(0), "{}", object["count"]);
    Ok(())
}

/// When it is made to crash with `GOTRACEBACK=system`, the runtime shows all frames, and its own
/// goroutines.
#[test]
fn frames_and_goroutines_of_the_runtime_are_as_it_says() {
    if can_trace("frames_and_goroutines_of_the_runtime_are_as_it_says") {
        each(compare_all, &[("GOTRACEBACK", "system")]);
    }
}

fn compare_all(app: &mut RuntimeApp, _: Version) -> Result<()> {
    let object = app.gotap("goroutines", &["--all", "--system"])?;
    let listed = listed(&object)?;
    app.process.signal(SIGQUIT)?;
    app.process.wait(SOON)?;
    let said = app.process.stderr().join("\n");
    let is_goroutine = |block: &&str| {
        let is_one = block.starts_with("goroutine ") && !block.starts_with("goroutine 0 ");
        is_one && !block.contains("stack unavailable") && !block.contains("[running")
    };
    let blocks: Vec<&str> = said.split("\n\n").filter(is_goroutine).collect();
    let truth = traced(&blocks.join("\n\n"))?;
    let mut differences = Vec::new();
    let (mut system, mut compared) = (0, 0);
    for (goid, want) in &truth {
        let Some((got, value)) = listed.get(goid) else {
            differences.push(format!("no goroutine {goid}: {want:?}"));
            continue;
        };
        if value["system"] == true {
            system += 1;
            // The runtime's own may have done something meanwhile.
            if got.doing != want.doing {
                continue;
            }
        }
        compared += 1;
        if !is_same_but_wrappers(&got.frames, &want.frames) || got.doing != want.doing {
            differences.push(format!("goroutine {goid}:\n  {got:?}\n  {want:?}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(compared > 33 && system >= 3, "{compared} compared, {system} of the runtime");
    ensure!(object["system"].as_u64() >= Some(system), "{system} {}", object["system"]);
    Ok(())
}

/// Whether only functions that the compiler made are left out, and the end of all stacks.
fn is_same_but_wrappers(got: &[Frame], want: &[Frame]) -> bool {
    let mut got = got.iter().peekable();
    for (i, frame) in want.iter().enumerate() {
        if got.peek() == Some(&frame) {
            got.next();
            continue;
        }
        // The toolchain calls these two so.
        let is_named = ["runtime.deferCallSave", "runtime.runOpenDeferFrame"].contains(&&*frame.0);
        let is_last = |i: usize| want.get(i).is_some_and(|f| f.0 == "runtime.goexit");
        if !is_named && !is_last(i) && !is_last(i + 1) && frame.1 != "<autogenerated>" {
            return false;
        }
    }
    got.next().is_none()
}

#[test]
fn what_goroutines_wait_on_is_told() {
    if can_trace("what_goroutines_wait_on_is_told") {
        each(waits, &[]);
    }
}

fn waits(app: &mut RuntimeApp, version: Version) -> Result<()> {
    let report = app.report()?;
    let object = app.gotap("goroutines", &["--all"])?;
    let goroutines = object["goroutines"].as_array().context("goroutines")?;
    let on = |address: &Value| -> Vec<&Value> {
        goroutines.iter().filter(|g| g["waitingOn"]["address"] == *address).collect()
    };
    let facts = &report["facts"];
    let expect = |name: &str, waiters: usize, wants: &[(&str, Value)]| -> Result<()> {
        let found = on(&facts[name]);
        ensure!(found.len() == waiters, "{name}: {} wait, not {waiters}: {found:?}", found.len());
        for (goroutine, (key, want)) in found.iter().flat_map(|g| wants.iter().map(move |w| (g, w)))
        {
            let got = &goroutine["waitingOn"][key];
            ensure!(got == want, "{name}: {key} is {got}, not {want}");
        }
        Ok(())
    };
    let channel = |element: &str, len: u64, cap: u64, senders: u64, receivers: u64| {
        let text: Value = element.into();
        [
            ("kind", "chan".into()),
            ("elementType", text),
            ("len", len.into()),
            ("cap", cap.into()),
            ("closed", false.into()),
            ("senders", senders.into()),
            ("receivers", receivers.into()),
        ]
    };
    // A select waits on each of them, too.
    expect("full", 3, &channel("main.item", 2, 2, 4, 0))?;
    expect("empty", 2, &channel("*main.item", 0, 0, 0, 3))?;
    expect("mutex", 4, &[("kind", "mutex".into()), ("receivers", 4.into())])?;
    expect("rwmutex", 3, &[("kind", "rwmutex".into()), ("receivers", 3.into())])?;
    if version.minor >= 20 {
        expect("waitgroup", 1, &[("kind", "waitgroup".into())])?;
    }
    let select = goroutines.iter().find(|g| g["startFunction"] == "main.selectOf");
    let channels = &select.context("the select")?["waitingOn"]["channels"];
    ensure!(channels.as_array().is_some_and(|all| all.len() == 3), "{channels}");
    starts_and_ages(goroutines, version)
}

/// Functions behind `go f(x)`, parents, and times.
fn starts_and_ages(goroutines: &[Value], version: Version) -> Result<()> {
    let started = |name: &str| -> Result<&Value> {
        let mut found = goroutines.iter().filter(|g| g["startFunction"] == name);
        found.next().with_context(|| format!("no goroutine began with {name}"))
    };
    for name in ["sendTo", "receiveFrom", "takeLock", "deep", "sleeper.sleep", "generic[...]"] {
        started(&format!("main.{name}"))?;
    }
    let inner = goroutines.iter().find(|g| g["createdBy"]["function"] == "main.nested");
    let inner = inner.context("the one that nested started")?;
    let parent = started("main.nested")?["goid"].clone();
    let known = if version.minor >= 21 { parent } else { Value::Null };
    ensure!(inner["parentGoid"] == known, "{inner}");
    let locked = started("main.lockedToThread")?;
    ensure!(locked["lockedToThread"] == true, "{locked}");
    // The program made the runtime look at all of them after they began to wait.
    let age = started("main.takeLock")?["waitSeconds"].as_f64().context("an age")?;
    ensure!((0.0..600.0).contains(&age), "{age}");
    Ok(())
}
