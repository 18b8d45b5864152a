//! Whose child a call is: every way from a handler to a client call, one by one.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Observed, Span, can_trace};
use gotap_testkit::go::{Mode, Version};

/// The cases of httpapp, and how their parent is found. `late-pool` has a test of its own.
pub const CASES: [(&str, &str); 15] = [
    ("same", "context"),
    ("noctx", "goroutine"),
    ("go", "ancestor"),
    ("go-deep?n=1", "ancestor"),
    ("go-deep?n=10", "ancestor"),
    ("ctx-pool", "context"),
    ("noctx-pool", "none"),
    ("ctx-derived", "context"),
    ("outlive", "context"),
    ("timeout", "context"),
    ("refused", "context"),
    ("canceled", "context"),
    ("precanceled", "context"),
    ("post", "context"),
    ("userinfo", "context"),
];

/// The Go versions that differ in how descent is found: by a trap before 1.21, by reading since.
pub fn versions() -> [Version; 3] {
    [Version::NEWEST, Version::of(21), Version::of(19)]
}

/// Runs `test` with each of [`versions`], and names those that failed.
pub fn with_each(test: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for version in versions() {
        let result = App::build(version, Mode::Plain).and_then(|program| test(&program));
        if let Err(error) = result {
            failures.push(format!("Go {version}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// The same, with one gotap that observes each.
pub fn with_each_observed(test: impl Fn(&Observed) -> Result<()>) -> Result<()> {
    with_each(|program| Observed::with(program, &test))
}

#[test]
fn each_way_to_a_call_has_its_parent() -> Result<()> {
    if !can_trace("each_way_to_a_call_has_its_parent") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        for (case, _) in CASES {
            app.get(&format!("/call/{case}"), &[]).with_context(|| case.to_owned())?;
            // The call of /call/outlive comes when its request is over.
            std::thread::sleep(std::time::Duration::from_millis(80));
        }
        let spans = gotap.finish(2 * CASES.len())?;
        check_one_by_one(&spans)
    })
}

/// One client and one server span of each case, in the order of the requests.
fn check_one_by_one(spans: &[Span]) -> Result<()> {
    let servers: Vec<_> = spans.iter().filter(|span| span.is_server()).collect();
    let clients: Vec<_> = spans.iter().filter(|span| span.is_client()).collect();
    ensure!(servers.len() == CASES.len() && clients.len() == CASES.len(), "{}", Span::list(spans));
    for ((case, how), (server, client)) in CASES.iter().zip(servers.iter().zip(clients)) {
        let path = format!("/call/{}", case.split('?').next().unwrap_or_default());
        ensure!(server.target() == path, "{} instead of {path}", server.target());
        ensure!(server.parent == "none", "{case}: a parent of the request: {server:#?}");
        ensure!(client.parent == *how, "{case}: {} instead of {how}: {client:#?}", client.parent);
        if *how == "none" {
            ensure!(client.trace_id != server.trace_id, "{case}: same trace");
        } else {
            ensure!(client.is_child_of(server), "{case}: {client:#?} is no child of {server:#?}");
        }
    }
    Ok(())
}

#[test]
fn nested_goroutines_are_followed_to_depth_ten() -> Result<()> {
    if !can_trace("nested_goroutines_are_followed_to_depth_ten") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = app.connect()?;
        for depth in 1..=10 {
            connection.get(&format!("/call/go-deep?n={depth}"), &[])?;
        }
        let spans = gotap.finish(20)?;
        for pair in spans.chunks(2) {
            let [client, server] = pair else { unreachable!("chunks of two") };
            ensure!(client.is_client() && client.is_child_of(server), "{pair:#?}");
            ensure!(client.parent == "ancestor", "{client:#?}");
        }
        Ok(())
    })
}

/// What is too deep has no parent, and that is counted.
#[test]
fn goroutines_too_deep_to_be_followed_are_counted() -> Result<()> {
    if !can_trace("goroutines_too_deep_to_be_followed_are_counted") {
        return Ok(());
    }
    let (app, _backend) = App::start_pair(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    app.get("/call/go-deep?n=30", &[])?;
    gotap.wait_for_spans(2)?;
    let ended = gotap.stop()?;
    let clients: Vec<_> = ended.spans.iter().filter(|span| span.is_client()).collect();
    ensure!(clients.len() == 1 && clients[0].parent == "none", "{clients:#?}");
    let dropped = ended.summary.dropped;
    ensure!(dropped.get("lineage_lost") == Some(&1) && dropped.len() == 1, "{dropped:?}");
    // The span is there: it is not lost.
    ensure!(ended.summary.incomplete == dropped, "{:?}", ended.stderr);
    Ok(())
}

/// A worker that a request started and that outlives it must not blame that request.
#[test]
fn a_worker_does_not_blame_who_started_it() -> Result<()> {
    if !can_trace("a_worker_does_not_blame_who_started_it") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        // The connection whose goroutine starts the worker stays open and serves on, so that a
        // request of the worker's creator is active whenever it asks.
        let mut creator = app.connect()?;
        creator.get("/call/late-pool", &[])?;
        creator.get("/call/late-pool", &[])?;
        creator.send_raw(&creator.head("GET", "/slow?ms=300", &[]))?;
        app.get("/call/late-pool", &[])?;
        creator.read_response()?;
        drop(creator);
        app.get("/call/late-pool", &[])?;
        let spans = gotap.wait_for_spans(9)?;
        let ended = gotap.stop()?;
        ensure!(
            ended.spans.len() == 9,
            "{} spans of 9:\n{}",
            ended.spans.len(),
            Span::list(&ended.spans)
        );
        let servers: Vec<_> =
            spans.iter().filter(|s| s.is_server() && s.target() == "/call/late-pool").collect();
        let clients: Vec<_> = spans.iter().filter(|span| span.is_client()).collect();
        ensure!(servers.len() == 4 && clients.len() == 4, "{}", Span::list(&spans));
        for (i, (client, server)) in clients.iter().zip(&servers).enumerate() {
            let orphan = client.parent == "none";
            // Only the first request did start the worker, and is active while it calls.
            ensure!(orphan || i == 0 && client.is_child_of(server), "call {i}: {client:#?}");
        }
        Ok(())
    })
}

/// The same for a worker that was started on the connection before gotap came.
#[test]
fn an_older_worker_does_not_blame_the_first_request_that_is_seen() -> Result<()> {
    if !can_trace("an_older_worker_does_not_blame_the_first_request_that_is_seen") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let mut creator = app.connect()?;
        creator.get("/call/late-pool", &[])?;
        let gotap = Gotap::trace_pid(app.pid())?;
        creator.send_raw(&creator.head("GET", "/slow?ms=2000", &[]))?;
        // Until it is being served.
        std::thread::sleep(std::time::Duration::from_millis(500));
        app.get("/call/late-pool", &[])?;
        creator.read_response()?;
        let spans = gotap.finish(3)?;
        let client = spans.iter().find(|span| span.is_client()).context("the call")?;
        ensure!(client.parent == "none", "{}", Span::list(&spans));
        let slow = spans.iter().find(|span| span.target() == "/slow").context("/slow")?;
        ensure!(slow.start < client.start && client.end < slow.end, "{}", Span::list(&spans));
        Ok(())
    })
}

/// Nothing is injected into outgoing requests: without a join by their connection, the backend's requests begin
/// new traces.
#[test]
fn the_backend_has_traces_of_its_own() -> Result<()> {
    if !can_trace("the_backend_has_traces_of_its_own") {
        return Ok(());
    }
    let (app, backend) = App::start_pair(&App::newest()?)?;
    let (pid, backend_pid) = (app.pid().to_string(), backend.pid().to_string());
    let gotap = Gotap::trace(&["--no-connection-join", "--pid", &pid, "--pid", &backend_pid])?;
    for _ in 0..5 {
        app.get("/call/same", &[])?;
    }
    let spans = gotap.finish(15)?;
    let of = |pid: u32| spans.iter().filter(move |span| span.resource["process.pid"] == pid);
    ensure!(
        of(app.pid()).count() == 10 && of(backend.pid()).count() == 5,
        "{}",
        Span::list(&spans)
    );
    for span in of(backend.pid()) {
        ensure!(span.is_server() && span.target() == "/", "{span:#?}");
        ensure!(span.parent == "none" && span.text("user_agent.original").is_some(), "{span:#?}");
        let shared = of(app.pid()).any(|other| other.trace_id == span.trace_id);
        ensure!(!shared, "one trace through both: {span:#?}");
    }
    Ok(())
}
