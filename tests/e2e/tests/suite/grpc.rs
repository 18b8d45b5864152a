//! gRPC calls that are served: what their spans say, in each way to serve them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span, can_trace};
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Versions of gRPC, by the list of dependencies that names them, and of Go.
const BUILDS: [(Option<&str>, u32); 6] = [
    (Some("oldest"), 18),
    (Some("older"), 18),
    (Some("old"), 18),
    (Some("mid"), 21),
    (Some("late"), 24),
    (None, 27),
];

/// Runs `test` with each build, and names those that failed.
pub fn with_each(test: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for (dependencies, minor) in BUILDS {
        let version = Version::of(minor);
        let result = App::build_grpc(dependencies, version).and_then(|program| test(&program));
        if let Err(error) = result {
            let name = dependencies.unwrap_or("newest");
            failures.push(format!("Go {version}, {name} gRPC: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// A service and the one that it calls.
pub struct Pair {
    /// The one that is observed.
    pub app: App,
    /// Its backend.
    pub backend: App,
}

impl Pair {
    /// Starts both, the first with these flags.
    pub fn start(program: &Path, flags: &[&str]) -> Result<Self> {
        let backend = App::start(program)?;
        let arguments = [flags, &["-backend", &backend.address]].concat();
        Ok(Self { app: App::start_with(program, &arguments, &[])?, backend })
    }

    /// Makes the calls that `arguments` name; gives what the client printed.
    pub fn call(&self, program: &Path, arguments: &[&str]) -> Result<Vec<String>> {
        call(program, &self.app.address, arguments)
    }
}

/// Lets a client make calls.
pub fn call(program: &Path, to: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let arguments = [&["-client", "-to", to], arguments].concat();
    let mut client = Running::start(program, &arguments, &[])?;
    ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
    Ok(client.stdout())
}

/// What each case is called, the code that its server span has, and its message.
const CASES: [(&str, &str, &str, &str); 12] = [
    ("say:hello", "gotap.test.Echo/Say", "OK", ""),
    ("say:error:NotFound", "gotap.test.Echo/Say", "NOT_FOUND", ""),
    ("say:error:Internal", "gotap.test.Echo/Say", "INTERNAL", "no such thing"),
    ("say:error:Unavailable", "gotap.test.Echo/Say", "UNAVAILABLE", "no such thing"),
    ("say:plain", "gotap.test.Echo/Say", "UNKNOWN", "plain error"),
    ("say:panic", "gotap.test.Echo/Say", "INTERNAL", "panic: as the client asked"),
    ("collect", "gotap.test.Echo/Collect", "OK", ""),
    ("repeat", "gotap.test.Echo/Repeat", "OK", ""),
    ("repeat:fail", "gotap.test.Echo/Repeat", "ABORTED", ""),
    ("chat", "gotap.test.Echo/Chat", "OK", ""),
    ("health", "grpc.health.v1.Health/Check", "OK", ""),
    ("unknown", "grpc", "UNIMPLEMENTED", "unknown method None for service gotap.test.Echo"),
];

#[test]
fn each_sort_of_call_is_told() -> Result<()> {
    if !can_trace("each_sort_of_call_is_told") {
        return Ok(());
    }
    with_each(|program| {
        for flags in [&[][..], &["-workers", "2"], &["-serve-http"], &["-spawn"]] {
            each_case(program, flags).with_context(|| format!("{flags:?}"))?;
        }
        Ok(())
    })
}

fn each_case(program: &Path, flags: &[&str]) -> Result<()> {
    let pair = Pair::start(program, flags)?;
    // Texts that may quote data are told only where that is asked for.
    let told = flags.is_empty();
    let pid = pair.app.pid().to_string();
    let all = ["--pid", &pid, "--error-messages"];
    let gotap = Gotap::trace_what("all", if told { &all } else { &all[..2] })?;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let mut arguments = vec!["-traceparent", &traceparent, "-tracestate", "vendor=a,other=b"];
    arguments.extend(CASES.map(|(case, ..)| case));
    pair.call(program, &arguments)?;
    let mut spans = gotap.finish(CASES.len())?;
    spans.sort_by_key(|span| span.start);
    for (span, (case, name, code, message)) in spans.iter().zip(CASES) {
        let message = if told { message } else { "" };
        let checked = check_server(span, &pair.app, name, code, message);
        checked.with_context(|| format!("{case}: {span:#?}"))?;
        let http = flags == ["-serve-http"];
        ensure!(span.text("http.request.method").is_some() == http, "{case}: {span:#?}");
    }
    Ok(())
}

fn check_server(span: &Span, app: &App, name: &str, code: &str, message: &str) -> Result<()> {
    ensure!(span.is_server() && span.name == name, "name");
    ensure!(span.text("rpc.system.name") == Some("grpc"), "system");
    let method = if name == "grpc" { "_OTHER" } else { name };
    ensure!(span.text("rpc.method") == Some(method), "method");
    ensure!(span.text("rpc.response.status_code") == Some(code), "code");
    let failed = !["OK", "NOT_FOUND", "ABORTED"].contains(&code);
    ensure!(span.status == if failed { "error" } else { "unset" }, "outcome");
    ensure!(span.text("error.type") == failed.then_some(code), "error type");
    ensure!(span.message == message, "message");
    ensure!(span.text("network.peer.address") == Some("127.0.0.1"), "peer");
    ensure!(span.int("network.peer.port").is_some_and(|port| port > 0), "peer port");
    ensure!(span.text("server.address") == Some("127.0.0.1"), "address");
    ensure!(span.int("server.port") == Some(app.port()?.into()), "port");
    let parent = (span.trace_id.as_str(), span.parent_span_id.as_str(), span.parent.as_str());
    ensure!(parent == (TRACE, CALLER, "remote"), "parent {parent:?}");
    ensure!(span.trace_state == "vendor=a,other=b", "trace state");
    Ok(())
}

/// Without metadata there is a new trace; with a deadline the call's context has a timer.
#[test]
fn each_way_to_a_grpc_call_has_its_parent() -> Result<()> {
    if !can_trace("each_way_to_a_grpc_call_has_its_parent") {
        return Ok(());
    }
    const WAYS: [(&str, &str); 6] = [
        ("same", "context"),
        ("noctx", "goroutine"),
        ("go", "ancestor"),
        ("deep", "ancestor"),
        ("ctx-pool", "context"),
        ("noctx-pool", "none"),
    ];
    with_each(|program| {
        for flags in [&[][..], &["-workers", "2"], &["-serve-http"], &["-spawn"]] {
            let pair = Pair::start(program, flags)?;
            let gotap = Gotap::trace_what("grpc", &["--pid", &pair.app.pid().to_string()])?;
            let limits = [&[][..], &["-deadline", "20s"]];
            let ways = limits.iter().flat_map(|limit| WAYS.iter().map(move |way| (limit, way)));
            for (i, (limit, (way, how))) in ways.enumerate() {
                // An interceptor's goroutine serves nothing itself.
                let spawned = flags == ["-spawn"] && *how == "goroutine";
                let how = if spawned { &"ancestor" } else { how };
                pair.call(program, &[limit, &[&*format!("say:call:{way}")][..]].concat())?;
                let spans = gotap.wait_for_spans(2 * i + 2)?;
                let what = || format!("{flags:?} {limit:?} {way}:\n{}", Span::list(&spans));
                let [client, server] = &spans[2 * i..] else { anyhow::bail!(what()) };
                ensure!(server.is_server() && server.parent == "none", what());
                ensure!(client.is_client() && client.parent == *how, what());
                ensure!(client.is_child_of(server) != (*how == "none"), what());
                check_client(client, &pair.backend).with_context(what)?;
            }
            gotap.finish(2 * limits.len() * WAYS.len())?;
        }
        Ok(())
    })
}

fn check_client(span: &Span, backend: &App) -> Result<()> {
    ensure!(span.name == "gotap.test.Echo/Say" && span.status == "unset", "{span:#?}");
    ensure!(span.text("rpc.response.status_code") == Some("OK"), "{span:#?}");
    ensure!(span.text("server.address") == Some("127.0.0.1"), "{span:#?}");
    ensure!(span.int("server.port") == Some(backend.port()?.into()), "{span:#?}");
    ensure!(span.int("network.peer.port") == Some(backend.port()?.into()), "{span:#?}");
    Ok(())
}
