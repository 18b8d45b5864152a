//! `gotap goroutines` as a command: groups, choices, profiles, suspected leaks, and what it says when
//! it can't.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{NOBODY, SOON, Unprivileged, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use gotap_testkit::setup;
use serde_json::Value;
use tempfile::TempDir;

fn start(arguments: &[&str]) -> Result<RuntimeApp> {
    let program = go::build("runtimeapp", Version::NEWEST, Mode::Stripped)?;
    RuntimeApp::start(&program, arguments, &[])
}

fn gotap(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).output().context("run gotap")
}

/// Fails unless gotap says one sentence with these words and ends with that code.
fn refuses(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{}: {said}", output.status);
    ensure!(output.stdout.is_empty() && said.lines().count() == 1, "{said}");
    let missing = words.iter().find(|word| !said.contains(**word));
    ensure!(missing.is_none(), "no {missing:?} in {said}");
    Ok(())
}

fn groups(object: &Value) -> Result<&Vec<Value>> {
    object["groups"].as_array().context("groups")
}

#[test]
fn groups_are_in_order_and_add_up() -> Result<()> {
    if !can_trace("groups_are_in_order_and_add_up") {
        return Ok(());
    }
    let mut app = start(&["-goroutines", "3000"])?;
    let object = app.gotap("goroutines", &[])?;
    ensure!(object["pid"] == app.process.pid() && object["service"] == "runtimeapp", "{object}");
    let counts: Vec<u64> =
        groups(&object)?.iter().filter_map(|group| group["count"].as_u64()).collect();
    ensure!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    let report = app.report()?;
    let total: u64 = counts.iter().sum();
    ensure!(Some(total) == report["goroutines"].as_u64(), "{total} {}", report["goroutines"]);
    // Half of this sort wait for one channel, half each for its own.
    let crowd = groups(&object)?.iter().find(|g| g["startFunction"] == "main.crowdReceive");
    let crowd = crowd.context("the crowd")?;
    ensure!(crowd["goids"].as_array().is_some_and(|goids| goids.len() == 20), "{crowd}");
    let wait = &crowd["waitingOn"];
    ensure!(wait["elementType"] == "main.item" && wait["senders"] == 0, "{wait}");
    // Where the compiler keeps the two `go` statements apart there are two groups.
    ensure!(crowd["count"] == 750 || wait["address"].is_null(), "{crowd}");
    // Without being asked, none is listed.
    ensure!(object.get("goroutines").is_none() && object.get("suspects").is_none());
    Ok(())
}

#[test]
fn goroutines_can_be_chosen() -> Result<()> {
    if !can_trace("goroutines_can_be_chosen") {
        return Ok(());
    }
    let app = start(&[])?;
    let shown = |arguments: &[&str]| -> Result<Vec<Value>> {
        Ok(groups(&app.gotap("goroutines", arguments)?)?.clone())
    };
    let all = shown(&[])?;
    let syscalls = shown(&["--state", "syscall"])?;
    ensure!(!syscalls.is_empty() && syscalls.len() < all.len(), "{syscalls:?}");
    ensure!(syscalls.iter().all(|group| group["state"] == "syscall"), "{syscalls:?}");
    let selects = shown(&["--reason", "select*"])?;
    let reasons: Vec<_> = selects.iter().filter_map(|group| group["waitReason"].as_str()).collect();
    ensure!(reasons.len() >= 2 && reasons.iter().all(|r| r.starts_with("select")), "{reasons:?}");
    let locks = shown(&["--function", "main.takeLock"])?;
    ensure!(locks.len() == 1 && locks[0]["count"] == 4, "{locks:?}");
    ensure!(shown(&["--min-age", "1h"])?.is_empty(), "none has waited for an hour");
    ensure!(shown(&["--min-age", "1ms"])?.len() > 10, "all have waited for a moment");
    let system = shown(&["--system"])?;
    ensure!(system.len() > all.len(), "{} {}", system.len(), all.len());
    let pid = app.process.pid().to_string();
    let (wrong, broken) = (["--state", "sleepy"], ["--reason", "[broken"]);
    for flags in [wrong, broken, ["--min-age", "soon"], ["--watch", "1s"]] {
        let output = gotap(&["goroutines", &pid, flags[0], flags[1]])?;
        ensure!(output.status.code() == Some(2), "{flags:?}: {}", output.status);
    }
    Ok(())
}

#[test]
fn pprof_reads_the_profile() -> Result<()> {
    if !can_trace("pprof_reads_the_profile") {
        return Ok(());
    }
    let app = start(&["-goroutines", "400"])?;
    let folder = TempDir::new().context("create a folder")?;
    let file = folder.path().join("goroutines.pb.gz");
    let path = file.to_string_lossy().into_owned();
    let output = gotap(&["goroutines", &app.process.pid().to_string(), "-o", &path])?;
    ensure!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let goroot = setup(&["go", &Version::of(26).to_string()])?;
    let pprof = |view: &str| -> Result<String> {
        let mut command = Command::new(goroot.join("bin/go"));
        command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "");
        let output = command.args(["tool", "pprof", view, &path]).output().context("run pprof")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let top = pprof("-top")?;
    ensure!(top.contains("Type: goroutine") && top.contains("runtime.gopark"), "{top}");
    let raw = pprof("-raw")?;
    ensure!(raw.contains("goroutine/count") && raw.contains("main.takeLock"), "{raw}");
    ensure!(raw.contains("wait_reason:[chan receive]"), "{raw}");
    // A call that was inlined shares its caller's address.
    ensure!(raw.contains("main.third"), "{raw}");
    Ok(())
}

#[test]
fn goroutines_that_leak_are_suspected() -> Result<()> {
    if !can_trace("goroutines_that_leak_are_suspected") {
        return Ok(());
    }
    let app = start(&["-leak", "40"])?;
    let object = app.gotap("goroutines", &["--leaks", "--watch", "3s"])?;
    let suspects = object["suspects"].as_array().context("suspects")?;
    let leak = suspects.first().context("a suspect")?;
    ensure!(leak["createdBy"]["function"] == "main.leakEvery", "{leak}");
    let growth = leak["growthPerMinute"].as_f64().context("growth")?;
    ensure!(growth > 200.0 && growth < 40.0 * 60.0 * 1.5, "{growth}");
    let why = leak["why"].as_str().context("why")?;
    ensure!(why.contains("more than at first") && why.contains("nobody"), "{why}");
    let never = suspects.iter().filter(|s| s["why"].as_str().is_some_and(|w| w.contains("nil")));
    ensure!(never.count() == 2, "{suspects:?}");
    // What waits and does not grow is no suspect.
    let is_lock = |s: &&Value| s["waitReason"].as_str().is_some_and(|r| r.contains("Mutex"));
    ensure!(!suspects.iter().any(|s| is_lock(&s)), "{suspects:?}");
    Ok(())
}

#[test]
fn what_has_no_goroutines_is_named() -> Result<()> {
    if !can_trace("what_has_no_goroutines_is_named") {
        return Ok(());
    }
    refuses(&gotap(&["goroutines", "4194305"])?, 1, &["no process 4194305"])?;
    let sleep = Running::start(Path::new("/bin/sleep"), &["60"], &[])?;
    let pid = sleep.pid().to_string();
    refuses(&gotap(&["goroutines", &pid])?, 1, &[&pid, "sleep", "Go"])?;
    ensure!(gotap(&["goroutines"])?.status.code() == Some(2), "a process must be named");
    ensure!(gotap(&["goroutines", "many"])?.status.code() == Some(2), "by its id");
    Ok(())
}

#[test]
fn without_rights_goroutines_are_refused() -> Result<()> {
    const TEST: &str = "without_rights_goroutines_are_refused";
    if !can_trace(TEST) {
        return Ok(());
    }
    let Some(gotap) = Unprivileged::new(TEST)? else { return Ok(()) };
    let app = start(&["-quiet"])?;
    let output = gotap.run(&NOBODY, &["goroutines", &app.process.pid().to_string()])?;
    refuses(&output, 77, &["root"])
}

/// A program that computes all the time: what runs has no stack, and nothing is made up.
#[test]
fn a_program_that_changes_all_the_time_is_read() -> Result<()> {
    if !can_trace("a_program_that_changes_all_the_time_is_read") {
        return Ok(());
    }
    let app = start(&["-quiet", "-busy"])?;
    app.process.wait_for("ready", SOON)?;
    for _ in 0..4 {
        let object = app.gotap("goroutines", &["--all"])?;
        let goroutines = object["goroutines"].as_array().context("goroutines")?;
        for goroutine in goroutines {
            let runs = goroutine["state"] == "running";
            ensure!(!runs || goroutine["stack"].is_null(), "{goroutine}");
            ensure!(goroutine["goid"].as_u64().is_some_and(|id| id > 0), "{goroutine}");
            let Some(stack) = goroutine["stack"].as_array() else { continue };
            // A stack that is said to be whole and unchanged ends where the goroutine began.
            let last = stack.last().map(|frame| frame["function"].clone());
            let whole = last == Some(goroutine["startFunction"].clone());
            // One that has not begun is in the function that calls that one.
            let is_new = goroutine["state"] == "runnable" && stack.len() == 1;
            ensure!(whole || is_new || goroutine["changed"] == true, "{goroutine}");
        }
    }
    Ok(())
}

const PROVE: [&str; 5] =
    ["--leaks", "--prove", "--allow-target-writes", "goroutine-leak-search", "--format=json"];

/// Go's own search decides, with a byte that is set where the user allows it.
#[test]
fn the_runtime_proves_leaks_where_a_write_is_allowed() -> Result<()> {
    if !can_trace("the_runtime_proves_leaks_where_a_write_is_allowed") {
        return Ok(());
    }
    for (minor, mode) in [(26, Mode::Plain), (27, Mode::Pie)] {
        let program = go::build("runtimeapp", Version::of(minor), mode)?;
        // It collects all the time.
        let app = RuntimeApp::start(&program, &["-leak", "100", "-allocate", "64"], &[])?;
        let pid = app.process.pid().to_string();
        let forbidden = gotap(&["goroutines", &pid, "--leaks", "--prove"])?;
        refuses(&forbidden, 1, &["--allow-target-writes goroutine-leak-search"])?;
        let output = gotap(&[&["goroutines", &pid], &PROVE[..]].concat())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.contains("set a byte"), "{said}");
        let object: Value = serde_json::from_slice(&output.stdout)?;
        let proven = |suspect: &&Value| {
            suspect["why"].as_str().is_some_and(|why| why.contains("Go's own search for leaks"))
        };
        let suspects = object["suspects"].as_array().context("suspects")?;
        let leaks = suspects.iter().filter(proven);
        let mine = leaks.clone().find(|s| s["createdBy"]["function"] == "main.leakEvery");
        let count = mine.with_context(|| object.to_string())?["count"].as_u64();
        ensure!(count >= Some(1), "{object}");
        // Main waits for a signal, and may go on.
        let of_main = |s: &Value| s["stack"].to_string().contains("\"main.main\"");
        ensure!(!leaks.clone().any(of_main), "{object}");
        ensure!(!Path::new("/run/gotap/writes").join(&pid).exists(), "nothing is left to put back");
    }
    let program = go::build("runtimeapp", Version::of(25), Mode::Cgo)?;
    let app = RuntimeApp::start(&program, &["-quiet"], &[])?;
    let old = gotap(&[&["goroutines", &app.process.pid().to_string()], &PROVE[..]].concat())?;
    refuses(&old, 1, &["go1.25", "since Go 1.26"])
}

/// What a run that was killed has changed is put back by the next one.
#[test]
fn a_byte_is_put_back_after_a_kill() -> Result<()> {
    if !can_trace("a_byte_is_put_back_after_a_kill") {
        return Ok(());
    }
    let program = go::build("poolapp", Version::NEWEST, Mode::Plain)?;
    let pool = Running::start(&program, &[] as &[&str], &[])?;
    pool.wait_for("ready", SOON)?;
    let pid = pool.pid().to_string();
    let arguments = [&["goroutines", &pid], &PROVE[..]].concat();
    // It collects every two minutes alone.
    let folder = TempDir::new()?;
    let own = folder.path().to_str().context("a path")?;
    let mut killed = Running::start(binary(), &arguments, &[("RUNTIME_DIRECTORY", own)])?;
    killed.wait_for_error("set a byte", SOON)?;
    killed.signal(libc::SIGKILL)?;
    killed.wait(SOON)?;
    let kept = folder.path().join("writes").join(&pid);
    let text = std::fs::read_to_string(&kept)?;
    let address = text.split(' ').nth(3).and_then(|address| address.strip_prefix("0x"));
    let address = u64::from_str_radix(address.context("an address")?, 16)?;
    let byte = || -> Result<u8> {
        let mut byte = [0];
        let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut byte, address)?;
        Ok(byte[0])
    };
    ensure!(byte()? == 1, "it was set");
    let mut next = Command::new(binary());
    next.args(["goroutines", &pid]).env("RUNTIME_DIRECTORY", own);
    let next = next.stdin(Stdio::null()).output().context("run gotap")?;
    let said = String::from_utf8_lossy(&next.stderr);
    ensure!(next.status.success() && said.contains("put back"), "{said}");
    ensure!(byte()? == 0 && !kept.exists(), "it was put back");
    Ok(())
}
