//! What `gotap profile` says where there is nothing to profile, or where it may not.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::profiles::ProfileApp;
use gotap_e2e::{NOBODY, Unprivileged, binary, can_trace};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::process::Running;

/// One sentence with these words, and this exit code.
fn refuses(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{}: {said}", output.status);
    ensure!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    ensure!(code == 2 || said.lines().count() == 1, "{said}");
    ensure!(words.iter().all(|word| said.contains(word)), "{said} lacks one of {words:?}");
    Ok(())
}

fn gotap(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary());
    command.arg("profile").args(arguments).stdin(Stdio::null()).output().context("run gotap")
}

#[test]
fn what_can_not_be_profiled_is_named() -> Result<()> {
    if !can_trace("what_can_not_be_profiled_is_named") {
        return Ok(());
    }
    refuses(&gotap(&["cpu", "4194305"])?, 1, &["no process 4194305"])?;
    let sleep = Running::start(Path::new("/bin/sleep"), &["60"], &[])?;
    refuses(&gotap(&["cpu", &sleep.pid().to_string()])?, 1, &["sleep", "Go"])?;
    refuses(&gotap(&["cpu", "many"])?, 2, &["many"])?;
    let app = ProfileApp::start(Version::NEWEST, Mode::Plain, &[], "1s")?;
    let pid = app.process.pid().to_string();
    refuses(&gotap(&["cpu", &pid, "-d", "300ms"])?, 1, &[&pid, "idle", "gotap profile wall"])?;
    refuses(&gotap(&["cpu", &pid, "-F", "0"])?, 2, &["1..=1000"])?;
    refuses(&gotap(&["cpu", &pid, "-o", "cpu.txt"])?, 2, &[".svg for a flame graph"])?;
    let missing = ["cpu", &pid, "-d", "60s", "-o", "/no/such/folder/cpu.svg"];
    refuses(&gotap(&missing)?, 1, &["write /no/such/folder/cpu.svg", "No such file"])?;
    let before = app.file("before.pb.gz");
    fs::write(&before, "no profile")?;
    let before = before.to_str().context("a path")?;
    let other = ["cpu", &pid, "-d", "60s", "-o", "/dev/null.svg", "--diff", before];
    refuses(&gotap(&other)?, 1, &["before.pb.gz", "no pprof profile"])
}

#[test]
fn a_full_disk_is_told() -> Result<()> {
    if !can_trace("a_full_disk_is_told") {
        return Ok(());
    }
    let app = ProfileApp::start(Version::NEWEST, Mode::Plain, &["-recurse"], "1s")?;
    let full = app.file("full.svg");
    std::os::unix::fs::symlink("/dev/full", &full)?;
    let path = full.to_str().context("a path")?;
    let output = app.gotap("cpu", &["-d", "500ms", "-o", path])?;
    refuses(&output, 1, &["full.svg", "No space left"])
}

#[test]
fn without_rights_profiles_are_refused() -> Result<()> {
    const TEST: &str = "without_rights_profiles_are_refused";
    if !can_trace(TEST) {
        return Ok(());
    }
    let Some(gotap) = Unprivileged::new(TEST)? else { return Ok(()) };
    let app = ProfileApp::start(Version::NEWEST, Mode::Plain, &["-recurse"], "1s")?;
    let pid = app.process.pid().to_string();
    let run = |user: &[&str], words: &[&str]| -> Result<()> {
        refuses(&gotap.run(user, &["profile", "cpu", &pid, "-d", "1s"])?, 77, words)
    };
    run(&NOBODY, &["root"])?;
    run(
        &[
            "--inh-caps=-all,+bpf,+sys_ptrace,+dac_read_search",
            "--bounding-set=-all,+bpf,+sys_ptrace,+dac_read_search",
        ],
        &["CAP_PERFMON"],
    )
}
