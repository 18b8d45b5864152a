//! Both ends of a call between observed processes are in one trace, without a header: each call has a path or
//! a method that no other one has, which says which two spans belong together.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Ended, Gotap, Load, Namespace, Proxy, SOON, Span, can_trace};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::process::Running;

/// Calls of each test, from so many connections.
const CALLS: u64 = 1_984;
const CONNECTIONS: usize = 64;

/// Traces both processes.
fn trace_both(app: &App, backend: &App) -> Result<Gotap> {
    let pids = [app.pid().to_string(), backend.pid().to_string()];
    Gotap::trace_what("all", &["--pid", &pids[0], "--pid", &pids[1]])
}

/// Checks each call's two spans, told by what `name` gives of both. At least 999 of 1,000 are joined, and none
/// with another call.
fn check_pairs(ended: &Ended, name: impl Fn(&Span) -> Option<String>) -> Result<()> {
    let mut calls = HashMap::new();
    for span in ended.spans.iter().filter(|span| span.is_client()) {
        let name = name(span).with_context(|| format!("{span:#?}"))?;
        ensure!(calls.insert(name, span).is_none(), "two calls: {span:#?}");
    }
    ensure!(calls.len() as u64 == CALLS, "{} calls", calls.len());
    let (mut joined, mut named, mut alone) = (0, 0, Vec::new());
    for span in ended.spans.iter().filter(|span| span.is_server()) {
        let Some(call) = name(span).and_then(|name| calls.get(&name)) else { continue };
        if span.parent == "connection" {
            ensure!(span.is_child_of(call), "a wrong parent: {span:#?}, {call:#?}");
            joined += 1;
            let service = span.resource.get("service.name").and_then(|name| name.as_str());
            let peer = call.text("service.peer.name");
            ensure!(peer.is_none() || peer == service, "a wrong peer: {span:#?}, {call:#?}");
            named += u64::from(peer.is_some());
        } else {
            ensure!(span.parent == "none", "{span:#?}");
            alone.push(span);
        }
    }
    ensure!(joined + alone.len() as u64 == CALLS, "{joined} joined, {} not", alone.len());
    // Of a call that ends before its request it is not known who served it.
    ensure!(named * 10 >= joined * 9, "of {joined} calls {named} name their peer");
    let enough = joined * 1_000 >= CALLS * 999;
    ensure!(enough, "{joined} joined: {:?}, such as {:#?}", ended.summary, alone.first());
    Ok(())
}

/// The path of a call of httpapp's `numbered`.
fn numbered_path(span: &Span) -> Option<String> {
    let path = match span.text("url.path") {
        Some(path) => path.to_owned(),
        None => span.text("url.full")?.splitn(4, '/').nth(3).map(|path| format!("/{path}"))?,
    };
    path.starts_with("/missing/").then_some(path)
}

/// One more trap for each call that is made, and none for one that is served.
fn check_traps(ended: &Ended, sites: &[&str]) -> Result<()> {
    let traps: u64 = sites.iter().map(|site| ended.summary.traps.get(*site).unwrap_or(&0)).sum();
    ensure!((CALLS..CALLS + CALLS / 10).contains(&traps), "{:?}", ended.summary.traps);
    Ok(())
}

fn http(program: &Path, scheme: &str, flags: &[&str]) -> Result<()> {
    let backend = App::start_with(program, flags, &[])?;
    let url = format!("{scheme}://{}", backend.address);
    // Its own side speaks HTTP/1 to the load.
    let speaks: &[&str] = match flags {
        ["-tls", "-h2"] => &["-h2"],
        ["-h2c"] => &["-h2c-calls"],
        _ => &[],
    };
    let app = App::start_with(program, &[speaks, &["-backend", &url]].concat(), &[])?;
    let gotap = trace_both(&app, &backend)?;
    let load = Load::send(&app.address, "/call/numbered", CONNECTIONS, CALLS)?;
    ensure!(load.answered == CALLS, "{load:?}");
    gotap.wait_for_spans(3 * CALLS as usize)?;
    let ended = gotap.stop()?;
    check_pairs(&ended, numbered_path)?;
    check_traps(&ended, &["http_client_join", "http2_client_join"])
}

#[test]
fn http_calls_under_load_join_what_serves_them() -> Result<()> {
    if !can_trace("http_calls_under_load_join_what_serves_them") {
        return Ok(());
    }
    let ways: [(u32, &str, &[&str]); 6] = [
        (18, "http", &[]),
        (27, "http", &[]),
        (24, "https", &["-tls"]),
        (21, "https", &["-tls", "-h2"]),
        (27, "https", &["-tls", "-h2"]),
        (27, "http", &["-h2c"]),
    ];
    for (minor, scheme, flags) in ways {
        let version = Version::of(minor);
        let program = App::build(version, Mode::Plain)?;
        http(&program, scheme, flags).with_context(|| format!("Go {version}, {flags:?}"))?;
    }
    Ok(())
}

#[test]
fn grpc_calls_under_load_join_what_serves_them() -> Result<()> {
    if !can_trace("grpc_calls_under_load_join_what_serves_them") {
        return Ok(());
    }
    for (dependencies, minor) in [(Some("mid"), 21), (Some("late"), 24), (None, 27)] {
        let program = App::build_grpc(dependencies, Version::of(minor))?;
        grpc(&program).with_context(|| dependencies.unwrap_or("newest"))?;
    }
    Ok(())
}

fn grpc(program: &Path) -> Result<()> {
    let methods = (CALLS + CONNECTIONS as u64).to_string();
    let backend = App::start_with(program, &["-methods", &methods], &[])?;
    let app = App::start_with(program, &["-backend", &backend.address], &[])?;
    let gotap = trace_both(&app, &backend)?;
    let (parallel, each) =
        (CONNECTIONS.to_string(), CALLS.div_ceil(CONNECTIONS as u64).to_string());
    let arguments = ["-client", "-to", &app.address, "-parallel", &parallel, "-count", &each];
    let arguments = [&arguments, &["say:call:numbered"][..]].concat();
    let mut client = Running::start(program, &arguments, &[])?;
    ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
    println!("{:?}", client.stdout());
    gotap.wait_for_spans(3 * CALLS as usize)?;
    let ended = gotap.stop()?;
    let numbered = |span: &Span| {
        let name = span.name.strip_prefix("gotap.test.Echo/")?;
        name.starts_with('M').then(|| name.to_owned())
    };
    check_pairs(&ended, numbered)?;
    check_traps(&ended, &["grpc_client_join"])
}

/// What ends TCP in between has connections of its own: nothing is joined through it.
#[test]
fn nothing_is_joined_through_a_relay() -> Result<()> {
    if !can_trace("nothing_is_joined_through_a_relay") {
        return Ok(());
    }
    let program = App::newest()?;
    let backend = App::start(&program)?;
    let mut relay = Proxy::new()?;
    relay.up(&backend.address)?;
    let app = App::start_with(&program, &["-backend", &relay.endpoint()], &[])?;
    let gotap = trace_both(&app, &backend)?;
    for _ in 0..3 {
        app.get("/call/numbered", &[])?;
    }
    let spans = gotap.finish(9)?;
    ensure!(
        spans.iter().filter(|span| span.parent == "none").count() == 6,
        "{}",
        Span::list(&spans)
    );
    ensure!(spans.iter().all(|span| span.parent != "connection"), "{}", Span::list(&spans));
    Ok(())
}

/// The other end may be in a network namespace of its own, under an address that the first one does not have.
#[test]
fn calls_between_network_namespaces_are_joined() -> Result<()> {
    if !can_trace("calls_between_network_namespaces_are_joined") {
        return Ok(());
    }
    let program = App::newest()?;
    let other = Namespace::new()?;
    let backend = other.start(&program)?;
    let app =
        App::start_with(&program, &["-backend", &format!("http://{}", backend.address)], &[])?;
    let gotap = trace_both(&app, &backend)?;
    for _ in 0..3 {
        app.get("/call/numbered", &[])?;
    }
    let spans = gotap.finish(9)?;
    let joined = spans.iter().filter(|span| span.parent == "connection").count();
    ensure!(joined == 3, "{}", Span::list(&spans));
    let traces: HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    ensure!(traces.len() == 3, "{}", Span::list(&spans));
    Ok(())
}

/// Neither end sees the other's address, as behind a Kubernetes service.
#[test]
fn calls_through_translated_addresses_are_joined() -> Result<()> {
    if !can_trace("calls_through_translated_addresses_are_joined") {
        return Ok(());
    }
    let program = App::newest()?;
    let other = Namespace::new()?;
    let backend = other.start(&program)?;
    other.translate(80, &backend.address, "10.213.0.9")?;
    let app =
        App::start_with(&program, &["-backend", &format!("http://{}:80", other.address())], &[])?;
    let gotap = trace_both(&app, &backend)?;
    for _ in 0..3 {
        app.get("/call/numbered", &[])?;
    }
    let spans = gotap.finish(9)?;
    let joined: Vec<_> = spans.iter().filter(|span| span.parent == "connection").collect();
    ensure!(joined.len() == 3, "{}", Span::list(&spans));
    let seen = joined.iter().all(|span| span.text("network.peer.address") == Some("10.213.0.9"));
    ensure!(seen, "{}", Span::list(&spans));
    let traces: HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    ensure!(traces.len() == 3, "{}", Span::list(&spans));
    Ok(())
}
