//! Programs that OpenTelemetry's SDK instruments: gotap's spans beside the SDK's are in the traces that
//! the program sends along, one tree is in one trace, and a setting leaves them out.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Ended, Gotap, SOON, Span, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn program() -> Result<PathBuf> {
    go::build("sdkapp", Version::NEWEST, Mode::Plain)
}

/// Sends one request to one of two, both observed, which has this many spans in both.
fn ask(path: &str, headers: &[(&str, &str)], flags: &[&str], n: usize) -> Result<Ended> {
    let program = program()?;
    let backend = App::start(&program)?;
    let url = format!("http://{}", backend.address);
    let app = App::start_with(&program, &[&["-backend", &url], flags].concat(), &[])?;
    let pids = [app.pid().to_string(), backend.pid().to_string()];
    let gotap = Gotap::trace(&["--pid", &pids[0], "--pid", &pids[1]])?;
    let answer = app.get(path, headers)?;
    ensure!(answer.status == 200, "{answer:?}");
    gotap.wait_for_spans(n)?;
    let mut ended = gotap.stop()?;
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    ensure!(ended.spans.len() == n, "{}", Span::list(&ended.spans));
    ended.spans.sort_by_key(|span| span.start);
    Ok(ended)
}

/// The request, its calls, and what they are there.
struct Seen<'a> {
    root: &'a Span,
    calls: Vec<&'a Span>,
    leaves: Vec<&'a Span>,
}

fn seen(spans: &[Span]) -> Result<Seen<'_>> {
    let root = spans.iter().find(|s| s.is_server() && s.target() != "/leaf").context("a root")?;
    let leaves = spans.iter().filter(|span| span.target() == "/leaf").collect();
    Ok(Seen { root, calls: spans.iter().filter(|span| span.is_client()).collect(), leaves })
}

/// Whether a call is where its headers say, as is the request that it is at the other side.
fn is_sent(call: &Span, leaf: &Span) -> bool {
    let ids = |span: &Span| (span.trace_id.clone(), span.parent_span_id.clone());
    call.parent == "sent" && leaf.parent == "remote" && ids(call) == ids(leaf)
}

#[test]
fn a_request_is_in_the_trace_of_the_sdks_calls() -> Result<()> {
    if !can_trace("a_request_is_in_the_trace_of_the_sdks_calls") {
        return Ok(());
    }
    let ended = ask("/call", &[], &[], 5)?;
    let Seen { root, calls, leaves } = seen(&ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(root.parent == "none" && root.parent_span_id.is_empty(), "{list}");
    // The first call ended before the SDK told its trace, and moved to it.
    ensure!(calls[0].is_child_of(root) && calls[0].parent == "context", "{list}");
    ensure!(is_sent(calls[1], leaves[1]) && calls[1].trace_id == root.trace_id, "{list}");
    ensure!(leaves[0].trace_id != root.trace_id, "{list}");
    Ok(())
}

#[test]
fn what_a_request_brings_along_holds() -> Result<()> {
    if !can_trace("what_a_request_brings_along_holds") {
        return Ok(());
    }
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("traceparent", parent.as_str())];
    let ended = ask("/call", &headers, &[], 5)?;
    let Seen { root, calls, leaves } = seen(&ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(root.trace_id == TRACE && root.parent_span_id == CALLER, "{list}");
    ensure!(calls[0].is_child_of(root), "{list}");
    ensure!(is_sent(calls[1], leaves[1]) && calls[1].trace_id == TRACE, "{list}");
    // A proxy says nothing by passing it on: its call is the child of its own request.
    let ended = ask("/pass/leaf", &headers, &[], 3)?;
    let Seen { root, calls, leaves } = seen(&ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(root.trace_id == TRACE && root.parent_span_id == CALLER, "{list}");
    ensure!(calls[0].is_child_of(root) && calls[0].parent != "sent", "{list}");
    ensure!(leaves[0].trace_id == TRACE, "{list}");
    Ok(())
}

#[test]
fn requests_without_such_calls_stay_in_their_own_trace() -> Result<()> {
    if !can_trace("requests_without_such_calls_stay_in_their_own_trace") {
        return Ok(());
    }
    for (path, n) in [("/plain", 3), ("/pass/leaf", 3)] {
        let ended = ask(path, &[], &[], n)?;
        let Seen { root, calls, .. } = seen(&ended.spans)?;
        let list = Span::list(&ended.spans);
        ensure!(root.parent == "none" && calls[0].is_child_of(root), "{path}: {list}");
    }
    Ok(())
}

#[test]
fn a_second_trace_of_a_request_is_another_one() -> Result<()> {
    if !can_trace("a_second_trace_of_a_request_is_another_one") {
        return Ok(());
    }
    let ended = ask("/two", &[], &[], 5)?;
    let Seen { root, calls, leaves } = seen(&ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(is_sent(calls[0], leaves[0]) && is_sent(calls[1], leaves[1]), "{list}");
    ensure!(calls[0].trace_id == root.trace_id && calls[1].trace_id != root.trace_id, "{list}");
    Ok(())
}

#[test]
fn what_the_sdk_does_not_sample_has_no_spans() -> Result<()> {
    if !can_trace("what_the_sdk_does_not_sample_has_no_spans") {
        return Ok(());
    }
    // The one of the backend that was asked without the SDK.
    let ended = ask("/call", &[], &["-unsampled"], 1)?;
    ensure!(ended.spans[0].target() == "/leaf", "{}", Span::list(&ended.spans));
    ensure!(ended.summary.not_recorded["unsampled"] == 4, "{:?}", ended.summary);
    Ok(())
}

#[test]
fn exports_of_the_sdk_have_no_spans() -> Result<()> {
    if !can_trace("exports_of_the_sdk_have_no_spans") {
        return Ok(());
    }
    let collector = Collector::start()?;
    let url = format!("{}/v1/traces", collector.http_endpoint());
    let ended = ask("/call", &[], &["-otlp", &url], 5)?;
    ensure!(ended.summary.not_recorded["telemetry"] >= 1, "{:?}", ended.summary);
    // gotap's request and the SDK's are in one trace.
    let root = seen(&ended.spans)?.root;
    let of_sdk = collector.wait_for(2, SOON)?;
    ensure!(of_sdk.iter().all(|span| span.trace_id == root.trace_id), "{of_sdk:#?}");
    Ok(())
}

#[test]
fn programs_with_the_sdk_are_named_and_can_be_left_to_it() -> Result<()> {
    if !can_trace("programs_with_the_sdk_are_named_and_can_be_left_to_it") {
        return Ok(());
    }
    let app = App::start(&program()?)?;
    let pid = app.pid().to_string();
    let mut ps = Gotap::start(&["ps", "--format", "json", "--pid", &pid], &[])?;
    ps.process.wait(SOON)?;
    let said = ps.process.stdout().join("\n");
    ensure!(
        said.contains(r#""doubles":["grpc","http"]"#) && said.contains(r#""v1.47.0""#),
        "{said}"
    );
    let mut off = Gotap::start(&["trace", "http", "--sdk-programs", "off", "--pid", &pid], &[])?;
    let status = off.process.wait(SOON)?;
    let said = off.process.stderr().join("\n");
    ensure!(status.code() == Some(2) && said.contains("sdk_programs is off"), "{said}");
    let name = ["--name", "sdkapp"];
    let gotap = Gotap::trace(&["--sdk-programs", "off", name[0], name[1]])?;
    app.get("/leaf", &[])?;
    let ended = gotap.stop()?;
    ensure!(ended.spans.is_empty() && ended.summary.traps.is_empty(), "{:?}", ended.summary);
    Ok(())
}

/// With metrics on, a program whose traces are left to its SDK is still measured.
#[test]
fn programs_that_are_left_to_the_sdk_are_measured() -> Result<()> {
    if !can_trace("programs_that_are_left_to_the_sdk_are_measured") {
        return Ok(());
    }
    let app = App::start(&program()?)?;
    let pid = app.pid().to_string();
    let arguments =
        ["run", "--sdk-programs", "off", "--pid", &pid, "--prometheus-listen", "127.0.0.1:0"];
    let gotap = Gotap::start(&arguments, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")])?;
    let url = gotap.process.wait_for_error("metrics at http://", SOON)?;
    let address = url.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.context("an address")?.to_owned();
    gotap.wait_ready()?;
    for _ in 0..3 {
        app.get("/leaf", &[])?;
    }
    let wanted = |text: &str| {
        let line = text.lines().find(|line| {
            line.starts_with("http_server_request_duration_seconds_count{")
                && line.contains("sdkapp")
        });
        line.is_some_and(|line| line.ends_with(" 3"))
    };
    let scrape = || Ok::<_, anyhow::Error>(http::get(&address, "/metrics", &[])?.text());
    let measured = eventually(SOON, || scrape().is_ok_and(|text| wanted(&text)));
    ensure!(measured, "{}", scrape()?);
    let summary = gotap.stop()?.summary;
    ensure!(summary.spans == 0 && summary.not_recorded["left_to_sdk"] == 3, "{summary:?}");
    Ok(())
}
