//! HTTP/2 of `golang.org/x/net/http2`, in the ways that programs use it: each request has one span
//! on each side, whichever implementation it goes through, and costs few traps.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::Version;
use gotap_testkit::http;

use crate::http2::in_order;

/// Versions of the library, by the list of dependencies that names them, and of Go. With the newest
/// of both the library has no implementation of its own and hands all to `net/http`.
const BUILDS: [(Option<&str>, u32); 6] = [
    (None, 18),
    (Some("mid"), 21),
    (Some("recent"), 24),
    (Some("recent"), 27),
    (Some("new"), 26),
    (Some("new"), 27),
];

/// Runs `test` with each build, and names those that failed.
fn with_each(test: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for (dependencies, minor) in BUILDS {
        let version = Version::of(minor);
        let result = App::build_http2(dependencies, version).and_then(|program| test(&program));
        if let Err(error) = result {
            let name = dependencies.unwrap_or("old");
            failures.push(format!("Go {version}, {name} library: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// A backend, the program to observe, and a proxy that takes HTTP/1 and calls it.
struct Three {
    app: App,
    backend: App,
    proxy: App,
}

/// How the observed program is called, and calls: mode of a server and of its clients.
#[derive(Clone, Copy, Debug)]
struct Way {
    server: &'static str,
    client: &'static str,
    scheme: &'static str,
}

const WAYS: [Way; 5] = [
    Way { server: "h2c", client: "direct", scheme: "http" },
    Way { server: "both", client: "direct", scheme: "http" },
    Way { server: "conn", client: "direct", scheme: "http" },
    Way { server: "configure", client: "tls", scheme: "https" },
    Way { server: "configure", client: "configure", scheme: "https" },
];

impl Three {
    /// Both servers are of the same way, and all clients.
    fn start(program: &Path, way: Way) -> Result<Self> {
        let Way { server, client, scheme } = way;
        let start = |server: &str, backend: &str| {
            let arguments = ["-server", server, "-client", client, "-backend", backend];
            App::start_with(program, &arguments, &[])
        };
        let backend = start(server, "http://127.0.0.1:1")?;
        let app = start(server, &format!("{scheme}://{}", backend.address))?;
        let proxy = start("h2c", &format!("{scheme}://{}", app.address))?;
        let three = Self { app, backend, proxy };
        // So that each has its connection to the next one.
        let warm = three.get("/call/same")?;
        ensure!(warm.body == b"status=200\n", "{way:?}: {warm:?}");
        Ok(three)
    }

    fn get(&self, path: &str) -> Result<http::Response> {
        self.proxy.get(&format!("/proxy{path}"), &[])
    }
}

fn check_protocol(span: &Span, way: Way) -> Result<()> {
    ensure!(span.text("network.protocol.version") == Some("2"), "{way:?}: {span:#?}");
    let url = if span.is_server() { span.text("url.scheme") } else { Some(span.target()) };
    let scheme = url.and_then(|url| url.split(':').next());
    ensure!(scheme == Some(way.scheme), "{way:?}: {span:#?}");
    Ok(())
}

#[test]
fn each_way_through_the_library_has_one_span_a_side() -> Result<()> {
    if !can_trace("each_way_through_the_library_has_one_span_a_side") {
        return Ok(());
    }
    with_each(|program| {
        let mut failures = Vec::new();
        for way in WAYS {
            if let Err(error) = observe(program, way) {
                failures.push(format!("{way:?}: {error:#}"));
            }
        }
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    })
}

/// Cases, how the parent is found, and status and sizes of the call.
const CASES: [(&str, &str, i64, i64, i64); 5] = [
    ("same", "context", 200, 0, 3),
    ("noctx", "goroutine", 200, 0, 3),
    ("go", "ancestor", 200, 0, 3),
    ("post", "context", 200, 20, 3),
    ("failing", "context", 503, 0, 0),
];

fn observe(program: &Path, way: Way) -> Result<()> {
    let three = Three::start(program, way)?;
    let gotap = Gotap::trace_pid(three.app.pid())?;
    for (case, ..) in CASES {
        three.get(&format!("/call/{case}"))?;
    }
    let spans = gotap.finish(2 * CASES.len())?;
    for (pair, (case, how, status, sent, got)) in spans.chunks(2).zip(CASES) {
        let [client, server] = in_order(pair)?;
        check_protocol(server, way)?;
        check_protocol(client, way)?;
        ensure!(server.target() == format!("/call/{case}"), "{server:#?}");
        ensure!(server.status == "unset" && server.parent == "none", "{server:#?}");
        ensure!(server.int("http.response.status_code") == Some(200), "{server:#?}");
        ensure!(server.int("http.response.body.size") == Some(11), "{server:#?}");
        ensure!(server.text("network.peer.address") == Some("127.0.0.1"), "{server:#?}");
        ensure!(server.text("user_agent.original").is_none_or(|a| !a.is_empty()), "{server:#?}");
        ensure!(server.text("server.address") == Some("127.0.0.1"), "{server:#?}");
        ensure!(client.is_child_of(server) && client.parent == how, "{case}: {client:#?}");
        ensure!(server.start <= client.start && client.end <= server.end, "{client:#?}");
        ensure!(client.int("http.response.status_code") == Some(status), "{client:#?}");
        ensure!(client.int("http.request.body.size") == Some(sent), "{client:#?}");
        ensure!(client.int("http.response.body.size") == Some(got), "{client:#?}");
        ensure!(client.int("server.port") == Some(three.backend.port()?.into()), "{client:#?}");
    }
    Ok(())
}

#[test]
fn the_library_tells_what_ended_early() -> Result<()> {
    if !can_trace("the_library_tells_what_ended_early") {
        return Ok(());
    }
    with_each(|program| {
        for way in WAYS {
            let three = Three::start(program, way)?;
            let gotap = Gotap::trace_pid(three.app.pid())?;
            three.get("/panic")?;
            three.get("/call/panicking")?;
            three.get("/call/timeout")?;
            three.get("/hello")?;
            let spans = gotap.finish(6).with_context(|| format!("{way:?}"))?;
            check_early_ends(&spans).with_context(|| format!("{way:?}: {spans:#?}"))?;
        }
        Ok(())
    })
}

fn check_early_ends(spans: &[Span]) -> Result<()> {
    let panicked = &spans[0];
    ensure!(panicked.target() == "/panic" && panicked.status == "error", "the panic");
    ensure!(panicked.text("error.type") == Some("http.ErrAbortHandler"), "the panic");
    for pair in spans[1..5].chunks(2) {
        let [client, server] = in_order(pair)?;
        ensure!(client.is_child_of(server) && client.status == "error", "the call");
        ensure!(client.text("error.type").is_some_and(|kind| kind != "_OTHER"), "the call");
        ensure!(server.status == "unset", "the request");
    }
    let timeout = spans[3].end - spans[3].start;
    ensure!((45_000_000..900_000_000).contains(&timeout), "the timeout");
    ensure!(spans[5].target() == "/hello" && spans[5].status == "unset", "the last one");
    Ok(())
}

/// HTTP/1.1 on a server for h2c, and a connection that changes over to HTTP/2.
#[test]
fn an_upgrade_to_http2_is_one_request() -> Result<()> {
    if !can_trace("an_upgrade_to_http2_is_one_request") {
        return Ok(());
    }
    with_each(|program| {
        for server in ["h2c", "both"] {
            let app = App::start_with(program, &["-server", server], &[])?;
            let gotap = Gotap::trace_pid(app.pid())?;
            app.get("/hello", &[])?;
            let mut connection = app.connect()?;
            let headers = [
                ("Connection", "Upgrade, HTTP2-Settings"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
            ];
            connection.send_raw(&connection.head("GET", "/status/503", &headers))?;
            // The preface, and an empty SETTINGS frame.
            connection.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
            gotap.wait_for_spans(2)?;
            drop(connection);
            let ended = gotap.stop()?;
            check_upgrade(&ended.spans).with_context(|| format!("{server}: {ended:#?}"))?;
            ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
        }
        Ok(())
    })
}

fn check_upgrade(spans: &[Span]) -> Result<()> {
    let of = |path: &str| spans.iter().filter(|s| s.target() == path).collect::<Vec<_>>();
    let hello = of("/hello");
    ensure!(hello.len() == 1 && hello[0].text("network.protocol.version") == Some("1.1"), "/hello");
    // What asks for the change is a request of HTTP/1 that is taken over; it is answered in HTTP/2.
    let answered =
        of("/status/503").into_iter().filter(|s| s.int("http.response.status_code") == Some(503));
    ensure!(answered.count() == 1, "the upgrade");
    Ok(())
}

/// At most two hot traps a side, and four where both implementations have a part.
#[test]
fn a_request_costs_few_traps() -> Result<()> {
    if !can_trace("a_request_costs_few_traps") {
        return Ok(());
    }
    const REQUESTS: u64 = 20;
    with_each(|program| {
        for way in WAYS {
            let three = Three::start(program, way)?;
            let gotap = Gotap::trace(&["--pid", &three.app.pid().to_string()])?;
            for _ in 0..REQUESTS {
                three.get("/call/same")?;
            }
            gotap.wait_for_spans(40)?;
            let ended = gotap.stop()?;
            let traps = &ended.summary.traps;
            for (side, most) in [(&["server", "stream"][..], 4), (&["client"], 5)] {
                let n = ended.summary.trapped(side);
                let allowed = 2 * REQUESTS..=most * REQUESTS;
                ensure!(allowed.contains(&n), "{way:?}, {side:?}: {n} traps, {traps:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_request_of_net_http_costs_two_traps_and_a_call_three() -> Result<()> {
    if !can_trace("a_request_of_net_http_costs_two_traps_and_a_call_three") {
        return Ok(());
    }
    crate::http2::with_each(|chain, version| {
        let gotap = chain.trace()?;
        for _ in 0..20 {
            chain.get("/call/same", &[])?;
        }
        gotap.wait_for_spans(40)?;
        let summary = gotap.stop()?.summary;
        // Whose call it is that a stream belongs to can be read since Go 1.21.
        let joins = if version < Version::of(21) { 0 } else { 20 };
        for (side, wanted) in [("server", 40), ("client", 40 + joins)] {
            let trapped = summary.trapped(&[side]);
            ensure!(trapped == wanted, "Go {version}, {side}: {:?}", summary.traps);
        }
        Ok(())
    })
}
