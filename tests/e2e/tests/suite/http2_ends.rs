//! HTTP/2 streams and calls that end before their time: panics, clients that go away or lose
//! patience, servers that ask to leave or die.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Chain, Span, can_trace};

use crate::http2::{check_protocol, in_order, with_each};

#[test]
fn panics_in_http2_are_errors() -> Result<()> {
    if !can_trace("panics_in_http2_are_errors") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        // The proxy answers 502, or cuts its own answer off.
        chain.get("/panic", &[])?;
        chain.get("/panic-after-write", &[]).ok();
        chain.get("/abort", &[])?;
        chain.get("/recovered", &[])?;
        chain.get("/goexit", &[])?;
        chain.get("/too-slow?ms=2000", &[])?;
        chain.get("/hello", &[])?;
        let spans = gotap.finish(7)?;
        let wanted = [
            ("/panic", Some("panic"), None),
            ("/panic-after-write", Some("panic"), Some(200)),
            ("/abort", Some("http.ErrAbortHandler"), None),
            ("/recovered", Some("500"), Some(500)),
            ("/goexit", Some("panic"), None),
            ("/too-slow", Some("503"), Some(503)),
            ("/hello", None, Some(200)),
        ];
        for (span, (path, error, status)) in spans.iter().zip(wanted) {
            check_protocol(span)?;
            ensure!(span.target() == path, "{span:#?}");
            ensure!(span.text("error.type") == error, "{span:#?}");
            ensure!(span.int("http.response.status_code") == status, "{span:#?}");
            ensure!(span.status == if error.is_some() { "error" } else { "unset" }, "{span:#?}");
        }
        Ok(())
    })
}

#[test]
fn calls_in_http2_that_are_given_up_say_why() -> Result<()> {
    if !can_trace("calls_in_http2_that_are_given_up_say_why") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        let cases = ["canceled", "deadline", "precanceled", "refused", "break-off"];
        for case in cases {
            chain.get(&format!("/call/{case}"), &[])?;
        }
        let spans = gotap.finish(2 * cases.len())?;
        for (pair, case) in spans.chunks(2).zip(cases) {
            let [client, server] = in_order(pair)?;
            ensure!(server.target() == format!("/call/{case}"), "{server:#?}");
            ensure!(server.status == "unset" && client.status == "error", "{client:#?}");
            ensure!(client.is_child_of(server) && client.parent == "context", "{client:#?}");
            let error = client.text("error.type").context("error type")?;
            ensure!(!["", "_OTHER"].contains(&error), "{case}: {client:#?}");
            ensure!(client.int("http.response.status_code").is_none(), "{case}: {client:#?}");
            let took = Duration::from_nanos(client.end - client.start);
            ensure!(took < Duration::from_millis(900), "{case} took {took:?}");
        }
        Ok(())
    })
}

/// The client resets the stream while its handler runs; other streams go on.
#[test]
fn a_reset_stream_is_an_error_of_its_server() -> Result<()> {
    if !can_trace("a_reset_stream_is_an_error_of_its_server") {
        return Ok(());
    }
    with_each(|chain, version| {
        let gotap = chain.trace()?;
        let mut other = chain.connect()?;
        other.send_raw(&other.head("GET", &Chain::path("/slow?ms=600"), &[]))?;
        let mut connection = chain.connect()?;
        connection.send_raw(&connection.head("GET", &Chain::path("/slow?ms=15000"), &[]))?;
        sleep(Duration::from_millis(200));
        drop(connection);
        other.read_response()?;
        let mut spans = gotap.finish(2)?;
        spans.sort_by_key(|span| span.end);
        let [reset, kept] = &spans[..] else { unreachable!("two spans") };
        ensure!(kept.status == "unset" && kept.end - kept.start >= 600_000_000, "{kept:#?}");
        let peers = spans.iter().map(|span| span.int("network.peer.port"));
        let peers: std::collections::BTreeSet<_> = peers.collect();
        ensure!(peers.len() == 1, "two connections: {spans:#?}");
        check_early_end(reset, "stream reset", version.minor)
    })
}

/// Before 1.20 net/http does not keep why a stream was closed.
fn check_early_end(span: &Span, error: &str, minor: u32) -> Result<()> {
    check_protocol(span)?;
    ensure!(span.target() == "/slow" && span.end - span.start < 10_000_000_000, "{span:#?}");
    if minor >= 20 {
        ensure!(span.status == "error" && !span.message.is_empty(), "{span:#?}");
        ensure!(span.text("error.type") == Some(error), "{span:#?}");
    }
    Ok(())
}

/// The client's process is gone, and all of its streams.
#[test]
fn a_lost_client_is_an_error_of_all_its_streams() -> Result<()> {
    if !can_trace("a_lost_client_is_an_error_of_all_its_streams") {
        return Ok(());
    }
    with_each(|chain, version| {
        let gotap = chain.trace()?;
        let mut connections = Vec::new();
        for _ in 0..3 {
            let mut connection = chain.connect()?;
            connection.send_raw(&connection.head("GET", &Chain::path("/slow?ms=15000"), &[]))?;
            connections.push(connection);
        }
        sleep(Duration::from_millis(300));
        chain.proxy.process.signal(libc::SIGKILL)?;
        let spans = gotap.finish(3)?;
        spans.iter().try_for_each(|s| check_early_end(s, "client disconnected", version.minor))
    })
}

/// The server's process dies in the middle of three calls.
#[test]
fn a_lost_server_is_an_error_of_all_calls() -> Result<()> {
    if !can_trace("a_lost_server_is_an_error_of_all_calls") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        let mut connections = Vec::new();
        for _ in 0..3 {
            let path = "/call/method?method=POST&path=%2Fslow%3Fms=15000";
            let mut connection = chain.connect()?;
            connection.send_raw(&connection.head("GET", &Chain::path(path), &[]))?;
            connections.push(connection);
        }
        sleep(Duration::from_millis(300));
        chain.backend.process.signal(libc::SIGKILL)?;
        for connection in &mut connections {
            ensure!(connection.read_response()?.status == 200, "the handler failed, too");
        }
        gotap.wait_for_spans(6)?;
        let ended = gotap.stop()?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
        let servers: Vec<_> = ended.spans.iter().filter(|span| span.is_server()).collect();
        ensure!(servers.len() == 3, "{}", Span::list(&ended.spans));
        for server in servers {
            let calls = ended.spans.iter().filter(|s| s.is_client() && s.is_child_of(server));
            let calls: Vec<_> = calls.collect();
            // A transport may try again, which is refused.
            ensure!((1..=2).contains(&calls.len()), "{calls:#?}");
            for call in calls {
                ensure!(call.status == "error" && !call.message.is_empty(), "{call:#?}");
                ensure!(call.text("error.type").is_some_and(|e| e != "_OTHER"), "{call:#?}");
            }
        }
        Ok(())
    })
}

/// GOAWAY: the answer is complete, and the next call goes over another connection.
#[test]
fn a_server_that_asks_to_leave_costs_no_span() -> Result<()> {
    if !can_trace("a_server_that_asks_to_leave_costs_no_span") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        for _ in 0..5 {
            // Both connections come to their end: the one to the program, and the one from it.
            chain.get("/goaway", &[])?;
            chain.get("/call/method?method=GET&path=/goaway", &[])?;
        }
        let spans = gotap.finish(15)?;
        for span in &spans {
            check_protocol(span)?;
            ensure!(span.int("http.response.status_code") == Some(200), "{span:#?}");
            ensure!(span.status == "unset", "{span:#?}");
        }
        let served: Vec<_> = spans.iter().filter(|s| s.target() == "/goaway").collect();
        ensure!(served.len() == 5, "{}", Span::list(&spans));
        let calls = spans.iter().filter(|span| span.is_client());
        ensure!(calls.count() == 5, "{}", Span::list(&spans));
        Ok(())
    })
}

/// Calls at the same time on connections that come to their end: whatever the transport tries
/// again, each request has one call that was answered, and nothing is lost.
#[test]
fn connections_that_end_under_load_cost_no_span() -> Result<()> {
    if !can_trace("connections_that_end_under_load_cost_no_span") {
        return Ok(());
    }
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        let path = Chain::path("/call/method?method=GET&path=%2Fgoaway%3Fms=5");
        let load = gotap_e2e::Load::send(chain.host(), &path, 16, 200)?;
        ensure!(load.answered == 200, "{load:?}");
        let spans = gotap.finish(400)?;
        let servers: Vec<_> = spans.iter().filter(|span| span.is_server()).collect();
        ensure!(servers.len() == 200, "{} requests", servers.len());
        for server in servers {
            let calls: Vec<_> =
                spans.iter().filter(|s| s.is_client() && s.is_child_of(server)).collect();
            let answered = calls.iter().filter(|call| call.status == "unset").count();
            ensure!(answered == 1, "{server:#?}: {calls:#?}");
        }
        Ok(())
    })
}

/// Nothing of HTTP/2 keeps the request that a handler of Go 1.27 gets: GC frees it, and another one lies there
/// when the handler returns. Its route is not taken for that of the request, which the router's table tells.
#[test]
fn a_request_that_gc_frees_has_no_route_of_another_one() -> Result<()> {
    if !can_trace("a_request_that_gc_frees_has_no_route_of_another_one") {
        return Ok(());
    }
    with_each(|chain, version| {
        let gotap = chain.trace()?;
        for _ in 0..3 {
            chain.get("/forgotten", &[])?;
        }
        gotap.wait_for_spans(3)?;
        let ended = gotap.stop()?;
        let routes: Vec<_> = ended.spans.iter().map(|span| span.text("http.route")).collect();
        let unread = ended.summary.dropped.get("unread_route").copied().unwrap_or(0);
        let missing = routes.iter().filter(|route| route.is_none()).count() as u64;
        ensure!(routes.iter().flatten().all(|route| *route == "/forgotten"), "{routes:?}");
        ensure!(routes.len() == 3, "{routes:?}");
        // The table of the program's http.ServeMux tells it.
        ensure!(missing == 0, "{routes:?}: {:?}", ended.summary);
        ensure!(unread == missing, "{routes:?}: {:?}", ended.summary);
        println!("Go {version}: {missing} of 3 routes are unknown");
        Ok(())
    })
}
