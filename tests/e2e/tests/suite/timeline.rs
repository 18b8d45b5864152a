//! `gotap sched -o`: a timeline that Perfetto opens, and what it says of a program that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

/// A file of this test, which is removed at its end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("gotap-{}-{name}", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn sched(pid: u32, file: &Path, more: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary());
    command.args(["sched", &pid.to_string(), "--format", "json", "-o"]).arg(file).args(more);
    command.output().context("run gotap")
}

/// The summary and the file.
fn recorded(pid: u32, name: &str, more: &[&str]) -> Result<(Value, String)> {
    let file = Temporary::new(name);
    let output = sched(pid, &file.0, more)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    let summary: Value = serde_json::from_slice(&output.stdout).context("a summary")?;
    Ok((summary, std::fs::read_to_string(&file.0)?))
}

/// A slice of a track: start and end in microseconds, name, and arguments.
type Slices<'v> = BTreeMap<(u64, u64), Vec<(f64, f64, &'v str, &'v Value)>>;

/// The slices of each track, which must be in order and not overlap.
fn slices<'v>(trace: &'v Value, summary: &Value) -> Result<Slices<'v>> {
    let mut out = Slices::new();
    let end = summary["seconds"].as_f64().context("seconds")? * 1e6;
    let events = trace["traceEvents"].as_array().context("traceEvents")?;
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let number = |key: &str| event[key].as_f64().with_context(|| event.to_string());
        let (start, length) = (number("ts")?, number("dur")?);
        ensure!(start >= 0.0 && length > 0.0 && start + length <= end + 1.0, "{event}");
        let place = event["pid"].as_u64().zip(event["tid"].as_u64());
        let track = out.entry(place.context("a track")?).or_default();
        if let Some((_, before, _, _)) = track.last() {
            ensure!(*before <= start + 0.002, "{event} begins before {before}");
        }
        let name = event["name"].as_str().context("a name")?;
        track.push((start, start + length, name, &event["args"]));
    }
    let named: BTreeSet<_> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .filter_map(|event| event["pid"].as_u64().zip(event["tid"].as_u64()))
        .collect();
    ensure!(out.keys().all(|track| named.contains(track)), "{named:?}");
    Ok(out)
}

/// Two goroutines share the one processor. A third, which waits, is on none.
fn spinning(program: &Path) -> Result<()> {
    let process = Running::start(program, &[] as &[&str], &[("GOMAXPROCS", "1")])?;
    let goids: Vec<u64> = serde_json::from_str(&process.wait_for("ready ", SOON)?)?;
    let [first, second, waits] = goids[..] else { anyhow::bail!("{goids:?}") };
    let (summary, text) = recorded(process.pid(), "spin.json", &["-d", "600ms"])?;
    let trace: Value = serde_json::from_str(&text)?;
    let all = slices(&trace, &summary)?;
    let (mut spun, mut seen) = (0.0, BTreeSet::new());
    let processor = all.get(&(1, 0)).context("the processor")?;
    ensure!(all.keys().filter(|(group, _)| *group == 1).count() == 1, "{:?}", all.keys());
    for (start, end, name, args) in processor {
        if *name == "main.spinner" {
            let goid = args["goid"].as_u64().context("goid")?;
            ensure!([first, second].contains(&goid), "{goid} of {goids:?}");
            seen.insert(goid);
            spun += end - start;
        }
    }
    let seconds = summary["seconds"].as_f64().context("seconds")?;
    ensure!(seen.len() == 2 && spun > seconds * 1e6 / 2.0, "{spun} of {seconds}: {summary}");
    let goroutines: BTreeSet<_> = all.keys().filter(|(group, _)| *group == 3).collect();
    ensure!(
        goroutines.contains(&(3, first)) && !goroutines.contains(&(3, waits)),
        "{goroutines:?}"
    );
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.pid()))?;
    let threads: BTreeSet<u64> =
        threads.filter_map(|t| t.ok()?.file_name().to_str()?.parse().ok()).collect();
    let shown: Vec<_> = all.keys().filter(|(group, _)| *group == 2).map(|(_, id)| *id).collect();
    ensure!(!shown.is_empty() && shown.iter().all(|id| threads.contains(id)), "{shown:?}");
    let counted = summary["processors"][0]["switches"].as_u64().context("switches")?;
    ensure!(summary["processors"].as_array().map(Vec::len) == Some(1), "{summary}");
    ensure!((2..20_000).contains(&counted), "{summary}");
    // Neither of the two gives the processor up by itself.
    let mut numbers = Command::new(binary());
    let pid = process.pid().to_string();
    numbers.args(["sched", &pid, "--format", "json", "-d", "600ms"]);
    let numbers: Value = serde_json::from_slice(&numbers.output()?.stdout)?;
    let signals = numbers["preemptionSignals"].as_u64();
    ensure!(signals >= Some(5) && signals < Some(10_000), "{numbers}");
    // What it costs is bounded.
    let cpu = summary["agentCpuSeconds"].as_f64().context("agentCpuSeconds")?;
    ensure!(cpu < 0.1 * seconds, "{summary}");
    let samples = summary["samples"].as_u64().context("samples")?;
    let told = trace["otherData"]["resolution"].as_str().context("resolution")?;
    ensure!(told.contains(&format!("sampled {samples} times")) && samples > 20, "{told}");
    Ok(())
}

#[test]
fn who_runs_is_on_the_timeline() {
    if !can_trace("who_runs_is_on_the_timeline") {
        return;
    }
    let builds = go::selected_or(&[(18, Mode::Plain), (27, Mode::Pie)]);
    let mut failures = Vec::new();
    for (version, mode) in builds {
        let result = go::build("spinapp", version, mode).and_then(|program| spinning(&program));
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Goroutines come and go all the time: slices are in order still, and tracks bounded.
#[test]
fn a_busy_program_has_a_timeline_in_order() -> Result<()> {
    if !can_trace("a_busy_program_has_a_timeline_in_order") {
        return Ok(());
    }
    let program = go::build("runtimeapp", Version::NEWEST, Mode::Stripped)?;
    let process = Running::start(&program, &["-quiet", "-busy"], &[] as &[(&str, &str)])?;
    process.wait_for("ready", SOON)?;
    let (summary, text) =
        recorded(process.pid(), "busy.json", &["-d", "1s", "--interval", "500us"])?;
    let trace: Value = serde_json::from_str(&text)?;
    let all = slices(&trace, &summary)?;
    let count: usize = all.values().map(Vec::len).sum();
    ensure!(summary["slices"] == count && summary["slicesLeftOut"] == 0, "{count}: {summary}");
    let names: BTreeSet<_> = all.values().flatten().map(|(_, _, name, _)| *name).collect();
    ensure!(names.iter().any(|name| name.starts_with("main.")), "{names:?}");
    let sum = |key: &str| -> u64 {
        let all = summary["processors"].as_array().into_iter().flatten();
        all.filter_map(|p| p[key].as_u64()).sum()
    };
    ensure!(sum("switches") > 1_000, "{summary}");
    Ok(())
}

#[test]
fn a_picture_needs_nothing_else() -> Result<()> {
    if !can_trace("a_picture_needs_nothing_else") {
        return Ok(());
    }
    let program = go::build("spinapp", Version::NEWEST, Mode::Pie)?;
    let mut process = Running::start(&program, &[] as &[&str], &[("GOMAXPROCS", "1")])?;
    process.wait_for("ready ", SOON)?;
    let (summary, text) = recorded(process.pid(), "spin.svg", &["-d", "200ms"])?;
    ensure!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{summary}");
    ensure!(!text.contains("<script") && !text.contains("href"), "{text}");
    ensure!(text.matches("main.spinner, goroutine ").count() > 1, "{text}");
    ensure!(text.contains("what is shorter may be missing"), "{text}");
    for open in ["rect", "text", "title"] {
        let begun = text.matches(&format!("<{open}")).count();
        let ended = text.matches(&format!("</{open}>")).count();
        let alone = text.matches("fill=\"#fff\"/>").count();
        ensure!(begun == ended + if open == "rect" { alone } else { 0 }, "{open}: {begun} {ended}");
    }
    let output = sched(process.pid(), Path::new("/tmp/trace.txt"), &[])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2) && said.contains(".json or .svg"), "{said}");
    process.signal(libc::SIGKILL)?;
    process.wait(SOON)?;
    Ok(())
}
