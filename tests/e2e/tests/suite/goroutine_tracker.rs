//! `gotap trace goroutines`: each creation and each exit, against what the program counts itself.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{SOON, Tracked, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use serde_json::Value;

/// Builds that run here: the oldest and newest Go, one with the race detector, or all.
fn builds() -> Vec<(Version, Mode)> {
    if go::is_full() {
        let runs_here = |(_, mode): &(Version, Mode)| mode.runs_here();
        return go::observed().into_iter().filter(runs_here).collect();
    }
    let of = Version::of;
    vec![
        (Version::OLDEST, Mode::Plain),
        (of(23), Mode::Stripped),
        (Version::NEWEST, Mode::Pie),
        (Version::NEWEST, Mode::Race),
    ]
}

fn each(check: impl Fn(&Path, Version) -> Result<()>) {
    let mut failures = Vec::new();
    for (version, mode) in builds() {
        let result = go::build("poolapp", version, mode).and_then(|program| {
            if mode == Mode::Unoptimised && [22, 23].contains(&version.minor) {
                refused(&program)
            } else {
                check(&program, version)
            }
        });
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// There, nothing but single-stepped instructions comes after a goroutine has its number.
fn refused(program: &Path) -> Result<()> {
    let tracked = Tracked::start(program, &[], &[]);
    let why = tracked.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(why.contains("no cheap instruction was found"), "{why}");
    Ok(())
}

fn of<'v>(events: &'v [Value], kind: &str, function: &str) -> Vec<&'v Value> {
    let wanted = |e: &&Value| e["event"] == kind && e["function"] == function;
    events.iter().filter(wanted).collect()
}

/// That the numbers of the summary are those of the events, and that nothing is lost.
fn summary_fits(events: &[Value], summary: &Value) -> Result<()> {
    let lost = summary["lost"].as_object().context("lost")?;
    ensure!(lost.len() == 6 && lost.values().all(|n| n == 0), "{summary}");
    for kind in ["created", "exited"] {
        let count = events.iter().filter(|e| e["event"] == kind).count();
        ensure!(summary[kind] == count, "{count} {kind}: {summary}");
    }
    let times: Vec<u64> = events.iter().filter_map(|e| e["lifetimeNanos"].as_u64()).collect();
    let of_times = &summary["lifetimes"];
    ensure!(of_times["count"] == times.len(), "{} lifetimes: {summary}", times.len());
    let buckets = of_times["buckets"].as_array().context("buckets")?;
    let sum: u64 = buckets.iter().filter_map(|b| b["count"].as_u64()).sum();
    ensure!(sum == times.len() as u64, "{summary}");
    let max = times.iter().max().context("a lifetime")?;
    let said = of_times["maxNanos"].as_u64().context("maxNanos")?;
    ensure!(said.abs_diff(*max) <= max / 50, "{max}: {summary}");
    Ok(())
}

/// Every goroutine of the program: number, parent, creator, function, time and lifetime.
fn whole(program: &Path, _: Version) -> Result<()> {
    let pool = ["-workers", "2000", "-rate", "1000", "-life", "2ms"];
    let (truth, mut events) = Tracked::start(program, &pool, &[])?.run()?;
    let last = events.pop().context("a summary")?;
    summary_fits(&events, &last["summary"])?;
    let mut created = HashMap::new();
    for (function, count) in [("main.worker", "workers"), ("main.child", "children")] {
        let (begun, ended) = (of(&events, "created", function), of(&events, "exited", function));
        ensure!(
            truth[count] == begun.len() && begun.len() == ended.len(),
            "{} {function} created and {} exited of {truth}",
            begun.len(),
            ended.len()
        );
        created.extend(begun.into_iter().map(|e| (e["goid"].as_u64(), e)));
        for end in ended {
            let begin = created.get(&end["goid"].as_u64()).context("it was created")?;
            let time = |e: &Value| e["timeUnixNano"].as_u64().context("timeUnixNano");
            ensure!(end["lifetimeNanos"] == time(end)? - time(begin)?, "{begin} {end}");
            ensure!(begin["lifetimeNanos"].is_null(), "{begin}");
            for same in ["parentGoid", "createdBy"] {
                ensure!(begin[same] == end[same] && !end[same].is_null(), "{begin} {end}");
            }
        }
    }
    for worker in of(&events, "created", "main.worker") {
        let by = &worker["createdBy"];
        ensure!(by["function"] == "main.spawn" && worker["parentGoid"] == 1, "{worker}");
        let file = by["file"].as_str().is_some_and(|file| file.ends_with("main.go"));
        ensure!(file && by["line"].as_u64() > Some(60), "{worker}");
    }
    for worker in of(&events, "exited", "main.worker") {
        let lifetime = worker["lifetimeNanos"].as_u64();
        ensure!(lifetime >= Some(2_000_000) && lifetime < Some(5_000_000_000), "{worker}");
    }
    for child in of(&events, "created", "main.child") {
        let parent = created.get(&child["parentGoid"].as_u64()).context("its parent")?;
        ensure!(parent["function"] == "main.worker", "{child} {parent}");
    }
    // They were there before: how long, nothing tells.
    let veterans = of(&events, "exited", "main.veteran");
    ensure!(truth["old"] == veterans.len() && !veterans.is_empty(), "{veterans:?}");
    for veteran in veterans {
        let by = &veteran["createdBy"]["function"];
        ensure!(veteran["lifetimeNanos"].is_null() && by == "main.main", "{veteran}");
    }
    Ok(())
}

#[test]
fn each_goroutine_is_told_of_once() {
    if can_trace("each_goroutine_is_told_of_once") {
        each(whole);
    }
}

#[test]
fn each_goroutine_is_told_of_without_uprobe_multi() {
    if can_trace("each_goroutine_is_told_of_without_uprobe_multi") {
        each(|program, _| {
            let pool = ["-workers", "500", "-rate", "1000"];
            let (truth, mut lines) =
                Tracked::start(program, &pool, &["--no-uprobe-multi"])?.run()?;
            let summary = lines.pop().context("a summary")?["summary"].clone();
            summary_fits(&lines, &summary)?;
            let created = of(&lines, "created", "main.worker").len();
            let exited = of(&lines, "exited", "main.worker").len();
            ensure!(truth["workers"] == created && truth["ended"] == exited, "{truth} {summary}");
            Ok(())
        });
    }
}

/// What exceeds the budget is seen for moments alone, which is said; without a budget all is seen.
#[test]
fn more_than_the_budget_allows_is_left_out_aloud() -> Result<()> {
    if !can_trace("more_than_the_budget_allows_is_left_out_aloud") {
        return Ok(());
    }
    let program = go::build("poolapp", Version::NEWEST, Mode::Plain)?;
    let pool = ["-workers", "400000", "-rate", "10000000", "-life", "1us"];
    let seen = |budget: &[&str]| -> Result<(u64, Value, Value, String)> {
        let mut tracked = Tracked::start(&program, &pool, &[&["--summary"], budget].concat())?;
        tracked.pool.signal(libc::SIGUSR1)?;
        let truth: Value = serde_json::from_str(&tracked.pool.wait_for("counts ", SOON)?)?;
        tracked.gotap.process.signal(libc::SIGINT)?;
        ensure!(tracked.gotap.process.wait(SOON)?.success());
        let line = tracked.gotap.process.stdout().pop().context("a summary")?;
        let summary = serde_json::from_str::<Value>(&line)?["summary"].clone();
        let all = truth["workers"].as_u64().zip(truth["children"].as_u64());
        let all = all.map(|(workers, children)| workers + children).context("counts")?;
        Ok((
            all,
            summary.clone(),
            summary["overhead"].clone(),
            tracked.gotap.process.stderr().join("\n"),
        ))
    };
    let (all, summary, overhead, said) = seen(&["--overhead-budget", "1%"])?;
    ensure!(overhead["complete"] == false && summary["alive"].is_null(), "{summary}");
    ensure!(
        overhead["trapNanos"].as_f64().is_some_and(|n| n > 50.0 && n < 100_000.0),
        "{overhead}"
    );
    let created = summary["created"].as_u64().context("created")?;
    ensure!(created > 0 && created < all * 3 / 4, "{created} of {all}");
    ensure!(said.contains("only for moments"), "{said}");
    let (all, summary, overhead, said) = seen(&["--overhead-budget", "unlimited"])?;
    ensure!(overhead["complete"] == true && overhead["budget"].is_null(), "{overhead}");
    let created = summary["created"].as_u64().context("created")?;
    ensure!(created >= all && created < all + 100, "{created} of {all}: {said}");
    Ok(())
}

/// While the command does not read, the buffer overflows: what is lost is counted, and the sum is right.
#[test]
fn what_does_not_fit_is_counted() -> Result<()> {
    if !can_trace("what_does_not_fit_is_counted") {
        return Ok(());
    }
    let program = go::build("poolapp", Version::NEWEST, Mode::Plain)?;
    let pool = ["-workers", "120000", "-rate", "10000000", "-life", "1ms"];
    let mut tracked =
        Tracked::start(&program, &pool, &["--summary", "--overhead-budget", "unlimited"])?;
    tracked.gotap.process.signal(libc::SIGSTOP)?;
    tracked.pool.signal(libc::SIGUSR1)?;
    let truth: Value = serde_json::from_str(&tracked.pool.wait_for("counts ", SOON)?)?;
    tracked.gotap.process.signal(libc::SIGCONT)?;
    tracked.gotap.process.signal(libc::SIGINT)?;
    ensure!(tracked.gotap.process.wait(SOON)?.success(), "{:?}", tracked.gotap.process.stderr());
    let lines = tracked.gotap.process.stdout();
    ensure!(lines.len() == 1, "{lines:?}");
    let summary = serde_json::from_str::<Value>(&lines[0])?["summary"].clone();
    let number = |value: &Value| value.as_u64().with_context(|| summary.to_string());
    let lost = &summary["lost"];
    let (lost_created, lost_exited) =
        (number(&lost["createdRingFull"])?, number(&lost["exitedRingFull"])?);
    ensure!(lost_created > 0 && lost_exited > 0, "{summary}");
    let told = summary["functions"].as_array().context("functions")?;
    let sum = |key: &str| told.iter().filter_map(|f| f[key].as_u64()).sum::<u64>();
    ensure!(number(&summary["created"])? == sum("created") + lost_created, "{summary}");
    ensure!(number(&summary["exited"])? == sum("exited") + lost_exited, "{summary}");
    let all = number(&truth["workers"])? + number(&truth["children"])?;
    let created = number(&summary["created"])?;
    ensure!(created >= all && created < all + 100, "{created} of {all}");
    Ok(())
}

#[test]
fn it_ends_with_the_process_or_after_the_time() -> Result<()> {
    if !can_trace("it_ends_with_the_process_or_after_the_time") {
        return Ok(());
    }
    let program = go::build("poolapp", Version::NEWEST, Mode::Plain)?;
    let mut timed = Tracked::start(&program, &[], &["-d", "300ms"])?;
    ensure!(timed.gotap.process.wait(SOON)?.success(), "{:?}", timed.gotap.process.stderr());
    ensure!(timed.gotap.process.stdout().last().is_some_and(|l| l.starts_with("{\"summary\"")));
    let mut killed = Tracked::start(&program, &[], &[])?;
    killed.pool.signal(libc::SIGKILL)?;
    ensure!(killed.gotap.process.wait(SOON)?.success(), "{:?}", killed.gotap.process.stderr());
    let said = killed.gotap.process.stderr().join("\n");
    ensure!(said.contains("has ended"), "{said}");
    Ok(())
}
