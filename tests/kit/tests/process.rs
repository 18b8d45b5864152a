//! Starting, watching and ending processes.

use std::path::Path;
use std::time::{Duration, Instant};

use gotap_testkit::process::{Running, ended_by};

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Running {
    Running::start(Path::new("/bin/sh"), &["-c", script], &[("GREETING", "hello")])
        .expect("the shell starts")
}

/// Whether a process exists that is not a zombie.
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn waits_for_a_line_on_either_stream() {
    let mut running = shell("echo first; sleep 0.2; echo \"$GREETING world\"; echo oops >&2");
    assert_eq!(running.wait_for("hello ", SOON).unwrap(), "world");
    assert_eq!(running.wait_for("fir", SOON).unwrap(), "st");
    assert_eq!(running.wait_for_error("op", SOON).unwrap(), "oops");
    assert!(running.wait(SOON).unwrap().success());
    assert_eq!(running.stdout(), ["first", "hello world"]);
    assert_eq!(running.stderr(), ["oops"]);
}

#[test]
fn a_line_that_never_comes_is_an_error_that_shows_the_output() {
    let begin = Instant::now();
    let error = shell("echo something else").wait_for("listening", SOON).unwrap_err();
    assert!(error.to_string().contains("something else"), "{error}");
    assert!(begin.elapsed() < SOON, "it must not wait for a process that has ended");
    let error = shell("exec sleep 60").wait_for("x", Duration::from_millis(50)).unwrap_err();
    assert!(error.to_string().contains("50ms"), "{error}");
}

#[test]
fn stop_asks_first() {
    let mut polite =
        shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    polite.wait_for("ready", SOON).unwrap();
    assert_eq!(polite.stop().unwrap().code(), Some(3));
    assert_eq!(polite.stdout(), ["ready", "bye"]);
    assert_eq!(polite.stop().unwrap().code(), Some(3), "a second stop does nothing");
    assert!(ended_by(shell("exec sleep 60").stop().unwrap(), libc::SIGTERM));
}

#[test]
fn drop_kills() {
    let running = shell("exec sleep 60");
    let pid = running.pid();
    assert!(alive(pid));
    drop(running);
    assert!(!alive(pid));
}

#[test]
fn a_program_that_is_missing_is_named() {
    let error = Running::start::<&str>(Path::new("/no/such/program"), &[], &[]).unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}
