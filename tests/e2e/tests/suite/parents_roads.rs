//! Whose child a call is that comes by another road: groups, pools, timers, goroutines that outlive
//! their request, contexts of all sorts. Each road alone; `parents_load` mixes them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Observed, Span, can_trace};

use crate::parents::with_each;

/// Roads that carry the request, and how it is found. All work is done by the request's end.
pub const ROADS: [(&str, &str); 8] = [
    ("group", "context"),
    ("group-noctx", "ancestor"),
    ("once-pool", "ancestor"),
    ("late-ctx-pool", "context"),
    ("timer-ctx", "context"),
    ("timer", "none"),
    ("redirect?n=0", "context"),
    ("roundtripper", "context"),
];

/// Contexts that a worker of no request calls with.
pub const CONTEXTS: [&str; 10] = [
    "ctx-value",
    "ctx-cancel",
    "ctx-timeout",
    "ctx-long",
    "ctx-embedded",
    "ctx-embedded-value",
    "ctx-field",
    "ctx-pointer",
    "ctx-pointer-value",
    "ctx-request",
];

/// What only programs built with Go 1.21 or newer have.
pub const NEWER: [(&str, &str); 4] = [
    ("ctx-without-cancel", "context"),
    ("ctx-cause", "context"),
    ("after-func", "context"),
    ("after-func-noctx", "ancestor"),
];

/// Whether the executable was built with a Go that has [`NEWER`].
pub fn is_newer(program: &Path) -> bool {
    !program.to_string_lossy().contains("-1.19.")
}

/// The span of the request and the only one of the call.
fn pair(observed: &Observed, case: &str) -> Result<(Span, Span)> {
    let mut spans = observed.spans_of(2, |app| {
        let response = app.get(&format!("/call/{case}"), &[])?;
        ensure!(response.text().ends_with("status=200\n"), "{case}: {}", response.text());
        Ok(())
    })?;
    let server = spans.iter().position(Span::is_server).context("the request")?;
    let server = spans.remove(server);
    Ok((server, spans.pop().context("the call")?))
}

fn check(observed: &Observed, case: &str, how: &str) -> Result<()> {
    let (server, client) = pair(observed, case).with_context(|| case.to_owned())?;
    ensure!(client.parent == how, "{case}: {} instead of {how}: {client:#?}", client.parent);
    if how == "none" {
        ensure!(client.trace_id != server.trace_id, "{case}: same trace");
    } else {
        ensure!(client.is_child_of(&server), "{case}: {client:#?} is no child of {server:#?}");
    }
    Ok(())
}

/// All that are wrong, in one error.
fn check_all<'a>(program: &Path, cases: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
    Observed::with(program, |observed| {
        let failures = cases.filter_map(|(case, how)| check(observed, case, how).err());
        let failures: Vec<_> = failures.map(|error| format!("{error:#}")).collect();
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    })
}

#[test]
fn each_road_to_a_call_has_its_parent() -> Result<()> {
    if !can_trace("each_road_to_a_call_has_its_parent") {
        return Ok(());
    }
    with_each(|program| {
        let newer = NEWER.iter().filter(|_| is_newer(program));
        check_all(program, ROADS.iter().chain(newer).copied())
    })
}

#[test]
fn each_sort_of_context_carries_the_request() -> Result<()> {
    if !can_trace("each_sort_of_context_carries_the_request") {
        return Ok(());
    }
    with_each(|program| check_all(program, CONTEXTS.iter().map(|case| (*case, "context"))))
}

/// The server spans of `path` and the client spans, in order.
fn split<'a>(spans: &'a [Span], path: &str) -> (Vec<&'a Span>, Vec<&'a Span>) {
    let servers = spans.iter().filter(|s| s.is_server() && s.target() == path).collect();
    (servers, spans.iter().filter(|span| span.is_client()).collect())
}

/// A goroutine that outlives its request belongs to nobody then, whatever its connection serves.
#[test]
fn work_left_behind_is_not_blamed_on_the_next_request() -> Result<()> {
    if !can_trace("work_left_behind_is_not_blamed_on_the_next_request") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        // The same connection, so the same goroutine, serves while the work is done.
        let mut connection = app.connect()?;
        for _ in 0..5 {
            connection.get("/call/outlive-noctx?ms=60", &[])?;
            connection.get("/slow?ms=400", &[])?;
        }
        gotap.wait_for_spans(15)?;
        let ended = gotap.stop()?;
        ensure!(ended.spans.len() == 15, "{}", Span::list(&ended.spans));
        let (servers, clients) = split(&ended.spans, "/slow");
        ensure!(servers.len() == 5 && clients.len() == 5, "{}", Span::list(&ended.spans));
        for (client, slow) in clients.iter().zip(servers) {
            ensure!(slow.start < client.start && client.end < slow.end, "{client:#?} {slow:#?}");
            ensure!(client.parent == "none" && client.trace_id != slow.trace_id, "{client:#?}");
        }
        Ok(())
    })
}

/// While its request is served, such a goroutine is that request's.
#[test]
fn work_that_ends_with_its_request_is_its_own() -> Result<()> {
    if !can_trace("work_that_ends_with_its_request_is_its_own") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = app.connect()?;
        for _ in 0..5 {
            connection.get("/slow", &[])?;
            connection.get("/call/once-pool", &[])?;
        }
        let spans = gotap.finish(15)?;
        let (servers, clients) = split(&spans, "/call/once-pool");
        ensure!(servers.len() == 5 && clients.len() == 5, "{}", Span::list(&spans));
        for (client, server) in clients.iter().zip(servers) {
            ensure!(client.is_child_of(server) && client.parent == "ancestor", "{client:#?}");
        }
        Ok(())
    })
}

/// The goroutine that writes to a kept connection was started for the request that opened it, but
/// works for whoever uses the connection: what is called from it belongs to neither.
#[test]
fn the_goroutines_of_a_connection_are_nobodys_children() -> Result<()> {
    if !can_trace("the_goroutines_of_a_connection_are_nobodys_children") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        // Opens a connection, gives it back and is served on, while another request uses it.
        let mut opener = app.connect()?;
        opener.send_raw(&opener.head("GET", "/call/linger?ms=400", &[]))?;
        std::thread::sleep(std::time::Duration::from_millis(150));
        let answer = app.get("/call/writer", &[])?;
        ensure!(answer.text() == "writer status=200 status=200\n", "{}", answer.text());
        app.get("/call/writer-ctx", &[])?;
        opener.read_response()?;
        gotap.wait_for_spans(8)?;
        let ended = gotap.stop()?;
        let list = Span::list(&ended.spans);
        ensure!(ended.spans.len() == 8, "{list}");
        // From the body, without a context and with; each ends before the POST around it.
        let inner: Vec<_> =
            ended.spans.iter().filter(|s| s.is_client() && s.name == "GET").collect();
        ensure!(inner.len() == 3, "{list}");
        let served = |path: &str| {
            let span = ended.spans.iter().find(|s| s.is_server() && s.target() == path);
            span.with_context(|| format!("{path} in\n{list}"))
        };
        ensure!(inner[0].is_child_of(served("/call/linger")?), "{:#?}", inner[0]);
        ensure!(inner[1].parent == "none", "{:#?}\n{list}", inner[1]);
        ensure!(inner[2].is_child_of(served("/call/writer-ctx")?), "{:#?}", inner[2]);
        Ok(())
    })
}
