//! Callers that decided against a trace: neither the request has a span nor what it asks others for, on
//! whatever road, and all that is counted. Others have theirs as always.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
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
