//! Goroutines that leak: what `gotap run` publishes of them, for how long `gotap goroutines --leaks` says that they wait,
//! against what their program knows, and which of them its flags choose.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, binary, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http;
use serde_json::Value;

use crate::metrics::run_with;

/// Goroutines are compared with those of a minute ago; a busy machine gets more.
const A_MINUTE: Duration = Duration::from_secs(150);
const SUSPECTED: &str = "gotap_go_goroutines_suspected{";

/// Lines of Prometheus's text that are about suspects of a process.
fn suspects(address: &str, pid: u32) -> Result<Vec<String>> {
    let text = http::get(address, "/metrics", &[])?.text();
    let pid = format!("pid=\"{pid}\"");
    let lines = text.lines().filter(|line| line.starts_with(SUSPECTED) && line.contains(&pid));
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn leaks_of_one_program_are_metrics_and_none_of_another() -> Result<()> {
    if !can_trace("leaks_of_one_program_are_metrics_and_none_of_another") {
        return Ok(());
    }
    let program = go::build("runtimeapp", Version::NEWEST, Mode::Stripped)?;
    let mut leaking = RuntimeApp::start(&program, &["-quiet", "-leak", "20"], &[])?;
    // It has many that wait, and others that wait for a moment again and again.
    let healthy = RuntimeApp::start(&program, &["-quiet", "-goroutines", "200", "-channels"], &[])?;
    let pids = [leaking.process.pid(), healthy.process.pid()].map(|pid| pid.to_string());
    let collector = Collector::start()?;
    let (gotap, address) = run_with(&["--pid", &pids[0], "--pid", &pids[1]], &collector)?;
    let before = leaked(&leaking.report()?)?;
    let mut last = Vec::new();
    let found = eventually(A_MINUTE, || {
        std::thread::sleep(Duration::from_millis(500));
        last = suspects(&address, leaking.process.pid()).unwrap_or_default();
        !last.is_empty()
    });
    ensure!(found, "there are no suspects");
    let after = leaked(&leaking.report()?)?;
    let [line] = last.as_slice() else { anyhow::bail!("{last:?}") };
    ensure!(line.contains("code_function_name=\"main.leakEvery\""), "{line}");
    let count: u64 = line.rsplit(' ').next().context("a value")?.parse()?;
    ensure!(count > before && count <= after, "{count} of {before} to {after}");
    // Both have been compared since they were found, at the same time.
    std::thread::sleep(Duration::from_secs(2));
    let others = suspects(&address, healthy.process.pid())?;
    ensure!(others.is_empty(), "{others:?}");
    ensure!(!suspects(&address, leaking.process.pid())?.is_empty(), "they leak still");
    gotap.stop().map(drop)
}

/// What flags choose is what is suspected of these, and all goroutines of it are listed where that is asked for.
#[test]
fn suspects_can_be_chosen_and_listed() -> Result<()> {
    if !can_trace("suspects_can_be_chosen_and_listed") {
        return Ok(());
    }
    let program = go::build("runtimeapp", Version::NEWEST, Mode::Stripped)?;
    let app = RuntimeApp::start(&program, &[], &[])?;
    let shown = |flags: &[&str]| -> Result<(Vec<Value>, u64, Value)> {
        let object = app.gotap("goroutines", &[&["--leaks"], flags].concat())?;
        let suspects = object["suspects"].as_array().context("suspects")?.clone();
        Ok((suspects, object["otherSuspects"].as_u64().context("otherSuspects")?, object))
    };
    // Two wait for channels that are nil, and one in a select without cases.
    let (all, none_left, object) = shown(&[])?;
    ensure!(all.len() == 3 && none_left == 0, "{object}");
    ensure!(object.get("goroutines").is_none(), "they are listed unasked");
    let (nothing, others, object) =
        shown(&["--function", "main.selectNothing", "--state", "waiting"])?;
    let [selects] = nothing.as_slice() else { anyhow::bail!("{object}") };
    ensure!(selects["waitReason"] == "select (no cases)" && others == 2, "{object}");
    ensure!(selects["count"] == 1, "{selects}");
    let (sends, others, object) = shown(&["--reason", "chan*", "--all"])?;
    ensure!(sends.len() == 2 && others == 1, "{object}");
    let listed = object["goroutines"].as_array().context("goroutines")?;
    ensure!(listed.iter().all(|g| g["waitReason"].to_string().contains("chan")), "{listed:?}");
    let goids: Vec<u64> = sends
        .iter()
        .flat_map(|suspect| suspect["goids"].as_array().into_iter().flatten())
        .filter_map(Value::as_u64)
        .collect();
    ensure!(goids.len() == 2, "{sends:?}");
    ensure!(goids.iter().all(|goid| listed.iter().any(|g| g["goid"] == *goid)), "{listed:?}");
    let (old, others, object) = shown(&["--min-age", "1h"])?;
    ensure!(old.is_empty() && others == 3, "{object}");

    let text = |flags: &[&str]| -> Result<String> {
        let pid = app.process.pid().to_string();
        let mut command = Command::new(binary());
        command.args(["goroutines", &pid, "--leaks"]).args(flags).stdin(Stdio::null());
        let output = command.output().context("run gotap")?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let lists = |text: &str| text.lines().filter(|line| line.starts_with("goroutine ")).count();
    let said = text(&["--reason", "chan*", "--all"])?;
    ensure!(lists(&said) == 2 && said.contains("not chosen: 1\n"), "{said}");
    for goid in goids {
        ensure!(said.contains(&format!("\ngoroutine {goid} [chan ")), "{goid}: {said}");
    }
    let said = text(&["--reason", "chan*"])?;
    ensure!(lists(&said) == 0 && !said.contains("select (no cases)"), "{said}");
    // That none is of those chosen is not that there is none.
    let said = text(&["--min-age", "1h"])?;
    ensure!(said.contains("not chosen: 3\n") && !said.contains("no goroutine"), "{said}");
    Ok(())
}

fn leaked(report: &Value) -> Result<u64> {
    report["counted"]["leaked"].as_u64().with_context(|| report.to_string())
}

/// What a program prints behind a word: nanoseconds since 1970.
fn time_of(app: &RuntimeApp, word: &str) -> Result<i64> {
    Ok(app.process.wait_for(word, SOON)?.trim().parse()?)
}

/// The garbage collector notes since when a goroutine waits: those that it has not seen have no age.
#[test]
fn ages_of_leaks_are_those_that_collections_have_seen() -> Result<()> {
    if !can_trace("ages_of_leaks_are_those_that_collections_have_seen") {
        return Ok(());
    }
    for (version, mode) in [(Version::OLDEST, Mode::Plain), (Version::NEWEST, Mode::Pie)] {
        let program = go::build("runtimeapp", version, mode)?;
        let app = RuntimeApp::start(&program, &["-quiet", "-fault", "leak"], &[])?;
        ages(&app).with_context(|| format!("Go {version}, {mode}"))?;
    }
    Ok(())
}

fn ages(app: &RuntimeApp) -> Result<()> {
    const WATCH: f64 = 3.0;
    let (leaked, collected) = (time_of(app, "leaked ")?, time_of(app, "collected ")?);
    let began = Instant::now();
    let object = app.gotap("goroutines", &["--leaks", "--watch", "3s"])?;
    let took = began.elapsed().as_secs_f64();
    let now = object["timeUnixNano"].as_i64().context("timeUnixNano")?;
    let all = object["suspects"].as_array().context("suspects")?;
    let of = |function: &str| {
        let found = all.iter().find(|suspect| suspect["createdBy"]["function"] == function);
        found.with_context(|| format!("{function} is no suspect: {object}"))
    };
    ensure!(all.len() == 2, "{object}");
    let seen = of("main.abandon")?;
    let age = seen["ageSeconds"].as_f64().context("ageSeconds")?;
    // Between the first leak and the end of the collections; the time stands in the object a moment later.
    let since = now as f64 - age * 1e9;
    let (earliest, latest) = (leaked as f64 - 1e6, collected as f64 + 2e9);
    ensure!(since > earliest && since < latest, "{leaked} {since} {collected}: {seen}");
    ensure!(of("main.forget")?["ageSeconds"].is_null(), "{object}");
    // Twenty were there before, and none ends.
    for (function, first) in [("main.abandon", 20), ("main.forget", 0)] {
        let suspect = of(function)?;
        let count = suspect["count"].as_u64().context("count")?;
        let growth = suspect["growthPerMinute"].as_f64().context("growthPerMinute")?;
        let why = suspect["why"].as_str().and_then(|why| why.split(" more than at first").next());
        let more: u64 = why.context("why")?.parse().context(suspect.to_string())?;
        ensure!(more >= 1 && more + first <= count, "{suspect}");
        let (least, most) = (more as f64 * 60.0 / took, more as f64 * 60.0 / WATCH);
        ensure!(growth >= least * 0.999 && growth <= most * 1.001, "{least} {most}: {suspect}");
    }
    Ok(())
}
