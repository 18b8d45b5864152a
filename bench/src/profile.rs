//! What continuous profiles cost: the time that the kernel spends in the sampler, as it counts it, and the agent's
//! processor time, with programs that keep all processors busy and answer requests.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use probes::{RunTimes, loaded_programs};
use serde::Serialize;

use crate::measure::cpu_seconds;
use crate::progress;
use crate::scenario;

/// How long it is measured: two profiles of each program. Before, the programs are attached, and with profiles the
/// first ones have been made.
const TURN: Duration = Duration::from_secs(30);
const BEFORE: Duration = Duration::from_secs(20);
const ATTACH: Duration = Duration::from_secs(5);
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";
const PROGRAM: &str = "sample_cpu";

/// What came out, a second.
#[derive(Debug, Serialize)]
struct Measured {
    samples: f64,
    /// Nanoseconds of the sampler for each.
    each: f64,
    /// Share of one processor that the sampler takes.
    kernel: f64,
    /// And the agent with profiles, and without.
    agent: f64,
    without: f64,
}

/// Measures, prints the table, which it gives, and writes profile.json.
pub(crate) fn run(gotap: &Path, out: &Path) -> Result<String> {
    let _times = RunTimes::count().context("let the kernel count the time of BPF programs")?;
    let busy = Running::start(
        &go::build("profileapp", Version::of(26), Mode::Stripped)?,
        &["-own", "/dev/null", "-work", "-grow"],
        &[],
    )?;
    busy.wait_for("ready", scenario::READY)?;
    let mut served = Running::start(
        &go::build("xrayapp", Version::of(26), Mode::Stripped)?,
        &["-clients", "2"],
        &[],
    )?;
    served.wait_for("ready", scenario::READY)?;
    served.signal(nix::sys::signal::Signal::SIGUSR1 as i32)?;
    let without = turn(gotap, false)?.agent;
    let measured = Measured { without, ..turn(gotap, true)? };
    let Measured { samples, each, kernel, agent, without } = &measured;
    let table = format!(
        "| samples a second | time of the sampler for each | in the kernel | by the agent |\n\
         |---:|---:|---:|---:|\n\
         | {samples:.0} | {:.1} µs | {:.3} % of a processor | {:.3} % of a processor |\n",
        each / 1000.0,
        100.0 * kernel,
        100.0 * (agent - without),
    );
    println!("{table}");
    let path = out.join("profile.json");
    std::fs::write(&path, serde_json::to_string_pretty(&measured)?)?;
    println!("written: {}", path.display());
    Ok(table)
}

fn turn(gotap: &Path, profiles: bool) -> Result<Measured> {
    let known: HashSet<u32> = loaded_programs()?.iter().map(|program| program.id).collect();
    let arguments =
        ["run", "--otlp-endpoint", NOWHERE, "--name", "profileapp", "--name", "xrayapp"];
    let to: &[(&str, &str)] =
        if profiles { &[("GOTAP_PROFILES_PYROSCOPE_ENDPOINT", NOWHERE)] } else { &[] };
    let mut process = Running::start(gotap, &arguments, to)?;
    process.wait_for_error("gotap: ready", scenario::READY)?;
    let before = if profiles { BEFORE } else { ATTACH };
    let (with, seconds) = (if profiles { "with" } else { "without" }, (before + TURN).as_secs());
    progress(&format!("profile: {seconds} s {with} profiles"));
    std::thread::sleep(before);
    let state = || -> Result<(u64, u64, f64)> {
        let mut all = loaded_programs()?;
        all.retain(|program| !known.contains(&program.id) && program.name == PROGRAM);
        let runs = all.iter().map(|program| program.runs).sum();
        let time = all.iter().map(|program| program.nanoseconds).sum();
        Ok((runs, time, cpu_seconds(process.pid())?))
    };
    let (before, began) = (state()?, Instant::now());
    std::thread::sleep(TURN);
    let (after, seconds) = (state()?, began.elapsed().as_secs_f64());
    process.stop()?;
    let (runs, nanoseconds) = ((after.0 - before.0) as f64, (after.1 - before.1) as f64);
    ensure!(!profiles || runs > 0.0, "the sampler did not run");
    Ok(Measured {
        samples: runs / seconds,
        each: if runs > 0.0 { nanoseconds / runs } else { 0.0 },
        kernel: nanoseconds / 1e9 / seconds,
        agent: (after.2 - before.2) / seconds,
        without: 0.0,
    })
}
