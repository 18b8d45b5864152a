//! `overhead_budget`: a program in which tracing takes more is traced a part of the time, and that is said.

use std::time::Duration;

use anyhow::{Result, ensure};
use gotap_e2e::{App, Load, SOON, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::http;

use crate::metrics::{are_documented, own_program, run_in};

/// The sum of a metric's series.
fn sum(text: &str, metric: &str) -> f64 {
    let series = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once('{')?;
        (name == metric).then(|| rest.rsplit_once("} ")?.1.parse::<f64>().ok()).flatten()
    });
    series.sum()
}

const COUNT: &str = "http_server_request_duration_seconds_count";

#[test]
fn a_busy_program_is_traced_as_the_budget_allows() -> Result<()> {
    if !can_trace("a_busy_program_is_traced_as_the_budget_allows") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let (app, collector) = (App::start(&program)?, Collector::start()?);
    let selection = ["--pid", &app.pid().to_string(), "--overhead-budget", "2%"];
    let (gotap, address) = run_in(&selection, &[], &collector)?;
    // As when a newer version is installed.
    std::fs::remove_file(&program)?;
    let scrape = || http::get(&address, "/metrics", &[]).map(|page| page.text());
    let load = Load::start(&app.address, "/hello", 4);
    let said = gotap.process.wait_for_error("more than the overhead budget of 2.0 %", SOON)?;
    ensure!(said.contains("is traced a part of the time"), "{said}");
    // Its operations are counted, and when the probes have come back, counted on.
    let count = || scrape().map_or(0.0, |text| sum(&text, COUNT));
    let mut first = 0.0;
    let begun = eventually(SOON, || {
        first = count();
        first > 0.0
    });
    // What was in the buffers is counted by then.
    std::thread::sleep(Duration::from_secs(1));
    first = count();
    let again = begun && eventually(SOON, || count() > first);
    let said = gotap.process.stderr().join("\n");
    ensure!(again, "{first} requests, and no more: {said}");
    // The metric is of the last twenty seconds. On a busy machine a window may be a longer one.
    let mut text = String::new();
    let keeps_to_it = eventually(SOON, || {
        text = scrape().unwrap_or_default();
        let overhead = sum(&text, "gotap_target_overhead_ratio");
        let untraced = sum(&text, "gotap_target_untraced_time_seconds_total");
        overhead > 0.0 && overhead < 0.06 && untraced > 10.0
    });
    ensure!(keeps_to_it, "it costs more than it may: {text}");
    let load = load.stop()?;
    text = scrape()?;
    are_documented(&text)?;
    let traced = sum(&text, COUNT) / load.answered as f64;
    ensure!(traced > 0.02 && traced < 0.8, "{traced} of {load:?}");
    // Hits are not counted anew each time.
    let hits = sum(&text, "gotap_traps_total");
    let ended = gotap.stop()?;
    let all: u64 = ended.summary.traps.values().sum();
    ensure!((hits - all as f64).abs() < 0.05 * all as f64, "{hits} of {all}");
    let said = ended.stderr.join("\n");
    ensure!(said.contains("the overhead budget of 2.0 % let the probes be there for "), "{said}");
    Ok(())
}

#[test]
fn without_a_limit_all_is_traced_and_the_cost_is_measured() -> Result<()> {
    if !can_trace("without_a_limit_all_is_traced_and_the_cost_is_measured") {
        return Ok(());
    }
    let (app, collector) = (App::start(&App::newest()?)?, Collector::start()?);
    let selection = ["--pid", &app.pid().to_string(), "--overhead-budget", "unlimited"];
    let (gotap, address) = run_in(&selection, &[], &collector)?;
    let requests = 5000;
    let load = Load::send(&app.address, "/hello", 2, requests)?;
    ensure!(load.answered == requests, "{load:?}");
    let counted = eventually(SOON, || {
        let text = http::get(&address, "/metrics", &[]).map(|page| page.text());
        text.is_ok_and(|text| sum(&text, COUNT) == requests as f64)
    });
    let said = gotap.stop()?.stderr.join("\n");
    ensure!(counted, "not all requests were counted: {said}");
    ensure!(said.contains("gotap: overhead, about: ") && said.contains(" % of httpapp["), "{said}");
    ensure!(!said.contains("overhead budget"), "{said}");
    Ok(())
}
