//! Requests that are served in an unusual way: taken over, timed out, panicking, from a file, with
//! nothing written, with an expectation, with very long headers.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::http::Connection;

use crate::parents::with_each;

/// Status, response size and error type.
type Answer<'a> = (Option<i64>, Option<i64>, Option<&'a str>);

fn answer(span: &Span) -> Answer<'_> {
    let size = span.int("http.response.body.size");
    (span.int("http.response.status_code"), size, span.text("error.type"))
}

/// The span of the request with this path.
fn served<'a>(spans: &'a [Span], path: &str) -> Result<&'a Span> {
    let found = spans.iter().find(|span| span.is_server() && span.target() == path);
    found.with_context(|| format!("no span of {path}:\n{}", Span::list(spans)))
}

fn version_of(span: &Span) -> &str {
    span.resource["process.runtime.version"].as_str().unwrap_or_default()
}

const UPGRADE: [(&str, &str); 2] = [("Connection", "Upgrade"), ("Upgrade", "echo")];

/// Sends bytes over an upgraded connection and reads them back with the next response's reader.
fn use_upgraded(connection: &mut Connection) -> Result<()> {
    connection.send_raw(b"HTTP/1.1 299 Echo\r\nContent-Length: 0\r\n\r\n")?;
    let echoed = connection.read_response()?;
    ensure!(echoed.status == 299, "{echoed:?}");
    Ok(())
}

/// The span is there while the connection goes on in the other protocol.
#[test]
fn a_request_ends_when_its_connection_is_taken_over() -> Result<()> {
    if !can_trace("a_request_ends_when_its_connection_is_taken_over") {
        return Ok(());
    }
    with_each(|program| {
        let app = App::start(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connections = Vec::new();
        for (i, path) in ["/upgrade", "/upgrade-written"].into_iter().enumerate() {
            let mut connection = app.connect()?;
            let response = connection.get(path, &UPGRADE)?;
            ensure!(response.status == 101, "{path}: {}", response.status);
            use_upgraded(&mut connection).context(path)?;
            gotap.wait_for_lines(i + 1).context(path)?;
            use_upgraded(&mut connection).context(path)?;
            connections.push(connection);
        }
        let before = gotap.spans()?;
        drop(connections);
        app.get("/hello", &[])?;
        let spans = gotap.finish(3)?;
        ensure!(spans[..2] == before, "{}", Span::list(&spans));
        // What the handler wrote itself is not known.
        let (own, written) = (served(&spans, "/upgrade")?, served(&spans, "/upgrade-written")?);
        ensure!(answer(own) == (None, Some(0), None) && own.status == "unset", "{own:#?}");
        // Go 1.19 and 1.20 take 101 for one status of several and keep none.
        let keeps = !["go1.19.", "go1.20."].iter().any(|go| version_of(written).starts_with(go));
        ensure!(answer(written) == (keeps.then_some(101), Some(0), None), "{written:#?}");
        ensure!(written.status == "unset", "{written:#?}");
        Ok(())
    })
}

/// Proxies hand an upgrade on: both of their spans end with it.
#[test]
fn a_proxied_upgrade_ends_both_spans() -> Result<()> {
    if !can_trace("a_proxied_upgrade_ends_both_spans") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        for path in ["/proxy/upgrade", "/proxy/upgrade-written"] {
            let mut connection = app.connect()?;
            let response = connection.get(path, &UPGRADE)?;
            ensure!(response.status == 101, "{path}: {}", response.status);
            use_upgraded(&mut connection).context(path)?;
        }
        let spans = gotap.finish(4)?;
        for path in ["/upgrade", "/upgrade-written"] {
            let server = served(&spans, &format!("/proxy{path}"))?;
            let client = spans.iter().find(|s| s.is_client() && s.target().ends_with(path));
            let client = client.context("the client's span")?;
            ensure!(client.is_child_of(server) && client.parent == "context", "{client:#?}");
            ensure!(answer(client) == (Some(101), Some(0), None), "{client:#?}");
            ensure!(server.text("error.type").is_none() && server.status == "unset", "{server:#?}");
        }
        Ok(())
    })
}

#[test]
fn a_panic_is_an_error_unless_it_is_recovered() -> Result<()> {
    if !can_trace("a_panic_is_an_error_unless_it_is_recovered") {
        return Ok(());
    }
    with_each(|program| {
        let app = App::start(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = app.connect()?;
        let recovered = connection.get("/recovered", &[])?;
        ensure!(recovered.status == 500, "{recovered:?}");
        connection.get("/recovered-silently", &[])?;
        connection.get("/nothing", &[])?;
        ensure!(app.get("/goexit", &[]).is_err(), "a goroutine that ended answered");
        let spans = gotap.finish(4)?;
        let size = i64::try_from(recovered.body.len())?;
        let expected = [
            ("/recovered", (Some(500), Some(size), Some("500"))),
            ("/recovered-silently", (Some(200), Some(0), None)),
            ("/nothing", (Some(200), Some(0), None)),
            ("/goexit", (None, Some(0), Some("panic"))),
        ];
        for (path, expected) in expected {
            let span = served(&spans, path)?;
            ensure!(answer(span) == expected, "{path}: {span:#?}");
            ensure!((span.status == "error") == expected.2.is_some(), "{path}: {span:#?}");
        }
        Ok(())
    })
}

/// A handler with a time limit runs in a goroutine of its own; the answer comes from the outer one.
#[test]
fn handlers_with_a_time_limit_keep_their_calls() -> Result<()> {
    if !can_trace("handlers_with_a_time_limit_keep_their_calls") {
        return Ok(());
    }
    with_each(|program| {
        let (app, _backend) = App::start_pair(program)?;
        for (query, status) in [("", 200), ("?ms=2000", 503)] {
            for (name, how) in [("ctx", "context"), ("noctx", "ancestor")] {
                let gotap = Gotap::trace_pid(app.pid())?;
                let path = format!("/limited/{name}");
                let answered = app.get(&format!("{path}{query}"), &[])?;
                ensure!(answered.status == status, "{path}: {}", answered.status);
                let spans = gotap.finish(2)?;
                let server = served(&spans, &path)?;
                let client = spans.iter().find(|s| s.is_client()).context("the call")?;
                ensure!(client.is_child_of(server) && client.parent == how, "{spans:#?}");
                let size = i64::try_from(answered.body.len())?;
                let error = (status == 503).then_some("503");
                ensure!(answer(server) == (Some(status.into()), Some(size), error), "{server:#?}");
                if status == 503 && name == "ctx" {
                    // The limit ends the call, too; without the context it goes on.
                    let error = client.text("error.type").unwrap_or_default();
                    ensure!(error.contains("eadline"), "{client:#?}");
                }
            }
        }
        Ok(())
    })
}

/// Files are copied by the kernel, past the writer that counts.
#[test]
fn files_have_their_sizes_whole_and_in_part() -> Result<()> {
    if !can_trace("files_have_their_sizes_whole_and_in_part") {
        return Ok(());
    }
    with_each(|program| {
        let app = App::start(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = app.connect()?;
        let later = "Sat, 01 Jan 2050 00:00:00 GMT";
        let variants = [
            (("Accept", "*/*"), "GET", 200),
            (("Range", "bytes=100-299"), "GET", 206),
            (("Range", "bytes=99999999-"), "GET", 416),
            (("If-Modified-Since", later), "GET", 304),
            (("Accept", "*/*"), "HEAD", 200),
        ];
        let mut expected = Vec::new();
        for path in ["/file", "/content"] {
            for (header, method, status) in variants {
                let response = connection.request(method, path, &[header], None)?;
                ensure!(i64::from(response.status) == status, "{path}: {}", response.status);
                expected.push((path, Some(status), i64::try_from(response.body.len()).ok()));
            }
        }
        ensure!(expected[0].2 == Some(100_000) && expected[1].2 == Some(200), "{expected:?}");
        let spans = gotap.finish(expected.len())?;
        let found: Vec<_> =
            spans.iter().map(|span| (span.target(), answer(span).0, answer(span).1)).collect();
        ensure!(found == expected, "{found:?}\ninstead of {expected:?}");
        ensure!(spans.iter().all(|span| span.status == "unset"), "{spans:#?}");
        Ok(())
    })
}

#[test]
fn answers_without_a_body_have_a_size_of_zero() -> Result<()> {
    if !can_trace("answers_without_a_body_have_a_size_of_zero") {
        return Ok(());
    }
    with_each(|program| {
        let app = App::start(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = app.connect()?;
        let requests =
            [("HEAD", "/hello", 200), ("GET", "/status/204", 204), ("GET", "/not-modified", 304)];
        for (method, path, status) in requests {
            let response = connection.request(method, path, &[], None)?;
            ensure!(response.status == status && response.body.is_empty(), "{response:?}");
        }
        for (span, (method, path, status)) in gotap.finish(3)?.iter().zip(requests) {
            ensure!(span.target() == path, "{span:#?}");
            ensure!(span.text("http.request.method") == Some(method), "{span:#?}");
            ensure!(answer(span) == (Some(status.into()), Some(0), None), "{span:#?}");
        }
        Ok(())
    })
}

#[test]
fn a_body_that_is_expected_is_one_request() -> Result<()> {
    if !can_trace("a_body_that_is_expected_is_one_request") {
        return Ok(());
    }
    with_each(|program| {
        let app = App::start(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let headers = [("Expect", "100-continue"), ("Content-Length", "12")];
        let mut connection = app.connect()?;
        connection.send_raw(&connection.head("POST", "/echo", &headers))?;
        std::thread::sleep(std::time::Duration::from_millis(30));
        connection.send_raw(b"twelve bytes")?;
        let response = connection.read_response_to("POST")?;
        ensure!(response.status == 200 && response.body == b"twelve bytes", "{response:?}");
        // This one is not wanted.
        connection.send_raw(&connection.head("POST", "/unread", &headers))?;
        let refused = connection.read_response_to("POST")?;
        ensure!(refused.status == 413, "{refused:?}");
        let spans = gotap.finish(2)?;
        ensure!(answer(&spans[0]) == (Some(200), Some(12), None), "{:#?}", spans[0]);
        ensure!(spans[0].end - spans[0].start >= 20_000_000, "{:#?}", spans[0]);
        ensure!(answer(&spans[1]) == (Some(413), Some(10), None), "{:#?}", spans[1]);
        let size = |span: &Span| span.int("http.request.body.size");
        ensure!(spans.iter().all(|span| size(span) == Some(12)), "{spans:#?}");
        Ok(())
    })
}

/// What net/http refuses itself never reaches a handler, and is no loss either.
#[test]
fn requests_that_net_http_refuses_are_no_loss() -> Result<()> {
    if !can_trace("requests_that_net_http_refuses_are_no_loss") {
        return Ok(());
    }
    with_each(|program| {
        let app = App::start(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        for (request, status) in [
            ("GET /hello HTTP/1.1\r\nHost: h\r\nExpect: a miracle\r\n\r\n", 417),
            ("GET /hello HTTP/1.1\r\n\r\n", 400),
            ("GET /hello HTTP/3.0\r\nHost: h\r\n\r\n", 505),
            ("POST /hello HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        ] {
            let mut connection = app.connect()?;
            connection.send_raw(request.as_bytes())?;
            let response = connection.read_response()?;
            ensure!(response.status == status, "{request}: {}", response.status);
        }
        app.get("/hello", &[])?;
        gotap.finish(1).map(drop)
    })
}

#[test]
fn the_traceparent_is_found_in_16_kilobytes_of_headers() -> Result<()> {
    if !can_trace("the_traceparent_is_found_in_16_kilobytes_of_headers") {
        return Ok(());
    }
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    with_each(|program| {
        let app = App::start(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
        let many: Vec<_> = (0..100).map(|i| (format!("X-{i}"), "v".repeat(160))).collect();
        let one = vec![("Cookie".to_owned(), "c".repeat(16_000))];
        let mut connection = app.connect()?;
        for filler in [&many, &one] {
            for place in [0, filler.len() / 2, filler.len()] {
                let mut headers: Vec<_> =
                    filler.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                headers.insert(place, ("traceparent", &parent));
                connection.get("/hello", &headers)?;
            }
        }
        let spans = gotap.finish(6)?;
        let found = spans.iter().filter(|s| s.trace_id == TRACE && s.parent == "remote").count();
        ensure!(found == 6, "{found} of 6");
        Ok(())
    })
}
