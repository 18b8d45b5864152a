//! Sampling: what callers decided against, and what gotap itself leaves out. Neither the request has a span nor
//! what it asks others for, on whatever road, and all that is counted. Others have theirs as always.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Ended, Gotap, Load, SOON, Span, can_trace, eventually};
use gotap_testkit::collector::{Collector, FlatSpan, Kind};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::postgres::Postgres;
use gotap_testkit::redis::Redis;

use crate::grpc::Pair;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// A request that asks a gRPC service, PostgreSQL and Redis, by its context, on its goroutine, and in
/// others; a worker that has nothing to do with it asks, too.
#[test]
fn requests_that_are_not_sampled_have_no_spans_nor_has_what_they_ask_for() -> Result<()> {
    if !can_trace("requests_that_are_not_sampled_have_no_spans_nor_has_what_they_ask_for") {
        return Ok(());
    }
    let program = go::build("nestedapp", Version::NEWEST, Mode::Plain)?;
    let (postgres, redis) = (Postgres::start()?, Redis::start()?);
    let (dsn, address) = (postgres.dsn(), redis.address());
    let app = App::start_with(&program, &["-dsn", &dsn, "-redis", &address], &[])?;
    let selection = ["--pid", &app.pid().to_string()];
    let ask = |flags: &str, n: usize| -> Result<(Vec<Span>, u64)> {
        let gotap = Gotap::trace_what("all", &selection)?;
        // The program sends the traceparent along, so that the gRPC service is asked in this trace.
        let answer = app.get("/forward/1", &[("traceparent", &traceparent(flags))])?;
        ensure!(answer.status == 200, "{answer:?}");
        gotap.wait_for_spans(n)?;
        let ended = gotap.stop()?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
        let count = ended.summary.not_recorded.get("unsampled").copied();
        Ok((ended.spans, count.unwrap_or_default()))
    };
    let (sampled, none) = ask("01", 45)?;
    ensure!(none == 0, "{none}");
    let (of_trace, others): (Vec<_>, Vec<_>) =
        sampled.into_iter().partition(|span| span.trace_id == TRACE);
    for how in ["remote", "context", "goroutine", "ancestor"] {
        ensure!(of_trace.iter().any(|span| span.parent == how), "{}", Span::list(&of_trace));
    }
    let (left, unsampled) = ask("00", others.len())?;
    ensure!(left.len() == others.len(), "{}", Span::list(&left));
    ensure!(left.iter().all(|span| span.parent == "none"), "{}", Span::list(&left));
    ensure!(unsampled == of_trace.len() as u64, "{unsampled} of {}", of_trace.len());
    // Only the lowest bit decides.
    let (left, unsampled) = ask("02", others.len())?;
    ensure!(left.len() == others.len() && unsampled == of_trace.len() as u64, "{unsampled}");
    Ok(())
}

#[test]
fn calls_that_are_not_sampled_are_counted_in_each_way_to_serve_them() -> Result<()> {
    if !can_trace("calls_that_are_not_sampled_are_counted_in_each_way_to_serve_them") {
        return Ok(());
    }
    let program = App::build_grpc(None, Version::NEWEST)?;
    for flags in [&[][..], &["-serve-http"]] {
        let pair = Pair::start(&program, flags)?;
        let pid = pair.app.pid().to_string();
        let gotap = Gotap::trace_what("grpc", &["--pid", &pid])?;
        for flags in ["00", "01"] {
            pair.call(&program, &["-traceparent", &traceparent(flags), "say:hello", "collect"])?;
        }
        gotap.wait_for_spans(2)?;
        let ended = gotap.stop()?;
        ensure!(ended.spans.len() == 2, "{flags:?}: {}", Span::list(&ended.spans));
        ensure!(ended.summary.not_recorded["unsampled"] == 2, "{flags:?}: {:?}", ended.summary);
    }
    Ok(())
}

#[test]
fn requests_of_fasthttp_that_are_not_sampled_have_no_span() -> Result<()> {
    if !can_trace("requests_of_fasthttp_that_are_not_sampled_have_no_span") {
        return Ok(());
    }
    let app = App::start(&go::build("fastapp", Version::NEWEST, Mode::Plain)?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let mut connection = app.connect()?;
    for flags in ["00", "01", "00", "02"] {
        connection.get("/users/7", &[("traceparent", &traceparent(flags))])?;
    }
    connection.get("/users/7", &[])?;
    gotap.wait_for_spans(2)?;
    let ended = gotap.stop()?;
    ensure!(ended.spans.len() == 2, "{}", Span::list(&ended.spans));
    ensure!(ended.summary.not_recorded["unsampled"] == 3, "{:?}", ended.summary);
    Ok(())
}

/// What `gotap run` sends of requests to a program that calls another one, both observed.
struct Sampled {
    ended: Ended,
    spans: Vec<FlatSpan>,
}

impl Sampled {
    /// Sends these many requests for `path`, with these settings.
    fn of(path: &str, requests: u64, settings: &[(&str, &str)]) -> Result<Self> {
        Self::asked(settings, |app, _| {
            let load = Load::send(&app.address, path, 8, requests)?;
            ensure!(load.answered == requests, "{load:?}");
            Ok(())
        })
    }

    /// Lets `ask` send requests to the two.
    fn asked(
        settings: &[(&str, &str)],
        ask: impl FnOnce(&App, &App) -> Result<()>,
    ) -> Result<Self> {
        let (app, backend) = App::start_pair(&App::newest()?)?;
        let collector = Collector::start()?;
        let (pids, url) =
            ([app.pid().to_string(), backend.pid().to_string()], collector.grpc_endpoint());
        let arguments = ["run", "--pid", &pids[0], "--pid", &pids[1], "--otlp-endpoint", &url];
        let gotap = Gotap::start(&arguments, settings)?;
        gotap.wait_ready()?;
        ask(&app, &backend)?;
        let ended = gotap.stop()?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
        let delivered = ended.summary.delivered.context("a count of delivered spans")?;
        let got = |spans: &[FlatSpan]| spans.len() as u64 >= delivered;
        eventually(SOON, || collector.spans().is_ok_and(|spans| got(&spans)));
        Ok(Self { spans: collector.spans()?, ended })
    }

    fn left_out(&self) -> u64 {
        self.ended.summary.not_recorded.get("sampled_out").copied().unwrap_or(0)
    }

    fn kept(&self, why: &str) -> usize {
        let is = |span: &&FlatSpan| span.text("gotap.sampling.kept") == Some(why);
        self.spans.iter().filter(is).count()
    }
}

/// Of three spans in two processes all are sent or none, whether the programs leave them out or gotap, which
/// measures them first.
#[test]
fn a_share_of_traces_is_sent_and_each_is_whole() -> Result<()> {
    if !can_trace("a_share_of_traces_is_sent_and_each_is_whole") {
        return Ok(());
    }
    const REQUESTS: u64 = 1_000;
    for measured in ["true", "false"] {
        let settings = [("GOTAP_SAMPLING_RATIO", "0.25"), ("GOTAP_OTLP_METRICS", measured)];
        let sampled = Sampled::of("/call/same", REQUESTS, &settings)?;
        let mut traces: HashMap<_, u64> = HashMap::new();
        for span in &sampled.spans {
            *traces.entry(span.trace_id.clone()).or_default() += 1;
        }
        let n = traces.len() as u64;
        ensure!(traces.values().all(|spans| *spans == 3), "{traces:?}");
        // Ten standard deviations of a binomial distribution.
        ensure!((113..=387).contains(&n), "{n} of {REQUESTS} traces");
        let counts = (sampled.spans.len() as u64, sampled.left_out());
        ensure!(counts.0 + counts.1 == 3 * REQUESTS, "{counts:?}: {:?}", sampled.ended.summary);
    }
    Ok(())
}

/// Where no trace is sampled, what failed and what took long is sent all the same, and nothing else.
#[test]
fn failed_and_slow_operations_are_sent_in_any_case() -> Result<()> {
    if !can_trace("failed_and_slow_operations_are_sent_in_any_case") {
        return Ok(());
    }
    for measured in ["true", "false"] {
        let none = [
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("GOTAP_OTLP_METRICS", measured),
            ("GOTAP_SAMPLING_SLOWER_THAN", "300ms"),
        ];
        // Its answer is a 404: an error of the call, and of no one else.
        let failed = Sampled::of("/call/numbered", 20, &none)?;
        ensure!((failed.kept("error"), failed.spans.len()) == (20, 20), "{:#?}", failed.spans);
        ensure!(failed.spans.iter().all(|span| span.kind == Kind::Client), "{:#?}", failed.spans);
        ensure!(failed.left_out() == 40, "{:?}", failed.ended.summary);
        let slow = Sampled::of("/slow?ms=400", 4, &none)?;
        ensure!((slow.kept("slow"), slow.spans.len()) == (4, 4), "{:#?}", slow.spans);
    }
    Ok(())
}

/// Of traces that are left out, those in which something failed or was slow are sent whole, from all processes;
/// others are not, and all spans are accounted for.
#[test]
fn whole_traces_are_kept_for_what_failed_or_was_slow() -> Result<()> {
    if !can_trace("whole_traces_are_kept_for_what_failed_or_was_slow") {
        return Ok(());
    }
    let tail = [
        ("GOTAP_SAMPLING_RATIO", "0"),
        ("GOTAP_OTLP_METRICS", "false"),
        ("GOTAP_SAMPLING_TAIL_ENABLED", "true"),
        ("GOTAP_SAMPLING_TAIL_SLOWER_THAN", "300ms"),
    ];
    // Three spans each: the call's answer is a 404.
    for (path, requests, kept) in [("/call/numbered", 20, "error"), ("/slow?ms=400", 8, "slow")] {
        let sampled = Sampled::of(path, requests, &tail)?;
        let each = if kept == "error" { 3 } else { 1 };
        let traces: HashSet<_> = sampled.spans.iter().map(|span| &span.trace_id).collect();
        ensure!(traces.len() as u64 == requests, "{path}: {:#?}", sampled.spans);
        ensure!(sampled.spans.len() as u64 == each * requests, "{path}: {:#?}", sampled.spans);
        ensure!(sampled.kept(kept) as u64 == requests, "{path}: {:#?}", sampled.spans);
        ensure!(sampled.kept("trace") as u64 == (each - 1) * requests, "{path}");
        ensure!(sampled.left_out() == 0, "{path}: {:?}", sampled.ended.summary);
    }
    let fine = Sampled::of("/call/same", 100, &tail)?;
    let counts = (fine.spans.len(), fine.left_out());
    ensure!(counts == (0, 300), "{counts:?}: {:?}", fine.ended.summary);
    Ok(())
}

/// A route's own requests say what is slow in it: what is usual in one route is slow in another. The whole trace of
/// what was slow is kept, as is that of what failed.
#[test]
fn whole_traces_are_kept_of_what_was_slower_than_its_route_usually_is() -> Result<()> {
    if !can_trace("whole_traces_are_kept_of_what_was_slower_than_its_route_usually_is") {
        return Ok(());
    }
    // Of a route as many must be known before any of it is slow, and some that could be.
    const USUAL: u64 = 450;
    let tail = [
        ("GOTAP_SAMPLING_RATIO", "0"),
        ("GOTAP_OTLP_METRICS", "false"),
        ("GOTAP_SAMPLING_TAIL_ENABLED", "true"),
        ("GOTAP_SAMPLING_TAIL_SLOWER_THAN_P99", "true"),
    ];
    let sampled = Sampled::asked(&tail, |app, backend| {
        for (app, path, connections) in [
            (backend, "/slow?ms=150", 64),
            (app, "/proxy/hello", 8),
            (app, "/proxy/slow?ms=150", 1),
        ] {
            let requests = if connections == 1 { 4 } else { USUAL };
            let load = Load::send(&app.address, path, connections, requests)?;
            ensure!(load.answered == requests, "{path}: {load:?}");
        }
        for _ in 0..3 {
            ensure!(app.get("/proxy/status/500", &[])?.status == 500, "no error");
        }
        Ok(())
    })?;
    let mut traces: HashMap<&str, Vec<&FlatSpan>> = HashMap::new();
    for span in &sampled.spans {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    let root = |trace: &[&FlatSpan], path: &str, why: &str| {
        let is = |span: &&&FlatSpan| span.is_root() && span.text("url.path") == Some(path);
        trace.iter().find(is).is_some_and(|span| span.text("gotap.sampling.kept") == Some(why))
    };
    for (path, why, n) in [("/proxy/slow", "slow_route", 4), ("/proxy/status/500", "error", 3)] {
        let kept: Vec<_> = traces.values().filter(|trace| root(trace, path, why)).collect();
        ensure!(kept.len() == n, "{path}: {} traces, {:#?}", kept.len(), sampled.spans);
        ensure!(kept.iter().all(|trace| trace.len() == 3), "{path}: {kept:#?}");
    }
    // One of a hundred is slower than the others; a busy machine makes it some more.
    for path in ["/slow", "/proxy/hello"] {
        let kept = traces.values().filter(|trace| root(trace, path, "slow_route")).count() as u64;
        ensure!(kept < USUAL / 4, "{path}: {kept} traces");
    }
    let all = USUAL + 3 * (USUAL + 4 + 3);
    let counts = (sampled.spans.len() as u64, sampled.left_out());
    ensure!(counts.0 + counts.1 == all, "{counts:?} of {all}: {:?}", sampled.ended.summary);
    Ok(())
}

/// Each process begins so many traces a second; what others ask it for is not among them.
#[test]
fn the_rate_of_traces_is_limited() -> Result<()> {
    if !can_trace("the_rate_of_traces_is_limited") {
        return Ok(());
    }
    let settings = [("GOTAP_SAMPLING_TRACES_PER_SECOND", "5"), ("GOTAP_OTLP_METRICS", "false")];
    let began = Instant::now();
    let sampled = Sampled::of("/call/same", 400, &settings)?;
    let seconds = began.elapsed().as_secs() + 1;
    let traces: HashSet<_> = sampled.spans.iter().map(|span| &span.trace_id).collect();
    let n = traces.len() as u64;
    ensure!(n >= 5 && n <= 5 * seconds && n < 400, "{n} traces in {seconds} s");
    ensure!(sampled.spans.len() == 3 * traces.len(), "{n} traces, {} spans", sampled.spans.len());
    Ok(())
}
