//! Requests that are made in an unusual way: sent on, tried again, through proxies and wrapped
//! transports, with an expectation, without a body in the answer, over odd paths.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Observed, Span, can_trace};

use crate::parents::{with_each, with_each_observed};

/// Status, error type and how often it was sent before.
type Attempt<'a> = (Option<i64>, Option<&'a str>, Option<i64>);

fn attempt(span: &Span) -> Attempt<'_> {
    let status = span.int("http.response.status_code");
    (status, span.text("error.type"), span.int("http.request.resend_count"))
}

/// The client spans of one request to `path`, in order; each must be a child of the server span.
fn calls(observed: &Observed, path: &str, n: usize) -> Result<Vec<Span>> {
    let mut spans = observed.spans_of(n + 1, |app| {
        let response = app.get(path, &[])?;
        ensure!(response.status == 200, "{path}: {}", response.status);
        Ok(())
    })?;
    let server = spans.iter().position(Span::is_server).context("the request")?;
    let server = spans.remove(server);
    for span in &spans {
        ensure!(span.is_client() && span.is_child_of(&server), "{span:#?} of {server:#?}");
        ensure!(span.parent == "context", "{span:#?}");
        ensure!(server.start <= span.start && span.end <= server.end, "{span:#?} {server:#?}");
    }
    let ordered = spans.windows(2).all(|pair| pair[0].end <= pair[1].start);
    ensure!(ordered, "attempts overlap: {spans:#?}");
    Ok(spans)
}

/// The only one.
fn call(observed: &Observed, path: &str) -> Result<Span> {
    calls(observed, path, 1)?.pop().context("a call")
}

#[test]
fn each_request_of_a_redirected_call_is_counted() -> Result<()> {
    if !can_trace("each_request_of_a_redirected_call_is_counted") {
        return Ok(());
    }
    with_each_observed(|observed| {
        let spans = calls(observed, "/call/redirect?n=3", 4)?;
        let found: Vec<_> = spans.iter().map(attempt).collect();
        let expected = [
            (Some(302), None, None),
            (Some(302), None, Some(1)),
            (Some(302), None, Some(2)),
            (Some(200), None, Some(3)),
        ];
        ensure!(found == expected, "{found:?}");
        Ok(())
    })
}

/// Those that can't begin, since a part of them is nil, leave nothing behind for the next one.
#[test]
fn calls_of_nothing_are_none() -> Result<()> {
    if !can_trace("calls_of_nothing_are_none") {
        return Ok(());
    }
    with_each(|program| {
        let (app, backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        for _ in 0..2 {
            ensure!(app.get("/call/nil", &[])?.status == 200, "the last call failed");
        }
        gotap.wait_for_spans(4)?;
        let ended = gotap.stop()?;
        for pair in ended.spans.chunks(2) {
            let [client, server] = pair else { anyhow::bail!("{}", Span::list(pair)) };
            ensure!(server.is_server() && client.is_child_of(server), "{pair:#?}");
            ensure!(attempt(client) == (Some(200), None, None), "{client:#?}");
            ensure!(client.target() == format!("http://{}/", backend.address), "{client:#?}");
        }
        let known = ["client_unfinished", "read_fault"];
        let dropped = &ended.summary.dropped;
        ensure!(dropped.keys().all(|reason| known.contains(&reason.as_str())), "{dropped:?}");
        Ok(())
    })
}

/// The transport sends again when the server closes a kept connection under its hands.
#[test]
fn a_request_that_is_sent_again_has_a_span_each_time() -> Result<()> {
    if !can_trace("a_request_that_is_sent_again_has_a_span_each_time") {
        return Ok(());
    }
    with_each_observed(|observed| {
        let spans = calls(observed, "/call/retry", 3)?;
        let found: Vec<_> = spans.iter().map(attempt).collect();
        ensure!(found[0] == (Some(200), None, None), "{found:?}");
        ensure!(found[1].0.is_none() && found[1].1.is_some() && found[1].2.is_none(), "{found:?}");
        ensure!(found[2] == (Some(200), None, Some(1)), "{found:?}");
        ensure!(spans[1].status == "error" && !spans[1].message.is_empty(), "{:#?}", spans[1]);

        // What may not be sent twice is not.
        let spans = calls(observed, "/call/retry-post", 2)?;
        let (status, error, resent) = attempt(&spans[1]);
        ensure!(status.is_none() && error.is_some() && resent.is_none(), "{spans:#?}");
        // The count begins anew with the next call.
        let span = call(observed, "/call/same")?;
        ensure!(attempt(&span) == (Some(200), None, None), "{span:#?}");
        Ok(())
    })
}

#[test]
fn calls_that_fail_in_the_middle_say_why() -> Result<()> {
    if !can_trace("calls_that_fail_in_the_middle_say_why") {
        return Ok(());
    }
    with_each_observed(|observed| {
        let cut = call(observed, "/call/cut")?;
        let (status, error, resent) = attempt(&cut);
        ensure!(status.is_none() && error.is_some() && resent.is_none(), "{cut:#?}");
        // Older Go makes a text of the reason.
        ensure!(cut.message.ends_with("unexpected EOF"), "{cut:#?}");
        let deadline = call(observed, "/call/deadline")?;
        let expected = (None, Some("context.deadlineExceededError"), None);
        ensure!(attempt(&deadline) == expected, "{deadline:#?}");
        ensure!(deadline.message == "context deadline exceeded", "{deadline:#?}");
        let took = deadline.end - deadline.start;
        ensure!((45_000_000..900_000_000).contains(&took), "{took} ns");
        Ok(())
    })
}

/// A transport that wraps another one changes nothing: one call, one span.
#[test]
fn wrapped_transports_are_seen_through() -> Result<()> {
    if !can_trace("wrapped_transports_are_seen_through") {
        return Ok(());
    }
    with_each_observed(|observed| {
        for path in ["/call/roundtripper", "/call/headers"] {
            let span = call(observed, path)?;
            ensure!(attempt(&span) == (Some(200), None, None), "{path}: {span:#?}");
            ensure!(span.target() == format!("http://{}/", observed.backend.address), "{span:#?}");
        }
        Ok(())
    })
}

#[test]
fn bodies_that_wait_to_be_asked_for_are_one_call() -> Result<()> {
    if !can_trace("bodies_that_wait_to_be_asked_for_are_one_call") {
        return Ok(());
    }
    with_each_observed(|observed| {
        for (path, status, size) in [("/call/continue", 200, 1000), ("/call/refuse-body", 413, 10)]
        {
            let span = call(observed, path)?;
            ensure!(attempt(&span).0 == Some(status), "{path}: {span:#?}");
            ensure!((span.status == "error") == (status == 413), "{path}: {span:#?}");
            ensure!(span.int("http.request.body.size") == Some(1000), "{path}: {span:#?}");
            ensure!(span.int("http.response.body.size") == Some(size), "{path}: {span:#?}");
        }
        Ok(())
    })
}

#[test]
fn calls_without_a_body_in_the_answer_have_a_size_of_zero() -> Result<()> {
    if !can_trace("calls_without_a_body_in_the_answer_have_a_size_of_zero") {
        return Ok(());
    }
    with_each_observed(|observed| {
        for (method, target, status) in
            [("HEAD", "/hello", 200), ("GET", "/status/204", 204), ("GET", "/not-modified", 304)]
        {
            let span = call(observed, &format!("/call/method?method={method}&path={target}"))?;
            ensure!(attempt(&span) == (Some(status), None, None), "{target}: {span:#?}");
            ensure!(span.name == method && span.status == "unset", "{target}: {span:#?}");
            ensure!(span.int("http.response.body.size") == Some(0), "{target}: {span:#?}");
        }
        let upgraded = call(observed, "/call/upgrade")?;
        ensure!(attempt(&upgraded) == (Some(101), None, None), "{upgraded:#?}");
        ensure!(upgraded.status == "unset", "{upgraded:#?}");
        Ok(())
    })
}

/// Nobody knows the size of a body that is made while it is sent.
#[test]
fn a_body_of_unknown_size_has_none() -> Result<()> {
    if !can_trace("a_body_of_unknown_size_has_none") {
        return Ok(());
    }
    with_each_observed(|observed| {
        let spans = observed.spans_of(3, |app| app.get("/call/writer-ctx", &[]).map(drop))?;
        let post = spans.iter().find(|span| span.name == "POST").context("the POST")?;
        ensure!(post.int("http.request.body.size").is_none(), "{post:#?}");
        ensure!(post.int("http.response.body.size") == Some(4), "{post:#?}");
        let empty = call(observed, "/call/empty-body")?;
        ensure!(empty.int("http.request.body.size") == Some(0), "{empty:#?}");
        Ok(())
    })
}

/// What the client says that it asked for is what the server was asked for.
#[test]
fn odd_paths_are_told_as_they_are_sent() -> Result<()> {
    if !can_trace("odd_paths_are_told_as_they_are_sent") {
        return Ok(());
    }
    with_each(|program| {
        let (app, backend) = App::start_pair(program)?;
        let (pid, backend_pid) = (app.pid().to_string(), backend.pid().to_string());
        let gotap = Gotap::trace(&["--pid", &pid, "--pid", &backend_pid])?;
        app.get("/call/odd-path", &[])?;
        let spans = gotap.finish(5)?;
        let made = spans.iter().filter(|span| span.is_client()).map(Span::target);
        let served = spans.iter().filter(|span| span.is_server()).map(Span::target);
        let served: Vec<_> = served.filter(|path| path.starts_with("/id/")).collect();
        let base = format!("http://{}", backend.address);
        let made: Vec<_> = made.filter_map(|url| url.strip_prefix(&base)).collect();
        ensure!(made.len() == 2 && made == served, "{made:#?}\n{served:#?}");
        ensure!(made[0] == "/id/%C3%A9%00/x%2Fy;a(b)!*'", "{made:#?}");
        Ok(())
    })
}

/// A proxy's call is the child of what it answers, with the answer's status.
#[test]
fn a_proxy_calls_as_a_child_of_its_request() -> Result<()> {
    if !can_trace("a_proxy_calls_as_a_child_of_its_request") {
        return Ok(());
    }
    with_each(|program| {
        let (app, backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let paths = [("/hello", 200), ("/status/404", 404), ("/status/503", 503), ("/file", 200)];
        let mut connection = app.connect()?;
        for (path, status) in paths {
            let response = connection.get(&format!("/proxy{path}"), &[])?;
            ensure!(response.status == status, "{path}: {}", response.status);
        }
        // The body breaks off: the proxy panics on purpose to cut its own answer off, too.
        ensure!(app.get("/proxy/panic-after-write", &[]).is_err(), "a cut answer was complete");
        let spans = gotap.finish(10)?;
        let pair = |path: &str| {
            let url = format!("http://{}{path}", backend.address);
            let client = spans.iter().find(|span| span.target() == url).context("a call")?;
            let server = spans.iter().find(|span| client.is_child_of(span));
            anyhow::Ok((client, server.with_context(|| format!("parent of {client:#?}"))?))
        };
        for (path, status) in paths {
            let (client, server) = pair(path)?;
            ensure!(client.parent == "context", "{client:#?}");
            ensure!(server.target() == format!("/proxy{path}"), "{server:#?}");
            let size = client.int("http.response.body.size");
            ensure!(size == Some(100_000) || path != "/file", "{client:#?}");
            for span in [client, server] {
                ensure!(attempt(span).0 == Some(status.into()), "{span:#?}");
                ensure!(span.int("http.response.body.size") == size, "{span:#?}");
            }
        }
        let (client, server) = pair("/panic-after-write")?;
        ensure!(client.status == "unset", "{client:#?}");
        ensure!(attempt(server) == (Some(200), Some("http.ErrAbortHandler"), None), "{server:#?}");
        Ok(())
    })
}
