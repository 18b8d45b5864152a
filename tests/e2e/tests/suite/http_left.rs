//! Handlers that give their answers up by a panic with `http.ErrAbortHandler`, and clients that leave while
//! they are answered: neither is a crash, and a crash is none of them.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Chain, Gotap, Span, can_trace};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::http::Connection;

/// The runtime keeps panics in another way from 1.22 on, and again in 1.27.
const VERSIONS: [u32; 3] = [18, 22, 27];
const GIVEN_UP: Option<&str> = Some("http.ErrAbortHandler");
const PANIC: Option<&str> = Some("panic");

fn with_each(test: impl Fn(&Path, u32) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for minor in VERSIONS {
        let program = App::build(Version::of(minor), Mode::Plain);
        if let Err(error) = program.and_then(|program| test(&program, minor)) {
            failures.push(format!("Go 1.{minor}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// Asks for a stream and leaves in the middle of it.
fn leave(mut connection: Connection, path: &str) -> Result<()> {
    connection.send_raw(&connection.head("GET", path, &[]))?;
    sleep(Duration::from_millis(200));
    drop(connection);
    Ok(())
}

/// The span of the request with each path has this error and status.
fn check(spans: &[Span], wanted: &[(&str, Option<&str>, Option<i64>)]) -> Result<()> {
    for (path, error, status) in wanted {
        let span = spans.iter().find(|span| span.is_server() && span.target() == *path);
        let span = span.with_context(|| format!("{path}:\n{}", Span::list(spans)))?;
        ensure!(span.text("error.type") == *error, "{error:?}: {span:#?}");
        ensure!(span.int("http.response.status_code") == *status, "{status:?}: {span:#?}");
        ensure!((span.status == "error") == error.is_some(), "{span:#?}");
        ensure!(span.message.is_empty() == error.is_none(), "{span:#?}");
    }
    Ok(())
}

#[test]
fn who_gives_an_answer_up_did_not_crash() -> Result<()> {
    if !can_trace("who_gives_an_answer_up_did_not_crash") {
        return Ok(());
    }
    with_each(|program, _| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        for path in ["/panic", "/panic-after-write", "/abort", "/abort-after-write"] {
            // A part of an answer may come.
            app.get(path, &[]).ok();
        }
        for path in ["/stream", "/stream-abort", "/stream-panic", "/proxy/stream"] {
            leave(app.connect()?, path)?;
        }
        // The proxy's call is the ninth.
        let spans = gotap.finish(9)?;
        let left = Some("client disconnected");
        check(
            &spans,
            &[
                ("/panic", PANIC, None),
                ("/panic-after-write", PANIC, Some(200)),
                ("/abort", GIVEN_UP, None),
                ("/abort-after-write", GIVEN_UP, Some(200)),
                ("/stream", None, Some(200)),
                ("/stream-abort", left, Some(200)),
                ("/stream-panic", PANIC, Some(200)),
                ("/proxy/stream", left, Some(200)),
            ],
        )
    })
}

#[test]
fn who_gives_a_stream_up_did_not_crash() -> Result<()> {
    if !can_trace("who_gives_a_stream_up_did_not_crash") {
        return Ok(());
    }
    with_each(|program, minor| {
        let chain = Chain::start(program)?;
        let gotap = chain.trace()?;
        for path in ["/panic", "/panic-after-write", "/abort", "/abort-after-write"] {
            chain.get(path, &[]).ok();
        }
        for path in ["/stream-abort", "/stream-panic", "/proxy/stream"] {
            leave(chain.connect()?, &Chain::path(path))?;
        }
        let spans = gotap.finish(8)?;
        // Before 1.20 net/http does not keep why a stream was closed.
        let reset = Some(if minor < 20 { "stream closed" } else { "stream reset" });
        check(
            &spans,
            &[
                ("/panic", PANIC, None),
                ("/panic-after-write", PANIC, Some(200)),
                ("/abort", GIVEN_UP, None),
                ("/abort-after-write", GIVEN_UP, Some(200)),
                ("/stream-abort", reset, Some(200)),
                ("/stream-panic", PANIC, Some(200)),
                ("/proxy/stream", reset, Some(200)),
            ],
        )
    })
}
