//! Goroutines that leak: what `gotap run` publishes of them, and for how long `gotap goroutines --leaks` says that they
//! wait, against what their program knows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, can_trace, eventually};
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
