//! HTTP/2's hard cases: trailers, expectations, large headers, streams that stall, answers without
//! a body, pushes, redirects, and HTTP/2 without TLS.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Chain, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode};
use gotap_testkit::process::Running;

use crate::http2::{check_protocol, in_order, with_each};

fn status_and_size(span: &Span) -> (Option<i64>, Option<i64>) {
    (span.int("http.response.status_code"), span.int("http.response.body.size"))
}

#[test]
fn unusual_answers_in_http2_are_told_right() -> Result<()> {
    if !can_trace("unusual_answers_in_http2_are_told_right") {
        return Ok(());
    }
    with_each(|chain, version| {
        let gotap = chain.trace()?;
        // What is served, and what both sides say: a client knows no size that was not announced.
        let mut cases = vec![
            ("GET", "/trailers", 200, 12, Some(12)),
            ("HEAD", "/hello", 200, 0, Some(0)),
            ("GET", "/status/204", 204, 0, Some(0)),
            ("GET", "/not-modified", 304, 0, Some(0)),
            ("GET", "/nothing", 200, 0, Some(0)),
            ("GET", "/chunked", 200, 24, None),
            ("GET", "/file", 200, 100_000, Some(100_000)),
            ("POST", "/unread", 413, 10, Some(10)),
        ];
        if version.minor >= 19 {
            cases.push(("GET", "/early-hints", 200, 6, Some(6)));
        }
        for (method, path, ..) in &cases {
            let mut connection = chain.connect()?;
            connection.request(method, &Chain::path(path), &[], None)?;
            chain.get(&format!("/call/method?method={method}&path={path}"), &[])?;
        }
        let spans = gotap.finish(3 * cases.len())?;
        for (three, (method, path, status, sent, announced)) in spans.chunks(3).zip(cases) {
            let served = &three[0];
            check_protocol(served)?;
            let about = format!("{method} {path}: {three:#?}");
            ensure!(served.target() == path, "{about}");
            ensure!(status_and_size(served) == (Some(status), Some(sent)), "{about}");
            ensure!(served.status == "unset", "{about}");
            let [client, server] = in_order(&three[1..])?;
            check_protocol(client)?;
            ensure!(client.is_child_of(server) && client.name == method, "{about}");
            ensure!(status_and_size(client) == (Some(status), announced), "{about}");
            ensure!((client.status == "error") == (status >= 400), "{about}");
        }
        Ok(())
    })
}

#[test]
fn pushes_do_no_harm() -> Result<()> {
    if !can_trace("pushes_do_no_harm") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        let answer = chain.get("/push", &[])?;
        ensure!(answer.body.starts_with(b"pushed: "), "{answer:?}");
        chain.get("/hello", &[])?;
        let spans = gotap.finish(2)?;
        ensure!(spans[0].target() == "/push" && spans[0].status == "unset", "{spans:#?}");
        Ok(())
    })
}

#[test]
fn bodies_in_http2_that_wait_to_be_asked_for() -> Result<()> {
    if !can_trace("bodies_in_http2_that_wait_to_be_asked_for") {
        return Ok(());
    }
    with_each(|chain, _| {
        for (case, status, size) in [("continue", 200, 1000), ("refuse-body", 413, 10)] {
            let gotap = chain.trace()?;
            chain.get(&format!("/call/{case}"), &[])?;
            let spans = gotap.finish(2)?;
            let [client, server] = in_order(&spans)?;
            check_protocol(client)?;
            ensure!(client.is_child_of(server) && client.parent == "context", "{client:#?}");
            ensure!(status_and_size(client) == (Some(status), Some(size)), "{client:#?}");
            ensure!(client.int("http.request.body.size") == Some(1000), "{client:#?}");
        }
        let gotap = chain.trace()?;
        let mut connection = chain.connect()?;
        let headers = [("Expect", "100-continue"), ("Content-Length", "5")];
        connection.send_raw(&connection.head("POST", &Chain::path("/echo"), &headers))?;
        connection.send_raw(b"bytes")?;
        let mut answer = connection.read_response()?;
        if answer.status == 100 {
            answer = connection.read_response()?;
        }
        ensure!(answer.status == 200 && answer.body == b"bytes", "{answer:?}");
        let spans = gotap.finish(1)?;
        ensure!(status_and_size(&spans[0]) == (Some(200), Some(5)), "{spans:#?}");
        ensure!(spans[0].int("http.request.body.size") == Some(5), "{spans:#?}");
        Ok(())
    })
}

/// More headers than fit into one frame, and a trace among them.
#[test]
fn headers_in_many_frames_are_searched() -> Result<()> {
    if !can_trace("headers_in_many_frames_are_searched") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        let trace = "5f467fe7bf42676c05e20ba4a90e448e";
        let traceparent = format!("00-{trace}-4c721bf33e3caf8f-01");
        let filler = "x".repeat(600);
        let names: Vec<_> = (0..100).map(|i| format!("X-Filler-{i}")).collect();
        let mut headers: Vec<_> = names.iter().map(|n| (n.as_str(), filler.as_str())).collect();
        headers.insert(50, ("traceparent", &traceparent));
        for _ in 0..3 {
            let answer = chain.get("/call/headers", &headers)?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        let spans = gotap.finish(6)?;
        for pair in spans.chunks(2) {
            let [client, server] = in_order(pair)?;
            ensure!(server.trace_id == trace && server.parent == "remote", "{server:#?}");
            ensure!(client.is_child_of(server) && client.status == "unset", "{client:#?}");
            check_protocol(client)?;
        }
        Ok(())
    })
}

/// Who sends waits while nobody reads; other streams of the connection go on.
#[test]
fn a_stalled_stream_lasts_until_it_is_read() -> Result<()> {
    if !can_trace("a_stalled_stream_lasts_until_it_is_read") {
        return Ok(());
    }
    // More than windows, buffers and sockets hold.
    const SIZE: i64 = 64 << 20;
    with_each(|chain, _| {
        let pids = [chain.app.pid().to_string(), chain.backend.pid().to_string()];
        let gotap = Gotap::trace(&["--pid", &pids[0], "--pid", &pids[1]])?;
        let answer = chain.get(&format!("/call/stall?n={SIZE}&ms=500"), &[])?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(body == format!("stall status=200 n={SIZE} err=<nil>\n"), "{body}");
        // This time it is the program itself that can't go on sending.
        let mut connection = chain.connect()?;
        let path = Chain::path(&format!("/flood?n={SIZE}"));
        connection.send_raw(&connection.head("GET", &path, &[]))?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        chain.get("/hello", &[])?;
        let answer = connection.read_response()?;
        ensure!(answer.body.len() == 64 << 20, "{} bytes", answer.body.len());
        let spans = gotap.finish(5)?;
        let floods: Vec<_> =
            spans.iter().filter(|s| s.is_server() && s.target() == "/flood").collect();
        ensure!(floods.len() == 2, "{}", Span::list(&spans));
        for flood in floods {
            check_protocol(flood)?;
            ensure!(status_and_size(flood) == (Some(200), Some(SIZE)), "{flood:#?}");
            ensure!(flood.status == "unset", "{flood:#?}");
            ensure!(flood.end - flood.start >= 450_000_000, "{flood:#?}");
        }
        let hello = spans.iter().find(|s| s.target() == "/hello").context("/hello")?;
        ensure!(hello.end - hello.start < 400_000_000, "{hello:#?}");
        Ok(())
    })
}

#[test]
fn redirects_in_http2_are_calls_of_their_own() -> Result<()> {
    if !can_trace("redirects_in_http2_are_calls_of_their_own") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        chain.get("/call/redirect?n=3", &[])?;
        let mut spans = gotap.finish(5)?;
        let server = spans.pop().context("the request")?;
        for (i, span) in spans.iter().enumerate() {
            check_protocol(span)?;
            let again = i64::try_from(i)?;
            ensure!(span.is_child_of(&server) && span.parent == "context", "{span:#?}");
            let status = if i < 3 { 302 } else { 200 };
            ensure!(span.int("http.response.status_code") == Some(status), "{span:#?}");
            let resent = span.int("http.request.resend_count");
            ensure!(resent == (i > 0).then_some(again), "{span:#?}");
        }
        Ok(())
    })
}

/// `Protocols` of server and transport, with prior knowledge.
#[test]
fn http2_without_tls_is_told_as_that() -> Result<()> {
    if !can_trace("http2_without_tls_is_told_as_that") {
        return Ok(());
    }
    let builds = [(24, Mode::Plain), (25, Mode::Cgo), (26, Mode::Plain), (27, Mode::Plain)];
    // Go 1.24 was the first to have these protocols.
    for (version, mode) in go::selected_or(&builds).into_iter().filter(|(v, _)| v.minor >= 24) {
        let chain = Chain::start_unencrypted(&App::build(version, mode)?)?;
        let gotap = chain.trace()?;
        for case in ["same", "noctx", "go-deep?n=3"] {
            chain.get(&format!("/call/{case}"), &[])?;
        }
        chain.get("/panic", &[])?;
        chain.get("/call/canceled", &[])?;
        let spans = gotap.finish(9)?;
        for span in &spans {
            let protocol = span.text("network.protocol.version");
            let answered = span.text("error.type") != Some("context canceled");
            ensure!(protocol == answered.then_some("2"), "Go {version}: {span:#?}");
            let scheme = span.text("url.scheme").unwrap_or(span.target());
            ensure!(scheme.starts_with("http") && !scheme.starts_with("https"), "{span:#?}");
        }
        for (pair, how) in spans[..6].chunks(2).zip(["context", "goroutine", "ancestor"]) {
            let [client, server] = in_order(pair)?;
            ensure!(client.is_child_of(server) && client.parent == how, "{pair:#?}");
            ensure!(status_and_size(client) == (Some(200), Some(3)), "{client:#?}");
        }
        ensure!(spans[6].text("error.type") == Some("panic"), "{:#?}", spans[6]);
        ensure!(spans[7].status == "error" && spans[8].status == "unset", "{spans:#?}");
    }
    Ok(())
}

/// A client that speaks HTTP/1 to a server that would speak HTTP/2, and the other way round.
#[test]
fn both_sides_agree_on_http1_where_one_wants_it() -> Result<()> {
    if !can_trace("both_sides_agree_on_http1_where_one_wants_it") {
        return Ok(());
    }
    with_each(|chain, version| {
        let program = App::build(version, Mode::Plain)?;
        let gotap = chain.trace()?;
        let url = format!("https://{}/hello", chain.app.address);
        let mut client = Running::start(&program, &["-client", "2", &url], &[])?;
        ensure!(client.wait(gotap_e2e::SOON)?.success(), "{:?}", client.stderr());
        chain.get("/hello", &[])?;
        let spans = gotap.finish(3)?;
        let versions: Vec<_> =
            spans.iter().map(|s| s.text("network.protocol.version").unwrap_or("-")).collect();
        ensure!(versions == ["1.1", "1.1", "2"], "{versions:?}");

        let old = App::start_with(&program, &["-tls"], &[])?;
        let url = format!("https://{}", old.address);
        let app = App::start_with(&program, &["-h2", "-backend", &url], &[])?;
        let gotap = Gotap::trace_pid(app.pid())?;
        app.get("/call/same", &[])?;
        let spans = gotap.finish(2)?;
        let [client, server] = in_order(&spans)?;
        ensure!(client.is_child_of(server) && client.status == "unset", "{client:#?}");
        ensure!(client.text("network.protocol.version") == Some("1.1"), "{client:#?}");
        Ok(())
    })
}
