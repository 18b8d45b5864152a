//! Whose child a call is, with 64 connections that mix all cases: no call has a wrong parent.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace, now};

use crate::parents::with_each;
use crate::parents_roads::{CONTEXTS, NEWER, is_newer};

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 1500;

/// What the requests cycle through, before [`CONTEXTS`]. Each makes one call.
const CASES: [&str; 25] = [
    "same",
    "noctx",
    "go",
    "go-deep?n=2",
    "go-deep?n=5",
    "go-deep?n=10",
    "ctx-pool",
    "noctx-pool",
    "late-pool",
    "ctx-derived",
    "outlive",
    "outlive-noctx",
    "timeout",
    "refused",
    "canceled",
    "precanceled",
    "post",
    "userinfo",
    "group",
    "group-noctx",
    "once-pool",
    "late-ctx-pool",
    "timer",
    "timer-ctx",
    "roundtripper",
];

/// The case of a request, and how many there are. Their number is coprime to that of connections.
fn cases(program: &Path) -> Vec<&'static str> {
    let newer = NEWER.iter().filter(|_| is_newer(program)).map(|(case, _)| *case);
    let mut cases: Vec<_> = CASES.into_iter().chain(CONTEXTS).chain(newer).collect();
    if cases.len() % 2 == 0 {
        cases.push("go");
    }
    cases
}

#[test]
fn no_call_has_a_wrong_parent_under_load() -> Result<()> {
    if !can_trace("no_call_has_a_wrong_parent_under_load") {
        return Ok(());
    }
    with_each(|program| observe(program, &[]))
}

/// Each processor has goroutine ids in store, which must be known when a request starts.
#[test]
fn many_processors_hide_no_parent() -> Result<()> {
    if !can_trace("many_processors_hide_no_parent") {
        return Ok(());
    }
    observe(&App::newest()?, &[("GOMAXPROCS", "48")])
}

pub fn observe(program: &Path, environment: &[(&str, &str)]) -> Result<()> {
    let (app, _backend) = App::start_pair_with(program, environment)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    // Distinguishes runs, should spans of another one ever show up.
    let run = now();
    let cases = cases(program);
    send_all(&app, run, &cases)?;
    gotap.wait_for_lines(2 * REQUESTS)?;
    std::thread::sleep(std::time::Duration::from_millis(200));
    let ended = gotap.stop()?;
    ensure!(ended.spans.len() == 2 * REQUESTS, "{} spans: {:?}", ended.spans.len(), ended.summary);
    let lost = ended.summary.dropped.iter().filter(|(reason, _)| *reason != "lineage_lost");
    ensure!(lost.count() == 0, "dropped: {:?}", ended.summary.dropped);

    let servers: HashMap<_, _> = ended
        .spans
        .iter()
        .filter(|span| span.is_server())
        .map(|span| (span.trace_id.as_str(), span))
        .collect();
    ensure!(servers.len() == REQUESTS, "{} requests were served", servers.len());
    let mut called = vec![false; REQUESTS];
    let mut wrong = Vec::new();
    let mut missed = 0;
    let mut creators = std::collections::HashSet::new();
    for client in ended.spans.iter().filter(|span| span.is_client()) {
        let id = id_of(client)?;
        ensure!(!std::mem::replace(&mut called[id], true), "two calls of request {id}");
        let server = servers.get(trace_id(run, id).as_str()).context("the request of a call")?;
        let case = cases[id % cases.len()];
        if let Err(error) = check(client, server, case) {
            match servers.get(client.trace_id.as_str()) {
                Some(creator) if case == "late-pool" && may_be_creator(creator, client) => {
                    creators.insert(&creator.span_id);
                }
                _ if client.parent == "none" && case.starts_with("go-deep") => missed += 1,
                _ => wrong.push(format!("{error:#}")),
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {REQUESTS} calls have a wrong parent ({:?}), such as\n{}",
        wrong.len(),
        ended.summary.dropped,
        wrong[..wrong.len().min(5)].join("\n")
    );
    // Without exact lineage an ancestor is searched for among the first goroutine structures only.
    // What is not found claims no parent, and is counted.
    let counted = ended.summary.dropped.get("lineage_lost").copied().unwrap_or_default();
    ensure!(missed <= counted, "{missed} calls miss their parent, {counted} are counted");
    ensure!(missed <= REQUESTS as u64 / 100, "{missed} of {REQUESTS} calls miss their parent");
    ensure!(creators.len() <= 1, "one request started the worker, not {creators:?}");
    Ok(())
}

/// Whether `server` can be the request that started the worker which makes this call. While it is
/// served, what the worker does for others can't be told from what it does for it.
fn may_be_creator(server: &Span, client: &Span) -> bool {
    let serves = server.start <= client.start && client.start <= server.end;
    let starts = ["/call/late-pool", "/call/late-ctx-pool"].contains(&server.target());
    serves && starts && client.is_child_of(server)
}

fn trace_id(run: u64, id: usize) -> String {
    format!("{run:016x}{:016x}", id + 1)
}

/// The request that made this call, from `http://HOST/id/ID`.
fn id_of(client: &Span) -> Result<usize> {
    let (_, id) = client.target().rsplit_once("/id/").with_context(|| format!("{client:#?}"))?;
    let id: usize = id.parse().with_context(|| format!("id {id:?}"))?;
    ensure!(id < REQUESTS, "id {id}");
    Ok(id)
}

/// Sends all requests; every one has a number, and a trace id that says it.
fn send_all(app: &App, run: u64, cases: &[&str]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut connection = app.connect()?;
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            if id >= REQUESTS {
                return Ok(());
            }
            let case = cases[id % cases.len()];
            let traceparent = format!("00-{}-{:016x}-01", trace_id(run, id), id + 1);
            let (name, path) = (id.to_string(), format!("/call/{case}"));
            let headers = [("X-Id", name.as_str()), ("traceparent", &traceparent)];
            let response = connection.get(&path, &headers)?;
            ensure!(response.status == 200, "{path}: {}", response.status);
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

fn check(client: &Span, server: &Span, case: &str) -> Result<()> {
    ensure!(server.parent == "remote", "{case}: {server:#?}");
    let path = format!("/call/{}", case.split('?').next().unwrap_or_default());
    ensure!(server.target() == path, "{case}: {server:#?}");
    let orphan = client.parent == "none";
    let own = client.is_child_of(server);
    let right = match case {
        "noctx-pool" | "timer" | "outlive-noctx" => orphan && client.trace_id != server.trace_id,
        "late-pool" => orphan || own,
        _ => own,
    };
    ensure!(
        right,
        "{case}: parent {:?} in trace {} ({}) instead of {} in {}",
        client.parent_span_id,
        client.trace_id,
        client.parent,
        server.span_id,
        server.trace_id
    );
    Ok(())
}
