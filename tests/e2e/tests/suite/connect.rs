//! Calls by connect: each is the one span of its HTTP request, on both sides, in each of its protocols,
//! with the library's oldest and newest versions.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};

/// Versions of connect, by the list of dependencies that names them, and of Go.
const BUILDS: [(Option<&str>, u32); 3] = [(Some("old"), 18), (Some("mid"), 21), (None, 27)];

/// Protocols, and the system that each is.
const PROTOCOLS: [(&str, &str); 3] =
    [("connect", "connectrpc"), ("grpc", "grpc"), ("grpcweb", "grpc")];

/// Transports, with what they can do.
const CALLS: [(&str, &str, &str); 5] = [
    ("h1", "buy", "gotap.v1.Shop/Buy"),
    ("h1", "list", "gotap.v1.Shop/List"),
    ("h2c", "buy", "gotap.v1.Shop/Buy"),
    ("h2c", "list", "gotap.v1.Shop/List"),
    ("h2c", "chat", "gotap.v1.Shop/Chat"),
];

/// A service, the one that it calls, and who looks at both.
struct Observed {
    app: App,
    backend: App,
    gotap: Gotap,
}

impl Observed {
    /// Starts a service and its backend, and observes both.
    fn start(program: &Path) -> Result<Self> {
        let (app, backend) = App::start_pair(program)?;
        let pids = [app.pid().to_string(), backend.pid().to_string()];
        let gotap =
            Gotap::trace_what("all", &["--error-messages", "--pid", &pids[0], "--pid", &pids[1]])?;
        Ok(Self { app, backend, gotap })
    }

    /// Lets the service make a call; gives the client's span and the backend's.
    fn call(&self, path: &str, answer: &str) -> Result<[Span; 2]> {
        let before = self.gotap.spans()?.len();
        let response = self.app.get(path, &[])?;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        ensure!(body.starts_with(answer), "{path}: {body}");
        let spans = self.gotap.wait_for_spans(before + 3)?.split_off(before);
        let list = Span::list(&spans);
        ensure!(spans.len() == 3, "{path}: {list}");
        let asked = path.split('?').next().unwrap_or(path);
        let server = spans.iter().find(|s| s.is_server() && s.target() == asked);
        let client = spans.iter().find(|s| s.is_client()).with_context(|| list.clone())?;
        let served = spans.iter().find(|s| s.is_server() && s.target() != asked);
        ensure!(client.is_child_of(server.with_context(|| list.clone())?), "{path}: {list}");
        Ok([client.clone(), served.context(list)?.clone()])
    }

    /// Sends a message to the backend; gives its span.
    fn post(&self, path: &str, headers: &[(&str, &str)]) -> Result<Span> {
        let before = self.gotap.spans()?.len();
        self.backend.connect()?.request("POST", path, headers, Some(b"\"x\""))?;
        let mut spans = self.gotap.wait_for_spans(before + 1)?.split_off(before);
        ensure!(spans.len() == 1, "{path}: {}", Span::list(&spans));
        Ok(spans.remove(0))
    }
}

fn build(dependencies: Option<&str>, version: Version) -> Result<PathBuf> {
    match dependencies {
        Some(name) => go::build_with("connectapp", name, version, Mode::Plain),
        None => go::build("connectapp", version, Mode::Plain),
    }
}

fn with_each(test: impl Fn(&Observed, Option<&str>) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for (dependencies, minor) in BUILDS {
        let version = Version::of(minor);
        let result = build(dependencies, version).and_then(|program| {
            let observed = Observed::start(&program)?;
            test(&observed, dependencies)?;
            let ended = observed.gotap.stop()?;
            ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
            Ok(())
        });
        if let Err(error) = result {
            let name = dependencies.unwrap_or("newest");
            failures.push(format!("Go {version}, {name} connect: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// Checks that a span is that of a call, and of its request.
fn check_call(span: &Span, system: &str, method: &str) -> Result<()> {
    ensure!(span.name == method && span.text("rpc.method") == Some(method), "{span:#?}");
    ensure!(span.text("rpc.system.name") == Some(system), "{span:#?}");
    ensure!(span.text("http.request.method").is_some(), "{span:#?}");
    ensure!(span.target().ends_with(method), "{span:#?}");
    Ok(())
}

#[test]
fn calls_by_connect_are_told_in_each_protocol() -> Result<()> {
    if !can_trace("calls_by_connect_are_told_in_each_protocol") {
        return Ok(());
    }
    with_each(|observed, dependencies| {
        for (protocol, system) in PROTOCOLS {
            for (transport, which, method) in CALLS {
                let path = format!("/call/{protocol}/{transport}/{which}");
                for span in observed.call(&path, "ok")? {
                    check_call(&span, system, method).with_context(|| path.clone())?;
                    ensure!(span.status == "unset", "{path}: {span:#?}");
                    // Connect has no code for success.
                    let code = (system == "grpc").then_some("OK");
                    let told = span.text("rpc.response.status_code");
                    ensure!(told == code, "{path}: {span:#?}");
                    let version = if transport == "h1" { "1.1" } else { "2" };
                    let told = span.text("network.protocol.version");
                    ensure!(told == Some(version), "{path}: {span:#?}");
                }
            }
        }
        if dependencies != Some("old") {
            for span in observed.call("/call/connect/h1/look", "ok")? {
                check_call(&span, "connectrpc", "gotap.v1.Shop/Look")?;
                ensure!(span.text("http.request.method") == Some("GET"), "{span:#?}");
            }
        }
        Ok(())
    })
}

/// Codes, their names in connect and in gRPC, and whether they are the server's fault.
const CODES: [(u32, &str, &str, bool); 9] = [
    (1, "canceled", "CANCELLED", false),
    (2, "unknown", "UNKNOWN", true),
    (3, "invalid_argument", "INVALID_ARGUMENT", false),
    (5, "not_found", "NOT_FOUND", false),
    (7, "permission_denied", "PERMISSION_DENIED", false),
    (8, "resource_exhausted", "RESOURCE_EXHAUSTED", false),
    (13, "internal", "INTERNAL", true),
    (14, "unavailable", "UNAVAILABLE", true),
    (16, "unauthenticated", "UNAUTHENTICATED", false),
];

/// Checks what a span tells of a call that failed in a handler: a server's is to blame for some codes
/// only, a client's failed in any case.
fn check_failure(span: &Span, name: &str, fault: bool) -> Result<()> {
    let failed = fault || span.is_client();
    ensure!(span.text("rpc.response.status_code") == Some(name), "{span:#?}");
    ensure!(span.text("error.type") == failed.then_some(name), "{span:#?}");
    ensure!((span.status == "error") == failed, "{span:#?}");
    ensure!(!failed || span.message.contains("as the client asked"), "{span:#?}");
    Ok(())
}

#[test]
fn both_sides_tell_how_calls_ended() -> Result<()> {
    if !can_trace("both_sides_tell_how_calls_ended") {
        return Ok(());
    }
    with_each(|observed, _| {
        for (code, connect, grpc, fault) in CODES {
            for (protocol, system) in PROTOCOLS {
                for (transport, which, method) in [
                    ("h1", "buy", "gotap.v1.Shop/Buy"),
                    ("h2c", "buy", "gotap.v1.Shop/Buy"),
                    ("h2c", "list", "gotap.v1.Shop/List"),
                    ("copied", "list", "gotap.v1.Shop/List"),
                ] {
                    // Trailers come to the response that was copied, so that gRPC fails.
                    if (protocol, transport) == ("grpc", "copied") {
                        continue;
                    }
                    let path = format!("/call/{protocol}/{transport}/{which}?say=error:{code}");
                    for span in observed.call(&path, &format!("error: {connect}"))? {
                        check_call(&span, system, method).with_context(|| path.clone())?;
                        let name = if system == "grpc" { grpc } else { connect };
                        check_failure(&span, name, fault).with_context(|| path.clone())?;
                    }
                }
            }
        }
        Ok(())
    })
}

#[test]
fn the_span_of_a_stream_lasts_until_it_ends() -> Result<()> {
    if !can_trace("the_span_of_a_stream_lasts_until_it_ends") {
        return Ok(());
    }
    with_each(|observed, _| {
        for (protocol, system) in PROTOCOLS {
            let list = |say, answer| {
                observed.call(&format!("/call/{protocol}/h2c/list?say={say}"), answer)
            };
            let ok = (system == "grpc").then_some("OK");
            for span in list("slow", "ok")? {
                ensure!(span.end - span.start >= 200_000_000, "{protocol}: {span:#?}");
                ensure!(span.text("rpc.response.status_code") == ok, "{protocol}: {span:#?}");
            }
            // All that gRPC says of a stream without messages may stand in the headers.
            for span in list("empty", "ok")? {
                ensure!(span.text("rpc.response.status_code") == ok, "{protocol}: {span:#?}");
                ensure!(span.status == "unset", "{protocol}: {span:#?}");
            }
            let canceled = if system == "grpc" { "CANCELLED" } else { "canceled" };
            let [client, _] = list("wait", "error: canceled")?;
            let told = client.text("rpc.response.status_code");
            ensure!(told == Some(canceled) && client.status == "error", "{protocol}: {client:#?}");
            // Who closes a stream does not ask how it ended.
            let [client, _] = list("stop", "ok")?;
            check_call(&client, system, "gotap.v1.Shop/List")?;
            ensure!(client.text("rpc.response.status_code").is_none(), "{protocol}: {client:#?}");
            ensure!(client.status == "unset", "{protocol}: {client:#?}");
        }
        Ok(())
    })
}

#[test]
fn streams_that_nobody_ends_are_told_when_gotap_stops() -> Result<()> {
    if !can_trace("streams_that_nobody_ends_are_told_when_gotap_stops") {
        return Ok(());
    }
    let program = build(None, Version::of(27))?;
    let (app, _backend) = App::start_pair(&program)?;
    let gotap = Gotap::trace_what("all", &["--error-messages", "--pid", &app.pid().to_string()])?;
    for (n, (protocol, _)) in PROTOCOLS.iter().enumerate() {
        app.get(&format!("/call/{protocol}/h2c/list?say=leave"), &[])?;
        let spans = gotap.wait_for_spans(n + 1)?;
        ensure!(spans.iter().all(Span::is_server), "{}", Span::list(&spans));
    }
    let spans = gotap.stop()?.spans;
    let clients: Vec<_> = spans.iter().filter(|span| span.is_client()).collect();
    ensure!(clients.len() == PROTOCOLS.len(), "{}", Span::list(&spans));
    for (client, (_, system)) in clients.into_iter().zip(PROTOCOLS) {
        check_call(client, system, "gotap.v1.Shop/List")?;
        ensure!(client.text("rpc.response.status_code").is_none(), "{client:#?}");
    }
    Ok(())
}

#[test]
fn open_streams_are_told_when_their_process_ends() -> Result<()> {
    if !can_trace("open_streams_are_told_when_their_process_ends") {
        return Ok(());
    }
    let program = build(None, Version::of(27))?;
    let Observed { app, backend: _backend, gotap } = Observed::start(&program)?;
    app.get("/call/grpc/h2c/list?say=leave", &[])?;
    gotap.wait_for_spans(1)?;
    drop(app);
    let spans = gotap.finish(3)?;
    let client = spans.iter().find(|span| span.is_client()).context(Span::list(&spans))?;
    check_call(client, "grpc", "gotap.v1.Shop/List")?;
    ensure!(client.text("rpc.response.status_code").is_none(), "{client:#?}");
    Ok(())
}

#[test]
fn a_call_has_few_traps_on_each_side() -> Result<()> {
    if !can_trace("a_call_has_few_traps_on_each_side") {
        return Ok(());
    }
    const CALLS: u64 = 20;
    for (dependencies, minor) in BUILDS {
        let program = build(dependencies, Version::of(minor))?;
        // Whose call it is that a stream belongs to can be read since Go 1.21.
        let join = u64::from(minor >= 21);
        for ((protocol, _), others) in PROTOCOLS.into_iter().zip([2, 4, 4]) {
            let client = others + join;
            let (app, backend) = App::start_pair(&program)?;
            let pids = [app.pid().to_string(), backend.pid().to_string()];
            let of_client = Gotap::trace_what("all", &["--error-messages", "--pid", &pids[0]])?;
            let of_server = Gotap::trace_what("all", &["--error-messages", "--pid", &pids[1]])?;
            for _ in 0..CALLS {
                app.get(&format!("/call/{protocol}/h2c/buy"), &[])?;
            }
            of_client.wait_for_spans(2 * usize::try_from(CALLS)?)?;
            of_server.wait_for_spans(usize::try_from(CALLS)?)?;
            let (made, served) = (of_client.stop()?.summary, of_server.stop()?.summary);
            let made_traps = made.trapped(&["client"]);
            ensure!(made_traps == client * CALLS, "{minor}, {protocol}: {:?}", made.traps);
            let served_traps = served.trapped(&["server"]);
            ensure!(served_traps <= 4 * CALLS, "{minor}, {protocol}: {:?}", served.traps);
        }
    }
    Ok(())
}

#[test]
fn other_requests_to_a_program_with_connect_stay_requests() -> Result<()> {
    if !can_trace("other_requests_to_a_program_with_connect_stay_requests") {
        return Ok(());
    }
    const JSON: (&str, &str) = ("Content-Type", "application/json");
    with_each(|observed, _| {
        for (path, headers) in [
            ("/gotap.v1.Shop/Nothing", &[JSON][..]),
            ("/plain.v1.Thing/Do", &[JSON]),
            ("/gotap.v1.Shop/Buy", &[("Content-Type", "text/plain")]),
            ("/gotap.v1.Shop/Buy", &[]),
        ] {
            let span = observed.post(path, headers)?;
            ensure!(span.name.starts_with("POST"), "{path}: {span:#?}");
            ensure!(span.attributes.keys().all(|key| !key.starts_with("rpc.")), "{span:#?}");
        }
        // Among so many headers that their map has several groups, wherever it lies in them.
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
        let names: Vec<_> = (0..40).map(|i| format!("X-Header-{i}")).collect();
        for count in [0, 6, 7, 20, 40] {
            let mut headers: Vec<_> =
                names.iter().take(count).map(|name| (name.as_str(), "x")).collect();
            headers.insert(count / 2, ("CONTENT-TYPE", "Application/JSON; charset=utf-8"));
            headers.push(("traceparent", &traceparent));
            let span = observed.post("/gotap.v1.Shop/Buy", &headers)?;
            check_call(&span, "connectrpc", "gotap.v1.Shop/Buy")?;
            ensure!(span.trace_id == trace && span.parent == "remote", "{count}: {span:#?}");
        }
        Ok(())
    })
}
