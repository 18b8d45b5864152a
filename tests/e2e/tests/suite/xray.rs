//! `gotap xray` against a program whose requests spend known parts of their time in known ways, and which measures
//! these parts itself.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

/// How long it is looked at. Three clients make some 20 requests a second.
const LOOKED: &str = "6500ms";
/// In points of a hundred.
const TOLERANCE: f64 = 10.0;
/// Of the time of requests that help the collector or are stopped, this much may be unknown, in the same.
const MOST_UNKNOWN: f64 = 40.0;
/// How often these are looked at: what else runs on the machine takes time from the one side of the comparison alone.
const ATTEMPTS: usize = 3;

/// A running xrayapp; its clients begin when gotap observes.
struct App {
    process: Running,
}

impl App {
    fn start(version: Version, mode: Mode, arguments: &[&str]) -> Result<Self> {
        let program = go::build("xrayapp", version, mode)?;
        let process = Running::start(&program, arguments, &[])?;
        process.wait_for("ready", SOON)?;
        Ok(Self { process })
    }

    /// What gotap prints, and what it says beside.
    fn xray(&mut self, arguments: &[&str]) -> Result<(Vec<String>, String)> {
        let mut command = Command::new(binary());
        command.args(["xray", &self.process.pid().to_string()]).args(arguments);
        let mut gotap = Running::spawn(command)?;
        gotap.wait_for_error("ready, observing", SOON)?;
        self.process.signal(libc::SIGUSR1)?;
        let status = gotap.wait(SOON)?;
        let said = gotap.stderr().join("\n");
        ensure!(status.success(), "{status}: {said}");
        Ok((gotap.stdout(), said))
    }

    /// What the program itself measured, in parts of all.
    fn truth(mut self) -> Result<Vec<(String, f64)>> {
        self.process.signal(libc::SIGTERM)?;
        let line = self.process.wait_for("truth", SOON)?;
        let said: Value = serde_json::from_str(line.trim())?;
        let parts = said["seconds"].as_object().context("no seconds")?;
        let all: f64 = parts.values().filter_map(Value::as_f64).sum();
        let share = |(name, time): (&String, &Value)| Some((name.clone(), time.as_f64()? / all));
        parts.iter().map(|part| share(part).context("a number")).collect()
    }
}

fn objects(lines: &[String]) -> Result<Vec<Value>> {
    lines.iter().map(|line| serde_json::from_str(line).context("JSON")).collect()
}

fn of_route<'o>(all: &'o [Value], route: &str) -> Result<&'o Value> {
    all.iter().find(|o| o["route"] == route).with_context(|| format!("no {route}: {all:?}"))
}

fn number(object: &Value, keys: [&str; 2]) -> Result<f64> {
    object[keys[0]][keys[1]].as_f64().with_context(|| format!("{keys:?} of {object}"))
}

#[test]
fn requests_spend_their_time_where_they_say() {
    if !can_trace("requests_spend_their_time_where_they_say") {
        return;
    }
    let versions = [(Version::OLDEST, Mode::Plain), (Version::NEWEST, Mode::Stripped)];
    std::thread::scope(|scope| {
        let running = versions.map(|(version, mode)| {
            scope.spawn(move || compare(version, mode).with_context(|| format!("Go {version}")))
        });
        for thread in running {
            thread.join().unwrap().unwrap();
        }
    });
}

fn compare(version: Version, mode: Mode) -> Result<()> {
    let mut app = App::start(version, mode, &["-hang", "-clients", "4"])?;
    let (printed, said) = app.xray(&["-d", LOOKED, "--format", "json", "--top", "20"])?;
    let all = objects(&printed)?;
    let truth = app.truth()?;
    let mix = of_route(&all, "/mix/")?;
    let count = mix["count"].as_u64().context("no count")?;
    ensure!(count >= 100, "only {count} requests");
    let took = mix["requestSeconds"].as_f64().context("no time")?;
    let seconds = mix["seconds"].as_object().context("no seconds")?;
    let sum: f64 = seconds.values().filter_map(Value::as_f64).sum();
    ensure!((sum - took).abs() < 0.01 * took, "{sum} s of {took} s: {mix}");
    for (state, share) in truth {
        let found = 100.0 * number(mix, ["seconds", &state])? / took;
        let wanted = 100.0 * share;
        ensure!(
            (found - wanted).abs() < TOLERANCE,
            "{state}: {found}% instead of {wanted}%: {mix}"
        );
    }
    let top = mix["top"].as_array().context("no top")?;
    for (state, function) in
        [("cpu", "main.spin"), ("mutex", "main.waitMutex"), ("io", "main.waitIO")]
    {
        let has = |entry: &&Value| {
            let stack = entry["stack"].as_array();
            entry["state"] == state
                && stack.iter().copied().flatten().any(|f| f["function"] == function)
        };
        ensure!(top.iter().any(|entry| has(&entry)), "no {function} with {state}: {mix}");
    }
    ensure!(!all.iter().any(|o| o["route"] == "/quick"), "{all:?}");
    // What hangs has no route yet.
    let running = all.iter().find(|o| o["running"] == true).context("nothing runs still")?;
    ensure!(
        running["route"].is_null() && number(running, ["seconds", "select"])? > 3.0,
        "{running}"
    );
    let fan = of_route(&all, "/fan")?;
    let took = fan["requestSeconds"].as_f64().context("no time")?;
    ensure!(number(fan, ["seconds", "channel"])? > 0.7 * took, "{fan}");
    if version.minor < 21 {
        ensure!(fan["started"].is_null() && said.contains("since Go 1.21"), "{said}");
        return Ok(());
    }
    // Two goroutines sleep all the while.
    let slept = fan["started"]["seconds"]["sleep"].as_f64().context("no sleep")?;
    let known = took - number(fan, ["seconds", "unknown"])?;
    ensure!((slept - 2.0 * known).abs() < 0.3 * known, "{slept} s in {known} s: {fan}");
    Ok(())
}

/// What a program itself says of the garbage collector, as a part of the time of its requests.
fn collected(version: Version, flag: &str, route: &str, truth: &str) -> Result<()> {
    let program = go::build("xrayapp", version, Mode::Stripped)?;
    let mut process = Running::start(&program, &[flag], &[])?;
    process.wait_for("ready", SOON)?;
    let mut command = Command::new(binary());
    command.args(["xray", &process.pid().to_string(), "-d", "3s", "--format", "json"]);
    let output = command.args(["--route", route]).output().context("run gotap")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout)?;
    process.signal(libc::SIGTERM)?;
    let said: Value = serde_json::from_str(process.wait_for("collected", SOON)?.trim())?;
    let part = |name: &str| said[name].as_f64().with_context(|| format!("no {name}: {said}"));
    let wanted = 100.0 * part(truth)? / part("served")?;
    let took = found["requestSeconds"].as_f64().context("no time")?;
    let gc = 100.0 * number(&found, ["seconds", "gc"])? / took;
    ensure!(wanted > 15.0, "the program hardly helped: {said}");
    // Where the machine has no time for looks, the rest is too little to be of all: the test looks again.
    let unknown = 100.0 * number(&found, ["seconds", "unknown"])? / took;
    ensure!(unknown < MOST_UNKNOWN, "{unknown}% is unknown: {found}");
    // What is unknown may be any of it.
    let bounds = gc - TOLERANCE..gc + unknown + TOLERANCE;
    ensure!(bounds.contains(&wanted), "gc: {bounds:?}% instead of {wanted}%: {found} {said}");
    Ok(())
}

/// The same, again where something else takes the processors.
fn collected_in_time(flag: &str, route: &str, truth: &str) -> Result<()> {
    let mut result = Ok(());
    for _ in 0..ATTEMPTS {
        result = collected(Version::NEWEST, flag, route, truth);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Requests that allocate help the collector, for as long as the runtime's own metric says.
#[test]
fn help_for_the_collector_is_told() -> Result<()> {
    if !can_trace("help_for_the_collector_is_told") {
        return Ok(());
    }
    collected_in_time("-assist", "/assist", "assisted")
}

/// While the world is stopped, requests that ran do not count as running.
#[test]
fn a_stopped_world_is_told() -> Result<()> {
    if !can_trace("a_stopped_world_is_told") {
        return Ok(());
    }
    collected_in_time("-stop", "/stop", "stopped")
}

#[test]
fn one_route_is_shown_alone_and_others_are_named() -> Result<()> {
    if !can_trace("one_route_is_shown_alone_and_others_are_named") {
        return Ok(());
    }
    let mut app = App::start(Version::NEWEST, Mode::Plain, &[])?;
    let (printed, _) = app.xray(&["-d", "1500ms", "--route", "/fan", "--slower-than", "30ms"])?;
    let text = printed.join("\n");
    ensure!(text.starts_with("GET /fan ") && text.contains("main.fan.func1"), "{text}");
    ensure!(!text.contains("/mix/") && text.contains("  channel "), "{text}");
    let (printed, said) = app.xray(&["-d", "500ms", "--route", "/none"])?;
    ensure!(printed.is_empty() && said.contains("no request took /none; there were: "), "{said}");
    ensure!(said.contains("GET /mix/"), "{said}");
    Ok(())
}
