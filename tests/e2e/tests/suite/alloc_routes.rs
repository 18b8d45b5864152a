//! `gotap alloc --by-route` against a program whose routes allocate known amounts, and which counts them itself.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

fn gotap(app: &Running, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(binary());
    command.args(["alloc", &app.pid().to_string(), "--by-route"]).args(arguments);
    let output = command.output().context("run gotap")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Bytes of each route, and of no request as the route "".
fn found(object: &Value) -> Result<Vec<(String, f64)>> {
    let mut out = vec![(String::new(), object["noRequest"]["bytes"].as_f64().context("bytes")?)];
    for one in object["routes"].as_array().context("routes")? {
        ensure!(one["method"] == "GET", "{one}");
        let route = one["route"].as_str().with_context(|| format!("a route: {object}"))?;
        out.push((route.to_owned(), one["bytes"].as_f64().context("bytes")?));
    }
    Ok(out)
}

/// Compares shares of the routes among each other, and of what is of no request in all.
fn compare(found: &[(String, f64)], truth: &Value, routes: &[&str], tolerance: f64) -> Result<()> {
    let of = |route: &str| {
        let bytes = found.iter().find(|(name, _)| name == route).map(|(_, bytes)| *bytes);
        bytes.with_context(|| format!("no {route}: {found:?}"))
    };
    let really =
        |route: &str| truth[route].as_f64().with_context(|| format!("no {route}: {truth}"));
    let sum = |bytes: &dyn Fn(&str) -> Result<f64>| -> Result<f64> {
        routes.iter().map(|route| bytes(route)).sum()
    };
    let (all, really_all) = (sum(&of)?, sum(&really)?);
    for route in routes {
        let (share, expected) = (of(route)? / all, really(route)? / really_all);
        ensure!((share - expected).abs() < tolerance, "{route}: {share} {expected}: {found:?}");
    }
    Ok(())
}

/// The part of what the routes and nobody allocate that nobody does.
fn of_none(found: &[(String, f64)], truth: &Value, tolerance: f64) -> Result<()> {
    let share = found[0].1 / found.iter().map(|(_, bytes)| bytes).sum::<f64>();
    let really = truth.as_object().context("truth")?.values().filter_map(Value::as_f64);
    let expected = truth[""].as_f64().context("truth")? / really.sum::<f64>();
    ensure!((share - expected).abs() < tolerance, "{share} {expected}: {found:?}");
    Ok(())
}

fn with_app(
    version: Version,
    mode: Mode,
    look: impl Fn(&Running) -> Result<Vec<Value>>,
) -> Result<()> {
    let program = go::build("xrayapp", version, mode)?;
    let mut app = Running::start(&program, &["-allocate"], &[])?;
    app.wait_for("ready", SOON)?;
    let objects = look(&app)?;
    app.signal(libc::SIGTERM)?;
    let truth: Value = serde_json::from_str(app.wait_for("allocated", SOON)?.trim())?;
    for object in objects {
        let (found, exact) = (found(&object)?, object["source"] == "every allocation");
        let tolerance = if exact { 0.04 } else { 0.1 };
        if version.minor < 21 {
            // What goroutines allocate that a request has started is not known to be the request's.
            let notes = object["notes"].to_string();
            ensure!(notes.contains("since Go 1.21"), "{notes}");
            compare(&found, &truth, &["/ten", "/big", "/one"], tolerance)?;
        } else {
            compare(&found, &truth, &["/ten", "/big", "/three", "/one"], tolerance)?;
            // The clients, too, allocate for no request.
            of_none(&found, &truth, 0.1)?;
        }
        let total = object["totalBytes"].as_f64().context("a total")?;
        let sum: f64 = found.iter().map(|(_, bytes)| bytes).sum::<f64>()
            + object["requestsNotEnded"]["bytes"].as_f64().context("bytes")?;
        ensure!((sum / total - 1.0).abs() < 0.1, "{sum} of {total}: {object}");
        ensure!(object["goroutineUnread"]["samples"] == 0, "{object}");
    }
    Ok(())
}

#[test]
fn what_requests_allocate_is_told_by_route() {
    if !can_trace("what_requests_allocate_is_told_by_route") {
        return;
    }
    let json = |app: &Running, arguments: &[&str]| -> Result<Value> {
        let out = gotap(app, &[&["-d", "1500ms", "--format", "json"], arguments].concat())?;
        serde_json::from_str(&out).context("JSON")
    };
    let newest = with_app(Version::NEWEST, Mode::Stripped, |app| {
        let text = gotap(app, &["-d", "500ms"])?;
        for words in ["GET /ten", "GET /three", "GET /one", "(no request)"] {
            ensure!(text.contains(words), "{text}");
        }
        let exact = json(app, &["--exact", "--overhead-budget", "unlimited"])?;
        ensure!(exact["source"] == "every allocation", "{exact}");
        Ok(vec![json(app, &[])?, exact])
    });
    newest.unwrap();
    let single = ["--no-uprobe-multi"];
    with_app(Version::OLDEST, Mode::Plain, |app| Ok(vec![json(app, &single)?])).unwrap();
}
