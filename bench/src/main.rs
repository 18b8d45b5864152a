//! What observing costs the observed: the same server under the same load, by turns alone, with
//! gotap attached, built with the OpenTelemetry Go SDK, and optionally with another agent; and how
//! long it takes until a program that starts is observed.
//!
//! Timings differ between machines and minutes, so only ratios of one run are meant to be compared:
//! the load alternates between the servers, a quarter of a second each. Needs root, as gotap does.
//! Not here: correctness (`tests/`).

mod attach;
mod backend;
mod goroutines;
mod governor;
mod host;
mod load;
mod measure;
mod profile;
mod received;
mod report;
mod rounds;
mod runtime;
mod scenario;
mod sink;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use rounds::{Programs, Run};
use scenario::{Mode, Scenario};

#[derive(Debug, Parser)]
#[command(about = "Measures what gotap costs its targets, side by side with the OpenTelemetry SDK")]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// Seconds of load on each server in a round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often all servers are started and loaded by turns; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also measure this agent: a shell command in which {pid} and {endpoint} are replaced
    #[arg(long, value_name = "COMMAND")]
    agent: Option<String>,
    /// Where overhead.json and overhead.svg are written
    #[arg(long, default_value = "bench/out")]
    out: PathBuf,
    /// The gotap binary; by default the one beside this program
    #[arg(long)]
    gotap: Option<PathBuf>,
    /// Write the tables into the README and docs/benchmarks.md between their markers
    #[arg(long)]
    readme: bool,
    /// Only scenarios whose name contains one of these; "attach" is what attaching takes, "goroutines" what reading those does, "governor" what traps under a budget leave, "host" what looking at all programs takes, "profile" what continuous profiles take, "runtime" what metrics of Go runtimes take
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Cli {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }
}

/// Where all tables stand; the README has a part of one.
const BENCHMARKS: &str = "docs/benchmarks.md";

/// Processes of their own, so that what they use is not counted as anybody else's.
#[derive(Debug, Subcommand)]
enum Part {
    /// Sends requests and prints what came of them
    #[command(hide = true)]
    Load(load::Args),
    /// Receives and counts spans
    #[command(hide = true)]
    Sink,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Load(args)) => return load::run(&args),
        Some(Part::Sink) => return sink::run(),
        None => {}
    }
    let beside = std::env::current_exe()?.with_file_name("gotap");
    let gotap = cli.gotap.clone().unwrap_or(beside);
    anyhow::ensure!(gotap.exists(), "{} is missing; build it first: make build", gotap.display());
    std::fs::create_dir_all(&cli.out)?;
    if cli.wants("attach") {
        let table = attach::run(&gotap, cli.rounds, &cli.out)?;
        if cli.readme {
            report::update(BENCHMARKS, "attach", &table)?;
        }
    }
    if cli.wants("goroutines") {
        let table = goroutines::run(&gotap, cli.rounds, &cli.out)?;
        if cli.readme {
            report::update(BENCHMARKS, "goroutines", &table)?;
        }
    }
    if cli.wants("governor") {
        let table = governor::run(&gotap, cli.rounds, &cli.out)?;
        if cli.readme {
            report::update(BENCHMARKS, "governor", &table)?;
        }
    }
    if cli.wants("host") {
        let table = host::run(&gotap, &cli.out)?;
        if cli.readme {
            report::update(BENCHMARKS, "host", &table)?;
        }
    }
    if cli.wants("profile") {
        let table = profile::run(&gotap, &cli.out)?;
        if cli.readme {
            report::update(BENCHMARKS, "profile", &table)?;
        }
    }
    if cli.wants("runtime") {
        let table = runtime::run(&gotap, cli.rounds, &cli.out)?;
        if cli.readme {
            report::update(BENCHMARKS, "runtime", &table)?;
        }
    }
    overhead(&cli, gotap)
}

/// The scenarios under load, and what is written of them.
fn overhead(cli: &Cli, gotap: PathBuf) -> Result<()> {
    if !Scenario::all().iter().any(|scenario| cli.wants(scenario.name)) {
        return Ok(());
    }
    let programs = Programs::build(gotap, cli.agent.clone())?;
    let mut runs = Vec::new();
    for scenario in Scenario::all().into_iter().filter(|s| cli.wants(s.name)) {
        let backend = programs.backend(&scenario)?;
        for round in 0..cli.rounds {
            let modes = Mode::of(&scenario, cli.agent.is_some());
            let time = Duration::from_secs(cli.seconds);
            for run in programs.round(&scenario, backend.as_ref(), &modes, time)? {
                println!("{}", describe(round, &run));
                runs.push(run);
            }
        }
    }
    if runs.is_empty() {
        return Ok(());
    }
    let summaries = report::summarize(&runs);
    let table = report::table(&summaries);
    println!("\n{table}");
    std::fs::write(cli.out.join("overhead.json"), report::json(&runs, &summaries)?)?;
    std::fs::write(cli.out.join("overhead.svg"), report::svg(&summaries))?;
    println!("written: {}", cli.out.join("overhead.{json,svg}").display());
    if cli.readme {
        report::update(BENCHMARKS, "overhead", &table)?;
        if let Some(short) = report::short_table(&summaries) {
            report::update("README.md", "overhead", &short)?;
        }
    }
    Ok(())
}

/// Says what is done now: most of the time nothing else is printed.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}

fn describe(round: usize, run: &Run) -> String {
    format!(
        "round {} {:<10} {:<6} {:>8.0} req/s  {:>6.2} µs CPU/req  p50 {:>5.0} µs  p99 {:>6.0} µs  \
         agent {:>5.2} µs/req {:>5.1} MB  spans {}/{}  {}",
        round + 1,
        run.scenario,
        run.mode,
        run.rps,
        run.target_us,
        run.p50_us,
        run.p99_us,
        run.agent_us,
        run.agent_rss_mb,
        run.spans,
        run.expected_spans,
        run.traps.iter().map(|(k, v)| format!("{k} {v:.2}")).collect::<Vec<_>>().join(", "),
    )
}
