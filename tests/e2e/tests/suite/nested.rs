//! Requests within a request: HTTP, which calls gRPC, which asks PostgreSQL and Redis, all in one
//! process and 64 at a time. Every span has the parent that it must have, and there is no other span.
//!
//! Each operation carries its request's number in what its span says, but for those whose number of
//! commands says which it is: so parents are checked against what the program did, and not against
//! what gotap believes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use gotap_e2e::{App, Gotap, SOON, Span, can_trace, eventually, now};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::Connection;
use gotap_testkit::postgres::Postgres;
use gotap_testkit::redis::Redis;

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 10;
const REQUESTS: usize = CONNECTIONS * ROUNDS;

/// The list of dependencies that names versions of libraries, the version of Go, and flags.
type Build<'a> = (Option<&'a str>, u32, &'a [&'a str]);
const BUILDS: [Build<'_>; 3] =
    [(Some("mid"), 24, &[]), (None, 27, &[]), (None, 27, &["-workers", "8"])];

const METHOD: &str = "gotap.test.Nested/Ask";

/// From where all four ways to ask are gone, the size of the pipeline, and how the parent is found.
type Place = (&'static str, i64, &'static str);

const OF_GRPC: [Place; 6] = [
    ("same", 2, "context"),
    ("bare", 3, "goroutine"),
    ("group", 11, "context"),
    ("go", 4, "ancestor"),
    ("deep", 5, "ancestor"),
    ("worker", 6, "context"),
];

const OF_HTTP: [Place; 3] =
    [("http_same", 8, "context"), ("http_bare", 9, "goroutine"), ("http_go", 10, "ancestor")];

const OF_NOBODY: [Place; 1] = [("lone", 7, "none")];

/// What becomes of the trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The client sends none.
    Plain,
    /// The client sends one, and the program none to its gRPC service.
    Kept,
    /// The program sends it along.
    Forwarded,
}

/// The way of a request. There are not as many as would divide the number of connections.
fn way_of(id: usize) -> Way {
    [Way::Plain, Way::Kept, Way::Forwarded][id % 3]
}

#[test]
fn nested_requests_have_right_parents_throughout() -> Result<()> {
    if !can_trace("nested_requests_have_right_parents_throughout") {
        return Ok(());
    }
    let mut failures = Vec::new();
    for build in BUILDS {
        if let Err(error) = observe(build) {
            failures.push(format!("{build:?}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn observe((dependencies, minor, flags): Build<'_>) -> Result<()> {
    let version = Version::of(minor);
    let program = match dependencies {
        Some(name) => go::build_with("nestedapp", name, version, Mode::Plain)?,
        None => go::build("nestedapp", version, Mode::Plain)?,
    };
    let (postgres, redis) = (Postgres::start()?, Redis::start()?);
    let (dsn, address) = (postgres.dsn(), redis.address());
    let arguments = [&["-dsn", &dsn, "-redis", &address], flags].concat();
    let app = App::start_with(&program, &arguments, &[])?;
    let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
    // Distinguishes runs, should spans of another one ever show up.
    let run = now();
    let per_request = 2
        + expected(&OF_GRPC, &IN_GRPC).len()
        + expected(&OF_HTTP, &IN_HTTP).len()
        + expected(&OF_NOBODY, &[]).len();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(app.connect()?);
    }
    for round in 0..ROUNDS {
        send_all(&mut connections, round, run)?;
        // A gotap that is slower than the program must not lose any. What never comes is named below.
        let wanted = (round + 1) * CONNECTIONS * per_request;
        eventually(SOON / 4, || gotap.process.stdout().len() >= wanted);
    }
    std::thread::sleep(Duration::from_millis(200));
    let ended = gotap.stop()?;
    let (spans, summary) = (ended.spans, ended.summary);
    let wanted = REQUESTS * per_request;
    ensure!(summary.dropped.is_empty(), "{summary:?}");
    ensure!(!format!("{spans:?}").contains("secret"), "a key or a value was told");
    let wrong = Found::new(run, &spans)?.wrong();
    ensure!(
        wrong.is_empty(),
        "{} things are wrong, such as\n{}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n")
    );
    ensure!(spans.len() == wanted, "{} spans instead of {wanted}", spans.len());
    Ok(())
}

/// Sends the requests of a round at once, each on its connection.
fn send_all(connections: &mut [Connection], round: usize, run: u64) -> Result<()> {
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (place, connection) in connections.iter_mut().enumerate() {
            let id = round * CONNECTIONS + place;
            threads.push(scope.spawn(move || send(connection, id, run)));
        }
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
    })
}

fn send(connection: &mut Connection, id: usize, run: u64) -> Result<()> {
    let traceparent = format!("00-{}-{}-01", trace_id(run, id), caller(id));
    let headers = [("traceparent", traceparent.as_str())];
    let headers = if way_of(id) == Way::Plain { &[][..] } else { &headers };
    let response = connection.get(&path(id), headers)?;
    ensure!(response.status == 200, "{}: {response:?}", path(id));
    Ok(())
}

fn path(id: usize) -> String {
    let handler = if way_of(id) == Way::Forwarded { "forward" } else { "nested" };
    format!("/{handler}/{id}")
}

fn trace_id(run: u64, id: usize) -> String {
    format!("{run:016x}{:016x}", id + 1)
}

/// The span of the client that sends a request.
fn caller(id: usize) -> String {
    format!("{:016x}", id + 1)
}

/// An operation without its request's number, and how its parent is found.
type Operation = (String, String);

const IN_GRPC: [(&str, &str); 2] = [("GET", "context"), ("last_sql", "goroutine")];
const IN_HTTP: [(&str, &str); 1] = [(METHOD, "context")];

/// What is asked from these places, and these others; sorted.
fn expected(places: &[Place], others: &[(&str, &str)]) -> Vec<Operation> {
    let others = others.iter().map(|(key, how)| ((*key).to_owned(), (*how).to_owned()));
    let mut all: Vec<Operation> = others.collect();
    for (place, size, how) in places {
        for key in ["sql", "pgx", "redis"].map(|way| format!("{place}_{way}")) {
            all.push((key, (*how).to_owned()));
        }
        all.push((format!("PIPELINE of {size}"), (*how).to_owned()));
    }
    all.sort();
    all
}

/// The request's number, where the operation says it, and the rest of what it says.
fn tag_of(span: &Span) -> Result<(Option<usize>, String)> {
    if let Some(size) = span.int("db.operation.batch.size") {
        return Ok((None, format!("{} of {size}", span.name)));
    }
    let alias = span.text("db.query.text").and_then(|text| text.strip_prefix("SELECT name AS "));
    let alias = alias.and_then(|text| text.strip_suffix(" FROM things WHERE id = $1"));
    let tag = alias.unwrap_or(&span.name).to_ascii_lowercase();
    let Some((id, key)) = tag.strip_prefix('n').and_then(|tag| tag.split_once('_')) else {
        return Ok((None, span.name.clone()));
    };
    let id: usize = id.parse().with_context(|| format!("{span:#?}"))?;
    ensure!(id < REQUESTS, "{span:#?}");
    Ok((Some(id), key.to_owned()))
}

/// All spans, by what they are.
struct Found<'a> {
    run: u64,
    /// Of each request, by its number.
    http: HashMap<usize, &'a Span>,
    grpc: Vec<&'a Span>,
    /// By the trace and the span that they name as their parent.
    children: HashMap<(&'a str, &'a str), Vec<&'a Span>>,
    orphans: Vec<&'a Span>,
}

impl<'a> Found<'a> {
    fn new(run: u64, spans: &'a [Span]) -> Result<Self> {
        let (http, grpc, orphans) = (HashMap::new(), Vec::new(), Vec::new());
        let mut found = Self { run, http, grpc, children: HashMap::new(), orphans };
        for span in spans {
            if span.is_client() && span.parent == "none" {
                found.orphans.push(span);
            } else if span.is_client() {
                let parent = (span.trace_id.as_str(), span.parent_span_id.as_str());
                found.children.entry(parent).or_default().push(span);
            } else if span.name == METHOD {
                found.grpc.push(span);
            } else {
                let (_, id) =
                    span.target().rsplit_once('/').with_context(|| format!("{span:#?}"))?;
                let id = id.parse().with_context(|| format!("{span:#?}"))?;
                ensure!(span.target() == path(id), "{span:#?}");
                ensure!(found.http.insert(id, span).is_none(), "two requests {id}");
            }
        }
        ensure!(found.http.len() == REQUESTS, "{} HTTP requests", found.http.len());
        ensure!(found.grpc.len() == REQUESTS, "{} gRPC requests", found.grpc.len());
        Ok(found)
    }

    /// All that is not as it must be.
    fn wrong(&self) -> Vec<String> {
        let http = self.http.iter().map(|(id, server)| self.check_http(*id, server));
        let mut served = HashSet::new();
        let grpc = self.grpc.iter().map(|server| {
            let id = self.check_grpc(server)?;
            ensure!(served.insert(id), "two gRPC requests of {id}");
            Ok(())
        });
        let results = http.chain(grpc).chain([self.check_orphans()]);
        results.filter_map(|result| result.err().map(|error| format!("{error:#}"))).collect()
    }

    /// The operations whose parent a request is: these, all of its own, and within its time.
    fn check_children(&self, id: usize, server: &Span, expected: &[Operation]) -> Result<()> {
        let key = (server.trace_id.as_str(), server.span_id.as_str());
        let children = self.children.get(&key).map_or(&[][..], Vec::as_slice);
        let mut operations = Vec::new();
        for child in children {
            let (of, key) = tag_of(child)?;
            ensure!(of.is_none_or(|of| of == id), "{id} is the parent of {key} of {of:?}");
            let within = server.start <= child.start && child.end <= server.end;
            ensure!(within, "{key} of {id} is not within its request: {child:#?}\n{server:#?}");
            operations.push((key, child.parent.clone()));
        }
        operations.sort();
        let missing: Vec<_> = expected.iter().filter(|one| !operations.contains(one)).collect();
        let more: Vec<_> = operations.iter().filter(|one| !expected.contains(one)).collect();
        ensure!(
            operations == expected,
            "{} {id}: missing {missing:?}, not expected {more:?}, {} of {}",
            server.name,
            operations.len(),
            expected.len()
        );
        Ok(())
    }

    fn check_http(&self, id: usize, server: &Span) -> Result<()> {
        self.check_parent(id, server, way_of(id) != Way::Plain)?;
        self.check_children(id, server, &expected(&OF_HTTP, &IN_HTTP))
    }

    /// Whether a request has the parent that its client sent, or none and a trace of its own.
    fn check_parent(&self, id: usize, server: &Span, sent: bool) -> Result<()> {
        let (way, sender) = (way_of(id), trace_id(self.run, id));
        let right = if sent {
            server.parent == "remote"
                && server.trace_id == sender
                && server.parent_span_id == caller(id)
        } else {
            server.parent == "none" && server.trace_id != sender
        };
        ensure!(right, "{} {id}, {way:?}: {server:#?}", server.name);
        Ok(())
    }

    /// Gives the request that it belongs to.
    fn check_grpc(&self, server: &Span) -> Result<usize> {
        let key = (server.trace_id.as_str(), server.span_id.as_str());
        let children =
            self.children.get(&key).with_context(|| format!("childless: {server:#?}"))?;
        let tags = children.iter().map(|child| tag_of(child)).collect::<Result<Vec<_>>>()?;
        let id = tags.iter().find_map(|(id, _)| *id).context("no number")?;
        self.check_children(id, server, &expected(&OF_GRPC, &IN_GRPC))?;
        // The call that it answers, in the other half of the process.
        let http = self.http.get(&id).context("its HTTP request")?;
        let key = (http.trace_id.as_str(), http.span_id.as_str());
        let calls = self.children.get(&key).map_or(&[][..], Vec::as_slice);
        let call = calls.iter().find(|call| call.name == METHOD).context("its call")?;
        ensure!(call.start <= server.start && server.start <= call.end, "{call:#?}\n{server:#?}");
        // What came with it names its parent; else it is joined by its connection.
        if way_of(id) == Way::Forwarded {
            self.check_parent(id, server, true)?;
        } else {
            let joined = server.parent == "connection" && server.is_child_of(call);
            ensure!(joined, "{:?} {id}: {server:#?}", way_of(id));
        }
        ensure!(http.trace_id == server.trace_id, "{:?} {id}", way_of(id));
        Ok(id)
    }

    /// Operations that belong to no request: each is a trace of its own.
    fn check_orphans(&self) -> Result<()> {
        let mut found: HashMap<_, usize> = HashMap::new();
        let servers = self.http.values().chain(&self.grpc);
        let mut traces: HashSet<_> = servers.map(|span| &span.trace_id).collect();
        for span in &self.orphans {
            ensure!(traces.insert(&span.trace_id), "not a trace of its own: {span:#?}");
            *found.entry(tag_of(span)?).or_default() += 1;
        }
        let mut wanted = HashMap::new();
        for (key, _) in expected(&OF_NOBODY, &[]) {
            if key.starts_with("PIPELINE") {
                wanted.insert((None, key), REQUESTS);
            } else {
                wanted.extend((0..REQUESTS).map(|id| ((Some(id), key.clone()), 1)));
            }
        }
        let more: Vec<_> = found.iter().filter(|(key, n)| wanted.get(key) != Some(n)).collect();
        let missing: Vec<_> = wanted.iter().filter(|(key, n)| found.get(key) != Some(n)).collect();
        let few = |all: &[_]| format!("{:?}", &all[..all.len().min(5)]);
        ensure!(
            more.is_empty() && missing.is_empty(),
            "{} orphans not expected: {}, {} missing: {}",
            more.len(),
            few(&more),
            missing.len(),
            few(&missing)
        );
        Ok(())
    }
}
