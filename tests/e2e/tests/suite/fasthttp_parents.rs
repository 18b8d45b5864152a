//! Whose child a call is that a program makes while fasthttp serves a request: by the goroutine, and by
//! the RequestCtx, a context that serves one request after the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{Mode, Version};

use crate::fasthttp::program;

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 1600;

/// Ways to call, and how the parent is found.
const CASES: [(&str, &str); 6] = [
    ("context", "context"),
    ("none", "goroutine"),
    ("derived", "context"),
    ("pool", "context"),
    ("go", "ancestor"),
    ("pool-none", "none"),
];

const BUILDS: [(Option<&str>, u32); 3] = [(Some("old"), 18), (Some("old"), 21), (None, 27)];

fn with_each(check: impl Fn(&App, Gotap) -> Result<()>) -> Result<()> {
    for (dependencies, minor) in BUILDS {
        let version = Version::of(minor);
        let program = program("fastapp", dependencies, version, Mode::Plain)?;
        let (app, _backend) = App::start_pair(&program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        check(&app, gotap).with_context(|| format!("Go {version}"))?;
    }
    Ok(())
}

#[test]
fn calls_are_children_of_the_request_that_is_served() -> Result<()> {
    if !can_trace("calls_are_children_of_the_request_that_is_served") {
        return Ok(());
    }
    with_each(|app, gotap| {
        let mut connection = app.connect()?;
        for (case, _) in CASES {
            connection.get(&format!("/call/{case}"), &[])?;
        }
        let spans = gotap.finish(2 * CASES.len())?;
        for (case, how) in CASES {
            let path = format!("/call/{case}");
            let server = spans.iter().find(|s| s.target() == path).context(path.clone())?;
            let client = spans.iter().find(|s| s.is_client() && s.target().ends_with(case));
            let client = client.with_context(|| format!("the call of {case}"))?;
            ensure!(client.parent == how, "{case}: {client:#?}");
            ensure!(client.is_child_of(server) == (how != "none"), "{case}: {client:#?}");
        }
        Ok(())
    })
}

/// A goroutine that keeps its context for too long has that of another request by then.
#[test]
fn a_context_that_is_kept_claims_no_later_request() -> Result<()> {
    if !can_trace("a_context_that_is_kept_claims_no_later_request") {
        return Ok(());
    }
    with_each(|app, gotap| {
        let mut connection = app.connect()?;
        connection.get("/call/later", &[("X-Id", "1")])?;
        connection.get("/call/release", &[("X-Id", "2")])?;
        // The same where the first connection is closed, and its context is another one's.
        connection.get("/call/later", &[("X-Id", "3")])?;
        drop(connection);
        std::thread::sleep(std::time::Duration::from_millis(100));
        app.get("/call/release", &[("X-Id", "4")])?;
        let spans = gotap.finish(6)?;
        for client in spans.iter().filter(|span| span.is_client()) {
            ensure!(client.parent == "none", "{}", Span::list(&spans));
        }
        Ok(())
    })
}

#[test]
fn no_call_in_fasthttp_has_a_wrong_parent_under_load() -> Result<()> {
    if !can_trace("no_call_in_fasthttp_has_a_wrong_parent_under_load") {
        return Ok(());
    }
    with_each(|app, gotap| {
        send_all(app)?;
        gotap.wait_for_lines(2 * REQUESTS)?;
        std::thread::sleep(std::time::Duration::from_millis(200));
        let ended = gotap.stop()?;
        let spans = &ended.spans;
        ensure!(spans.len() == 2 * REQUESTS, "{} spans: {:?}", spans.len(), ended.summary);
        let lost = ended.summary.dropped.iter().filter(|(reason, _)| *reason != "lineage_lost");
        ensure!(lost.count() == 0, "dropped: {:?}", ended.summary.dropped);
        let servers: HashMap<_, _> = spans
            .iter()
            .filter(|span| span.is_server())
            .map(|span| (span.trace_id.as_str(), span))
            .collect();
        ensure!(servers.len() == REQUESTS, "{} requests were served", servers.len());
        let mut missed = 0;
        for client in spans.iter().filter(|span| span.is_client()) {
            let (_, id) = client.target().rsplit_once('/').context("an id")?;
            let id: usize = id.parse()?;
            let server = servers.get(trace_id(id).as_str()).context("the request of a call")?;
            let (case, how) = CASES[id % CASES.len()];
            ensure!(server.target() == format!("/call/{case}"), "{server:#?}");
            if how == "ancestor" && client.parent == "none" {
                missed += 1;
                continue;
            }
            ensure!(client.parent == how, "{case}: {client:#?}");
            let expected = if how == "none" { "" } else { server.span_id.as_str() };
            ensure!(client.parent_span_id == expected, "{case}: {client:#?}");
        }
        let counted = ended.summary.drops("lineage_lost");
        ensure!(missed <= counted && missed <= REQUESTS as u64 / 100, "{missed} missed");
        Ok(())
    })
}

fn trace_id(id: usize) -> String {
    format!("{:032x}", id + 1)
}

/// Sends all requests; every one has a trace id that says its number.
fn send_all(app: &App) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut connection = app.connect()?;
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            if id >= REQUESTS {
                return Ok(());
            }
            let (case, _) = CASES[id % CASES.len()];
            let traceparent = format!("00-{}-{:016x}-01", trace_id(id), id + 1);
            let name = id.to_string();
            let headers = [("X-Id", name.as_str()), ("traceparent", &traceparent)];
            let response = connection.get(&format!("/call/{case}"), &headers)?;
            ensure!(response.status == 200, "{case}: {}", response.status);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(())
    })
}
