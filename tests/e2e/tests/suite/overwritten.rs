//! Executables that are renamed over, get other permissions, or are written over and cut short after their process has
//! ended, while gotap looks up names in them: it goes on, and never gives the names of other contents as those of the
//! process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Gotap, SOON, binary, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;
use tempfile::TempDir;

/// A program at work, with a file of its own.
struct Own {
    _folder: TempDir,
    file: PathBuf,
    process: Running,
}

fn start(arguments: &[&str], ready: &str) -> Result<Own> {
    let program = go::build("xrayapp", Version::NEWEST, Mode::Stripped)?;
    let folder = TempDir::with_prefix("gotap-e2e-")?;
    let file = folder.path().join("overwritten");
    fs::copy(program, &file)?;
    // Else it has the module's name, by which other tests choose programs.
    let process = Running::start(&file, arguments, &[("OTEL_SERVICE_NAME", "overwritten")])?;
    process.wait_for(ready, SOON)?;
    Ok(Own { _folder: folder, file, process })
}

fn busy() -> Result<Own> {
    let mut own = start(&["-clients", "2"], "ready")?;
    own.process.signal(libc::SIGUSR1)?;
    Ok(own)
}

#[test]
fn a_program_whose_file_is_replaced_or_gets_other_rights_is_the_same() -> Result<()> {
    if !can_trace("a_program_whose_file_is_replaced_or_gets_other_rights_is_the_same") {
        return Ok(());
    }
    let own = busy()?;
    let pid = own.process.pid().to_string();
    let mut looking = Vec::new();
    for command in [
        &["chan", &pid, "-d", "3s"][..],
        &["gc", &pid, "-d", "3s"],
        &["goroutines", &pid, "--leaks", "--watch", "3s"],
        &["sched", &pid, "-d", "3s"],
        &["profile", "wall", &pid, "-d", "3s"],
    ] {
        looking.push(Running::start(binary(), command, &[])?);
    }
    std::thread::sleep(Duration::from_secs(1));
    fs::set_permissions(&own.file, fs::Permissions::from_mode(0o700))?;
    let fresh = own.file.with_extension("new");
    fs::copy("/bin/true", &fresh)?;
    fs::rename(&fresh, &own.file)?;
    for mut command in looking {
        let status = command.wait(SOON)?;
        ensure!(status.success(), "{:?}", command.stderr());
        ensure!(!command.stdout().is_empty(), "{:?}", command.stderr());
    }
    Ok(())
}

#[test]
fn a_file_that_is_cut_short_ends_no_command() -> Result<()> {
    if !can_trace("a_file_that_is_cut_short_ends_no_command") {
        return Ok(());
    }
    for command in ["cpu", "wall"] {
        let mut own = busy()?;
        let pid = own.process.pid().to_string();
        let mut gotap = Running::start(binary(), &["profile", command, &pid, "-d", "30s"], &[])?;
        std::thread::sleep(Duration::from_secs(2));
        // Samples wait for their names until the process has ended, which is found now or a moment later.
        own.process.signal(libc::SIGKILL)?;
        own.process.wait(SOON)?;
        fs::write(&own.file, b"").context("cut it short")?;
        let status = gotap.wait(SOON)?;
        let said = gotap.stderr().join("\n");
        ensure!(status.signal().is_none(), "{command}: {status}: {said}");
        let in_doubt = said.contains("its executable was written to");
        ensure!(status.success() != in_doubt, "{command}: {status}: {said}");
        if !in_doubt {
            ensure!(gotap.stdout().concat().contains("main."), "{:?}", gotap.stdout());
        }
    }
    Ok(())
}

/// The last profile of a process is made after it has ended.
#[test]
fn a_file_that_is_written_over_ends_no_agent() -> Result<()> {
    if !can_trace("a_file_that_is_written_over_ends_no_agent") {
        return Ok(());
    }
    let collector = Collector::start()?;
    let (mut own, stays) = (busy()?, busy()?);
    let endpoint = collector.grpc_endpoint();
    let arguments = ["run", "--otlp-endpoint", &endpoint, "--name", "overwritten"];
    let environment = [("GOTAP_PROFILES_INTERVAL", "6s"), ("GOTAP_PROFILES_OTLP", "true")];
    let gotap = Gotap::start(&arguments, &environment)?;
    gotap.wait_ready()?;
    std::thread::sleep(Duration::from_secs(2));
    let pid = own.process.pid();
    own.process.signal(libc::SIGKILL)?;
    own.process.wait(SOON)?;
    // Another program of the same size: nothing is cut off, and all names are others.
    let len = fs::metadata(&own.file)?.len();
    let other = go::build("profileapp", Version::NEWEST, Mode::Plain)?;
    let mut bytes = fs::read(other)?;
    bytes.resize(usize::try_from(len)?, 0);
    fs::write(&own.file, bytes).context("write over it")?;
    // The other process's profiles go on.
    let of = |pid: u32, export: &Value| export.to_string().contains(&format!("\"{pid}\""));
    let profiles = |pid: u32| -> usize {
        let exports = collector.exports().unwrap_or_default();
        let has = |export: &&Value| export.get("resourceProfiles").is_some() && of(pid, export);
        exports.iter().filter(has).count()
    };
    ensure!(
        eventually(SOON, || profiles(stays.process.pid()) >= 2),
        "{:?}",
        gotap.process.stderr()
    );
    ensure!(profiles(pid) == 0, "names of another program");
    let said = gotap.stop()?.stderr;
    let last = said.iter().find(|line| line.contains("profiles of")).context("a summary")?;
    ensure!(last.contains("unnamed"), "{last}");
    Ok(())
}
