//! What attaching takes: from the exec of a program to its probes being in, for a small and a large
//! one, when gotap sees the file for the first time and again; the requests that are missed in
//! between, detaching, and what each further process costs the agent.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::Connection;
use gotap_testkit::process::Running;
use serde::Serialize;
use serde_json::json;

use crate::measure;
use crate::received::Sink;
use crate::rounds::stop;
use crate::scenario::READY;

/// Processes of one file, for the cost of each further one.
const PROCESSES: usize = 20;

/// How long requests are sent to a program that has just started.
const LOAD: Duration = Duration::from_millis(1500);

/// One round with one program.
#[derive(Debug, Clone, Serialize)]
struct Round {
    program: &'static str,
    file_mb: f64,
    /// Exec to attached, when the file is new to gotap.
    first_ms: f64,
    /// The same for another process of the file.
    again_ms: f64,
    /// Requests that were answered before the probes were in, of how many.
    missed: u64,
    requests: u64,
    detach_ms: f64,
    /// Resident memory for each of the further processes.
    rss_kb_each: f64,
    /// And with all of them.
    rss_mb: f64,
    /// The most that it ever was, which is while the file is read.
    peak_mb: f64,
}

/// Measures, prints the table, which it gives, and writes attach.json.
pub(crate) fn run(gotap: &Path, rounds: usize, out: &Path) -> Result<String> {
    let build = |app| go::build(app, Version::of(26), Mode::Plain);
    let programs = [("small", build("hello/cmd/plain")?), ("large", build("large")?)];
    let mut all = Vec::new();
    for _ in 0..rounds {
        for (name, program) in &programs {
            all.push(round(gotap, name, program).with_context(|| format!("attach / {name}"))?);
        }
    }
    let table = table(&all);
    println!("{table}");
    let path = out.join("attach.json");
    std::fs::write(&path, serde_json::to_string_pretty(&json!({ "rounds": all }))?)?;
    println!("written: {}", path.display());
    Ok(table)
}

fn round(gotap: &Path, name: &'static str, program: &PathBuf) -> Result<Round> {
    let mut sink = Sink::start(&std::env::current_exe()?)?;
    let glob = program.to_string_lossy();
    let flags = ["run", "--executable", &glob, "--otlp-endpoint", &sink.endpoint];
    let mut agent = Running::start(gotap, &flags, &[])?;
    agent.wait_for_error("ready", READY)?;
    let (mut first, first_ms) = start(&agent, program)?;
    first.stop()?;

    let (server, again_ms) = start(&agent, program)?;
    let rss_one = measure::rss_kb(agent.pid())?;
    let mut others = Vec::new();
    for _ in 1..PROCESSES {
        others.push(start(&agent, program)?.0);
    }
    let rss_all = measure::rss_kb(agent.pid())?;
    let peak_mb = measure::peak_rss_mb(agent.pid())?;
    drop(others);
    drop(server);

    let requests = load(program)?;
    stop(&mut agent)?;
    let spans = sink.settled(requests)?;
    Ok(Round {
        program: name,
        file_mb: std::fs::metadata(program)?.len() as f64 / 1e6,
        first_ms,
        again_ms,
        missed: requests.saturating_sub(spans),
        requests,
        detach_ms: detach(gotap, program)?,
        rss_kb_each: (rss_all - rss_one) / (PROCESSES - 1) as f64,
        rss_mb: rss_all / 1024.0,
        peak_mb,
    })
}

/// Starts a program; gives the milliseconds from its exec until gotap says that it is attached.
fn start(agent: &Running, program: &Path) -> Result<(Running, f64)> {
    let server = Running::start(program, &["-addr", "127.0.0.1:0"], &[])?;
    // It is back when the exec was done.
    let exec = Instant::now();
    agent.wait_for_error(&format!("[{}] (go", server.pid()), READY)?;
    Ok((server, millis(exec.elapsed())))
}

/// Sends requests to a program from the moment on that it listens; gives their number.
fn load(program: &Path) -> Result<u64> {
    let server = Running::start(program, &["-addr", "127.0.0.1:0"], &[])?;
    let address = server.wait_for("listening ", READY)?;
    let mut connection = Connection::open(&address)?;
    let end = Instant::now() + LOAD;
    let mut requests = 0;
    while Instant::now() < end {
        connection.get("/", &[])?;
        requests += 1;
    }
    Ok(requests)
}

/// Milliseconds from being asked to stop until gotap has ended, with one process attached.
fn detach(gotap: &Path, program: &Path) -> Result<f64> {
    let server = Running::start(program, &["-addr", "127.0.0.1:0"], &[])?;
    server.wait_for("listening ", READY)?;
    let flags = ["trace", "http", "--pid", &server.pid().to_string()];
    let mut agent = Running::start(gotap, &flags, &[])?;
    agent.wait_for_error("ready", READY)?;
    let asked = Instant::now();
    stop(&mut agent)?;
    Ok(millis(asked.elapsed()))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Medians by program.
fn table(rounds: &[Round]) -> String {
    let mut out = String::from(
        "| program | file | exec to attached, first | again | missed | detach | agent RSS each | with 20 | peak |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for name in ["small", "large"] {
        let of = |value: fn(&Round) -> f64| {
            let chosen = rounds.iter().filter(|round| round.program == name);
            let mut values: Vec<f64> = chosen.map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        out.push_str(&format!(
            "| {name} | {:.0} MB | {:.0} ms | {:.0} ms | {:.0} of {:.0} | {:.0} ms | {:.0} KB | {:.1} MB | {:.1} MB |\n",
            of(|r| r.file_mb),
            of(|r| r.first_ms),
            of(|r| r.again_ms),
            of(|r| r.missed as f64),
            of(|r| r.requests as f64),
            of(|r| r.detach_ms),
            of(|r| r.rss_kb_each),
            of(|r| r.rss_mb),
            of(|r| r.peak_mb),
        ));
    }
    out
}
