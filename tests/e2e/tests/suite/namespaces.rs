//! Containers, without any: gotap in a pid namespace of its own, and programs in theirs.

mod kubernetes;
mod runtimes;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, binary, can_trace, eventually};
use gotap_testkit::http;
use gotap_testkit::process::Running;

/// In a container without the host's pids probes would find nobody: gotap must not seem to work.
#[test]
fn in_a_pid_namespace_of_its_own_gotap_refuses() -> Result<()> {
    if !can_trace("in_a_pid_namespace_of_its_own_gotap_refuses") {
        return Ok(());
    }
    for verb in [&["trace", "http"][..], &["trace", "all", "--pid", "1"], &["run"], &["doctor"]] {
        // With /proc of the namespace, and with the host's.
        for flags in [&["--pid", "--fork", "--mount-proc"][..], &["--pid", "--fork"]] {
            let mut command = Command::new("unshare");
            command.args(flags).arg(binary()).args(verb).stdin(Stdio::null());
            let output = command.output().context("run unshare")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(1), "{verb:?} {flags:?}: {output:?}");
            ensure!(said.lines().count() == 1, "{verb:?} {flags:?}: {said}");
            ensure!(said.contains("--pid=host") && said.contains("hostPID: true"), "{said}");
        }
    }
    Ok(())
}

/// A program in pid and mount namespaces of its own, run from a file system that only it sees.
struct Contained {
    /// Ends with its program.
    _shell: Running,
    /// Its id outside.
    pid: u32,
    address: String,
}

impl Contained {
    fn start(program: &Path) -> Result<Self> {
        let script = "mount -t tmpfs none /mnt && cp \"$0\" /mnt/contained && exec /mnt/contained";
        let flags = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c"];
        let program = program.to_string_lossy();
        let arguments = [&flags[..], &[script, &program]].concat();
        let shell = Running::start(Path::new("/usr/bin/unshare"), &arguments, &[])?;
        let address = shell.wait_for("listening ", SOON)?;
        let children = format!("/proc/{0}/task/{0}/children", shell.pid());
        let pid = fs::read_to_string(children)?.trim().parse().context("the child's id")?;
        Ok(Self { _shell: shell, pid, address })
    }
}

#[test]
fn programs_in_containers_are_traced() -> Result<()> {
    if !can_trace("programs_in_containers_are_traced") {
        return Ok(());
    }
    let program = App::newest()?;
    let early = Contained::start(&program)?;
    ensure!(!Path::new("/mnt/contained").exists(), "the file is seen outside");
    // The path is the one that the program sees.
    let gotap = Gotap::trace(&["--executable", "/mnt/contained"])?;
    let late = Contained::start(&program)?;
    let attached = format!("attached to httpapp[{}]", late.pid);
    gotap.process.wait_for_error(&attached, SOON)?;
    for (contained, path) in [(&early, "/users/1"), (&late, "/users/2")] {
        http::get(&contained.address, path, &[])?;
    }
    gotap.wait_for_spans(2)?;
    let late_pid = late.pid;
    drop(late);
    gotap.process.wait_for_error(&format!("httpapp[{late_pid}] ended"), SOON)?;
    let spans = gotap.finish(2)?;
    for (pid, path) in [(early.pid, "/users/1"), (late_pid, "/users/2")] {
        let span = spans.iter().find(|span| span.target() == path).context(path)?;
        ensure!(span.resource["process.pid"] == pid, "{span:#?}");
        ensure!(span.text("http.route") == Some("/users/{id}"), "{span:#?}");
    }
    ensure!(eventually(SOON, || !Path::new(&format!("/proc/{late_pid}")).exists()), "it runs on");
    Ok(())
}
