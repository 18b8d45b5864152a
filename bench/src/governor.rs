//! What the overhead governor leaves of a program's throughput: one that does nothing but start goroutines that
//! park and end, by turns alone and with every feature at once that traps each of these. Each turn with them is
//! compared with the turns before and after it, and the median of these ratios counts: machines are busy.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde::Serialize;
use serde_json::json;

use crate::measure::cpu_seconds;
use crate::progress;
use crate::report::median;
use crate::scenario;

/// How long each turn is measured, and until the commands are attached.
const TURN: Duration = Duration::from_secs(6);
const ATTACH: Duration = Duration::from_secs(3);
/// The commands end by themselves, should this program be killed.
const AT_MOST: &str = "60s";

/// The features. Each one traps what the program does all the time.
const FEATURES: [&[&str]; 3] =
    [&["trace", "goroutines", "--summary", "--pid"], &["chan", "--rates"], &["alloc", "--exact"]];

/// Throughput of one turn: a second, and for each second of its processor time.
#[derive(Debug, Clone, Copy, Serialize)]
struct Turn {
    per_second: f64,
    per_cpu_second: f64,
}

impl Turn {
    /// What is compared.
    const SORTS: [fn(&Self) -> f64; 2] = [|turn| turn.per_second, |turn| turn.per_cpu_second];
}

/// Measures, prints the table, which it gives, and writes governor.json.
pub(crate) fn run(gotap: &Path, rounds: usize, out: &Path) -> Result<String> {
    let program = go::build("runtimeapp", Version::of(26), Mode::Stripped)?;
    let process = Running::start(&program, &["-quiet", "-churn"], &[])?;
    process.wait_for("ready", scenario::READY)?;
    let mut alone = vec![turn(&process)?];
    let mut observed = Vec::new();
    let mut ratios: Vec<[f64; 2]> = Vec::new();
    for round in 1..=rounds {
        let commands = start(gotap, process.pid())?;
        std::thread::sleep(ATTACH);
        let with = turn(&process)?;
        stop(commands)?;
        let (before, after) = (alone[round - 1], turn(&process)?);
        let kept = Turn::SORTS.map(|part| 2.0 * part(&with) / (part(&before) + part(&after)));
        progress(&format!("governor, round {round} of {rounds}: {:.1} % kept", 100.0 * kept[1]));
        observed.push(with);
        alone.push(after);
        ratios.push(kept);
    }
    let mut table = String::from(
        "| goroutines a second | alone | every feature at once | kept |\n|---|---:|---:|---:|\n",
    );
    let mut kept = Vec::new();
    for (number, name) in ["by the clock", "by its processor time"].into_iter().enumerate() {
        let part = Turn::SORTS[number];
        let of = |turns: &[Turn]| median(turns.iter().map(part).collect());
        let ratio = median(ratios.iter().map(|ratios| ratios[number]).collect());
        let (bare, with) = (of(&alone), of(&observed));
        table += &format!("| {name} | {bare:.0} | {with:.0} | {:.1} % |\n", 100.0 * ratio);
        kept.push(ratio);
    }
    println!("{table}");
    let path = out.join("governor.json");
    let written = json!({ "alone": alone, "observed": observed, "kept": kept[1] });
    std::fs::write(&path, serde_json::to_string_pretty(&written)?)?;
    println!("written: {}", path.display());
    Ok(table)
}

/// Goroutines until now.
fn churned(process: &Running) -> Result<f64> {
    let lines = process.stdout();
    let last = lines.iter().rev().find_map(|line| line.strip_prefix("churned "));
    Ok(last.context("the program says nothing")?.trim().parse()?)
}

fn turn(process: &Running) -> Result<Turn> {
    let state = || Ok::<_, anyhow::Error>((churned(process)?, cpu_seconds(process.pid())?));
    let (before, began) = (state()?, std::time::Instant::now());
    std::thread::sleep(TURN);
    let (after, seconds) = (state()?, began.elapsed().as_secs_f64());
    let done = after.0 - before.0;
    Ok(Turn { per_second: done / seconds, per_cpu_second: done / (after.1 - before.1) })
}

fn start(gotap: &Path, pid: u32) -> Result<Vec<Child>> {
    let pid = pid.to_string();
    let start = |feature: &&[&str]| {
        let mut command = Command::new(gotap);
        command.args(*feature).args([&pid, "-d", AT_MOST, "--format", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    FEATURES.iter().map(|feature| start(feature).context("start gotap")).collect()
}

fn stop(commands: Vec<Child>) -> Result<()> {
    for mut command in commands {
        ensure!(command.try_wait()?.is_none(), "a command ended too early");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(command.id())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        ensure!(command.wait()?.success(), "a command failed");
    }
    Ok(())
}
