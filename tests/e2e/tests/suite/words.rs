//! What gotap prints for people: which counts are losses, which programs are named, and traces as
//! lines and trees.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Summary, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use tempfile::TempDir;

/// Stops a gotap that prints text; gives what it said and its counts.
fn stop(mut gotap: Gotap) -> Result<(Vec<String>, Summary)> {
    gotap.process.signal(libc::SIGINT)?;
    gotap.process.wait(SOON)?;
    let said = gotap.process.stderr();
    let summary = Summary::find(&said)?;
    Ok((said, summary))
}

/// A request that was being served when gotap attached is neither a span nor a loss.
#[test]
fn what_was_under_way_at_attach_is_not_called_lost() -> Result<()> {
    if !can_trace("what_was_under_way_at_attach_is_not_called_lost") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let mut client = TcpStream::connect(&app.address)?;
    client.write_all(b"POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\na")?;
    // Long enough for its handler to wait for the rest of the body.
    std::thread::sleep(Duration::from_millis(500));
    let gotap = Gotap::start(&["trace", "http", "--pid", &app.pid().to_string()], &[])?;
    gotap.wait_ready()?;
    client.write_all(b"b")?;
    ensure!(client.read(&mut [0; 64])? > 0, "no answer");
    app.get("/hello", &[])?;
    gotap.wait_for_lines(1)?;
    let (said, summary) = stop(gotap)?;
    ensure!(summary.spans == 1 && summary.no_span.is_empty(), "{said:#?}");
    ensure!(summary.at_attach.get("start_unseen") == Some(&1), "{said:#?}");
    let all = said.join("\n");
    ensure!(!all.contains("dropped") && all.contains("1 span, none lost"), "{all}");
    Ok(())
}

/// Programs in which nothing can be traced are named to who asked for them, each file once.
#[test]
fn programs_with_nothing_to_trace_are_named_once() -> Result<()> {
    if !can_trace("programs_with_nothing_to_trace_are_named_once") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
    let program = folder.path().join("idle");
    fs::copy(go::build("idle", Version::NEWEST, Mode::Plain)?, &program).context("copy idle")?;
    let start = || -> Result<Running> {
        let idle = Running::start::<&str>(&program, &[], &[])?;
        idle.wait_for("listening ", SOON)?;
        Ok(idle)
    };
    let early = [start()?, start()?];
    let glob = format!("{}/*", folder.path().display());
    let gotap = Gotap::start(&["trace", "http", "--executable", &glob], &[])?;
    gotap.wait_ready()?;
    let late = start()?;
    // What comes later is looked at later: a program that can be traced shows that it was its turn.
    let other = folder.path().join("httpapp");
    fs::copy(App::newest()?, &other).context("copy httpapp")?;
    let app = App::start(&other)?;
    gotap.process.wait_for_error(&format!("attached to httpapp[{}]", app.pid()), SOON)?;
    let (said, _) = stop(gotap)?;
    let named = said.iter().filter(|line| line.contains("nothing to trace")).count();
    ensure!(named == 1, "named {named} times: {said:#?}");
    drop(late);
    // Who asks for it alone has asked for the wrong one.
    let pid = early[0].pid().to_string();
    let output = Command::new(binary()).args(["trace", "http", "--pid", &pid]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.lines().count() == 1, "{output:?}");
    ensure!(said.contains(&pid) && said.contains("nothing to trace"), "{said}");
    Ok(())
}

/// Silence must not be taken for idleness: whose clients send something while no probe is hit is
/// named, and who is idle is not.
#[test]
fn who_is_silent_in_spite_of_its_clients_is_named() -> Result<()> {
    if !can_trace("who_is_silent_in_spite_of_its_clients_is_named") {
        return Ok(());
    }
    let program = go::build("idle/cmd/raw", Version::NEWEST, Mode::Plain)?;
    let start = || App::start(&program);
    let (busy, idle) = (start()?, start()?);
    let pids = [busy.pid().to_string(), idle.pid().to_string()];
    let gotap = Gotap::start(&["trace", "http", "--pid", &pids[0], "--pid", &pids[1]], &[])?;
    gotap.wait_ready()?;
    let mut client = TcpStream::connect(&busy.address)?;
    let _unused = TcpStream::connect(&idle.address)?;
    let told = |pid: &str| {
        let said = gotap.process.stderr();
        said.iter().filter(|line| line.contains("no probe was hit") && line.contains(pid)).count()
    };
    let exchange = |client: &mut TcpStream| -> Result<()> {
        client.write_all(b"ping")?;
        client.read_exact(&mut [0; 4])?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(())
    };
    for _ in 0..40 {
        exchange(&mut client)?;
    }
    ensure!(told(&pids[0]) == 0, "too early: {:#?}", gotap.process.stderr());
    let deadline = std::time::Instant::now() + SOON;
    while told(&pids[0]) == 0 && std::time::Instant::now() < deadline {
        exchange(&mut client)?;
    }
    let port = busy.port()?.to_string();
    let said = gotap.process.stderr().join("\n");
    ensure!(told(&pids[0]) == 1 && said.contains(&format!("port {port}")), "{said}");
    for _ in 0..24 {
        exchange(&mut client)?;
    }
    let said = gotap.process.stderr().join("\n");
    ensure!(told(&pids[0]) == 1 && told(&pids[1]) == 0, "{said}");
    Ok(())
}

/// Any user can give a process a name; root's terminal is to show it, not to obey it.
#[test]
fn names_that_would_move_a_terminals_cursor_are_harmless() -> Result<()> {
    const NAME: &str = "evil\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}2J";
    if !can_trace("names_that_would_move_a_terminals_cursor_are_harmless") {
        return Ok(());
    }
    let app = App::start_with(&App::newest()?, &[], &[("OTEL_SERVICE_NAME", NAME)])?;
    let pid = app.pid().to_string();
    let mut said = Vec::new();
    for command in [
        &["ps", "--pid", &pid][..],
        &["ps", "-v", "--pid", &pid],
        &["goroutines", &pid],
        &["chan", &pid],
        &["sched", &pid],
        &["gc", &pid],
        &["alloc", &pid, "-d", "1s"],
        &["profile", "wall", &pid, "-d", "1s"],
        &["top", "--once", "--pid", &pid, "-d", "1s"],
    ] {
        let output = Command::new(binary()).args(command).output()?;
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        ensure!(output.status.success(), "{command:?}: {text:?}");
        said.push((command.join(" "), text.concat()));
    }
    let gotap = Gotap::start(&["trace", "http", "--pid", &pid], &[])?;
    gotap.wait_ready()?;
    app.get("/hello", &[])?;
    gotap.wait_for_lines(1)?;
    said.push(("trace".to_owned(), gotap.process.stdout().join("\n")));
    said.push(("trace's notes".to_owned(), stop(gotap)?.0.join("\n")));
    let named = said.iter().filter(|(_, text)| text.contains("evil\u{fffd}]0;owned")).count();
    ensure!(named >= 5, "{said:#?}");
    for (command, text) in said {
        let bad = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
        ensure!(bad.is_none(), "{command}: {bad:?} in {text:?}");
    }
    Ok(())
}
