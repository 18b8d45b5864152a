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
    // What was in the buffers is counted by then.
    std::thread::sleep(Duration::from_secs(1));
    let first = sum(&scrape()?, COUNT);
    // The probes come back, and its operations are counted on.
    let mut text = String::new();
    let again = eventually(SOON, || {
        text = scrape().unwrap_or_default();
        sum(&text, COUNT) > first
    });
    let said = gotap.process.stderr().join("\n");
    ensure!(first > 0.0 && again, "{first} requests, and no more: {said}\n{text}");
    // The metric is of the last twenty seconds.
    std::thread::sleep(Duration::from_secs(12));
    let load = load.stop()?;
    text = scrape()?;
    are_documented(&text)?;
    let overhead = sum(&text, "gotap_target_overhead_ratio");
    // On a busy machine the last window may be a longer one.
    ensure!(overhead > 0.0 && overhead < 0.06, "{overhead}: {text}");
    let untraced = sum(&text, "gotap_target_untraced_time_seconds_total");
    ensure!(untraced > 4.0, "{untraced} s: {text}");
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
