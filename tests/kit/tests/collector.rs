//! The collector, with spans from the real SDK over gRPC and hand-made ones over HTTP.

use std::time::Duration;

use gotap_testkit::collector::{Collector, Kind, Status};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::{self, Connection};
use gotap_testkit::process::Running;
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

const TRACES: &str = r#"{"resourceSpans": [{
  "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "by hand"}}]},
  "scopeSpans": [{"scope": {"name": "test"}, "spans": [{
    "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331",
    "parentSpanId": "00f067aa0ba902b7", "traceState": "a=1", "flags": 257,
    "name": "GET /x", "kind": 2, "startTimeUnixNano": "1700000000000000001",
    "endTimeUnixNano": "1700000000000000002", "status": {"code": 2, "message": "broken"},
    "attributes": [
      {"key": "s", "value": {"stringValue": "text"}}, {"key": "i", "value": {"intValue": "-7"}},
      {"key": "b", "value": {"boolValue": true}}, {"key": "d", "value": {"doubleValue": 0.5}},
      {"key": "l", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "2"}]}}},
      {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "3"}}]}}}
    ]}]}]}]}"#;

fn post(address: &str, path: &str, body: &str) {
    let mut connection = Connection::open(address).expect("the collector listens");
    let headers = [("Content-Type", "application/json")];
    let response = connection.request("POST", path, &headers, Some(body.as_bytes()));
    let response = response.expect("the collector answers");
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn spans_over_http_are_flattened() {
    let collector = Collector::start().unwrap();
    assert_eq!(collector.spans().unwrap(), []);
    let endpoint = collector.http_endpoint();
    post(endpoint.strip_prefix("http://").unwrap(), "/v1/traces", TRACES);

    let spans = collector.wait_for(1, SOON).unwrap();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((span.span_id.as_str(), span.is_root()), ("b7ad6b7169203331", false));
    assert_eq!(span.parent_span_id, "00f067aa0ba902b7");
    assert_eq!((span.trace_state.as_str(), span.flags), ("a=1", 257));
    assert_eq!((span.name.as_str(), span.kind), ("GET /x", Kind::Server));
    assert_eq!((span.start, span.end), (1_700_000_000_000_000_001, 1_700_000_000_000_000_002));
    assert_eq!((span.status, span.status_message.as_str()), (Status::Error, "broken"));
    assert_eq!((span.text("s"), span.int("i"), span.text("i")), (Some("text"), Some(-7), None));
    assert_eq!((&span.attributes["b"], &span.attributes["d"]), (&json!(true), &json!(0.5)));
    assert_eq!(span.attributes["l"], json!([1, "2"]));
    assert_eq!(span.attributes["m"], json!({"k": 3}));
    assert_eq!((span.service(), span.scope.as_str()), (Some("by hand"), "test"));
}

#[test]
fn metrics_are_no_spans_and_waiting_in_vain_says_what_came() {
    let collector = Collector::start().unwrap();
    let address = collector.http_endpoint().replace("http://", "");
    post(&address, "/v1/traces", TRACES);
    let metrics = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "m", "sum": {"dataPoints": [{"asInt": "1"}]}}]}]}]}"#;
    post(&address, "/v1/metrics", metrics);
    collector.wait_for(1, SOON).unwrap();
    let error = collector.wait_for(2, Duration::from_millis(100)).unwrap_err();
    assert!(format!("{error:#}").contains("only 1 spans after 100ms: [\"GET /x\"]"), "{error:#}");
    assert_eq!(collector.exports().unwrap().len(), 2);
}

#[test]
fn spans_of_the_sdk_arrive_over_grpc() {
    let collector = Collector::start().unwrap();
    let program = go::build("hello/cmd/sdk", Version::of(26), Mode::Plain).unwrap();
    let plain = go::build("hello/cmd/plain", Version::of(26), Mode::Plain).unwrap();
    let backend = Running::start(&plain, &["-work=1ms"], &[]).unwrap();
    let call = format!("-call=http://{}/", backend.wait_for("listening ", SOON).unwrap());
    let endpoint = collector.grpc_endpoint();
    let environment =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_SERVICE_NAME", "hello")];
    let mut server = Running::start(&program, &["-sdk", &call], &environment).unwrap();
    let address = server.wait_for("listening ", SOON).unwrap();
    assert_eq!(http::get(&address, "/", &[]).unwrap().text(), "ok\n");
    assert!(server.stop().unwrap().success(), "the server flushes when it is told to stop");

    let spans = collector.wait_for(2, SOON).unwrap();
    let of = |kind| spans.iter().find(|span| span.kind == kind).unwrap();
    assert!(of(Kind::Client).is_child_of(of(Kind::Server)), "{spans:#?}");
    assert_eq!(of(Kind::Server).service(), Some("hello"));
}

#[test]
fn drop_ends_the_process() {
    let mut collector = Collector::start().unwrap();
    let process = format!("/proc/{}", collector.process().pid());
    assert!(std::fs::exists(&process).unwrap());
    drop(collector);
    assert!(!std::fs::exists(&process).unwrap());
}
