//! Whose child a call is whose context holds several others, hides them, or is derived from many; and
//! whose starters are among many goroutines. What is not found is counted.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};

use crate::parents::with_each;

/// Contexts that a worker of no request calls with: of several one is the request's, or all are.
const FOLLOWED: [&str; 7] = [
    "ctx-second",
    "ctx-second-pointer",
    "ctx-third",
    "ctx-same",
    "ctx-inside",
    "ctx-deep",
    "ctx-deep-mixed",
];

/// What is lost with others.
const LOST: [(&str, Option<&str>); 4] = [
    ("ctx-function", Some("context_unfollowed")),
    ("ctx-list", Some("context_unfollowed")),
    ("ctx-too-deep", Some("context_unfollowed")),
    ("ctx-root", None),
];

/// Calls one after the other; the spans, and what was dropped.
fn observe(app: &App, paths: &[String]) -> Result<(Vec<Span>, BTreeMap<String, u64>)> {
    let gotap = Gotap::trace_pid(app.pid())?;
    for path in paths {
        let response = app.get(path, &[])?;
        ensure!(response.text().ends_with("status=200\n"), "{path}: {}", response.text());
    }
    gotap.wait_for_spans(2 * paths.len())?;
    let ended = gotap.stop()?;
    ensure!(ended.spans.len() == 2 * paths.len(), "{}", Span::list(&ended.spans));
    Ok((ended.spans, ended.summary.dropped))
}

#[test]
fn of_several_contexts_the_one_of_a_request_counts() -> Result<()> {
    if !can_trace("of_several_contexts_the_one_of_a_request_counts") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let paths = FOLLOWED.map(|case| format!("/call/{case}"));
        let (spans, dropped) = observe(&app, &paths)?;
        for (path, pair) in paths.iter().zip(spans.chunks(2)) {
            let [client, server] = pair else { unreachable!("chunks of two") };
            ensure!(server.target() == path, "{path}: {server:#?}");
            ensure!(client.is_child_of(server) && client.parent == "context", "{client:#?}");
        }
        ensure!(dropped.is_empty(), "{dropped:?}");
        Ok(())
    })
}

#[test]
fn contexts_that_are_not_followed_are_counted() -> Result<()> {
    if !can_trace("contexts_that_are_not_followed_are_counted") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        for (case, reason) in LOST {
            let (spans, dropped) = observe(&app, &[format!("/call/{case}")])?;
            let client = spans.iter().find(|span| span.is_client()).context("the call")?;
            ensure!(client.parent == "none", "{case}: {client:#?}");
            let expected = reason.map(|reason| (reason.to_owned(), 1)).into_iter().collect();
            ensure!(dropped == expected, "{case}: {dropped:?}");
        }
        Ok(())
    })
}

/// The contexts of two requests make neither the parent.
#[test]
fn contexts_of_two_requests_make_none_the_parent() -> Result<()> {
    if !can_trace("contexts_of_two_requests_make_none_the_parent") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let (spans, dropped) =
            observe(&app, &["/call/ctx-both", "/call/ctx-both"].map(str::to_owned))?;
        let [first, server, second, _] = spans.as_slice() else { unreachable!("four of them") };
        ensure!(first.is_child_of(server) && first.parent == "context", "{first:#?}");
        ensure!(second.is_client() && second.parent == "none", "{second:#?}");
        ensure!(dropped == [("context_ambiguous".to_owned(), 1)].into(), "{dropped:?}");
        Ok(())
    })
}

/// Among 20,000 goroutines: what is not found is counted, call by call, and soon many are found.
#[test]
fn starters_are_found_among_many_goroutines() -> Result<()> {
    const CALLS: usize = 120;
    if !can_trace("starters_are_found_among_many_goroutines") {
        return Ok(());
    }
    let (app, _backend) = App::start_pair(&App::newest()?)?;
    app.get("/crowd?n=20000", &[])?;
    let paths = vec!["/call/go-deep?n=3".to_owned(); CALLS];
    let (spans, dropped) = observe(&app, &paths)?;
    let mut found = [false; CALLS];
    for (pair, found) in spans.chunks(2).zip(&mut found) {
        let [client, server] = pair else { unreachable!("chunks of two") };
        *found = client.is_child_of(server) && client.parent == "ancestor";
        ensure!(*found || client.parent == "none", "{client:#?}");
    }
    let orphans = found.iter().filter(|found| !**found).count() as u64;
    ensure!(dropped.get("lineage_lost").copied().unwrap_or(0) == orphans, "{orphans}: {dropped:?}");
    let late = found[CALLS / 2..].iter().filter(|found| **found).count();
    // Most are found on an idle machine, fewer where others use the processors.
    ensure!(late >= CALLS / 2 / 6, "{late} of the last {}: {found:?}", CALLS / 2);
    Ok(())
}
