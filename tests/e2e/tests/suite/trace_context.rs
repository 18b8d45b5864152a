//! W3C Trace Context to the letter: what its public test suite sends, and what else must be told apart,
//! in each form in which a program may have the headers. Lists alone are tested in crate `trace`.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};

use crate::grpc::Pair;

const TRACE: &str = "12345678901234567890123456789012";
const CALLER: &str = "1234567890123456";

/// Header fields as they are sent: `=` stands for a valid traceparent's ids.
type Fields = &'static [(&'static str, &'static str)];

/// Fields of which the traceparent is adopted, with the tracestate that the span has then.
const ADOPTED: [(Fields, &str); 33] = [
    (&[("traceparent", "00-=-01")], ""),
    (&[("TraceParent", "00-=-01")], ""),
    (&[("TrAcEpArEnT", "00-=-01")], ""),
    (&[("TRACEPARENT", "00-=-01")], ""),
    (&[("traceparent", "cc-=-01")], ""),
    (&[("traceparent", "cc-=-01-what-the-future-will-be-like")], ""),
    (&[("traceparent", "01-=-01-")], ""),
    (&[("traceparent", "00-=-03")], ""),
    (&[("traceparent", "00-=-ff")], ""),
    (&[("traceparent", " 00-=-01")], ""),
    (&[("traceparent", "\t00-=-01")], ""),
    (&[("traceparent", "00-=-01 ")], ""),
    (&[("traceparent", "00-=-01\t")], ""),
    (&[("traceparent", "\t 00-=-01 \t")], ""),
    (&[("traceparent", "00-=-01"), ("tracestate", "foo=1,bar=2")], "foo=1,bar=2"),
    (&[("tracestate", "foo=1"), ("traceparent", "00-=-01")], "foo=1"),
    (&[("traceparent", "00-=-01"), ("TraceState", "foo=1")], "foo=1"),
    (&[("traceparent", "00-=-01"), ("TrAcEsTaTe", "foo=1")], "foo=1"),
    (&[("traceparent", "00-=-01"), ("TRACESTATE", "foo=1")], "foo=1"),
    (&[("traceparent", "00-=-01"), ("trace-state", "foo=1")], ""),
    (&[("traceparent", "00-=-01"), ("trace.state", "foo=1")], ""),
    (&[("traceparent", "00-=-01"), ("tracestate", "")], ""),
    (&[("traceparent", "00-=-01"), ("tracestate", "foo=1"), ("tracestate", "")], "foo=1"),
    (&[("traceparent", "00-=-01"), ("tracestate", ""), ("tracestate", "foo=1")], "foo=1"),
    (
        &[
            ("tracestate", "foo=1,bar=2"),
            ("traceparent", "00-=-01"),
            ("tracestate", "rojo=1,congo=2"),
            ("x-between", "1"),
            ("TraceState", "baz=3"),
        ],
        "foo=1,bar=2,rojo=1,congo=2,baz=3",
    ),
    (
        &[("traceparent", "00-=-01"), ("tracestate", "foo=1 \t , \t bar=2, \t baz=3")],
        "foo=1,bar=2,baz=3",
    ),
    (&[("traceparent", "00-=-01"), ("tracestate", "\t foo=1 \t")], "foo=1"),
    (&[("traceparent", "00-=-01"), ("tracestate", "foo=1;x")], "foo=1;x"),
    // Lists that are none.
    (&[("traceparent", "00-=-01"), ("tracestate", "foo=1,foo=1")], ""),
    (&[("traceparent", "00-=-01"), ("tracestate", "foo=1"), ("tracestate", "foo=2")], ""),
    (&[("traceparent", "00-=-01"), ("tracestate", "foo.bar=1")], ""),
    (&[("traceparent", "00-=-01"), ("tracestate", "no equals,foo=")], ""),
    (&[("traceparent", "00-=-01"), ("tracestate", "foo=\u{e9}")], ""),
];

/// As many of them have a list that is none.
const INVALID_LISTS: u64 = 5;

/// Fields of which the traceparent is none, so that the request begins a trace.
const REFUSED: [Fields; 27] = [
    &[("traceparent", "00-=-01"), ("traceparent", "00-=-01")],
    &[
        ("traceparent", "00-=-01"),
        ("x-between", "1"),
        ("TraceParent", "00-12345678901234567890123456789011-1234567890123456-01"),
    ],
    &[("traceparent", "00-=-01,00-=-01")],
    &[("traceparent", "00-=-01.")],
    &[("traceparent", "00-=-01-what-the-future-will-be-like")],
    &[("traceparent", "cc-=-01.what-the-future-will-be-like")],
    &[("traceparent", "cc-=-0100")],
    &[("traceparent", "cc-=-01 -x")],
    &[("traceparent", "ff-=-01")],
    &[("traceparent", "ff-=-01-x")],
    &[("traceparent", ".0-=-01")],
    &[("traceparent", "0.-=-01")],
    &[("traceparent", "000-=-01")],
    &[("traceparent", "0-=-01")],
    &[("traceparent", "CC-=-01")],
    &[("traceparent", "00-00000000000000000000000000000000-1234567890123456-01")],
    &[("traceparent", "00-.2345678901234567890123456789012-1234567890123456-01")],
    &[("traceparent", "00-1234567890123456789012345678901A-1234567890123456-01")],
    &[("traceparent", "00-123456789012345678901234567890123-1234567890123456-01")],
    &[("traceparent", "00-1234567890123456789012345678901-1234567890123456-01")],
    &[("traceparent", "00-12345678901234567890123456789012-0000000000000000-01")],
    &[("traceparent", "00-12345678901234567890123456789012-123456789012345.-01")],
    &[("traceparent", "00-12345678901234567890123456789012-12345678901234567-01")],
    &[("traceparent", "00-12345678901234567890123456789012-123456789012345-01")],
    &[("traceparent", "00-=-.0"), ("tracestate", "foo=1")],
    &[("traceparent", "00-=-001")],
    &[("traceparent", "00-=-1")],
];

/// Fields that say nothing of a trace.
const NONE: [Fields; 4] = [
    &[],
    &[("tracestate", "foo=1")],
    &[("trace-parent", "00-=-01")],
    &[("trace.parent", "00-=-01")],
];

fn filled(text: &str) -> String {
    text.replacen("-=-", &format!("-{TRACE}-{CALLER}-"), 2)
}

/// Sends all and looks at each span.
fn check_all(app: &App) -> Result<()> {
    let gotap = Gotap::trace_pid(app.pid())?;
    let mut connection = app.connect()?;
    let all: Vec<Fields> =
        ADOPTED.iter().map(|(fields, _)| *fields).chain(REFUSED).chain(NONE).collect();
    for (i, fields) in all.iter().enumerate() {
        let fields: Vec<_> = fields.iter().map(|(name, text)| (*name, filled(text))).collect();
        let fields: Vec<_> = fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let answer = connection.get(&format!("/users/{i}"), &fields)?;
        ensure!(answer.status == 200, "{fields:?}: {answer:?}");
    }
    // Bytes that are no UTF-8 at all.
    let text = format!("00-{TRACE}-{CALLER}-01");
    let fields = [("traceparent", text.as_str()), ("tracestate", "a=??")];
    let mut head = connection.head("GET", "/users/bytes", &fields);
    head.iter_mut().filter(|b| **b == b'?').for_each(|b| *b = 0xff);
    connection.send_raw(&head)?;
    connection.read_response()?;
    gotap.wait_for_spans(all.len() + 1)?;
    let ended = gotap.stop()?;
    let span = |i: usize| {
        let path = format!("/users/{i}");
        ended.spans.iter().find(|span| span.target() == path)
    };
    let mut failures = Vec::new();
    for (i, fields) in all.iter().enumerate() {
        let state = ADOPTED.get(i).map(|(_, state)| *state);
        let right = span(i).is_some_and(|span| match state {
            Some(state) => is_adopted(span) && span.trace_state == state,
            None => is_first(span),
        });
        if !right {
            failures.push(format!("{fields:?}: {:#?}", span(i)));
        }
    }
    let bytes = ended.spans.iter().find(|span| span.target() == "/users/bytes");
    if !bytes.is_some_and(|span| is_adopted(span) && span.trace_state.is_empty()) {
        failures.push(format!("bytes: {bytes:#?}"));
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    let refused = ended.summary.drops("traceparent_invalid");
    ensure!(refused == REFUSED.len() as u64, "{refused}: {:?}", ended.summary);
    let invalid = ended.summary.drops("tracestate_invalid");
    ensure!(invalid == INVALID_LISTS + 1, "{:?}", ended.summary);
    ensure!(ended.summary.dropped.len() == 2, "{:?}", ended.summary);
    Ok(())
}

fn is_adopted(span: &Span) -> bool {
    let ids = (span.trace_id.as_str(), span.parent_span_id.as_str());
    ids == (TRACE, CALLER) && span.parent == "remote"
}

fn is_first(span: &Span) -> bool {
    let known = [TRACE, "12345678901234567890123456789011"].contains(&span.trace_id.as_str());
    !known && span.parent == "none" && span.trace_state.is_empty()
}

#[test]
fn trace_context_is_read_to_the_letter_by_net_http() -> Result<()> {
    if !can_trace("trace_context_is_read_to_the_letter_by_net_http") {
        return Ok(());
    }
    // Each has a layout of maps of its own.
    for version in [Version::NEWEST, Version::of(26), Version::of(21)] {
        let app = App::start(&App::build(version, Mode::Plain)?)?;
        let checked = check_all(&app);
        ensure!(checked.is_ok(), "Go {version}: {checked:?}");
    }
    Ok(())
}

#[test]
fn trace_context_is_read_to_the_letter_by_fasthttp() -> Result<()> {
    if !can_trace("trace_context_is_read_to_the_letter_by_fasthttp") {
        return Ok(());
    }
    check_all(&App::start(&go::build("fastapp", Version::NEWEST, Mode::Plain)?)?)
}

/// What a gRPC client sends: fields of one name, separated by `|`.
#[test]
fn trace_context_is_read_to_the_letter_by_grpc() -> Result<()> {
    if !can_trace("trace_context_is_read_to_the_letter_by_grpc") {
        return Ok(());
    }
    const CASES: [(&str, &str, Option<&str>); 12] = [
        ("00-=-01", "", Some("")),
        ("00-=-01", "foo=1|bar=2", Some("foo=1,bar=2")),
        ("00-=-01", "foo=1,bar=2| baz=3", Some("foo=1,bar=2,baz=3")),
        ("00-=-01", "foo=1|foo=2", Some("")),
        ("00-=-01", "no equals", Some("")),
        ("cc-=-01-what-the-future-will-be-like", "foo=1", Some("foo=1")),
        ("cc-=-01.what-the-future-will-be-like", "foo=1", None),
        ("cc-=-0100", "", None),
        ("ff-=-01", "foo=1", None),
        ("00-=-01|00-=-01", "foo=1", None),
        ("00-=-0x", "", None),
        ("", "foo=1", None),
    ];
    let program = App::build_grpc(None, Version::NEWEST)?;
    let pair = Pair::start(&program, &[])?;
    let gotap = Gotap::trace_what("grpc", &["--pid", &pair.app.pid().to_string()])?;
    for (i, (parent, state, _)) in CASES.iter().enumerate() {
        let parent = filled(parent);
        pair.call(&program, &["-traceparent", &parent, "-tracestate", state, "say:hello"])?;
        gotap.wait_for_lines(i + 1)?;
    }
    let ended = gotap.stop()?;
    ensure!(ended.spans.len() == CASES.len(), "{}", Span::list(&ended.spans));
    for (span, (parent, state, expected)) in ended.spans.iter().zip(CASES) {
        let right = match expected {
            Some(list) => is_adopted(span) && span.trace_state == list,
            None => is_first(span),
        };
        ensure!(right, "{parent} {state}: {span:#?}");
    }
    ensure!(ended.summary.drops("traceparent_invalid") == 5, "{:?}", ended.summary);
    ensure!(ended.summary.drops("tracestate_invalid") == 2, "{:?}", ended.summary);
    Ok(())
}
