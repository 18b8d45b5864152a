//! Programs behind an Envoy, and an Envoy behind a program: one trace, by `traceparent` and by B3.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, can_trace};
use gotap_testkit::collector::{Collector, FlatSpan, Kind};
use gotap_testkit::envoy::{Envoy, Tracer};
use gotap_testkit::http;
use serde_json::json;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The span of a service of this kind.
fn of<'s>(spans: &'s [FlatSpan], service: &str, kind: Kind) -> Result<&'s FlatSpan> {
    let mut found =
        spans.iter().filter(|span| span.service() == Some(service) && span.kind == kind);
    let first = found.next().with_context(|| format!("{service} has no {kind:?} in {spans:#?}"))?;
    ensure!(found.next().is_none(), "{service} has several {kind:?} in {spans:#?}");
    Ok(first)
}

/// Customers, an Envoy, a program that passes requests on with their headers, an Envoy, and a program.
#[test]
fn a_trace_goes_through_envoy_and_programs() -> Result<()> {
    if !can_trace("a_trace_goes_through_envoy_and_programs") {
        return Ok(());
    }
    let (collector, program) = (Collector::start()?, App::newest()?);
    let endpoint = collector.grpc_endpoint();
    let back = App::start_with(&program, &[], &[("OTEL_SERVICE_NAME", "back")])?;
    let egress = Envoy::start(Tracer::OpenTelemetry(&endpoint, "egress"), &back.address)?;
    let url = format!("http://{}", egress.address);
    let front = App::start_with(&program, &["-backend", &url], &[("OTEL_SERVICE_NAME", "front")])?;
    let edge = Envoy::start(Tracer::OpenTelemetry(&endpoint, "edge"), &front.address)?;
    let pids = [front.pid().to_string(), back.pid().to_string()];
    let select = ["--pid", &pids[0], "--pid", &pids[1]];
    let run = ["run", "--otlp-endpoint", &endpoint, "--request-headers", "x-request-id"];
    let gotap = Gotap::start(&[&run[..], &select].concat(), &[])?;
    gotap.wait_ready()?;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    for (headers, spans) in [(vec![("traceparent", parent.as_str())], 5), (vec![], 10)] {
        ensure!(http::get(&edge.address, "/proxy/hello", &headers)?.status == 200);
        let all = collector.wait_for(spans, SOON)?;
        let is_known = |span: &&FlatSpan| (span.trace_id == TRACE) != headers.is_empty();
        let trace: Vec<_> = all.iter().filter(is_known).cloned().collect();
        ensure!(trace.len() == 5, "{all:#?}");
        let (edge, egress) =
            (of(&trace, "edge", Kind::Server)?, of(&trace, "egress", Kind::Server)?);
        let (served, called) =
            (of(&trace, "front", Kind::Server)?, of(&trace, "front", Kind::Client)?);
        let last = of(&trace, "back", Kind::Server)?;
        ensure!(trace.iter().all(|span| span.trace_id == edge.trace_id), "{trace:#?}");
        ensure!(edge.parent_span_id == if headers.is_empty() { "" } else { CALLER }, "{edge:#?}");
        ensure!(served.parent_span_id == edge.span_id, "{trace:#?}");
        ensure!(called.parent_span_id == served.span_id, "{trace:#?}");
        // Envoy's id of the request, of which its span says the same.
        let id = edge.text("guid:x-request-id").context("Envoy's id")?;
        let told =
            |span: &FlatSpan| span.attributes.get("http.request.header.x-request-id").cloned();
        ensure!(told(served) == Some(json!([id])) && told(called).is_none(), "{trace:#?}");
        ensure!(told(last).is_some(), "{last:#?}");
        // The program passed on what it got.
        ensure!(egress.parent_span_id == edge.span_id, "{trace:#?}");
        ensure!(last.parent_span_id == egress.span_id, "{trace:#?}");
    }
    let summary = gotap.stop()?.summary;
    ensure!(summary.dropped.is_empty() && summary.spans == 6, "{summary:?}");
    Ok(())
}

#[test]
fn envoys_b3_headers_are_followed() -> Result<()> {
    if !can_trace("envoys_b3_headers_are_followed") {
        return Ok(());
    }
    let (collector, app) = (Collector::start()?, App::start(&App::newest()?)?);
    let envoy = Envoy::start(Tracer::Zipkin, &app.address)?;
    let (pid, endpoint) = (app.pid().to_string(), collector.grpc_endpoint());
    let arguments = ["run", "--otlp-endpoint", &endpoint, "--pid", &pid];
    let gotap = Gotap::start(&arguments, &[("OTEL_PROPAGATORS", "tracecontext,b3")])?;
    gotap.wait_ready()?;
    let headers = [("x-b3-traceid", TRACE), ("x-b3-spanid", CALLER), ("x-b3-sampled", "1")];
    ensure!(http::get(&envoy.address, "/hello", &headers)?.status == 200);
    ensure!(http::get(&envoy.address, "/status/204", &[])?.status == 204);
    let spans = collector.wait_for(2, SOON)?;
    let (with, without): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.trace_id == TRACE);
    ensure!(with.len() == 1 && without.len() == 1, "{spans:#?}");
    // Envoy's own span is between.
    for span in &spans {
        ensure!(span.parent_span_id.len() == 16 && span.parent_span_id != CALLER, "{span:#?}");
        ensure!(span.kind == Kind::Server, "{span:#?}");
    }
    gotap.stop().map(drop)
}
