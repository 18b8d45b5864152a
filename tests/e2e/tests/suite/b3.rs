//! Trace contexts in B3's formats, which `propagators` turns on.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, can_trace, eventually};
use gotap_testkit::collector::{Collector, FlatSpan};
use gotap_testkit::go::{Mode, Version};

const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SHORT: &str = "64fe8b2a57d3eff7";
const CALLER: &str = "e457b5a2e4d86bd1";
const W3C: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Path, headers, and trace and parent of the span; `None` for a request without a span.
type Case = (&'static str, Vec<(&'static str, String)>, Option<(&'static str, &'static str)>);

fn cases() -> Vec<Case> {
    let single = |text: String| vec![("b3", text)];
    let several = |sampled: &str| {
        vec![
            ("X-B3-TraceId", TRACE.to_owned()),
            ("X-B3-SpanId", CALLER.to_owned()),
            ("X-B3-Sampled", sampled.to_owned()),
        ]
    };
    let long = Some((TRACE, CALLER));
    let extended = Some(("000000000000000064fe8b2a57d3eff7", CALLER));
    let w3c = Some(("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"));
    let mut crowded = single(format!("{TRACE}-{CALLER}-1-05e3ac9a4f6e3b90"));
    crowded.extend(["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"].map(|n| (n, "x".repeat(9))));
    let mut both = single(format!("{TRACE}-{CALLER}-1"));
    both.push(("traceparent", W3C.to_owned()));
    vec![
        ("/id/1", single(format!("{TRACE}-{CALLER}-1")), long),
        ("/id/2", single(format!("{TRACE}-{CALLER}")), long),
        ("/id/3", single(format!("{SHORT}-{CALLER}-d")), extended),
        ("/id/4", single(format!("{SHORT}-{CALLER}-1-05e3ac9a4f6e3b90")), extended),
        ("/id/5", crowded, long),
        ("/id/6", several("1"), long),
        ("/id/7", several("true"), long),
        ("/id/8", both, w3c),
        // Neither is a trace context: the request begins a trace.
        ("/id/9", single("1".to_owned()), Some(("", ""))),
        ("/id/10", single(format!("{TRACE}+{CALLER}-1")), Some(("", ""))),
        // The caller does not sample the trace.
        ("/id/11", single("0".to_owned()), None),
        ("/id/12", single(format!("{TRACE}-{CALLER}-0")), None),
        ("/id/13", several("0"), None),
    ]
}

#[test]
fn trace_contexts_of_b3_are_taken_over() -> Result<()> {
    if !can_trace("trace_contexts_of_b3_are_taken_over") {
        return Ok(());
    }
    // Each kind of map that Go has had.
    for minor in [18, 24, 27] {
        observe(Version::of(minor)).with_context(|| format!("Go 1.{minor}"))?;
    }
    Ok(())
}

fn observe(version: Version) -> Result<()> {
    let app = App::start(&App::build(version, Mode::Plain)?)?;
    let collector = Collector::start()?;
    let (pid, url) = (app.pid().to_string(), collector.grpc_endpoint());
    let gotap = Gotap::start(
        &["run", "--pid", &pid, "--otlp-endpoint", &url],
        &[("OTEL_PROPAGATORS", "tracecontext,b3,baggage"), ("GOTAP_OTLP_METRICS", "false")],
    )?;
    gotap.wait_ready()?;
    let cases = cases();
    for (path, headers, _) in &cases {
        let headers: Vec<_> = headers.iter().map(|(name, text)| (*name, text.as_str())).collect();
        app.get(path, &headers)?;
    }
    let ended = gotap.stop()?;
    let wanted = cases.iter().filter(|(.., wanted)| wanted.is_some()).count();
    let left_out = ended.summary.not_recorded.get("unsampled").copied().unwrap_or(0);
    ensure!(left_out == (cases.len() - wanted) as u64, "{:?}", ended.summary);
    eventually(SOON, || collector.spans().is_ok_and(|spans| spans.len() >= wanted));
    let spans = collector.spans()?;
    ensure!(spans.len() == wanted, "{spans:#?}");
    for (path, _, wanted) in &cases {
        let span = spans.iter().find(|span| span.text("url.path") == Some(path));
        let Some((trace, parent)) = wanted else {
            ensure!(span.is_none(), "{path}: {span:#?}");
            continue;
        };
        check(span.with_context(|| (*path).to_owned())?, trace, parent).with_context(|| *path)?;
    }
    Ok(())
}

fn check(span: &FlatSpan, trace: &str, parent: &str) -> Result<()> {
    let right = if trace.is_empty() {
        span.trace_id != TRACE && span.parent_span_id.is_empty()
    } else {
        (span.trace_id.as_str(), span.parent_span_id.as_str()) == (trace, parent)
    };
    ensure!(right, "{span:#?}");
    Ok(())
}
