//! The sampler: stacks of Go and of the kernel, also where Go changes stacks.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Gotap, SOON, binary};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;
use serde_json::Value;

pub(crate) fn cpu() -> Result<()> {
    let table = profile("cpu", &["-work", "-grow"], &["-F", "199"])?;
    let share = |name: &str| table.get(name).copied().unwrap_or(0.0);
    let all: f64 = share("main.workAll") + share("main.growAll.func1");
    ensure!(all > 0.5, "{table:?}");
    for name in ["main.hot", "runtime.systemstack", "runtime.newstack"] {
        ensure!(share(name) > 0.01, "no {name}: {table:?}");
    }
    ensure!(share("(callers are not known)") < 0.05, "{table:?}");
    let kernel = table.keys().filter(|name| name.ends_with(" [kernel]"));
    ensure!(kernel.count() > 3, "the kernel's functions have no names: {table:?}");
    Ok(())
}

/// Threads that leave their processors.
pub(crate) fn off_cpu() -> Result<()> {
    let table = profile("offcpu", &["-blocked"], &[])?;
    let blocked = table.get("main.blockInKernel").copied().unwrap_or(0.0);
    ensure!(blocked > 0.1, "{table:?}");
    ensure!(table.keys().any(|name| name.contains("nanosleep")), "{table:?}");
    Ok(())
}

/// What requests do: the iterator over the map of those that are being served, and samples with their requests.
pub(crate) fn xray() -> Result<()> {
    let program = program("xrayapp", Version::NEWEST);
    let mut app = start(&program, &["-clients", "1"])?;
    app.wait_for("ready", SOON)?;
    let pid = app.pid().to_string();
    // The kernel takes its time to verify the programs.
    let gotap = Gotap::start(&["xray", &pid, "-d", "10s", "--format", "json"], &[])?;
    gotap.wait_ready()?;
    app.signal(libc::SIGUSR1)?;
    let mut gotap = gotap.process;
    let status = gotap.wait(4 * SOON)?;
    let said = gotap.stderr().join("\n");
    ensure!(status.success(), "{status}: {said}");
    let lines = gotap.stdout();
    let mix = lines.iter().find(|line| line.contains("\"/mix/\"")).context(said)?;
    let mix: Value = serde_json::from_str(mix).context("gotap prints JSON")?;
    // What it finds depends on how often it can look, which is seldom on an emulated machine.
    ensure!(mix["looks"].as_u64() > Some(0), "{mix}");
    let spins = lines.iter().any(|line| line.contains("main.spin"));
    ensure!(spins, "no sample has a request: {lines:?}");
    Ok(())
}

/// One sampler of many processes, which are found while it runs. Nobody takes the profiles.
pub(crate) fn continuous() -> Result<()> {
    let program = program("xrayapp", Version::NEWEST);
    // Of one back end that takes all, gotap says it once, with whichever signal comes first.
    let (nowhere, other) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    let arguments = ["run", "--otlp-endpoint", nowhere, "--name", "xrayapp"];
    let environment = [("GOTAP_PROFILES_PARCA_ENDPOINT", other), ("GOTAP_PROFILES_INTERVAL", "2s")];
    let gotap = Gotap::start(&arguments, &environment)?;
    gotap.wait_ready()?;
    let mut apps = Vec::new();
    for _ in 0..2 {
        let mut app = start(&program, &["-clients", "1"])?;
        app.wait_for("ready", SOON)?;
        app.signal(libc::SIGUSR1)?;
        apps.push(app);
    }
    // Which it says of the first profile: reading the program takes its time on an emulated machine.
    gotap.process.wait_for_error("can't be reached", 4 * SOON)?;
    // Naming functions at the end takes its time on an emulated machine.
    let mut gotap = gotap.process;
    gotap.signal(libc::SIGINT)?;
    gotap.wait(8 * SOON)?;
    let said = gotap.stderr();
    let last = said.iter().find(|line| line.contains("profiles of")).context("a summary")?;
    let words: Vec<&str> = last.split_ascii_whitespace().collect();
    let samples = words.get(3).and_then(|word| word.parse::<u64>().ok());
    ensure!(samples.is_some_and(|samples| samples > 5), "{last}");
    ensure!(!last.contains("unnamed") && !last.contains("without_stack"), "{last}");
    ensure!(last.contains("not delivered"), "{last}");
    Ok(())
}

/// Starts a program that keeps processors busy: what gotap does meanwhile takes minutes on an emulated machine, unless
/// it goes before.
fn start(program: &Path, arguments: &[&str]) -> Result<Running> {
    const LOWEST: libc::c_int = 19;
    let mut command = Command::new(program);
    command.args(arguments);
    let lower = || {
        // SAFETY: a system call without pointers, which may be made between fork and exec.
        unsafe { libc::nice(LOWEST) };
        Ok(())
    };
    // SAFETY: `lower` allocates nothing and takes no lock.
    unsafe { command.pre_exec(lower) };
    Running::spawn(command)
}

/// Runs a profile of a program with these arguments, and gives the functions' cumulative shares.
fn profile(kind: &str, work: &[&str], arguments: &[&str]) -> Result<BTreeMap<String, f64>> {
    let program = program("profileapp", Version::NEWEST);
    let app = start(&program, work)?;
    app.wait_for("ready", SOON)?;
    let mut command = Command::new(binary());
    command.args(["profile", kind, &app.pid().to_string(), "-d", "4s", "--format", "json"]);
    let output = command.args(["--top", "1000"]).args(arguments).output().context("run gotap")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    let object: Value = serde_json::from_slice(&output.stdout).context("gotap prints JSON")?;
    let total = object["total"].as_f64().context("a total")?;
    let functions = object["functions"].as_array().context("functions")?;
    let one = |function: &Value| {
        let share = function["cumulative"].as_f64()? / total;
        Some((function["function"].as_str()?.to_owned(), share))
    };
    functions.iter().map(|function| one(function).context("a function")).collect()
}
