//! Connections that are reset in the middle of an operation, or refused: what each instrument says of the
//! error, in ordinary and in position-independent programs, where the numbers of system errors lie far away.

use anyhow::{Context, Result, bail, ensure};
use gotap_e2e::{App, Gotap, Resetter, SOON, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::postgres::{self, Postgres};
use gotap_testkit::process::Running;
use gotap_testkit::redis::Redis;

use crate::sql::{answered, asked};

const MODES: [Mode; 2] = [Mode::Plain, Mode::Pie];

/// Types of errors, and what they say.
const RESET: (&str, &str) = ("*net.OpError", "connection reset by peer");
const REFUSED: (&str, &str) = ("*net.OpError", "connection refused");

/// Runs `test` with a program built in each way, and names those that failed.
fn with_each(app: &str, test: impl Fn(Mode) -> Result<()>) -> Result<()> {
    let run = |mode| test(mode).err().map(|error| format!("{app}, {mode}: {error:#}"));
    let failures: Vec<_> = MODES.into_iter().filter_map(run).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn start(app: &str, mode: Mode, arguments: &[&str]) -> Result<(App, Gotap)> {
    let app = App::start_with(&go::build(app, Version::NEWEST, mode)?, arguments, &[])?;
    let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
    Ok((app, gotap))
}

/// The type and the text of a span's error.
fn error(span: &Span) -> Result<(&str, &str)> {
    ensure!(span.status == "error", "{span:#?}");
    ensure!(span.text("db.response.status_code").is_none(), "{span:#?}");
    Ok((span.text("error.type").context("error.type")?, &span.message))
}

/// Asks for something that goes well, and has a span.
fn succeeds(gotap: &Gotap, app: &App, path: &str) -> Result<()> {
    let (answer, spans) = answered(gotap, app, path)?;
    let well = spans.iter().all(|span| span.status == "unset") && !spans.is_empty();
    ensure!(well && !answer.contains("error"), "{path}: {answer}: {spans:#?}");
    Ok(())
}

/// Asks for something whose error ends in `text`, and which has a span for each attempt with just that.
fn fails(gotap: &Gotap, app: &App, path: &str, (kind, text): (&str, &str)) -> Result<()> {
    let (answer, spans) = answered(gotap, app, path)?;
    ensure!(answer.trim_end().ends_with(text), "{path}: {answer}");
    ensure!(!spans.is_empty(), "{path}: {answer}, and no span");
    for span in spans {
        ensure!(error(&span)? == (kind, text), "{path}: {answer}: {span:#?}");
    }
    Ok(())
}

/// Asks for something that gets no connection, and therefore has no span.
fn is_refused(gotap: &Gotap, app: &App, path: &str) -> Result<()> {
    let (answer, spans) = answered(gotap, app, path)?;
    ensure!(answer.contains(REFUSED.1), "{path}: {answer}");
    ensure!(spans.is_empty(), "{path}: {answer}: {spans:#?}");
    Ok(())
}

#[test]
fn a_reset_of_http_is_named() -> Result<()> {
    if !can_trace("a_reset_of_http_is_named") {
        return Ok(());
    }
    let backend = App::start(&App::newest()?)?;
    with_each("httpapp", |mode| {
        let mut resetter = Resetter::start(&backend.address)?;
        let url = format!("http://{}", resetter.address());
        let (app, gotap) = start("httpapp", mode, &["-backend", &url])?;
        succeeds(&gotap, &app, "/call/same")?;
        resetter.reset_at(b"X-Case: ");
        // Of one type or the other, as net/http reads and writes in different goroutines.
        for (path, attempts) in [("/call/same", 2), ("/call/post", 1)] {
            let spans = asked(&gotap, &app, path)?;
            ensure!(spans.len() == attempts, "{path}: {}", Span::list(&spans));
            for span in &spans {
                let (kind, text) = error(span)?;
                ensure!(
                    kind == RESET.0 || kind == "http.transportReadFromServerError",
                    "{span:#?}"
                );
                ensure!(text == RESET.1, "{span:#?}");
            }
        }
        resetter.refuse()?;
        // net/http may have made a connection in advance, which waited to be accepted and is reset now.
        let (answer, _) = answered(&gotap, &app, "/call/same")?;
        ensure!(
            [RESET.1, REFUSED.1].iter().any(|text| answer.trim_end().ends_with(text)),
            "{answer}"
        );
        fails(&gotap, &app, "/call/same", REFUSED)?;
        gotap.end()
    })
}

#[test]
fn a_reset_of_grpc_is_named() -> Result<()> {
    if !can_trace("a_reset_of_grpc_is_named") {
        return Ok(());
    }
    with_each("grpcapp", |mode| {
        let program = go::build("grpcapp", Version::NEWEST, mode)?;
        let backend = App::start(&program)?;
        let resetter = Resetter::start(&backend.address)?;
        resetter.reset_at(b"please reset");
        let (to, cases) = (resetter.address(), ["say:hello", "say:please reset", "refused"]);
        let arguments = [&["-client", "-hold", "-to", &to][..], &cases].concat();
        let mut client = Running::start(&program, &arguments, &[])?;
        client.wait_for("holding", SOON)?;
        let gotap = Gotap::trace_what("grpc", &["--pid", &client.pid().to_string()])?;
        client.signal(libc::SIGUSR1)?;
        ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
        let spans = gotap.wait()?.spans;
        let [well, reset, refused] = &spans[..] else { bail!("{}", Span::list(&spans)) };
        ensure!(well.status == "unset", "{well:#?}");
        for span in [reset, refused] {
            // The text has addresses in it: tests/replay asks for it.
            ensure!(error(span)? == ("UNAVAILABLE", ""), "{span:#?}");
        }
        Ok(())
    })
}

#[test]
fn a_reset_of_database_sql_is_named() -> Result<()> {
    if !can_trace("a_reset_of_database_sql_is_named") {
        return Ok(());
    }
    let server = Postgres::start()?;
    with_each("sqlapp", |mode| {
        for driver in ["postgres", "pgx"] {
            let mut resetter = Resetter::start(&server.address())?;
            let dsn = postgres::dsn(resetter.port());
            let (app, gotap) = start("sqlapp", mode, &["-driver", driver, "-dsn", &dsn])?;
            succeeds(&gotap, &app, "/query")?;
            resetter.reset_at(b"name = 'secret'");
            fails(&gotap, &app, "/literal", RESET).context(driver)?;
            resetter.refuse()?;
            is_refused(&gotap, &app, "/query").context(driver)?;
            gotap.end()?;
        }
        Ok(())
    })
}

#[test]
fn a_reset_of_pgx_is_named() -> Result<()> {
    if !can_trace("a_reset_of_pgx_is_named") {
        return Ok(());
    }
    let server = Postgres::start()?;
    with_each("pgxapp", |mode| {
        let mut resetter = Resetter::start(&server.address())?;
        let dsn = postgres::dsn(resetter.port());
        let (app, gotap) = start("pgxapp", mode, &["-dsn", &dsn])?;
        let each = |check: &dyn Fn(&str) -> Result<()>| {
            ["/v4/conn", "/v5/conn", "/v4/pool", "/v5/pool"].into_iter().try_for_each(check)
        };
        each(&|way| succeeds(&gotap, &app, &format!("{way}/query")))?;
        resetter.reset_at(b"name = 'secret'");
        each(&|way| fails(&gotap, &app, &format!("{way}/literal"), RESET))?;
        resetter.refuse()?;
        each(&|way| {
            let path = format!("{way}/query");
            if way.ends_with("pool") {
                return is_refused(&gotap, &app, &path);
            }
            // A connection that was reset is closed, which has no system error.
            let spans = asked(&gotap, &app, &path)?;
            let [span] = &spans[..] else { bail!("{way}: {}", Span::list(&spans)) };
            ensure!(error(span)? == ("*pgconn.connLockError", ""), "{way}: {span:#?}");
            Ok(())
        })?;
        gotap.end()
    })
}

#[test]
fn a_reset_of_redis_is_named() -> Result<()> {
    if !can_trace("a_reset_of_redis_is_named") {
        return Ok(());
    }
    let server = Redis::start()?;
    with_each("redisapp", |mode| {
        let mut resetter = Resetter::start(&server.address())?;
        let (app, gotap) = start("redisapp", mode, &["-redis", &resetter.address()])?;
        // Version 9 looks for notifications first, which takes the error; the next read finds the end.
        let clients = [("v8", RESET), ("v9", ("EOF", "EOF")), ("redigo", RESET)];
        for (client, _) in clients {
            succeeds(&gotap, &app, &format!("/{client}/set"))?;
        }
        resetter.reset_at(b"{secrets}-key");
        for (client, error) in clients {
            for case in ["get", "pipeline", "tx"] {
                fails(&gotap, &app, &format!("/{client}/{case}"), error)?;
            }
        }
        resetter.refuse()?;
        fails(&gotap, &app, "/v8/get", REFUSED)?;
        fails(&gotap, &app, "/v9/get", REFUSED)?;
        is_refused(&gotap, &app, "/redigo/get")?;
        gotap.end()
    })
}
