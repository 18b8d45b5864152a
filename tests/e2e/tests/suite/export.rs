//! `gotap run` and a real collector: what was sent is received or counted, never neither.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Ended, Gotap, Load, Proxy, SOON, can_trace, eventually};
use gotap_testkit::collector::{Collector, FlatSpan, Kind};

const REQUESTS: u64 = 20_000;

/// Names and values of environment variables.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// Starts `gotap run` for one program.
fn run(app: &App, arguments: &[&str], environment: Variables<'_>) -> Result<Gotap> {
    let pid = app.pid().to_string();
    let mut all = vec!["run", "--pid", &pid];
    all.extend(arguments);
    let gotap = Gotap::start(&all, environment)?;
    gotap.wait_ready()?;
    Ok(gotap)
}

/// The collector's spans, when all that gotap delivered are in its file.
fn received(collector: &Collector, delivered: u64) -> Result<Vec<FlatSpan>> {
    let exact = |n: usize| n as u64 >= delivered;
    // Reading all of them is slow, so it is not done often.
    let mut spans = collector.spans()?;
    eventually(SOON, || {
        if !exact(spans.len()) {
            std::thread::sleep(Duration::from_millis(500));
            spans = collector.spans().unwrap_or_default();
        }
        exact(spans.len())
    });
    Ok(spans)
}

fn ids(spans: &[FlatSpan]) -> HashSet<&str> {
    spans.iter().map(|span| span.span_id.as_str()).collect()
}

/// Every request is a span or a counted drop; every span is delivered or counted as lost.
fn balance(ended: &Ended, requests: u64) -> Result<u64> {
    let summary = &ended.summary;
    let dropped: u64 = summary.dropped.values().sum();
    ensure!(summary.spans + dropped == requests, "{summary:?} for {requests} requests");
    let delivered = summary.delivered.context("a count of delivered spans")?;
    ensure!(delivered + summary.lost_spans() == summary.spans, "{summary:?}");
    ensure!(ended.status.success(), "{:?}", ended.status);
    Ok(delivered)
}

fn all_arrive(protocol: &[&str], endpoint: impl Fn(&Collector) -> String) -> Result<()> {
    let collector = Collector::start()?;
    let app = App::start(&App::newest()?)?;
    let url = endpoint(&collector);
    let arguments = [&["--otlp-endpoint", &url], protocol].concat();
    let gotap = run(&app, &arguments, &[])?;
    let outcome = Load::send(&app.address, "/hello", 16, REQUESTS)?;
    ensure!(outcome.answered == REQUESTS && outcome.failed == 0, "{outcome:?}");
    let ended = gotap.stop()?;
    let delivered = balance(&ended, REQUESTS)?;
    let spans = received(&collector, delivered)?;
    ensure!(spans.len() as u64 == delivered, "{} received, {delivered} delivered", spans.len());
    ensure!(ids(&spans).len() == spans.len(), "a span twice");
    ensure!(delivered > REQUESTS / 2, "most was lost: {:?}", ended.summary);
    for span in &spans {
        ensure!(span.name == "GET /hello" && span.kind == Kind::Server, "{span:#?}");
        ensure!(span.int("http.response.status_code") == Some(200), "{span:#?}");
    }
    Ok(())
}

#[test]
fn all_spans_arrive_over_grpc() -> Result<()> {
    if !can_trace("all_spans_arrive_over_grpc") {
        return Ok(());
    }
    all_arrive(&[], Collector::grpc_endpoint)
}

#[test]
fn all_spans_arrive_over_http() -> Result<()> {
    if !can_trace("all_spans_arrive_over_http") {
        return Ok(());
    }
    all_arrive(&["--otlp-protocol", "http/protobuf"], Collector::http_endpoint)
}

#[test]
fn a_span_is_the_same_in_otlp() -> Result<()> {
    if !can_trace("a_span_is_the_same_in_otlp") {
        return Ok(());
    }
    let collector = Collector::start()?;
    let (app, _backend) = App::start_pair(&App::newest()?)?;
    let sender = run(&app, &["--otlp-endpoint", &collector.grpc_endpoint()], &[])?;
    let printer = Gotap::trace_pid(app.pid())?;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    app.get("/call/refused", &[("traceparent", parent), ("tracestate", "a=b")])?;
    let sent = collector.wait_for(2, SOON)?;
    let printed = printer.finish(2)?;
    sender.stop()?;
    ensure!(sent.len() == 2, "{sent:#?}");
    for (sent, printed) in sent.iter().zip(&printed) {
        // Each gotap chooses ids and reads the clock for itself.
        let mut attributes = printed.attributes.clone();
        attributes.insert("gotap.parent".into(), printed.parent.as_str().into());
        ensure!(sent.attributes == attributes, "{sent:#?} {printed:#?}");
        ensure!(sent.resource == printed.resource, "{sent:#?} {printed:#?}");
        ensure!((&sent.name, &sent.trace_id) == (&printed.name, &printed.trace_id), "{sent:#?}");
        ensure!(sent.trace_state == printed.trace_state, "{sent:#?}");
        ensure!(sent.status_message == printed.message, "{sent:#?}");
        ensure!(sent.start.abs_diff(printed.start) < 50_000_000, "{sent:#?} {printed:#?}");
        ensure!(format!("{:?}", sent.kind).to_lowercase() == printed.kind, "{sent:#?}");
        ensure!(format!("{:?}", sent.status).to_lowercase() == printed.status, "{sent:#?}");
        ensure!(!sent.scope.is_empty() && sent.flags & 1 == 1, "{sent:#?}");
    }
    ensure!(sent[0].is_child_of(&sent[1]), "{sent:#?}");
    ensure!(sent[1].parent_span_id == "b7ad6b7169203331", "{sent:#?}");
    Ok(())
}

#[test]
fn a_collector_may_start_later() -> Result<()> {
    if !can_trace("a_collector_may_start_later") {
        return Ok(());
    }
    let mut proxy = Proxy::new()?;
    let app = App::start(&App::newest()?)?;
    let gotap = run(&app, &["--otlp-endpoint", &proxy.endpoint()], &[])?;
    Load::send(&app.address, "/hello", 4, 500)?;
    gotap.process.wait_for_error("cannot deliver", SOON)?;
    let collector = Collector::start()?;
    proxy.up(&collector.grpc_endpoint())?;
    collector.wait_for(500, SOON)?;
    gotap.process.wait_for_error("again", SOON)?;
    let ended = gotap.stop()?;
    ensure!(balance(&ended, 500)? == 500, "{:?}", ended.summary);
    let spans = collector.spans()?;
    ensure!(spans.len() == 500 && ids(&spans).len() == 500, "{} spans", spans.len());
    Ok(())
}

#[test]
fn a_collector_may_be_replaced() -> Result<()> {
    if !can_trace("a_collector_may_be_replaced") {
        return Ok(());
    }
    let mut proxy = Proxy::new()?;
    let mut first = Collector::start()?;
    proxy.up(&first.http_endpoint())?;
    let app = App::start(&App::newest()?)?;
    let arguments = ["--otlp-endpoint", &proxy.endpoint(), "--otlp-protocol", "http/protobuf"];
    let gotap = run(&app, &arguments, &[])?;
    Load::send(&app.address, "/hello", 4, 2_000)?;
    first.wait_for(1, SOON)?;
    let load = Load::limited(&app.address, "/hello", 4, 2_000);
    first.process().stop()?;
    proxy.down()?;
    load.join()?;
    gotap.process.wait_for_error("cannot deliver", SOON)?;
    let second = Collector::start()?;
    proxy.up(&second.http_endpoint())?;
    Load::send(&app.address, "/hello", 4, 2_000)?;
    gotap.process.wait_for_error("again", SOON)?;
    second.wait_until(SOON, |spans| {
        let known = first.spans().unwrap_or_default();
        ids(&known).union(&ids(spans)).count() == 6_000
    })?;
    let ended = gotap.stop()?;
    let delivered = balance(&ended, 6_000)?;
    let (before, after) = (first.spans()?, second.spans()?);
    // What the first one took without saying so is sent again: the same span, not another one.
    let distinct = ids(&before).union(&ids(&after)).count() as u64;
    ensure!(distinct + ended.summary.lost_spans() == 6_000, "{distinct}, {:?}", ended.summary);
    ensure!(delivered <= (before.len() + after.len()) as u64, "{delivered} delivered");
    Ok(())
}

#[test]
fn without_a_collector_all_is_counted() -> Result<()> {
    if !can_trace("without_a_collector_all_is_counted") {
        return Ok(());
    }
    let proxy = Proxy::new()?;
    for protocol in ["grpc", "http/protobuf"] {
        let app = App::start(&App::newest()?)?;
        let url = proxy.endpoint();
        // Who waits for an answer at the end takes longer than gotap may.
        let patient = [("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")];
        let gotap = run(&app, &["--otlp-endpoint", &url, "--otlp-protocol", protocol], &patient)?;
        Load::send(&app.address, "/hello", 4, 300)?;
        let said = gotap.process.wait_for_error("cannot deliver spans to", SOON)?;
        ensure!(said.ends_with("; metrics go there, too"), "{said}");
        std::thread::sleep(Duration::from_millis(1500)); // for some retries
        let ended = gotap.stop()?;
        let lost = "points of metrics that the collector did not get: export_unreachable ";
        ensure!(ended.stderr.iter().any(|line| line.contains(lost)), "{:#?}", ended.stderr);
        ensure!(balance(&ended, 300)? == 0, "{:?}", ended.summary);
        let lost = ended.summary.lost.get("export_shutdown");
        ensure!(lost == Some(&300), "{protocol}: {:?}", ended.summary);
        let said = ended.stderr.iter().filter(|line| line.contains("cannot deliver")).count();
        ensure!(said == 1, "said {said} times: {:#?}", ended.stderr);
    }
    Ok(())
}

#[test]
fn the_standard_variables_work() -> Result<()> {
    if !can_trace("the_standard_variables_work") {
        return Ok(());
    }
    let collector = Collector::start()?;
    let (grpc, http) = (collector.grpc_endpoint(), collector.http_endpoint());
    let traces = format!("{http}/v1/traces");
    let over_http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let nowhere = "http://127.0.0.1:1";
    let settings: [(Variables<'_>, &[&str]); 5] = [
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", &grpc)], &[]),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", &http), over_http], &[]),
        (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces), over_http], &[]),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", nowhere)], &["--otlp-endpoint", &grpc]),
        (
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &grpc),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ],
            &[],
        ),
    ];
    let app = App::start(&App::newest()?)?;
    for (i, (environment, arguments)) in settings.iter().enumerate() {
        let gotap = run(&app, arguments, environment)?;
        app.get(&format!("/users/{i}"), &[])?;
        let spans = collector.wait_for(i + 1, SOON).with_context(|| format!("{environment:?}"))?;
        let last = spans.last().and_then(|span| span.text("url.path"));
        ensure!(last == Some(&format!("/users/{i}")), "{environment:?}: {last:?}");
        let ended = gotap.stop()?;
        let said = ended.stderr.join("\n");
        ensure!(balance(&ended, 1)? == 1, "{environment:?}: {said}");
    }
    Ok(())
}

#[test]
fn the_service_is_named_by_who_knows_best() -> Result<()> {
    if !can_trace("the_service_is_named_by_who_knows_best") {
        return Ok(());
    }
    let program = App::newest()?;
    let named = ("OTEL_SERVICE_NAME", "from-target");
    let declared =
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=declared,deployment.environment.name=a%20b");
    let cases: [(Variables<'_>, &[&str], &str); 4] = [
        (&[], &[], "httpapp"),
        (&[declared], &[], "declared"),
        (&[named, declared], &[], "from-target"),
        (&[named, declared], &["--service-name", "from-flag"], "from-flag"),
    ];
    let collector = Collector::start()?;
    for (i, (environment, arguments, expected)) in cases.iter().enumerate() {
        let app = App::start_with(&program, &[], environment)?;
        let url = collector.grpc_endpoint();
        let arguments = [&["--otlp-endpoint", &url], *arguments].concat();
        let gotap = run(&app, &arguments, &[])?;
        app.get("/hello", &[])?;
        let spans = collector.wait_for(i + 1, SOON)?;
        let span = spans.last().context("a span")?;
        ensure!(span.service() == Some(expected), "{span:#?}");
        let declares = environment.contains(&declared);
        let found = span.resource.get("deployment.environment.name");
        ensure!(found.and_then(|v| v.as_str()) == declares.then_some("a b"), "{span:#?}");
        gotap.stop()?;
    }
    Ok(())
}
