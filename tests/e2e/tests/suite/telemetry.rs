//! Deliveries of telemetry: a back end that is observed itself must not make spans of the deliveries of
//! its own spans, nor are exports of others spans. What only looks like them has its spans.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span, can_trace};
use gotap_testkit::collector::{Collector, Forward};
use gotap_testkit::go::{self, Mode, Version};
use tempfile::TempDir;

type Fields = &'static [(&'static str, &'static str)];

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Requests that are no deliveries, whatever they look like.
const OTHERS: [(&str, &str, Fields); 13] = [
    ("POST", "/v1/traces", &[]),
    ("GET", "/v1/traces", &[PROTOBUF]),
    ("PUT", "/v1/traces", &[PROTOBUF]),
    ("POST", "/v1/traces", &[("Content-Type", "text/plain")]),
    ("POST", "/v1/traces", &[("Content-Type", "application/x-protobuf2")]),
    ("POST", "/v1/logs", &[JSON]),
    ("POST", "/v1/traces/7", &[PROTOBUF]),
    ("POST", "/v2/traces", &[PROTOBUF]),
    ("POST", "/x1/metrics", &[PROTOBUF]),
    ("POST", "/metrics", &[PROTOBUF]),
    ("POST", "/shop.proto.collector.trace.v1.TraceService/Export/x/e/Export", &[]),
    ("POST", "/opentelemetry.proto.collector.trace.v1.TraceService/Explain", &[]),
    ("POST", "/users/1", &[("User-Agent", "gotap-otlp-explorer/0.1.0")]),
];

/// Requests that are, and how many spans they would have.
const DELIVERIES: [(&str, &str, Fields, u64); 9] = [
    ("POST", "/v1/traces", &[PROTOBUF], 1),
    ("POST", "/v1/metrics", &[PROTOBUF], 1),
    ("POST", "/v1/logs", &[("content-type", "Application/X-Protobuf; x=y")], 1),
    ("POST", "/v1development/profiles", &[PROTOBUF], 1),
    ("POST", "/insert/opentelemetry/v1/traces", &[PROTOBUF], 1),
    ("POST", GRPC, &[("Content-Type", "application/grpc")], 1),
    ("POST", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", &[], 1),
    ("GET", "/users/1", &[("User-Agent", "gotap-otlp-exporter/0.1.0")], 1),
    // What is asked for the sake of one belongs to it: the call, too.
    ("GET", "/call/same", &[("User-Agent", "gotap-otlp-exporter/12.10.3")], 2),
];

#[test]
fn only_deliveries_of_telemetry_have_no_spans() -> Result<()> {
    if !can_trace("only_deliveries_of_telemetry_have_no_spans") {
        return Ok(());
    }
    let (app, _backend) = App::start_pair(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let mut connection = app.connect()?;
    for (method, path, fields) in OTHERS {
        connection.request(method, path, fields, Some(b"{}"))?;
    }
    for (method, path, fields, _) in DELIVERIES {
        connection.request(method, path, fields, Some(b"{}"))?;
    }
    connection.get("/hello", &[])?;
    gotap.wait_for_spans(OTHERS.len() + 1)?;
    let ended = gotap.stop()?;
    let told: Vec<_> = ended.spans.iter().map(Span::target).collect();
    let expected: Vec<_> = OTHERS.iter().map(|(_, path, _)| *path).chain(["/hello"]).collect();
    ensure!(told == expected, "{told:#?}");
    let left_out = ended.summary.not_recorded.get("telemetry").copied();
    let expected: u64 = DELIVERIES.iter().map(|(.., n)| n).sum();
    ensure!(left_out == Some(expected), "{:?}", ended.summary);
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    Ok(())
}

/// A real Collector, which is a Go program, and is observed while it gets the spans.
#[test]
fn a_back_end_that_is_observed_makes_no_spans_of_their_delivery() -> Result<()> {
    if !can_trace("a_back_end_that_is_observed_makes_no_spans_of_their_delivery") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    for protocol in ["grpc", "http/protobuf"] {
        let mut collector = Collector::start()?;
        let endpoint = match protocol {
            "grpc" => collector.grpc_endpoint(),
            _ => collector.http_endpoint(),
        };
        let (own, other) = (collector.process().pid().to_string(), app.pid().to_string());
        let mut arguments = vec!["run", "--pid", &own, "--pid", &other];
        arguments.extend(["--otlp-endpoint", &endpoint, "--otlp-protocol", protocol]);
        let gotap = Gotap::start(&arguments, &[])?;
        gotap.wait_ready()?;
        app.get("/hello", &[])?;
        collector.wait_for(1, SOON)?;
        // The Collector's server does serve what is not a delivery.
        gotap_testkit::http::get(endpoint.trim_start_matches("http://"), "/nothing", &[]).ok();
        std::thread::sleep(Duration::from_secs(3));
        let then = collector.spans()?;
        std::thread::sleep(Duration::from_secs(3));
        let now = collector.spans()?;
        let names: Vec<_> = now.iter().map(|span| &span.name).collect();
        ensure!(now.len() == then.len() && now.len() <= 2, "{protocol}: {names:?}");
        let ended = gotap.stop()?;
        let left_out = ended.summary.not_recorded.get("telemetry").copied();
        ensure!(left_out.is_some_and(|n| (1..=4).contains(&n)), "{protocol}: {:?}", ended.summary);
        ensure!(ended.summary.spans == now.len() as u64, "{protocol}: {:?}", ended.summary);
    }
    Ok(())
}

/// Two Collectors, of which one passes on to the other what it gets, and all that gotap observes is what lies
/// in a folder: the Collectors, and a program. It is not told which processes that are.
#[test]
fn a_back_end_that_passes_spans_on_makes_none_of_that() -> Result<()> {
    if !can_trace("a_back_end_that_passes_spans_on_makes_none_of_that") {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let copied = |program: &Path, name: &str| -> Result<PathBuf> {
        let copy = folder.path().join(name);
        std::fs::copy(program, &copy)?;
        Ok(copy)
    };
    let program = copied(&Collector::program()?, "collector")?;
    let app = App::start(&copied(&App::newest()?, "httpapp")?)?;
    let all = format!("{}/*", folder.path().display());
    for over_http in [false, true] {
        let second = Collector::start_copy(&program, None)?;
        let endpoints = (second.grpc_endpoint(), second.http_endpoint());
        let forward =
            if over_http { Forward::Http(&endpoints.1) } else { Forward::Grpc(&endpoints.0) };
        let first = Collector::start_copy(&program, Some(forward))?;
        let endpoint = first.grpc_endpoint();
        let gotap =
            Gotap::start(&["run", "--executable", &all, "--otlp-endpoint", &endpoint], &[])?;
        gotap.wait_ready()?;
        app.get("/hello", &[])?;
        second.wait_for(1, SOON)?;
        std::thread::sleep(Duration::from_secs(3));
        let spans = second.spans()?;
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        ensure!(names == ["GET /hello"], "over HTTP: {over_http}: {names:?}");
        let ended = gotap.stop()?;
        ensure!(ended.summary.spans == 1, "over HTTP: {over_http}: {:?}", ended.summary);
        // The first one gets it and sends it, the second one gets it.
        let left_out = ended.summary.not_recorded.get("telemetry").copied();
        ensure!(left_out == Some(3), "over HTTP: {over_http}: {:?}", ended.summary);
    }
    Ok(())
}

/// The SDK of a program sends its spans to a Collector by gRPC, and both are observed.
#[test]
fn exports_of_an_sdk_by_grpc_have_no_spans() -> Result<()> {
    if !can_trace("exports_of_an_sdk_by_grpc_have_no_spans") {
        return Ok(());
    }
    let mut collector = Collector::start()?;
    let program = go::build("sdkapp", Version::NEWEST, Mode::Plain)?;
    let app = App::start_with(&program, &["-otlp-grpc", &collector.grpc_endpoint()], &[])?;
    let (own, other) = (collector.process().pid().to_string(), app.pid().to_string());
    let gotap = Gotap::trace_what("all", &["--pid", &own, "--pid", &other])?;
    app.get("/leaf", &[])?;
    collector.wait_for(1, SOON)?;
    gotap.wait_for_spans(1)?;
    let ended = gotap.stop()?;
    let told: Vec<_> = ended.spans.iter().map(Span::target).collect();
    ensure!(told == ["/leaf"], "{}", Span::list(&ended.spans));
    // Sent by the one, received by the other.
    ensure!(ended.summary.not_recorded.get("telemetry") == Some(&2), "{:?}", ended.summary);
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    Ok(())
}
