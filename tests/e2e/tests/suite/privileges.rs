//! Rights: the smallest set does, each that is missing is named, and those that are not needed are given up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Unprivileged, can_trace, eventually};
use tempfile::TempDir;

/// The smallest set, by setpriv's names, gotap's and numbers of `linux/capability.h`.
const SMALLEST: [(&str, &str, u32); 4] = [
    ("bpf", "CAP_BPF", 39),
    ("perfmon", "CAP_PERFMON", 38),
    ("sys_ptrace", "CAP_SYS_PTRACE", 19),
    ("dac_read_search", "CAP_DAC_READ_SEARCH", 2),
];

/// A copy of httpapp that only its owner, who is root, may read and run.
fn own_copy() -> Result<(TempDir, PathBuf)> {
    let folder = TempDir::new().context("create a folder")?;
    let program = folder.path().join("httpapp");
    // Another process writes it: what this one has open for writing could not be started while a test forks.
    let copied = Command::new("cp").arg(App::newest()?).arg(&program).status().context("run cp")?;
    ensure!(copied.success(), "cp: {copied}");
    let mode = Command::new("chmod").arg("700").arg(&program).status().context("run chmod")?;
    ensure!(mode.success(), "chmod: {mode}");
    Ok((folder, program))
}

/// Flags of setpriv for nobody with these capabilities and no others.
fn with(names: &[&str]) -> Vec<String> {
    let list: String = names.iter().map(|name| format!(",+{name}")).collect();
    let sets =
        ["inh-caps", "ambient-caps", "bounding-set"].map(|set| format!("--{set}=-all{list}"));
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned);
    [nobody, sets].concat()
}

/// Values of a field of all of a process's threads, such as `CapEff`.
fn of_threads(pid: u32, field: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the threads")? {
        // Threads end, too, and then have none.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        out.push(line.with_context(|| format!("no {field}"))?.trim().to_owned());
    }
    ensure!(out.len() > 2, "{} threads", out.len());
    Ok(out)
}

/// Each thread of this process has the smallest set in these sets.
fn has_smallest(pid: u32, sets: &[&str]) -> Result<()> {
    let wanted: u64 = SMALLEST.iter().map(|(.., bit)| 1 << bit).sum();
    for set in sets {
        let found = of_threads(pid, set)?;
        ensure!(found.iter().all(|one| *one == format!("{wanted:016x}")), "{set}: {found:?}");
    }
    ensure!(of_threads(pid, "NoNewPrivs")?.iter().all(|one| one == "1"), "it may gain rights");
    Ok(())
}

#[test]
fn the_smallest_set_of_capabilities_does_and_what_is_missing_is_named() -> Result<()> {
    const TEST: &str = "the_smallest_set_of_capabilities_does_and_what_is_missing_is_named";
    if !can_trace(TEST) {
        return Ok(());
    }
    let Some(unprivileged) = Unprivileged::new(TEST)? else { return Ok(()) };
    let (_folder, program) = own_copy()?;
    let app = App::start(&program)?;
    let pid = app.pid().to_string();
    let names = SMALLEST.map(|(name, ..)| name);
    for (missing, said, _) in SMALLEST {
        let fewer: Vec<_> = names.iter().copied().filter(|name| *name != missing).collect();
        let output = unprivileged.run(&with(&fewer), &["trace", "http", "--pid", &pid])?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(77), "without {said}: {}: {stderr}", output.status);
        ensure!(stderr.contains(said) && stderr.lines().count() == 1, "without {said}: {stderr}");
    }
    let flows = unprivileged.run(&with(&names), &["flows", "--interface", "lo"])?;
    let stderr = String::from_utf8_lossy(&flows.stderr);
    ensure!(
        flows.status.code() == Some(77) && stderr.contains("lacks CAP_NET_"),
        "flows: {stderr}"
    );
    for verb in [&["ps", "--pid", &pid][..], &["goroutines", &pid]] {
        let output = unprivileged.run(&with(&["sys_ptrace", "dac_read_search"]), verb)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{verb:?}: {}: {stderr}", output.status);
    }
    let gotap =
        unprivileged.start(&with(&names), &["trace", "http", "--format", "json", "--pid", &pid])?;
    gotap.wait_ready()?;
    has_smallest(gotap.process.pid(), &["CapEff", "CapPrm", "CapBnd"])?;
    ensure!(of_threads(gotap.process.pid(), "Uid")?.iter().all(|ids| ids.starts_with("65534")));
    app.get("/hello", &[])?;
    let spans = gotap.finish(1)?;
    ensure!(spans[0].name == "GET /hello", "{spans:?}");
    Ok(())
}

#[test]
fn doctor_names_what_is_needed_and_only_notes_what_some_programs_need() -> Result<()> {
    const TEST: &str = "doctor_names_what_is_needed_and_only_notes_what_some_programs_need";
    if !can_trace(TEST) {
        return Ok(());
    }
    let Some(unprivileged) = Unprivileged::new(TEST)? else { return Ok(()) };
    let doctor = |missing: &str| -> Result<(Option<i32>, String)> {
        let kept = SMALLEST.iter().map(|(name, ..)| *name).filter(|name| *name != missing);
        let output = unprivileged.run(&with(&kept.collect::<Vec<_>>()), &["doctor"])?;
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find(|line| line.contains(" privileges "));
        Ok((output.status.code(), line.context("a check of privileges")?.to_owned()))
    };
    for (missing, said, _) in SMALLEST {
        let (code, label) =
            if missing == "dac_read_search" { (Some(0), "note ") } else { (Some(77), "FAIL ") };
        let (found, line) = doctor(missing)?;
        let is_so = found == code && line.starts_with(label) && line.contains(said);
        ensure!(is_so, "without {said}: {found:?}: {line}");
    }
    let (code, line) = doctor("none of them")?;
    ensure!(code == Some(0) && line.starts_with("ok "), "{code:?}: {line}");
    Ok(())
}

#[test]
fn rights_that_flags_need_are_named() -> Result<()> {
    const TEST: &str = "rights_that_flags_need_are_named";
    if !can_trace(TEST) {
        return Ok(());
    }
    let Some(unprivileged) = Unprivileged::new(TEST)? else { return Ok(()) };
    let app = App::start(&App::newest()?)?;
    let pid = app.pid().to_string();
    let mut cases = vec![
        (vec!["trace", "http", "--no-uprobe-multi", "--pid", &pid], "CAP_SYS_ADMIN"),
        (vec!["run", "--no-uprobe-multi"], "CAP_SYS_ADMIN"),
        (vec!["trace", "goroutines", "--no-uprobe-multi", "--pid", &pid], "CAP_SYS_ADMIN"),
    ];
    // Container runtimes let everybody take all ports.
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.context("the first free port")?.trim().parse::<u16>()? > 80 {
        let low = vec!["run", "--prometheus-listen", "127.0.0.1:80", "--pid", &pid];
        cases.push((low, "CAP_NET_BIND_SERVICE"));
    }
    for (arguments, said) in cases {
        let output = unprivileged.run(&with(&SMALLEST.map(|(name, ..)| name)), &arguments)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_so = output.status.code() == Some(77) && stderr.contains(said);
        ensure!(is_so, "{arguments:?}: {}: {stderr}", output.status);
    }
    Ok(())
}

#[test]
fn root_gives_up_what_observing_does_not_need() -> Result<()> {
    if !can_trace("root_gives_up_what_observing_does_not_need") {
        return Ok(());
    }
    let (_folder, program) = own_copy()?;
    let executable = program.to_str().context("a path in UTF-8")?;
    let gotap =
        Gotap::start(&["trace", "http", "--format", "json", "--executable", executable], &[])?;
    gotap.wait_ready()?;
    has_smallest(gotap.process.pid(), &["CapEff", "CapPrm", "CapBnd"])?;
    // What is kept suffices for programs that start later, and for those of other users.
    let app = start_as_nobody(&program)?;
    let attached = format!("attached to httpapp[{}]", app.pid());
    gotap.process.wait_for_error(&attached, SOON)?;
    ensure!(eventually(SOON, || app.get("/hello", &[]).is_ok()), "it does not answer");
    let spans = gotap.finish(1)?;
    ensure!(spans[0].name == "GET /hello", "{spans:?}");
    Ok(())
}

/// The program, started by root, which then is nobody.
fn start_as_nobody(program: &Path) -> Result<App> {
    let program = program.to_str().context("a path in UTF-8")?;
    let folder = Path::new(program).parent().context("a folder")?;
    for path in [folder, Path::new(program)] {
        let owned =
            Command::new("chown").arg("65534:65534").arg(path).status().context("run chown")?;
        ensure!(owned.success(), "chown: {owned}");
    }
    let flags = ["--reuid=65534", "--regid=65534", "--clear-groups", program];
    App::start_with(Path::new("/usr/bin/setpriv"), &flags, &[])
}
