//! `gotap ps`: which processes it lists, what it says is seen in them, and what is not.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use serde_json::Value;

use crate::cli::{expect, gotap};

#[test]
fn ps_lists_go_processes() -> Result<()> {
    if !can_trace("ps_lists_go_processes") {
        return Ok(());
    }
    let program = App::newest()?;
    let app = App::start(&program)?;
    let pid = app.pid().to_string();
    let (stdout, stderr) = expect(&gotap(&["ps", "--format", "json", "--pid", &pid])?, 0)?;
    ensure!(stderr.is_empty() && stdout.lines().count() == 1, "{stdout} {stderr}");
    let line: Value = serde_json::from_str(&stdout)?;
    ensure!(line["pid"] == app.pid() && line["service"] == "httpapp", "{line:#}");
    ensure!(line["executable"] == program.to_string_lossy().as_ref(), "{line:#}");
    ensure!(line["go"].as_str().is_some_and(|go| go.starts_with("go1.")), "{line:#}");
    ensure!(line["known_version"] == true && line["missing"] == serde_json::json!([]), "{line:#}");
    let sees = line["sees"].as_array().context("sees")?;
    for ability in ["http-server", "http-client", "goroutine-lineage"] {
        ensure!(sees.iter().any(|seen| seen == ability), "{line:#}");
    }
    let probes = line["probes"].as_array().context("probes")?;
    ensure!(probes.len() >= 7 && probes.iter().all(|p| p["function"].is_string()), "{line:#}");

    // Without a selection this one is among the others; the table says the same.
    let (all, _) = expect(&gotap(&["ps", "--format", "json"])?, 0)?;
    let listed = all.lines().any(|l| l.contains(&format!("\"pid\":{pid},")));
    ensure!(listed, "{all}");
    for (flag, words) in [("-v", "http-server"), ("--format=text", "httpapp")] {
        let (table, _) = expect(&gotap(&["ps", "--pid", &pid, flag])?, 0)?;
        let rows: Vec<_> = table.lines().collect();
        ensure!(rows.len() == 2 && rows[0].starts_with("PID"), "{table}");
        ensure!(rows[1].starts_with(&pid) && rows[1].contains(words), "{table}");
    }
    // The short one fits a terminal and says what is traced in short words.
    let (table, _) = expect(&gotap(&["ps", "--pid", &pid])?, 0)?;
    ensure!(table.lines().all(|row| row.chars().count() <= 100), "{table}");
    ensure!(table.contains("  http h2"), "{table}");
    let (none, _) = expect(&gotap(&["ps", "--name", "no-such-name"])?, 0)?;
    ensure!(none.contains("matches the selection"), "{none}");
    Ok(())
}

/// Silence must not be taken for idleness.
#[test]
fn a_server_that_is_not_traced_is_named() -> Result<()> {
    if !can_trace("a_server_that_is_not_traced_is_named") {
        return Ok(());
    }
    let program = go::build("hertzapp", Version::of(26), Mode::Plain)?;
    let app = App::start(&program)?;
    let pid = app.pid().to_string();
    let (stdout, _) = expect(&gotap(&["ps", "--format", "json", "--pid", &pid])?, 0)?;
    let line: Value = serde_json::from_str(&stdout)?;
    let missing = line["missing"].as_array().context("missing")?;
    let mut missing = missing.iter().filter_map(Value::as_str);
    let hertz = missing.find(|text| text.starts_with("hertz-server: "));
    let hertz = hertz.with_context(|| format!("{line:#}"))?;
    ensure!(hertz.contains("github.com/cloudwego/hertz"), "{line:#}");
    let sees = line["sees"].as_array().context("sees")?;
    ensure!(!sees.iter().any(|seen| seen == "http-server"), "{line:#}");
    let (short, _) = expect(&gotap(&["ps", "--pid", &pid])?, 0)?;
    ensure!(short.contains("hertz"), "{short}");
    let (table, _) = expect(&gotap(&["ps", "-v", "--pid", &pid])?, 0)?;
    ensure!(table.contains(hertz), "{table}");
    let library = library(&line, "github.com/cloudwego/hertz")?;
    ensure!(library["instruments"] == serde_json::json!([]), "{line:#}");
    ensure!(table.contains("(not traced)"), "{table}");
    Ok(())
}

/// What `gotap ps` says of a module.
fn library<'l>(line: &'l Value, module: &str) -> Result<&'l Value> {
    let libraries = line["libraries"].as_array().context("libraries")?;
    let found = libraries.iter().find(|library| library["module"] == module);
    found.with_context(|| format!("no {module}: {line:#}"))
}

#[test]
fn libraries_are_listed_with_what_is_traced_of_them() -> Result<()> {
    if !can_trace("libraries_are_listed_with_what_is_traced_of_them") {
        return Ok(());
    }
    let app = App::start(&go::build("grpcapp", Version::of(26), Mode::Plain)?)?;
    let pid = app.pid().to_string();
    let (stdout, _) = expect(&gotap(&["ps", "--format", "json", "--pid", &pid])?, 0)?;
    let line: Value = serde_json::from_str(&stdout)?;
    let grpc = library(&line, "google.golang.org/grpc")?;
    ensure!(grpc["instruments"] == serde_json::json!(["grpc-server", "grpc-client"]), "{line:#}");
    let version = grpc["version"].as_str().and_then(|v| v.strip_prefix('v')).context("version")?;
    let (table, _) = expect(&gotap(&["ps", "-v", "--pid", &pid])?, 0)?;
    ensure!(table.contains(&format!("grpc {version}")), "{table}");
    // A program of the standard library alone has none, and none that only gRPC's sum mentions.
    let app = App::start(&App::newest()?)?;
    let (stdout, _) =
        expect(&gotap(&["ps", "--format", "json", "--pid", &app.pid().to_string()])?, 0)?;
    let line: Value = serde_json::from_str(&stdout)?;
    ensure!(line["libraries"] == serde_json::json!([]), "{line:#}");
    Ok(())
}
