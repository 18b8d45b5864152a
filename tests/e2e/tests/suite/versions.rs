//! Every Go version and build mode: exactly the right spans with exactly the right attributes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Chain, Gotap, Span, can_trace, now};
use gotap_testkit::go::{self, Mode, Version};
use serde_json::{Value, json};

use crate::{http_tls, http2};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The clocks of both sides are the same, but gotap reads their difference now and then.
const CLOCK_TOLERANCE: u64 = 100_000;

#[test]
fn every_build_gives_the_same_spans() -> Result<()> {
    if !can_trace("every_build_gives_the_same_spans") {
        return Ok(());
    }
    with_each_build(observe)
}

#[test]
fn every_build_is_traced_over_tls() -> Result<()> {
    if !can_trace("every_build_is_traced_over_tls") {
        return Ok(());
    }
    with_each_build(|version, mode| http_tls::both_sides(&App::build(version, mode)?))
}

#[test]
fn every_build_is_traced_in_http2() -> Result<()> {
    if !can_trace("every_build_is_traced_in_http2") {
        return Ok(());
    }
    with_each_build(|version, mode| {
        http2::told_like_http1(&mut Chain::start(&App::build(version, mode)?)?, version)
    })
}

/// Runs `test` with each build that is asked for, and names those that failed.
fn with_each_build(test: impl Fn(Version, Mode) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for (version, mode) in go::observed().into_iter().filter(|(_, mode)| mode.runs_here()) {
        if let Err(error) = test(version, mode) {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// A request as it was sent, and when.
struct Sent {
    path: &'static str,
    port: u16,
    window: (u64, u64),
    answer: usize,
}

fn observe(version: Version, mode: Mode) -> Result<()> {
    let program = App::build(version, mode)?;
    let (app, backend) = App::start_pair(&program)?;
    let gotap = Gotap::trace_pid(app.pid())?;

    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let call = [("traceparent", traceparent.as_str()), ("tracestate", "vendor=a,other=b")];
    let requests = [
        ("/hello", &[][..]),
        ("/users/7?secret=1", &[]),
        ("/status/404", &[]),
        ("/status/503", &[]),
        ("/call/same", &call),
        ("/call/userinfo", &[]),
    ];
    let mut sent = Vec::new();
    for (path, headers) in requests {
        sent.push(send(&app, path, headers)?);
    }
    let spans = gotap.finish(8)?;

    let served: Vec<_> = spans.iter().filter(|span| span.is_server()).collect();
    ensure!(served.len() == sent.len(), "{} server spans:\n{}", served.len(), Span::list(&spans));
    for (span, sent) in served.iter().zip(&sent) {
        check_server(span, sent, &app, version).with_context(|| format!("{span:#?}"))?;
    }
    let made: Vec<_> = spans.iter().filter(|span| span.is_client()).collect();
    ensure!(made.len() == 2, "{} client spans:\n{}", made.len(), Span::list(&spans));
    for (span, (sent, server)) in made.iter().zip(sent.iter().zip(&served).skip(4)) {
        check_client(span, sent, server, &backend).with_context(|| format!("{span:#?}"))?;
    }
    for span in &spans {
        check_resource(span, &app, &program.to_string_lossy(), version)?;
    }
    check_ids(&spans)
}

fn send(app: &App, path: &'static str, headers: &[(&str, &str)]) -> Result<Sent> {
    let mut connection = app.connect()?;
    let mut headers = headers.to_vec();
    headers.push(("User-Agent", "gotap-e2e/1 (test)"));
    let before = now();
    let response = connection.get(path, &headers)?;
    let window = (before, now());
    Ok(Sent { path, port: connection.local_port()?, window, answer: response.body.len() })
}

/// What is special about the spans of a path: status and route.
fn status_of(path: &str) -> (u16, &'static str) {
    match path {
        "/hello" => (200, "/hello"),
        "/users/7?secret=1" => (200, "/users/{id}"),
        "/status/404" => (404, "/status/"),
        "/status/503" => (503, "/status/"),
        "/call/same" => (200, "/call/same"),
        _ => (200, "/call/userinfo"),
    }
}

fn check_server(span: &Span, sent: &Sent, app: &App, version: Version) -> Result<()> {
    let (status, route) = status_of(sent.path);
    let path = sent.path.split('?').next().unwrap_or_default();
    let mut expected = attributes(json!({
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": path,
        "server.address": "127.0.0.1",
        "server.port": app.port()?,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": sent.port,
        "user_agent.original": "gotap-e2e/1 (test)",
        "network.protocol.version": "1.1",
        "http.response.status_code": status,
        "http.request.body.size": 0,
        "http.response.body.size": sent.answer,
    }));
    // Patterns have no wildcards before Go 1.22.
    let route = if version.minor < 22 { route.replace("{id}", "") } else { route.to_owned() };
    let name = format!("GET {route}");
    expected.insert("http.route".into(), route.into());
    if status == 503 {
        expected.insert("error.type".into(), "503".into());
    }
    same_attributes(span, &expected)?;
    ensure!(span.name == name, "name {:?} instead of {name:?}", span.name);
    let outcome = if status == 503 { "error" } else { "unset" };
    ensure!((span.status.as_str(), span.message.as_str()) == (outcome, ""), "status");
    check_window(span, sent.window)?;
    let inbound = match sent.path {
        "/call/same" => (CALLER, "vendor=a,other=b", "remote"),
        _ => ("", "", "none"),
    };
    let found = (span.parent_span_id.as_str(), span.trace_state.as_str(), span.parent.as_str());
    ensure!(found == inbound, "parent {found:?} instead of {inbound:?}");
    ensure!((span.trace_id == TRACE) == (sent.path == "/call/same"), "trace id");
    Ok(())
}

fn check_client(span: &Span, sent: &Sent, server: &Span, backend: &App) -> Result<()> {
    let expected = attributes(json!({
        "http.request.method": "GET",
        "url.full": format!("http://{}/", backend.address),
        "server.address": "127.0.0.1",
        "server.port": backend.port()?,
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "http.request.body.size": 0,
        "http.response.body.size": 3,
    }));
    same_attributes(span, &expected)?;
    ensure!(span.name == "GET", "name {:?}", span.name);
    ensure!((span.status.as_str(), span.message.as_str()) == ("unset", ""), "status");
    ensure!(span.is_child_of(server) && span.parent == "context", "parent of the call");
    ensure!(server.start <= span.start && span.end <= server.end, "the call is inside");
    check_window(span, sent.window)
}

/// The span lies inside of the time in which the request was on its way.
fn check_window(span: &Span, (before, after): (u64, u64)) -> Result<()> {
    let early = before.saturating_sub(span.start);
    let late = span.end.saturating_sub(after);
    ensure!(early < CLOCK_TOLERANCE, "starts {early} ns before the request was sent");
    ensure!(late < CLOCK_TOLERANCE, "ends {late} ns after the response was there");
    Ok(())
}

fn check_resource(span: &Span, app: &App, program: &str, version: Version) -> Result<()> {
    let mut expected = attributes(json!({
        "service.name": "httpapp",
        "process.pid": app.pid(),
        "process.executable.path": program,
        "process.runtime.name": "go",
        "process.runtime.version": format!("go{version}"),
        "telemetry.sdk.language": "go",
        "telemetry.distro.name": "gotap",
    }));
    // What these are is not known here.
    for key in ["telemetry.distro.version", "host.name", "service.instance.id"] {
        let value = span.resource.get(key).and_then(Value::as_str).unwrap_or_default();
        ensure!(!value.is_empty(), "no {key}");
        expected.insert(key.into(), value.into());
    }
    ensure!(span.resource == expected, "resource {:#?}\nexpected {expected:#?}", span.resource);
    Ok(())
}

/// Span ids are all different; traces are, but for parent and child; times are in nanoseconds.
fn check_ids(spans: &[Span]) -> Result<()> {
    let ids: BTreeMap<_, _> = spans.iter().map(|span| (&span.span_id, &span.trace_id)).collect();
    ensure!(ids.len() == spans.len(), "a span id twice: {spans:#?}");
    let traces: std::collections::BTreeSet<_> = ids.values().collect();
    ensure!(traces.len() == 6, "{} traces of 6 requests", traces.len());
    let times = spans.iter().flat_map(|span| [span.start, span.end]);
    let rounded = times.filter(|time| time % 1_000 == 0).count();
    ensure!(rounded < 4, "{rounded} of 16 times are whole microseconds");
    Ok(())
}

fn attributes(object: Value) -> BTreeMap<String, Value> {
    match object {
        Value::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

fn same_attributes(span: &Span, expected: &BTreeMap<String, Value>) -> Result<()> {
    for (key, value) in expected {
        let found = span.attributes.get(key);
        ensure!(found == Some(value), "{key} is {found:?} instead of {value}");
    }
    let unexpected = span.attributes.keys().find(|key| !expected.contains_key(*key));
    ensure!(unexpected.is_none(), "unexpected attribute {unexpected:?}");
    Ok(())
}
