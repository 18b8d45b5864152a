//! `gotap gc -d`: each collection of programs that collect all the time, against what their runtime prints of it
//! itself (`GODEBUG=gctrace=1`), and against its sums.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

#[test]
fn each_collection_is_as_the_runtime_prints_it() {
    if !can_trace("each_collection_is_as_the_runtime_prints_it") {
        return;
    }
    let mut failures = Vec::new();
    for (version, mode, single) in [
        (Version::OLDEST, Mode::Plain, false),
        (Version::of(21), Mode::Cgo, true),
        (Version::NEWEST, Mode::Pie, false),
    ] {
        let result = go::build("runtimeapp", version, mode).and_then(|program| {
            let arguments = ["-quiet", "-allocate", "64"];
            let environment = [("GODEBUG", "gctrace=1")];
            compare(RuntimeApp::start(&program, &arguments, &environment)?, version, single)
        });
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn compare(mut app: RuntimeApp, version: Version, single: bool) -> Result<()> {
    let pid = app.process.pid().to_string();
    let mut arguments = vec!["gc", &pid, "--follow", "--format", "json"];
    arguments.extend(single.then_some("--no-uprobe-multi"));
    let mut gotap = Running::start(binary(), &arguments, &[])?;
    gotap.wait_for_error("gotap: ready", SOON)?;
    let before = app.report()?["memory"].clone();
    // On a busy machine it takes longer.
    let mut after = before.clone();
    for _ in 0..15 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        after = app.report()?["memory"].clone();
        if after["NumGC"].as_u64() >= before["NumGC"].as_u64().map(|n| n + 12) {
            break;
        }
    }
    gotap.signal(libc::SIGINT)?;
    ensure!(gotap.wait(SOON)?.success(), "{:?}", gotap.stderr());
    let mut lines = Vec::new();
    for line in gotap.stdout() {
        lines.push(serde_json::from_str::<Value>(&line)?);
    }
    let summary = lines.pop().context("a summary")?["summary"].clone();
    let lost = summary["lost"].as_object().context("lost")?;
    ensure!(lost.len() == 3 && lost.values().all(|n| n == 0), "{summary}");
    ensure!(summary["cycles"] == lines.len(), "{} cycles: {summary}", lines.len());

    // Between the two reports: as many as NumGC says, and so long as PauseTotalNs says.
    let number = |value: &Value| value.as_u64().with_context(|| format!("{value}"));
    let (first, last) = (number(&before["NumGC"])?, number(&after["NumGC"])?);
    ensure!(last >= first + 10, "{first} {last}");
    let between = |line: &&Value| line["cycle"].as_u64().is_some_and(|n| n > first && n <= last);
    let between: Vec<&Value> = lines.iter().filter(between).collect();
    ensure!(between.len() as u64 == last - first, "{} of {}", between.len(), last - first);
    let mut paused = 0;
    for line in &between {
        for pause in line["pauses"].as_array().context("pauses")? {
            paused += number(&pause["nanos"])?;
        }
    }
    let truth = number(&after["PauseTotalNs"])? - number(&before["PauseTotalNs"])?;
    ensure!(paused.abs_diff(truth) * 20 <= truth, "{paused} ns of pauses, {truth} by the runtime");
    // The runtime notes when it has ended the last one.
    let end = between.iter().find(|line| line["cycle"] == last).context("the last one")?;
    let ours = number(&end["startUnixNano"])? + number(&end["durationNanos"])?;
    let theirs = number(&after["LastGC"])?;
    ensure!(ours.abs_diff(theirs) < 5_000_000, "{ours} {theirs}: {end}");
    for line in &between {
        let (start, lasted) = (number(&line["startUnixNano"])?, number(&line["durationNanos"])?);
        for pause in line["pauses"].as_array().context("pauses")? {
            let began = number(&pause["startUnixNano"])?;
            ensure!(began + 5_000_000 > start && began < start + lasted + 5_000_000, "{line}");
        }
    }
    let traces = traces(&app.process.stderr());
    let mut compared = 0;
    for line in between {
        compared += 1;
        same(line, traces.get(&number(&line["cycle"])?).context("no trace")?)
            .with_context(|| line.to_string())?;
    }
    ensure!(compared >= 10, "{compared} were compared");
    sums_up(&summary, version)
}

/// Checks what the summary says of all collections, and of what else stops goroutines.
fn sums_up(summary: &Value, version: Version) -> Result<()> {
    let fraction = summary["cpuFraction"].as_f64().context("cpuFraction")?;
    ensure!(fraction > 0.0 && fraction < 1.0, "{summary}");
    // The reports stop all goroutines, too.
    let stops = summary["otherStops"].as_array().context("otherStops")?;
    let reason = if version.minor >= 22 { "read mem stats" } else { "unknown" };
    let stop = stops.iter().find(|stop| stop["reason"] == reason).context("a stop")?;
    ensure!(stop["count"].as_u64() >= Some(2), "{summary}");
    ensure!((version.minor >= 22) == stop["nanos"].is_u64(), "{summary}");
    Ok(())
}

/// Lines as `gc 12 @0.123s 4%: 0.01+0.2+0.03 ms clock, … ms cpu, 4->5->2 MB, 6 MB goal, …`, by their number.
fn traces(lines: &[String]) -> BTreeMap<u64, String> {
    let numbered = lines.iter().filter_map(|line| {
        let rest = line.strip_prefix("gc ")?;
        Some((rest.split(' ').next()?.parse().ok()?, rest.to_owned()))
    });
    numbered.collect()
}

/// That a collection is the one that the runtime has printed.
fn same(cycle: &Value, trace: &str) -> Result<()> {
    let mebibytes = |key: &str| -> Result<u64> {
        Ok(cycle[key].as_u64().with_context(|| key.to_owned())? >> 20)
    };
    let heap = ["heapBeforeBytes", "heapAtEndBytes", "heapMarkedBytes"].map(mebibytes);
    let [before, end, marked] = heap;
    let heap = format!(" {}->{}->{} MB, ", before?, end?, marked?);
    ensure!(trace.contains(&heap), "{heap} in {trace}");
    let goal = format!(" {} MB goal", mebibytes("heapGoalBytes")?);
    ensure!(trace.contains(&goal), "{goal} in {trace}");
    let forced = cycle["trigger"] == "forced";
    ensure!(forced == trace.contains("(forced)"), "{trace}");
    let clock = trace.split(": ").nth(1).and_then(|rest| rest.split(" ms clock").next());
    let clock = clock.context("a clock")?.split('+').map(str::parse::<f64>);
    let clock = clock.collect::<Result<Vec<_>, _>>()?;
    let phases = ["sweepTerminationNanos", "markNanos", "markTerminationNanos"];
    ensure!(clock.len() == phases.len(), "{trace}");
    for (phase, milliseconds) in phases.iter().zip(clock) {
        let ours = cycle["phases"][phase].as_f64().context("a phase")? / 1e6;
        ensure!(is_printed(ours, milliseconds, 0.0), "{phase}: {trace}");
    }
    // Of the processor time, what workers took: the second of three between the plus signs.
    let cpu = trace.split("clock, ").nth(1).and_then(|rest| rest.split(" ms cpu").next());
    let marking = cpu.and_then(|cpu| cpu.split('+').nth(1)).context("processor time")?;
    let keys = ["assistCpuNanos", "backgroundCpuNanos", "idleCpuNanos"];
    for (key, milliseconds) in keys.iter().zip(marking.split('/')) {
        let truth: f64 = milliseconds.parse()?;
        let ours = cycle[key].as_f64().with_context(|| (*key).to_owned())? / 1e6;
        // It may go on while the runtime prints.
        ensure!(is_printed(ours, truth, 0.2), "{key}: {ours} in {trace}");
    }
    Ok(())
}

/// Whether a time is what the runtime has printed: two digits of it, the others cut off.
fn is_printed(ours: f64, printed: f64, later: f64) -> bool {
    ours > printed - 1e-6 - later && ours < 1.1 * printed + 0.0011 + later
}
