//! What metrics of Go runtimes cost the agent: its processor time with one program more whose runtime it reads, by the
//! number of goroutines that wait there. The program does nothing, so that all of it is the price of reading.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http;
use gotap_testkit::process::Running;
use serde::Serialize;

use crate::measure::cpu_seconds;
use crate::progress;
use crate::report::median;
use crate::scenario;

const SIZES: [usize; 3] = [100, 10_000, 100_000];
/// How long each turn is measured, two exports at the default interval; and how long it runs before.
const TURN: Duration = Duration::from_secs(20);
const BEFORE: Duration = Duration::from_secs(6);
/// Somebody asks for `/metrics` so often, where anybody does.
const SCRAPE: Duration = Duration::from_secs(1);
/// Nobody listens there, nor runs by that name.
const NOWHERE: &str = "http://127.0.0.1:1";
const NOBODY: [&str; 2] = ["--name", "no-such-program"];
/// What a program may cost, as a share of a processor.
const LIMIT: f64 = 0.005;
/// By how much two turns alike may differ, or nothing is known: other programs that start and end cost the agent time.
const NOISE: f64 = 0.0005;

/// One program, and the share of a processor that it adds to what the agent takes: without and with scrapes.
#[derive(Debug, Serialize)]
struct Row {
    goroutines: usize,
    added: [f64; 2],
}

/// Measures, prints the table, which it gives, and writes runtime.json. Fails where a program costs more than it may,
/// and where the machine is too busy to tell.
pub(crate) fn run(gotap: &Path, rounds: usize, out: &Path) -> Result<String> {
    let program = go::build("runtimeapp", Version::of(26), Mode::Stripped)?;
    let mut programs = Vec::new();
    for size in SIZES.map(|size| size.to_string()) {
        let process = Running::start(&program, &["-quiet", "-goroutines", &size], &[])?;
        process.wait_for("ready", scenario::READY)?;
        programs.push(process);
    }
    let mut added = SIZES.map(|_| [Vec::new(), Vec::new()]);
    let mut noise = 0.0_f64;
    for round in 1..=rounds {
        for scraped in [false, true] {
            progress(&format!("runtime, round {round} of {rounds}, scraped: {scraped}"));
            let before = turn(gotap, &NOBODY, scraped)?;
            let mut with = Vec::new();
            for program in &programs {
                with.push(turn(gotap, &["--pid", &program.pid().to_string()], scraped)?);
            }
            let after = turn(gotap, &NOBODY, scraped)?;
            noise = noise.max((after - before).abs());
            for (with, added) in with.into_iter().zip(&mut added) {
                added[usize::from(scraped)].push(with - f64::midpoint(before, after));
            }
        }
    }
    let rows = SIZES.into_iter().zip(added);
    let rows: Vec<Row> =
        rows.map(|(goroutines, added)| Row { goroutines, added: added.map(median) }).collect();
    let table = table(&rows);
    println!("{table}");
    let path = out.join("runtime.json");
    std::fs::write(&path, serde_json::to_string_pretty(&rows)?)?;
    println!("written: {}", path.display());
    ensure!(
        noise <= NOISE,
        "the machine is too busy: two turns without a program differ by {:.3} % of a processor",
        100.0 * noise
    );
    let most = rows.iter().flat_map(|row| row.added).fold(0.0, f64::max);
    ensure!(most <= LIMIT, "a program costs {:.3} % of a processor", 100.0 * most);
    Ok(table)
}

/// The share of a processor that the agent takes with this selection.
fn turn(gotap: &Path, selection: &[&str], scraped: bool) -> Result<f64> {
    let common = ["run", "--otlp-endpoint", NOWHERE, "--prometheus-listen", "127.0.0.1:0"];
    let mut process = Running::start(gotap, &[&common, selection].concat(), &[])?;
    process.wait_for_error("gotap: ready", scenario::READY)?;
    let said = process.wait_for_error("gotap: metrics at ", scenario::READY)?;
    let address = said.split("http://").nth(1).and_then(|rest| rest.strip_suffix("/metrics"));
    let address = address.context("where metrics are")?.to_owned();
    pass(BEFORE, scraped, &address)?;
    let (before, began) = (cpu_seconds(process.pid())?, Instant::now());
    pass(TURN, scraped, &address)?;
    let share = (cpu_seconds(process.pid())? - before) / began.elapsed().as_secs_f64();
    process.stop()?;
    Ok(share)
}

/// Lets time pass; somebody may ask for metrics meanwhile.
fn pass(time: Duration, scraped: bool, address: &str) -> Result<()> {
    if !scraped {
        std::thread::sleep(time);
        return Ok(());
    }
    let until = Instant::now() + time;
    while Instant::now() < until {
        let status = http::get(address, "/metrics", &[])?.status;
        ensure!(status == 200, "/metrics: {status}");
        std::thread::sleep(SCRAPE);
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| goroutines | sent every 10 s | and scraped every second | limit |\n|---:|---:|---:|---:|\n",
    );
    for Row { goroutines, added } in rows {
        let [sent, scraped] = added.map(|share| format!("{:.3} %", 100.0 * share));
        out += &format!("| {goroutines} | {sent} | {scraped} | {:.1} % |\n", 100.0 * LIMIT);
    }
    out
}
