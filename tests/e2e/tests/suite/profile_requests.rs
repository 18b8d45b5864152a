//! Profiles of one route, and profiles that `gotap run` gives by HTTP, as Go's own reader sees them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::profiles::go_tool;
use gotap_e2e::{Gotap, SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;
use tempfile::TempDir;

/// A program with busy routes.
fn start() -> Result<Running> {
    let mut app = Running::start(
        &go::build("xrayapp", Version::NEWEST, Mode::Stripped)?,
        &["-clients", "2"],
        &[],
    )?;
    app.wait_for("ready", SOON)?;
    app.signal(libc::SIGUSR1)?;
    Ok(app)
}

fn gotap(app: &Running, kind: &str, arguments: &[&str]) -> Result<(String, String)> {
    let mut command = Command::new(binary());
    command.args(["profile", kind, &app.pid().to_string()]).args(arguments);
    let output = command.output().context("run gotap")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), said))
}

/// What `go tool pprof` says of a file, or of what a server gives.
fn pprof(how: &str, what: &str, folder: &Path) -> Result<String> {
    let mut command = go_tool(Version::NEWEST)?;
    command.args(["tool", "pprof", how, what]).env("PPROF_TMPDIR", folder);
    let output = command.output().context("run go tool pprof")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn samples_of_a_route_are_told_apart() -> Result<()> {
    if !can_trace("samples_of_a_route_are_told_apart") {
        return Ok(());
    }
    let (app, folder) = (start()?, TempDir::new()?);
    let file = folder.path().join("mix.pb.gz");
    let file = file.to_str().context("a path")?;
    let arguments = ["-d", "2s", "-F", "499", "--route", "/mix/", "-o", file];
    let (_, said) = gotap(&app, "cpu", &arguments)?;
    // The clients are goroutines of the same program.
    ensure!(said.contains("belong to no request"), "{said}");
    let top = pprof("-top", file, folder.path())?;
    ensure!(top.contains("main.spin") && !top.contains("main.main.func"), "{top}");
    let tags = pprof("-tags", file, folder.path())?;
    ensure!(tags.contains("GET /mix/") && tags.contains("span_id"), "{tags}");
    ensure!(!tags.contains("/fan") && !tags.contains("/quick"), "{tags}");
    let arguments = ["-d", "2s", "--route", "GET /fan", "--format", "json", "--top", "1000"];
    let (table, _) = gotap(&app, "wall", &arguments)?;
    let table: Value = serde_json::from_str(&table)?;
    let total = table["total"].as_f64().context("a total")?;
    let functions = table["functions"].as_array().context("functions")?;
    let share = |name: &str| {
        let of = functions.iter().find(|f| f["function"] == name);
        of.and_then(|f| f["cumulative"].as_f64()).unwrap_or(0.0) / total
    };
    ensure!(share("main.fan") > 0.7 && share("[channel]") > 0.7, "{table}");
    ensure!(share("main.mix") == 0.0, "{table}");
    Ok(())
}

/// The status line of what is answered.
fn ask(address: &str, path: &str, host: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn run(app: &Running, serve: &str) -> Result<(Gotap, String)> {
    let pid = app.pid().to_string();
    let arguments = [
        "run",
        "--pid",
        &pid,
        // Nobody listens there.
        "--otlp-endpoint",
        "http://127.0.0.1:1",
        "--prometheus-listen",
        "127.0.0.1:0",
    ];
    let gotap = Gotap::start(&arguments, &[("GOTAP_PROFILES_SERVE", serve)])?;
    gotap.wait_ready()?;
    let said = gotap.process.wait_for_error("gotap: metrics at ", SOON)?;
    let address = said.trim_start_matches("gotap: metrics at http://");
    Ok((gotap, address.trim_end_matches("/metrics").to_owned()))
}

#[test]
fn go_tool_pprof_reads_profiles_from_the_agent() -> Result<()> {
    if !can_trace("go_tool_pprof_reads_profiles_from_the_agent") {
        return Ok(());
    }
    let (app, folder) = (start()?, TempDir::new()?);
    let pid = app.pid();
    let (_gotap, address) = run(&app, "local")?;
    let base = format!("http://{address}/targets/{pid}/debug/pprof");
    let top = pprof("-top", &format!("{base}/profile?seconds=2"), folder.path())?;
    ensure!(top.contains("Type: cpu") && top.contains("main.spin"), "{top}");
    let top = pprof("-top", &format!("{base}/goroutine"), folder.path())?;
    // What its handlers wait in changes; its main function waits all the time.
    ensure!(top.contains("Type: goroutine") && top.contains("main.main\n"), "{top}");
    let listed = ask(&address, "/debug/targets", "localhost")?;
    ensure!(listed.contains(&format!("\"pid\":{pid}")) && listed.contains("xrayapp"), "{listed}");
    let path = format!("/targets/{pid}/debug/pprof/");
    for (path, host, status, words) in [
        (path.clone(), "localhost", "200", "goroutine"),
        // A page of somebody else, whose name leads here.
        (path.clone(), "example.com", "403", "profiles.serve"),
        (format!("{path}nothing"), "localhost", "404", "there are: profile, heap"),
        (format!("{path}profile?seconds=x"), "localhost", "400", "want a number"),
        ("/targets/1/debug/pprof/profile".to_owned(), "localhost", "404", "is not observed"),
        // It does not import Go's profiler, so it samples no allocations.
        (format!("{path}heap"), "localhost", "500", "net/http/pprof"),
    ] {
        let answer = ask(&address, &path, host)?;
        let first = answer.lines().next().unwrap_or_default();
        ensure!(first.contains(status) && answer.contains(words), "{path} {host}: {answer}");
    }
    Ok(())
}

#[test]
fn profiles_are_given_to_nobody_who_did_not_ask_for_it() -> Result<()> {
    if !can_trace("profiles_are_given_to_nobody_who_did_not_ask_for_it") {
        return Ok(());
    }
    let app = start()?;
    let (_gotap, address) = run(&app, "off")?;
    let path = format!("/targets/{}/debug/pprof/", app.pid());
    let answer = ask(&address, &path, "localhost")?;
    ensure!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    Ok(())
}
