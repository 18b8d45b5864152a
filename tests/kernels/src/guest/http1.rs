//! HTTP/1: requests that are served and made, their number, and whose child each call is.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Load, Span};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;

/// Ways from a handler to a call, and how the call's parent is found.
const CASES: [(&str, &str); 8] = [
    ("same", "context"),
    ("ctx-derived", "context"),
    ("noctx", "goroutine"),
    ("go", "ancestor"),
    ("go-deep?n=5", "ancestor"),
    ("noctx-pool", "none"),
    ("refused", "context"),
    ("precanceled", "context"),
];

/// A server span and a client span for each, and three requests that make no call.
const CASES_SPANS: usize = 2 * CASES.len() + 3;

/// What is sent at once.
const CONNECTIONS: usize = 4;
const REQUESTS: usize = 100;
const LOAD_SPANS: usize = 2 * REQUESTS;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The oldest Go has header maps of another form and no `g.parentGoid`. One gotap observes both, as
/// the verifier takes its time in a machine like this.
pub(crate) fn newest_and_oldest_go() -> Result<()> {
    trace(&[Version::NEWEST, Version::OLDEST], &[])
}

pub(crate) fn exact_lineage() -> Result<()> {
    trace(&[Version::NEWEST], &["--exact-lineage"])
}

pub(crate) fn one_by_one() -> Result<()> {
    trace(&[Version::NEWEST], &["--no-uprobe-multi"])
}

/// Observes an application for each version, and a backend for each, which is not observed.
fn trace(versions: &[Version], options: &[&str]) -> Result<()> {
    let pairs = versions.iter().map(|v| App::start_pair(&program("httpapp", *v)));
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    let pids: Vec<String> = pairs.iter().map(|(app, _)| app.pid().to_string()).collect();
    let mut arguments: Vec<&str> = pids.iter().flat_map(|pid| ["--pid", pid]).collect();
    arguments.extend(options);
    let gotap = Gotap::trace(&arguments)?;
    for ((app, _), version) in pairs.iter().zip(versions) {
        let what = |part: &str| format!("{part}, Go {version}");
        cases(app, &gotap).with_context(|| what("one by one"))?;
        load(app, &gotap).with_context(|| what("many at once"))?;
    }
    let expected = pairs.len() * (CASES_SPANS + LOAD_SPANS);
    gotap.finish(expected).map(drop)
}

/// One request after the other, on one connection.
fn cases(app: &App, gotap: &Gotap) -> Result<()> {
    let spans = gotap.spans_of(CASES_SPANS, || {
        let mut connection = app.connect()?;
        for (case, _) in CASES {
            connection.get(&format!("/call/{case}"), &[]).context(case)?;
        }
        connection.get("/hello", &[("Traceparent", TRACEPARENT), ("Tracestate", "a=b")])?;
        connection.get(&format!("/status/404?{}", "x".repeat(300)), &[])?;
        // The server closes the connection without an answer.
        connection.get("/panic", &[]).err().context("/panic has no response").map(drop)
    })?;
    let servers: Vec<_> = spans.iter().filter(|span| span.is_server()).collect();
    let clients: Vec<_> = spans.iter().filter(|span| span.is_client()).collect();
    ensure!(clients.len() == CASES.len(), "{}", Span::list(&spans));
    for ((case, how), (server, client)) in CASES.iter().zip(servers.iter().zip(&clients)) {
        ensure!(server.target().starts_with("/call/"), "{case}: {server:#?}");
        ensure!(client.parent == *how, "{case}: {} instead of {how}", client.parent);
        let orphan = *how == "none" && client.trace_id != server.trace_id;
        ensure!(orphan || client.is_child_of(server), "{case}: {client:#?}\n{server:#?}");
    }
    let refused = clients[6];
    ensure!(refused.message == "connection refused", "{refused:#?}");
    let [hello, missing, panicked] = servers[CASES.len()..] else {
        anyhow::bail!("{}", Span::list(&spans))
    };
    ensure!(hello.parent == "remote" && TRACEPARENT.contains(&hello.trace_id), "{hello:#?}");
    ensure!(hello.trace_state == "a=b" && hello.int("http.response.status_code") == Some(200));
    ensure!(missing.int("http.response.status_code") == Some(404), "{missing:#?}");
    ensure!(panicked.target() == "/panic" && panicked.status == "error", "{panicked:#?}");
    Ok(())
}

/// Many at once: each has its span, and each call its own request as the parent.
fn load(app: &App, gotap: &Gotap) -> Result<()> {
    let spans = gotap.spans_of(LOAD_SPANS, || {
        let outcome = Load::send(&app.address, "/call/go", CONNECTIONS, REQUESTS as u64)?;
        ensure!(outcome.failed == 0, "{outcome:?}");
        Ok(())
    })?;
    for client in spans.iter().filter(|span| span.is_client()) {
        let parents = spans.iter().filter(|span| span.is_server() && client.is_child_of(span));
        ensure!(parents.count() == 1, "no parent: {client:#?}");
        let siblings = spans.iter().filter(|span| span.parent_span_id == client.parent_span_id);
        ensure!(siblings.count() == 1, "calls of other requests: {client:#?}");
    }
    Ok(())
}
