//! `memory_limit`: gotap stays within it, and says what it has no room for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Load, SOON, can_trace, memory};
use gotap_testkit::http;

/// `gotap run` for one program; gives it and where its metrics are. Nobody takes what it sends.
fn run(pid: u32, environment: &[(&str, &str)]) -> Result<(Gotap, String)> {
    let pid = pid.to_string();
    let arguments = [
        "run",
        "--pid",
        &pid,
        "--otlp-endpoint",
        "http://127.0.0.1:9",
        "--prometheus-listen",
        "127.0.0.1:0",
    ];
    let gotap = Gotap::start(&arguments, environment)?;
    gotap.wait_ready()?;
    let said = gotap.process.wait_for_error("gotap: metrics at ", SOON)?;
    let address = said.strip_prefix("gotap: metrics at http://").context("where metrics are")?;
    let address = address.strip_suffix("/metrics").context("the path of metrics")?.to_owned();
    Ok((gotap, address))
}

/// What Prometheus would read.
fn scrape(address: &str) -> Result<String> {
    Ok(String::from_utf8(http::get(address, "/metrics", &[])?.body)?)
}

/// The sum of a metric's series that have all of these labels.
fn sum(text: &str, metric: &str, labels: &[&str]) -> f64 {
    let series = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once('{')?;
        let (have, value) = rest.rsplit_once("} ")?;
        let wanted = name == metric && labels.iter().all(|label| have.contains(label));
        value.parse::<f64>().ok().filter(|_| wanted)
    });
    series.sum()
}

/// With a collector that takes nothing, all queues are full: gotap stays within its limit, and says what is lost.
#[test]
fn memory_stays_within_its_limit() -> Result<()> {
    const LIMIT: u64 = 80 << 20;
    if !can_trace("memory_stays_within_its_limit") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let settings = [
        ("GOTAP_MEMORY_LIMIT", "80MiB"),
        ("GOTAP_SAMPLING_RATIO", "0.5"),
        ("GOTAP_SAMPLING_TAIL_ENABLED", "true"),
    ];
    let (gotap, address) = run(app.pid(), &settings)?;
    let requests = 60_000;
    let load = Load::send(&app.address, "/hello", 16, requests)?;
    ensure!(load.answered == requests, "{load:?}");
    std::thread::sleep(Duration::from_millis(300));
    let text = scrape(&address)?;
    let limit = sum(&text, "gotap_sink_queue_limit", &["sink=\"otlp\""]);
    ensure!(limit > 1000.0 && limit < 10_000.0, "{text}");
    let peak = memory(gotap.process.pid(), "VmHWM")?;
    ensure!(peak << 10 <= LIMIT, "{peak} kB");
    let summary = gotap.stop()?.summary;
    ensure!(summary.lost.contains_key("export_queue_full"), "{summary:?}");
    ensure!(summary.dropped.contains_key("tail_evicted"), "{summary:?}");
    Ok(())
}
