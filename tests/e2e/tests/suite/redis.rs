//! What programs ask Redis for, through several libraries: real servers, old and new versions of the
//! libraries and of Go. Here is what the libraries have in common, and go-redis; clusters and redigo
//! have files of their own.

mod cluster;
mod redigo;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::redis::{MASTER, Redis};

/// Versions of the libraries, by the list of dependencies that names them, and of Go.
const BUILDS: [(Option<&str>, u32); 2] = [(Some("old"), 18), (None, 27)];

/// What clients ask for themselves, to find servers and whether they live.
const OF_CLIENTS: [&str; 4] = ["CLUSTER", "COMMAND", "PING", "SENTINEL"];

/// A client of the program, and what is to be told of it.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) name: &'a str,
    /// Where it sends to, unless it is not known.
    pub(crate) port: Option<u16>,
    pub(crate) namespace: Option<&'a str>,
    /// How parents are found where the context knows them.
    pub(crate) parent: &'a str,
}

/// Runs `test` with each build, and names those that failed.
pub(crate) fn with_each(
    arguments: &[&str],
    test: impl Fn(&App, &Gotap) -> Result<()>,
) -> Result<()> {
    let mut failures = Vec::new();
    for (dependencies, minor) in BUILDS {
        let version = Version::of(minor);
        let program = match dependencies {
            Some(name) => go::build_with("redisapp", name, version, Mode::Plain),
            None => go::build("redisapp", version, Mode::Plain),
        };
        let result = program.and_then(|program| observe(&program, arguments, &test));
        if let Err(error) = result {
            let name = dependencies.unwrap_or("newest");
            failures.push(format!("Go {version}, {name} libraries: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn observe(
    program: &Path,
    arguments: &[&str],
    test: impl Fn(&App, &Gotap) -> Result<()>,
) -> Result<()> {
    let app = App::start_with(program, arguments, &[])?;
    let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
    test(&app, &gotap)?;
    let ended = gotap.stop()?;
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    let secrets = ended.spans.iter().filter(|span| span.is_client());
    let printed = format!("{:?}", secrets.collect::<Vec<_>>());
    ensure!(!printed.contains("secret"), "a key, a value or a password was told");
    Ok(())
}

/// The client spans of a case, which are children of the request's.
pub(crate) fn asked(
    gotap: &Gotap,
    app: &App,
    client: &Client<'_>,
    case: &str,
) -> Result<Vec<Span>> {
    let path = format!("/{}/{case}", client.name);
    let before = gotap.spans()?.len();
    let answer = app.get(&path, &[])?;
    // What a cluster's client does meanwhile may come after the server's span.
    let mut wanted = before + 1;
    let (spans, server) = loop {
        gotap.wait_for_lines(wanted)?;
        let spans = gotap.wait_for_spans(wanted)?.split_off(before);
        let server = spans.iter().find(|span| span.is_server()).cloned();
        match server {
            Some(server) => break (spans, server),
            None => wanted = before + spans.len() + 1,
        }
    };
    ensure!(server.target() == path, "{answer:?}: {}", Span::list(&spans));
    let clients = spans
        .into_iter()
        .filter(|span| span.is_client() && !OF_CLIENTS.contains(&span.name.as_str()));
    let clients: Vec<_> = clients.collect();
    for span in &clients {
        ensure!(span.is_child_of(&server), "{path}: {span:#?}");
        ensure!(server.start <= span.start && span.end <= server.end, "{path}: {span:#?}");
        ensure!(span.text("db.system.name") == Some("redis"), "{path}: {span:#?}");
        let operation = (span.name != "redis").then_some(span.name.as_str());
        ensure!(span.text("db.operation.name") == operation, "{path}: {span:#?}");
    }
    Ok(clients)
}

/// The only span of a case.
pub(crate) fn asked_once(
    gotap: &Gotap,
    app: &App,
    client: &Client<'_>,
    case: &str,
) -> Result<Span> {
    let spans = asked(gotap, app, client, case)?;
    let [span] = &spans[..] else { bail!("{}/{case}: {}", client.name, Span::list(&spans)) };
    Ok(span.clone())
}

pub(crate) fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn check_place(client: &Client<'_>, span: &Span) -> Result<()> {
    ensure!(span.int("server.port") == client.port.map(Into::into), "port: {span:#?}");
    let address = client.port.map(|_| "127.0.0.1");
    ensure!(span.text("server.address") == address, "address: {span:#?}");
    ensure!(span.text("db.namespace") == client.namespace, "namespace: {span:#?}");
    Ok(())
}

/// That an operation went well.
pub(crate) fn check_done(
    client: &Client<'_>,
    span: &Span,
    name: &str,
    size: Option<i64>,
) -> Result<()> {
    ensure!(span.name == name, "name: {span:#?}");
    ensure!(span.status == "unset" && span.text("error.type").is_none(), "outcome: {span:#?}");
    ensure!(span.text("db.response.status_code").is_none(), "outcome: {span:#?}");
    ensure!(span.int("db.operation.batch.size") == size, "size: {span:#?}");
    check_place(client, span)
}

/// That the server answered an operation with an error.
pub(crate) fn check_failed(client: &Client<'_>, span: &Span, name: &str, code: &str) -> Result<()> {
    ensure!(span.name == name, "name: {span:#?}");
    ensure!(span.status == "error" && span.message.is_empty(), "status: {span:#?}");
    ensure!(span.text("db.response.status_code") == Some(code), "code: {span:#?}");
    ensure!(span.text("error.type") == Some(code), "type: {span:#?}");
    check_place(client, span)
}

pub(crate) fn commands(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    asked(gotap, app, client, "set")?; // the first one may need more: clusters are explored
    for (case, name, parent) in [
        ("set", "SET", client.parent),
        ("get", "GET", client.parent),
        ("nil", "GET", client.parent),
        ("mget", "MGET", client.parent),
        ("publish", "PUBLISH", client.parent),
        ("do", "GET", client.parent),
        ("bytes", "SET", client.parent),
        ("large", "DEL", client.parent),
        ("block", "BLPOP", client.parent),
        ("go", "GET", "ancestor"),
        ("noctx", "GET", "goroutine"),
    ] {
        let mut span = asked_once(gotap, app, client, case)?;
        if case == "publish" && client.name.starts_with("cluster") {
            // Any node takes it.
            span.attributes.insert("server.port".into(), client.port.into());
        }
        let checked = check_done(client, &span, name, None);
        checked.with_context(|| format!("{}/{case}", client.name))?;
        ensure!(span.parent == parent, "{}/{case}: {span:#?}", client.name);
    }
    Ok(())
}

pub(crate) fn errors(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    let span = asked_once(gotap, app, client, "unknown")?;
    check_failed(client, &span, "NONSENSE", "ERR")?;
    let spans = asked(gotap, app, client, "wrongtype")?;
    let [push, incr] = &spans[..] else { bail!("wrongtype: {}", Span::list(&spans)) };
    check_done(client, push, "RPUSH", None)?;
    check_failed(client, incr, "INCR", "WRONGTYPE")
}

/// What ends in the program, and not by an answer.
fn given_up(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    for (case, name) in [("timeout", "BLPOP"), ("canceled", "GET")] {
        // A time-out may be tried again, and each attempt is one.
        let spans = asked(gotap, app, client, case)?;
        ensure!(!spans.is_empty(), "{case}: nothing told");
        for span in spans {
            ensure!(span.name == name && span.status == "error", "{case}: {span:#?}");
            ensure!(span.text("error.type").is_some(), "{case}: {span:#?}");
            ensure!(span.text("db.response.status_code").is_none(), "{case}: {span:#?}");
            check_place(client, &span)?;
        }
    }
    let spans = asked(gotap, app, client, "nowhere")?;
    ensure!(!spans.is_empty(), "nothing told of a server that does not run");
    for span in spans {
        ensure!(span.name == "GET" && span.status == "error", "{span:#?}");
        check_place(&Client { port: Some(1), ..*client }, &span)?;
        check_refused(&span)?;
    }
    Ok(())
}

fn check_refused(span: &Span) -> Result<()> {
    ensure!(span.text("error.type") == Some("*net.OpError"), "{span:#?}");
    ensure!(span.message == "connection refused", "{span:#?}");
    Ok(())
}

/// The number of a system error lies elsewhere in each program, and far away in these.
#[test]
fn a_server_that_refuses_is_named_in_position_independent_programs() -> Result<()> {
    if !can_trace("a_server_that_refuses_is_named_in_position_independent_programs") {
        return Ok(());
    }
    let server = Redis::start()?;
    let program = go::build("redisapp", Version::of(27), Mode::Pie)?;
    let app = App::start_with(&program, &["-redis", &server.address()], &[])?;
    let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
    for name in ["v8", "v9"] {
        let client = Client { name, port: Some(1), namespace: Some("0"), parent: "context" };
        let spans = asked(&gotap, &app, &client, "nowhere")?;
        ensure!(!spans.is_empty(), "{name}: nothing told");
        spans.iter().try_for_each(check_refused).with_context(|| name.to_owned())?;
    }
    gotap.end()
}

/// Pipelines and transactions.
pub(crate) fn batches_sent(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    for (case, name) in [("pipeline", "PIPELINE"), ("tx", "MULTI")] {
        let span = asked_once(gotap, app, client, case)?;
        check_done(client, &span, name, Some(2)).with_context(|| case.to_owned())?;
        ensure!(span.parent == client.parent, "{case}: {span:#?}");
    }
    for (case, name) in [("badpipeline", "PIPELINE"), ("badtx", "MULTI")] {
        let span = asked_once(gotap, app, client, case)?;
        check_failed(client, &span, name, "ERR").with_context(|| case.to_owned())?;
        ensure!(span.int("db.operation.batch.size") == Some(3), "{case}: {span:#?}");
    }
    Ok(())
}

fn batches(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    batches_sent(client, app, gotap)?;
    let spans = asked(gotap, app, client, "watch")?;
    let expected = ["WATCH", "GET", "MULTI", "UNWATCH"];
    // Newer versions know that nothing is watched any more.
    ensure!(names(&spans) == expected || names(&spans) == expected[..3], "{}", Span::list(&spans));
    for span in &spans {
        check_place(client, span)?;
    }
    Ok(())
}

/// Setting up a connection, which goes by with a password, is part of what needs it.
fn connections(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    let span = asked_once(gotap, app, client, "fresh")?;
    check_done(&Client { namespace: Some("2"), ..*client }, &span, "GET", None)?;
    let spans = asked(gotap, app, client, "listen")?;
    ensure!(names(&spans) == ["PUBLISH"], "{}", Span::list(&spans));
    Ok(())
}

#[test]
fn go_redis_is_told() -> Result<()> {
    if !can_trace("go_redis_is_told") {
        return Ok(());
    }
    let server = Redis::start()?;
    with_each(&["-redis", &server.address()], |app, gotap| {
        for name in ["v8", "v9"] {
            let port = Some(server.port());
            let client = Client { name, port, namespace: Some("0"), parent: "context" };
            commands(&client, app, gotap)
                .and_then(|()| errors(&client, app, gotap))
                .and_then(|()| batches(&client, app, gotap))
                .and_then(|()| connections(&client, app, gotap))
                .and_then(|()| given_up(&client, app, gotap))
                .with_context(|| name.to_owned())?;
        }
        Ok(())
    })
}

#[test]
fn redis_shards_are_told() -> Result<()> {
    if !can_trace("redis_shards_are_told") {
        return Ok(());
    }
    let server = Redis::start()?;
    with_each(&["-redis", &server.address()], |app, gotap| {
        for name in ["ring8", "ring9"] {
            let port = Some(server.port());
            let client = Client { name, port, namespace: Some("0"), parent: "context" };
            asked(gotap, app, &client, "set")?;
            check_done(&client, &asked_once(gotap, app, &client, "get")?, "GET", None)?;
        }
        Ok(())
    })
}

#[test]
fn redis_behind_a_sentinel_is_told() -> Result<()> {
    if !can_trace("redis_behind_a_sentinel_is_told") {
        return Ok(());
    }
    let server = Redis::start()?;
    let sentinel = Redis::start_sentinel(&server)?;
    let sentinels = format!("{},{MASTER}", sentinel.address());
    with_each(&["-sentinel", &sentinels], |app, gotap| {
        for name in ["sentinel8", "sentinel9"] {
            // Which server it is, the client's options do not say.
            let client = Client { name, port: None, namespace: Some("0"), parent: "context" };
            asked(gotap, app, &client, "set")?;
            check_done(&client, &asked_once(gotap, app, &client, "get")?, "GET", None)?;
            check_done(&client, &asked_once(gotap, app, &client, "tx")?, "MULTI", Some(2))?;
        }
        Ok(())
    })
}
