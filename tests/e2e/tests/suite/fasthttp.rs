//! Requests that fasthttp serves, which has an HTTP of its own: old and new versions of it and of Go.
//! What stands on it is in `fiber`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace, now};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::Connection;

/// Versions of fasthttp, by the list of dependencies that names them, of Go, and builds.
const BUILDS: [(Option<&str>, u32, Mode); 6] = [
    (Some("old"), 18, Mode::Plain),
    (Some("old"), 23, Mode::Stripped),
    (Some("old"), 24, Mode::Pie),
    (None, 27, Mode::Race),
    (None, 27, Mode::Pie),
    (None, 27, Mode::Stripped),
];

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const AGENT: (&str, &str) = ("User-Agent", "gotap-e2e/1 (test)");

pub(crate) fn program(
    app: &str,
    dependencies: Option<&str>,
    version: Version,
    mode: Mode,
) -> Result<PathBuf> {
    match dependencies {
        Some(name) => go::build_with(app, name, version, mode),
        None => go::build(app, version, mode),
    }
}

/// Runs a check with each build, and says which of them failed.
fn with_each(check: impl Fn(&App, &App, Gotap) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for (dependencies, minor, mode) in BUILDS {
        let version = Version::of(minor);
        let result = program("fastapp", dependencies, version, mode).and_then(|program| {
            let (app, backend) = App::start_pair(&program)?;
            let gotap = Gotap::trace_pid(app.pid())?;
            check(&app, &backend, gotap)
        });
        if let Err(error) = result {
            let name = dependencies.unwrap_or("newest");
            failures.push(format!("Go {version}, {mode}, {name} fasthttp: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn newest() -> Result<(App, Gotap)> {
    let app = App::start(&program("fastapp", None, Version::NEWEST, Mode::Plain)?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    Ok((app, gotap))
}

#[test]
fn requests_of_fasthttp_have_all_attributes() -> Result<()> {
    if !can_trace("requests_of_fasthttp_have_all_attributes") {
        return Ok(());
    }
    with_each(|app, _, gotap| {
        let traceparent = format!("00-{TRACE}-{CALLER}-01");
        let context =
            [("traceparent", traceparent.as_str()), ("tracestate", "vendor=a,other=b"), AGENT];
        let mut connection = app.connect()?;
        let before = now();
        connection.get("/users/7?secret=1", &context)?;
        connection.request("POST", "/echo", &[AGENT], Some(b"twelve bytes"))?;
        let answer = connection.get("/status/503", &[AGENT])?;
        ensure!(answer.status == 503, "{answer:?}");
        let after = now();
        let port = connection.local_port()?;
        let ended = gotap.wait_for_spans(3).and_then(|_| gotap.stop())?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary.dropped);
        let traps = ended.summary.trapped(&["fasthttp_server"]);
        ensure!(traps == 6, "{traps} traps for three requests: {:?}", ended.summary.traps);
        let [first, echo, failed] = ended.spans.as_slice() else {
            anyhow::bail!("{}", Span::list(&ended.spans));
        };
        for span in &ended.spans {
            check_common(span, app, port).with_context(|| format!("{span:#?}"))?;
            ensure!(before <= span.start && span.end <= after, "{span:#?}");
        }
        ensure!(first.trace_id == TRACE && first.parent_span_id == CALLER, "{first:#?}");
        ensure!(first.parent == "remote", "{first:#?}");
        ensure!(first.trace_state == "vendor=a,other=b", "{first:#?}");
        ensure!(first.name == "GET" && first.target() == "/users/7", "{first:#?}");
        check_answer(first, 200, 0, "hello from /users/7\n".len())?;
        ensure!(echo.name == "POST" && echo.target() == "/echo", "{echo:#?}");
        check_answer(echo, 200, 12, 12)?;
        ensure!(echo.parent == "none" && echo.trace_id != TRACE, "{echo:#?}");
        check_answer(failed, 503, 0, 0)?;
        ensure!(failed.text("error.type") == Some("503"), "{failed:#?}");
        ensure!(failed.status == "error" && first.status == "unset", "{failed:#?}");
        Ok(())
    })
}

fn check_common(span: &Span, app: &App, port: u16) -> Result<()> {
    ensure!(span.is_server(), "kind");
    ensure!(span.text("url.scheme") == Some("http"), "scheme");
    ensure!(span.text("network.protocol.version") == Some("1.1"), "version");
    ensure!(span.text("server.address") == Some("127.0.0.1"), "server");
    ensure!(span.int("server.port") == Some(app.port()?.into()), "server's port");
    ensure!(span.text("client.address") == Some("127.0.0.1"), "client");
    ensure!(span.text("network.peer.address") == Some("127.0.0.1"), "peer");
    ensure!(span.int("network.peer.port") == Some(port.into()), "peer's port");
    ensure!(span.text("user_agent.original") == Some(AGENT.1), "user agent");
    ensure!(span.text("http.route").is_none(), "route");
    Ok(())
}

fn check_answer(span: &Span, status: i64, request: i64, response: usize) -> Result<()> {
    let response = i64::try_from(response)?;
    ensure!(span.int("http.response.status_code") == Some(status), "{span:#?}");
    ensure!(span.int("http.request.body.size") == Some(request), "{span:#?}");
    ensure!(span.int("http.response.body.size") == Some(response), "{span:#?}");
    Ok(())
}

#[test]
fn kept_and_pipelined_requests_of_fasthttp_have_a_span_each() -> Result<()> {
    if !can_trace("kept_and_pipelined_requests_of_fasthttp_have_a_span_each") {
        return Ok(());
    }
    with_each(|app, _, gotap| {
        let mut connection = app.connect()?;
        let paths: Vec<_> = (0..24).map(|i| format!("/kept/{i}")).collect();
        for path in &paths {
            connection.get(path, &[])?;
        }
        let pipeline: Vec<u8> =
            paths.iter().flat_map(|path| connection.head("GET", path, &[])).collect();
        connection.send_raw(&pipeline)?;
        for _ in &paths {
            connection.read_response()?;
        }
        let spans = gotap.finish(2 * paths.len())?;
        let found: Vec<_> = spans.iter().map(Span::target).collect();
        let expected: Vec<_> = paths.iter().chain(&paths).map(String::as_str).collect();
        ensure!(found == expected, "{found:?}");
        ensure!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "spans overlap");
        Ok(())
    })
}

/// Sends each on a connection of its own and gives their spans, in order.
fn spans_of(app: &App, gotap: Gotap, paths: &[&str]) -> Result<Vec<Span>> {
    for path in paths {
        app.get(path, &[]).with_context(|| format!("GET {path}"))?;
    }
    let mut spans = gotap.finish(paths.len())?;
    spans.sort_by_key(|span| span.start);
    let found: Vec<_> = spans.iter().map(Span::target).collect();
    let expected: Vec<_> =
        paths.iter().map(|path| path.split('?').next().unwrap_or(path)).collect();
    ensure!(found == expected, "{found:?}");
    Ok(spans)
}

#[test]
fn handlers_that_take_too_long_have_the_answer_in_their_place() -> Result<()> {
    if !can_trace("handlers_that_take_too_long_have_the_answer_in_their_place") {
        return Ok(());
    }
    with_each(|app, _, gotap| {
        let paths = ["/timeout?ms=0", "/timeout?ms=300", "/timeout-error", "/slow?ms=70", "/hello"];
        let spans = spans_of(app, gotap, &paths)?;
        let statuses: Vec<_> =
            spans.iter().map(|span| span.int("http.response.status_code")).collect();
        ensure!(statuses == [200, 408, 503, 200, 200].map(Some), "{statuses:?}");
        let took: Vec<_> = spans.iter().map(|span| (span.end - span.start) / 1_000_000).collect();
        ensure!((40..300).contains(&took[1]), "{took:?} ms");
        ensure!(took[3] >= 70, "{took:?} ms");
        Ok(())
    })
}

#[test]
fn bodies_that_are_streamed_belong_to_the_request() -> Result<()> {
    if !can_trace("bodies_that_are_streamed_belong_to_the_request") {
        return Ok(());
    }
    with_each(|app, _, gotap| {
        let spans = spans_of(app, gotap, &["/stream", "/sized"])?;
        let sizes: Vec<_> = spans.iter().map(|span| span.int("http.response.body.size")).collect();
        ensure!(sizes == [None, Some(11)], "{sizes:?}");
        // The handler returned before its body was written.
        ensure!(spans[0].end - spans[0].start >= 60_000_000, "{:#?}", spans[0]);
        Ok(())
    })
}

/// A proxy passes a request on in the memory in which it came.
#[test]
fn what_a_handler_makes_of_its_request_is_not_told() -> Result<()> {
    if !can_trace("what_a_handler_makes_of_its_request_is_not_told") {
        return Ok(());
    }
    with_each(|app, _, gotap| {
        let mut connection = app.connect()?;
        connection.get("/rewrite", &[AGENT])?;
        let spans = gotap.finish(1)?;
        let span = spans.first().context("a span")?;
        ensure!(span.target() == "/rewrite" && span.name == "GET", "{span:#?}");
        check_common(span, app, connection.local_port()?).with_context(|| format!("{span:#?}"))
    })
}

#[test]
fn connections_that_are_taken_over_end_the_request() -> Result<()> {
    if !can_trace("connections_that_are_taken_over_end_the_request") {
        return Ok(());
    }
    with_each(|app, _, gotap| {
        for path in ["/hijack", "/hijack-silently"] {
            let mut connection = app.connect()?;
            connection.send_raw(&connection.head("GET", path, &[]))?;
            // What takes it over closes it.
            let _ = connection.read_response();
        }
        app.get("/hello", &[])?;
        let spans = gotap.finish(3)?;
        let find = |path| spans.iter().find(|span| span.target() == path).context(path);
        let status = |span: &Span| span.int("http.response.status_code");
        ensure!(status(find("/hijack")?) == Some(101), "{:#?}", find("/hijack")?);
        ensure!(status(find("/hijack-silently")?).is_none(), "{:#?}", find("/hijack-silently")?);
        ensure!(spans.iter().all(|span| span.status == "unset"), "{spans:#?}");
        Ok(())
    })
}

/// fasthttp lets panics end the process.
#[test]
fn a_panic_is_told_before_the_process_is_gone() -> Result<()> {
    if !can_trace("a_panic_is_told_before_the_process_is_gone") {
        return Ok(());
    }
    with_each(|app, _, gotap| {
        app.get("/hello", &[])?;
        ensure!(app.get("/panic", &[]).is_err(), "it was answered");
        let ended = gotap.wait()?;
        ensure!(ended.spans.len() == 2, "{}", Span::list(&ended.spans));
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary.dropped);
        let span = ended.spans.iter().find(|s| s.target() == "/panic").context("the panic")?;
        ensure!(span.text("error.type") == Some("panic"), "{span:#?}");
        ensure!(span.int("http.response.status_code").is_none(), "{span:#?}");
        Ok(())
    })
}

/// Connections that are counted by address are wrapped.
#[test]
fn peers_of_counted_connections_are_known() -> Result<()> {
    if !can_trace("peers_of_counted_connections_are_known") {
        return Ok(());
    }
    for (dependencies, minor) in [(Some("old"), 23), (None, 27)] {
        let program = program("fastapp", dependencies, Version::of(minor), Mode::Stripped)?;
        let app = App::start_with(&program, &["-counted"], &[])?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = app.connect()?;
        connection.get("/hello", &[AGENT])?;
        let spans = gotap.finish(1)?;
        let span = spans.first().context("a span")?;
        check_common(span, &app, connection.local_port()?).with_context(|| format!("{span:#?}"))?;
    }
    Ok(())
}

#[test]
fn odd_requests_of_fasthttp_are_as_they_are() -> Result<()> {
    if !can_trace("odd_requests_of_fasthttp_are_as_they_are") {
        return Ok(());
    }
    let (app, gotap) = newest()?;
    let long = format!("/{}", "x".repeat(400));
    let mut connection = app.connect()?;
    connection.get(&long, &[])?;
    connection.request("BREW", "/coffee", &[], None)?;
    connection.request("HEAD", "/hello", &[], None)?;
    connection.send_raw(b"GET /old HTTP/1.0\r\nHost: example.com\r\n\r\n")?;
    connection.read_response()?;
    // Refused without a handler.
    let mut refused = Connection::open(&app.address)?;
    refused.send_raw(b"this is no request\r\n\r\n")?;
    let _ = refused.read_response();
    let spans = gotap.finish(4)?;
    let cut = spans[0].target();
    ensure!(cut.starts_with("/xxx") && cut.ends_with('…'), "{cut}");
    ensure!(spans[1].name == "HTTP", "{:#?}", spans[1]);
    ensure!(spans[1].text("http.request.method_original") == Some("BREW"), "{:#?}", spans[1]);
    ensure!(spans[2].name == "HEAD", "{:#?}", spans[2]);
    ensure!(spans[3].text("network.protocol.version") == Some("1.0"), "{:#?}", spans[3]);
    ensure!(spans[3].text("server.address") == Some("example.com"), "{:#?}", spans[3]);
    ensure!(spans[3].int("server.port") == Some(80), "{:#?}", spans[3]);
    Ok(())
}
