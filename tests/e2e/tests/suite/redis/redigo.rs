//! What redigo asks of Redis.

use anyhow::{Context, Result, bail, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::redis::Redis;

use super::{
    Client, asked, asked_once, check_done, check_failed, commands, errors, names, with_each,
};

#[test]
fn redigo_is_told() -> Result<()> {
    if !can_trace("redigo_is_told") {
        return Ok(());
    }
    let server = Redis::start()?;
    with_each(&["-redis", &server.address()], |app, gotap| {
        let port = Some(server.port());
        let client = Client { name: "redigo", port, namespace: None, parent: "goroutine" };
        commands(&client, app, gotap)?;
        errors(&client, app, gotap)?;
        check_done(&client, &asked_once(gotap, app, &client, "tx")?, "MULTI", Some(2))?;
        let spans = asked(gotap, app, &client, "watch")?;
        ensure!(names(&spans) == ["WATCH", "GET", "MULTI"], "{}", Span::list(&spans));
        let spans = asked(gotap, app, &client, "nowhere")?;
        ensure!(spans.is_empty(), "{}", Span::list(&spans));
        let spans = asked(gotap, app, &client, "fresh")?;
        ensure!(names(&spans).ends_with(&["GET"]), "{}", Span::list(&spans));
        Ok(())
    })
}

#[test]
fn redigo_by_hand_is_told() -> Result<()> {
    if !can_trace("redigo_by_hand_is_told") {
        return Ok(());
    }
    let server = Redis::start()?;
    with_each(&["-redis", &server.address()], |app, gotap| {
        let port = Some(server.port());
        let client = Client { name: "redigo", port, namespace: None, parent: "goroutine" };
        asked(gotap, app, &client, "set")?;
        for (case, name, size) in [
            ("pipeline", "PIPELINE", Some(2)),
            ("one", "GET", None),
            ("spread", "PIPELINE", Some(5)),
            ("handtx", "MULTI", Some(2)),
            ("handexec", "MULTI", Some(2)),
            ("twice", "PIPELINE", Some(3)),
            ("thendo", "PIPELINE", Some(2)),
            ("elsewhere", "PIPELINE", Some(2)),
            ("handlarge", "PIPELINE", Some(100)),
        ] {
            let span = asked_once(gotap, app, &client, case).with_context(|| case.to_owned())?;
            check_done(&client, &span, name, size).with_context(|| case.to_owned())?;
            ensure!(span.parent == "goroutine", "{case}: {span:#?}");
        }
        let one = asked_once(gotap, app, &client, "one")?;
        ensure!(one.int("gotap.redis.key_count") == Some(1), "{one:#?}");
        hand_errors(&client, app, gotap)?;
        windows(&client, app, gotap)?;
        subscriptions(&client, app, gotap)
    })
}

fn hand_errors(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    // The pool awaits the last two answers, of which one is an error.
    for case in ["badpipeline", "rest"] {
        let span = asked_once(gotap, app, client, case)?;
        check_failed(client, &span, "PIPELINE", "ERR").with_context(|| case.to_owned())?;
        ensure!(span.int("db.operation.batch.size") == Some(3), "{case}: {span:#?}");
    }
    let span = asked_once(gotap, app, client, "handwait")?;
    ensure!(span.name == "BLPOP" && span.status == "error", "{span:#?}");
    ensure!(span.text("error.type").is_some(), "{span:#?}");
    ensure!(span.end - span.start > 40_000_000, "{span:#?}");
    let spans = asked(gotap, app, client, "fan")?;
    let [first, second] = &spans[..] else { bail!("fan: {}", Span::list(&spans)) };
    check_done(client, first, "PIPELINE", Some(2))?;
    check_done(client, second, "PIPELINE", Some(3))?;
    ensure!(second.start < first.end, "asked one after the other: {}", Span::list(&spans));
    Ok(())
}

/// Who sends more before all is answered has several pipelines, with each command in one.
fn windows(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    let spans = asked(gotap, app, client, "window")?;
    let [first, second, rest] = &spans[..] else { bail!("window: {}", Span::list(&spans)) };
    check_done(client, first, "SET", None)?;
    // It is one command, and not known which.
    check_done(client, second, "redis", None)?;
    check_done(client, rest, "PIPELINE", Some(2))?;
    ensure!(first.end <= second.start && second.end <= rest.start, "{}", Span::list(&spans));
    Ok(())
}

/// What is received on a connection that subscribes is no answer, and a later pipeline is one.
fn subscriptions(client: &Client<'_>, app: &App, gotap: &Gotap) -> Result<()> {
    let spans = asked(gotap, app, client, "listen")?;
    ensure!(names(&spans) == ["PUBLISH"], "{}", Span::list(&spans));
    let spans = asked(gotap, app, client, "nested")?;
    ensure!(names(&spans) == ["PUBLISH", "PIPELINE"], "{}", Span::list(&spans));
    Ok(())
}

#[test]
fn redigo_pipelines_that_nobody_awaits_are_counted() -> Result<()> {
    if !can_trace("redigo_pipelines_that_nobody_awaits_are_counted") {
        return Ok(());
    }
    let server = Redis::start()?;
    let program = go::build("redisapp", Version::NEWEST, Mode::Plain)?;
    let app = App::start_with(&program, &["-redis", &server.address()], &[])?;
    let gotap = Gotap::trace_what("redis", &["--pid", &app.pid().to_string()])?;
    app.get("/redigo/abandoned", &[])?;
    app.get("/redigo/get", &[])?;
    let spans = gotap.wait_for_spans(1)?;
    ensure!(names(&spans).contains(&"GET"), "{}", Span::list(&spans));
    ensure!(!names(&spans).contains(&"PIPELINE"), "{}", Span::list(&spans));
    let dropped = gotap.stop()?.summary.dropped;
    ensure!(dropped.get("client_unfinished") == Some(&1) && dropped.len() == 1, "{dropped:?}");
    Ok(())
}
