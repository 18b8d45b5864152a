//! `gotap top`: on a real terminal, which tmux gives, and once for scripts.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Load, SOON, binary, can_trace, eventually};
use gotap_testkit::{http, setup};
use serde_json::Value;

/// A terminal of 80 × 24 characters that runs a shell; it ends when this is dropped.
struct Terminal {
    socket: String,
    program: std::path::PathBuf,
}

impl Terminal {
    fn start() -> Result<Self> {
        let socket = format!("gotap-e2e-{}", std::process::id());
        let terminal = Self { socket, program: setup(&["tmux"])? };
        let shell = "env PS1='shell> ' sh";
        terminal.run(&["new-session", "-d", "-x", "80", "-y", "24", shell])?;
        Ok(terminal)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(["-L", &self.socket, "-f", "/dev/null"]).args(arguments);
        let output = command.stdin(Stdio::null()).output().context("run tmux")?;
        ensure!(output.status.success(), "tmux {arguments:?}: {output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn press(&self, keys: &[&str]) -> Result<()> {
        self.run(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Waits until the screen is as it should be; gives it.
    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<String> {
        let mut screen = String::new();
        let shown = eventually(SOON * 2, || {
            screen = self.run(&["capture-pane", "-p"]).unwrap_or_default();
            is_so(&screen)
        });
        ensure!(shown, "no {what}:\n{screen}");
        Ok(screen)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.run(&["kill-server"]);
    }
}

/// The words of the line that begins so.
fn words<'a>(screen: &'a str, start: &str) -> Vec<&'a str> {
    let line = screen.lines().find(|line| line.starts_with(start));
    line.unwrap_or_default().split_whitespace().collect()
}

#[test]
fn a_terminal_shows_services_their_routes_and_requests() -> Result<()> {
    if !can_trace("a_terminal_shows_services_their_routes_and_requests") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let (load, terminal) = (Load::start(&app.address, "/slow?ms=20", 2), Terminal::start()?);
    let gotap = binary().to_str().context("a path in UTF-8")?;
    let command = format!("{gotap} top --pid {} -d 2s", app.pid());
    terminal.press(&[&command, "Enter"])?;
    // What is not known is a dash.
    let screen = terminal.wait("row of the process with latencies", |screen| {
        let row = words(screen, "httpapp");
        row.len() == 10 && row[4].ends_with("ms") && row[5].ends_with("ms")
    })?;
    let row = words(&screen, "httpapp");
    let known = row[6].parse::<u32>().is_ok_and(|n| n > 2) && row[8] != "-" && row[9] != "-";
    ensure!(row[1] == app.pid().to_string() && row[3] == "0" && known, "{screen}");
    ensure!(screen.starts_with("gotap top  1 process "), "{screen}");
    terminal.press(&["Enter"])?;
    terminal.wait("routes", |screen| screen.contains("server") && screen.contains("GET /slow"))?;
    terminal.press(&["Enter"])?;
    terminal.wait("requests", |screen| screen.matches(" 200 ").count() > 3)?;
    terminal.press(&["?"])?;
    terminal.wait("help", |screen| screen.contains("q, ctrl-c"))?;
    terminal.press(&["?"])?;
    terminal.press(&["/", "z", "z"])?;
    terminal.wait("filter", |screen| screen.contains("nothing matches the filter"))?;
    // The shell has its terminal again, whether the table is left or ended by a signal.
    terminal.press(&["C-c"])?;
    let is_back =
        |screen: &str| screen.contains("gotap: traps: ") && screen.trim_end().ends_with("shell>");
    terminal.wait("shell after ^C", is_back)?;
    terminal.press(&["clear; ", &command, "Enter"])?;
    terminal.wait("table", |screen| words(screen, "httpapp").len() == 10)?;
    let shell = terminal.run(&["list-panes", "-F", "#{pane_pid}"])?;
    end_child(shell.trim().parse().context("the shell's id")?)?;
    terminal.wait("shell after SIGTERM", is_back)?;
    terminal.press(&["echo it is $((40 + 2))", "Enter"])?;
    terminal.wait("echo", |screen| screen.contains("it is 42"))?;
    load.stop().map(drop)
}

/// Sends SIGTERM to the only child of a process.
fn end_child(parent: u32) -> Result<()> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let child: i32 = children.trim().parse().with_context(|| format!("children: {children}"))?;
    // SAFETY: kill has no memory effects.
    ensure!(unsafe { libc::kill(child, libc::SIGTERM) } == 0, "end {child}");
    Ok(())
}

fn top(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary());
    command.arg("top").args(arguments).stdin(Stdio::null()).output().context("run gotap")
}

#[test]
fn scripts_get_one_table() -> Result<()> {
    if !can_trace("scripts_get_one_table") {
        return Ok(());
    }
    let (front, back) = App::start_pair(&App::newest()?)?;
    let pids = [front.pid().to_string(), back.pid().to_string()];
    let (address, enough) = (front.address.clone(), Arc::<AtomicBool>::default());
    let stop = enough.clone();
    let calls = std::thread::spawn(move || -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            http::get(&address, "/call/same", &[])?;
            http::get(&address, "/status/500", &[])?;
            std::thread::sleep(Duration::from_millis(25));
        }
        Ok(())
    });
    let selection = ["--pid", &pids[0], "--pid", &pids[1]];
    let output = top(&[&["--once", "-d", "2s", "--format", "json"], &selection[..]].concat())?;
    ensure!(output.status.success(), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).context("JSON")?;
    let processes = json["processes"].as_array().context("processes")?;
    let of = |pid: u32| processes.iter().find(|p| p["pid"] == pid).context("a process");
    let front_row = of(front.pid())?;
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let (count, errors) = (number(&front_row["count"]), number(&front_row["errors"]));
    ensure!(errors >= 5 && errors.abs_diff(count - errors) <= 1, "{json:#}");
    let made = front_row["operations"].as_array().context("operations")?.iter();
    let made: Vec<_> = made.filter(|one| one["kind"] == "client").collect();
    ensure!(made.len() == 1 && made[0]["p99_seconds"].as_f64() > Some(0.0), "{json:#}");
    let goroutines = number(&front_row["goroutines"]);
    ensure!(of(back.pid())?["errors"] == 0 && goroutines > 2, "{json:#}");
    // Where there is no terminal, it is printed once, too.
    let output = top(&[&["-d", "500ms"], &selection[..]].concat())?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && text.starts_with("SERVICE"), "{output:?}");
    ensure!(
        text.contains("server GET /status/") && text.contains("client GET 127.0.0.1:"),
        "{text}"
    );
    enough.store(true, Ordering::Relaxed);
    ensure!(calls.join().is_ok_and(|result| result.is_ok()), "the calls failed");
    let gone = top(&["--once", "--pid", "4194305"])?;
    ensure!(gone.status.code() == Some(1), "{gone:?}");
    let zero = top(&["--once", "-d", "0s"])?;
    ensure!(zero.status.code() == Some(2), "{zero:?}");
    Ok(())
}
