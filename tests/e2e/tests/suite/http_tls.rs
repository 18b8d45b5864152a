//! HTTP/1.1 over TLS: the same spans as without, but for the scheme.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span, can_trace};
use gotap_testkit::process::Running;

use crate::parents::with_each;

/// The program calls a path of `server` so many times over TLS; all must be answered.
fn call(program: &Path, server: &App, path: &str, n: usize) -> Result<()> {
    let url = format!("https://{}{path}", server.address);
    let mut client = Running::start(program, &["-client", &n.to_string(), &url], &[])?;
    ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
    let answered = client.stdout().iter().filter(|line| *line == "status 200").count();
    ensure!(answered == n, "{:#?}", client.stdout());
    Ok(())
}

#[test]
fn requests_over_tls_are_traced_on_both_sides() -> Result<()> {
    if !can_trace("requests_over_tls_are_traced_on_both_sides") {
        return Ok(());
    }
    with_each(both_sides)
}

/// Calls over TLS that make calls over TLS, in one program.
pub fn both_sides(program: &Path) -> Result<()> {
    let backend = App::start_with(program, &["-tls"], &[])?;
    let url = format!("https://{}", backend.address);
    let app = App::start_with(program, &["-tls", "-backend", &url], &[])?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let ways = [("post", "context", 20), ("go-deep?n=3", "ancestor", 0), ("noctx", "goroutine", 0)];
    for (case, ..) in ways {
        call(program, &app, &format!("/call/{case}"), 3)?;
    }
    let spans = gotap.finish(18)?;
    for (pair, (case, how, size)) in spans.chunks(2).zip(ways.iter().flat_map(|way| [way; 3])) {
        let [client, server] = pair else { unreachable!("chunks of two") };
        check_server(server, &app, case).with_context(|| format!("{server:#?}"))?;
        ensure!(client.is_child_of(server) && client.parent == *how, "{case}: {client:#?}");
        check_client(client, &url, &backend, *size).with_context(|| format!("{client:#?}"))?;
    }
    Ok(())
}

fn check_server(span: &Span, app: &App, case: &str) -> Result<()> {
    let case = case.split('?').next().unwrap_or_default();
    ensure!(span.is_server() && span.target() == format!("/call/{case}"), "target");
    ensure!(span.text("url.scheme") == Some("https"), "scheme");
    ensure!(span.text("network.protocol.version") == Some("1.1"), "version");
    ensure!(span.text("server.address") == Some("127.0.0.1"), "address");
    ensure!(span.int("server.port") == Some(app.port()?.into()), "port");
    ensure!(span.text("client.address") == Some("127.0.0.1"), "client");
    ensure!(span.text("user_agent.original") == Some("Go-http-client/1.1"), "user agent");
    ensure!(span.int("http.response.status_code") == Some(200), "status");
    let size = i64::try_from(format!("{case} status=200\n").len())?;
    ensure!(span.int("http.response.body.size") == Some(size), "size");
    ensure!(span.status == "unset" && span.parent == "none", "outcome");
    Ok(())
}

fn check_client(span: &Span, base: &str, backend: &App, size: i64) -> Result<()> {
    ensure!(span.is_client() && span.target() == format!("{base}/"), "target");
    ensure!(span.text("network.protocol.version") == Some("1.1"), "version");
    ensure!(span.int("server.port") == Some(backend.port()?.into()), "port");
    ensure!(span.int("http.response.status_code") == Some(200), "status");
    ensure!(span.int("http.request.body.size") == Some(size), "request size");
    ensure!(span.int("http.response.body.size") == Some(3), "response size");
    ensure!(span.status == "unset", "outcome");
    Ok(())
}

/// What can go wrong over TLS only: a server that speaks plain HTTP, a client that does.
#[test]
fn tls_meets_plain_http() -> Result<()> {
    if !can_trace("tls_meets_plain_http") {
        return Ok(());
    }
    with_each(|program| {
        let plain = App::start(program)?;
        let url = format!("https://{}", plain.address);
        let app = App::start_with(program, &["-backend", &url], &[])?;
        let gotap = Gotap::trace_pid(app.pid())?;
        app.get("/call/same", &[])?;
        let spans = gotap.finish(2)?;
        let [client, server] = &spans[..] else { unreachable!("two spans") };
        ensure!(client.is_child_of(server) && client.status == "error", "{client:#?}");
        ensure!(client.text("error.type").is_some_and(|kind| kind != "_OTHER"), "{client:#?}");

        let tls = App::start_with(program, &["-tls"], &[])?;
        let gotap = Gotap::trace_pid(tls.pid())?;
        // It is answered before there is a request.
        let refused = tls.get("/hello", &[])?;
        ensure!(refused.status == 400, "{refused:?}");
        call(program, &tls, "/hello", 2)?;
        gotap.finish(2).map(drop)
    })
}
