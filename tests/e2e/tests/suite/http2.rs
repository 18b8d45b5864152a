//! HTTP/2 of `net/http` over TLS: what spans of both sides say, and whose children they are.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use gotap_e2e::{App, Chain, Span, can_trace};
use gotap_testkit::go::{Mode, Version};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Go versions whose HTTP/2 differs in what probes stand on.
pub const VERSIONS: [u32; 5] = [18, 21, 24, 26, 27];

/// Runs `test` with an observed program of each of [`VERSIONS`], and names those that failed.
pub fn with_each(test: impl Fn(&mut Chain, Version) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for version in VERSIONS.map(Version::of) {
        let program = App::build(version, Mode::Plain)?;
        let result = Chain::start(&program).and_then(|mut chain| test(&mut chain, version));
        if let Err(error) = result {
            failures.push(format!("Go {version}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// What a server's or a client's span must say, whatever its status.
pub fn check_protocol(span: &Span) -> Result<()> {
    ensure!(span.text("network.protocol.version") == Some("2"), "{span:#?}");
    let scheme = if span.is_server() { span.text("url.scheme") } else { Some(span.target()) };
    ensure!(scheme.is_some_and(|scheme| scheme.starts_with("https")), "{span:#?}");
    Ok(())
}

#[test]
fn http2_is_told_like_http1() -> Result<()> {
    if !can_trace("http2_is_told_like_http1") {
        return Ok(());
    }
    with_each(told_like_http1)
}

/// Requests of all sorts, one of which makes a call.
pub fn told_like_http1(chain: &mut Chain, version: Version) -> Result<()> {
    let gotap = chain.trace()?;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let agent = ("User-Agent", "gotap-e2e/1 (test)");
    let call = [agent, ("traceparent", &traceparent), ("tracestate", "vendor=a,other=b")];
    for path in ["/users/7?secret=1", "/status/404", "/status/503"] {
        chain.get(path, &[agent])?;
    }
    chain.get("/call/post", &call)?;
    let spans = gotap.finish(5)?;
    let wanted = [
        ("/users/7", "/users/{id}", 200, Some(7)),
        ("/status/404", "/status/", 404, Some(0)),
        ("/status/503", "/status/", 503, Some(0)),
        ("/call/post", "/call/post", 200, Some(16)),
    ];
    let servers = spans.iter().filter(|span| span.is_server());
    for (span, wanted) in servers.zip(wanted) {
        check_server(span, wanted, chain, version).with_context(|| format!("{span:#?}"))?;
    }
    let client = spans.iter().find(|span| span.is_client()).context("the call")?;
    check_client(client, chain).with_context(|| format!("{client:#?}"))?;
    let server = &spans[4];
    ensure!(client.is_child_of(server) && client.parent == "context", "{client:#?}");
    ensure!(server.trace_id == TRACE && server.parent_span_id == CALLER, "{server:#?}");
    ensure!(server.trace_state == "vendor=a,other=b", "{server:#?}");
    ensure!(server.start <= client.start && client.end <= server.end, "{server:#?}");
    Ok(())
}

fn check_server(
    span: &Span,
    (path, route, status, size): (&str, &str, i64, Option<i64>),
    chain: &Chain,
    version: Version,
) -> Result<()> {
    check_protocol(span)?;
    ensure!(span.target() == path && span.text("http.request.method").is_some(), "target");
    // Patterns have no wildcards before Go 1.22.
    let route = if version.minor < 22 { route.replace("{id}", "") } else { route.to_owned() };
    ensure!(span.text("http.route") == Some(route.as_str()), "route");
    ensure!(span.name == format!("GET {route}"), "name");
    ensure!(span.int("http.response.status_code") == Some(status), "status");
    ensure!(span.int("http.request.body.size") == Some(0), "request size");
    ensure!(span.int("http.response.body.size") == size, "response size");
    ensure!(span.text("user_agent.original") == Some("gotap-e2e/1 (test)"), "user agent");
    ensure!(span.text("client.address") == Some("127.0.0.1"), "client");
    ensure!(span.text("network.peer.address") == Some("127.0.0.1"), "peer");
    let peer = span.int("network.peer.port").context("peer port")?;
    ensure!(peer > 0 && peer != i64::from(chain.app.port()?), "peer port");
    let host = format!("127.0.0.1:{}", span.int("server.port").context("port")?);
    ensure!(host == chain.host(), "server");
    let failed = status >= 500;
    ensure!(span.status == if failed { "error" } else { "unset" }, "outcome");
    ensure!(span.text("error.type") == failed.then_some("503"), "error type");
    Ok(())
}

fn check_client(span: &Span, chain: &Chain) -> Result<()> {
    check_protocol(span)?;
    ensure!(span.target() == format!("https://{}/", chain.backend.address), "target");
    ensure!(span.name == "POST" && span.status == "unset", "outcome");
    ensure!(span.text("server.address") == Some("127.0.0.1"), "address");
    ensure!(span.int("server.port") == Some(chain.backend.port()?.into()), "port");
    ensure!(span.int("http.response.status_code") == Some(200), "status");
    ensure!(span.int("http.request.body.size") == Some(20), "request size");
    ensure!(span.int("http.response.body.size") == Some(3), "response size");
    Ok(())
}

#[test]
fn http2_calls_have_their_parents() -> Result<()> {
    if !can_trace("http2_calls_have_their_parents") {
        return Ok(());
    }
    const CASES: [(&str, &str); 9] = [
        ("same", "context"),
        ("noctx", "goroutine"),
        ("go", "ancestor"),
        ("go-deep?n=7", "ancestor"),
        ("ctx-pool", "context"),
        ("noctx-pool", "none"),
        ("ctx-derived", "context"),
        ("outlive", "context"),
        ("userinfo", "context"),
    ];
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        for (i, (case, how)) in CASES.iter().enumerate() {
            chain.get(&format!("/call/{case}"), &[])?;
            let spans = gotap.wait_for_spans(2 * i + 2)?;
            let [client, server] = in_order(&spans[2 * i..])?;
            check_protocol(server)?;
            check_protocol(client)?;
            ensure!(server.parent == "none", "{case}: {server:#?}");
            ensure!(client.parent == *how, "{case}: {} instead of {how}", client.parent);
            let child = client.is_child_of(server);
            ensure!(child != (*how == "none"), "{case}: {client:#?} {server:#?}");
        }
        gotap.finish(2 * CASES.len()).map(drop)
    })
}

/// Client and server span of one request.
pub fn in_order(spans: &[Span]) -> Result<[&Span; 2]> {
    let client = spans.iter().find(|span| span.is_client()).context("a client span")?;
    let server = spans.iter().find(|span| span.is_server()).context("a server span")?;
    ensure!(spans.len() == 2, "{}", Span::list(spans));
    Ok([client, server])
}

/// Streams of one connection at the same time, each with a call on another one.
#[test]
fn concurrent_streams_are_told_apart() -> Result<()> {
    if !can_trace("concurrent_streams_are_told_apart") {
        return Ok(());
    }
    const CASES: [&str; 6] = ["same", "noctx", "go", "go-deep?n=4", "ctx-pool", "ctx-derived"];
    const STREAMS: usize = 64;
    const ROUNDS: usize = 6;
    with_each(|chain, _| {
        let gotap = chain.trace()?;
        send_all(chain, STREAMS, |stream, round| {
            let id = stream * ROUNDS + round;
            (CASES[id % CASES.len()], id)
        })?;
        let spans = gotap.finish(2 * STREAMS * ROUNDS)?;
        let servers: std::collections::HashMap<_, _> = spans
            .iter()
            .filter(|span| span.is_server())
            .map(|span| (span.trace_id.as_str(), span))
            .collect();
        ensure!(servers.len() == STREAMS * ROUNDS, "{} requests", servers.len());
        let peers: BTreeSet<_> = servers.values().map(|s| s.int("network.peer.port")).collect();
        ensure!(peers.len() == 1, "{} connections, not one", peers.len());
        for client in spans.iter().filter(|span| span.is_client()) {
            check_protocol(client)?;
            let (_, id) = client.target().rsplit_once("/id/").context("an id")?;
            let server = servers.get(trace_of(id.parse()?).as_str()).context("its request")?;
            ensure!(client.is_child_of(server), "{client:#?} is not of {server:#?}");
            ensure!(server.start <= client.start && client.end <= server.end, "{client:#?}");
        }
        Ok(())
    })
}

fn trace_of(id: usize) -> String {
    format!("{:032x}", id + 1)
}

/// Sends six requests one after the other on each of `streams` threads; all at the same time.
fn send_all(
    chain: &Chain,
    streams: usize,
    request: impl Fn(usize, usize) -> (&'static str, usize) + Sync,
) -> Result<()> {
    let work = |stream: usize| -> Result<()> {
        let mut connection = chain.connect()?;
        for round in 0..6 {
            let (case, id) = request(stream, round);
            let traceparent = format!("00-{}-{:016x}-01", trace_of(id), id + 1);
            let (name, path) = (id.to_string(), Chain::path(&format!("/call/{case}")));
            let headers = [("X-Id", name.as_str()), ("traceparent", &traceparent)];
            let response = connection.get(&path, &headers)?;
            ensure!(response.status == 200, "{path}: {}", response.status);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..streams).map(|i| scope.spawn(move || work(i))).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(())
    })
}

/// Many calls of one request at the same time, over one connection.
#[test]
fn a_burst_of_calls_is_seen_in_full() -> Result<()> {
    if !can_trace("a_burst_of_calls_is_seen_in_full") {
        return Ok(());
    }
    with_each(|chain, _| {
        for (case, how) in [("burst", "ancestor"), ("burst-ctx", "context")] {
            let gotap = chain.trace()?;
            let answer = chain.get(&format!("/call/{case}?n=64"), &[])?;
            ensure!(answer.body == format!("{case} map[status=200:64]\n").as_bytes(), "{answer:?}");
            let spans = gotap.finish(65)?;
            let server = spans.iter().find(|span| span.is_server()).context("the request")?;
            for client in spans.iter().filter(|span| span.is_client()) {
                ensure!(client.is_child_of(server) && client.parent == how, "{client:#?}");
                check_protocol(client)?;
            }
        }
        Ok(())
    })
}
