//! Databases: SQLite, which needs no server, and PostgreSQL and Redis, whose servers the disk has.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span};
use gotap_kernel_tests::{DATABASE, POSTGRES, REDIS, program};
use gotap_testkit::go::Version;
use gotap_testkit::postgres;
use gotap_testkit::process::Running;

/// Nothing else listens in the machine.
const POSTGRES_PORT: u16 = 5432;
const REDIS_PORT: &str = "6379";

/// Paths that are asked for, and of each span then: name, how its parent was found, code of the error.
type Cases = [(&'static str, &'static [Told])];
type Told = (&'static str, &'static str, Option<&'static str>);

pub(crate) fn sql() -> Result<()> {
    trace(
        "sql",
        ("sqlapp", &["-driver", "sqlite", "-dsn", "/tmp/test.db"]),
        &[
            ("/query", &[("SELECT things", "context", None)]),
            (
                "/tx",
                &[
                    ("BEGIN", "context", None),
                    ("INSERT things", "context", None),
                    ("SELECT things", "context", None),
                    ("COMMIT", "context", None),
                ],
            ),
            ("/duplicate", &[("INSERT things", "context", Some("1555"))]),
        ],
    )
}

pub(crate) fn pgx() -> Result<()> {
    let _server = start_postgres().context("start PostgreSQL")?;
    let query = &[("SELECT things", "context", None)];
    trace(
        "sql",
        ("pgxapp", &["-dsn", &postgres::dsn(POSTGRES_PORT)]),
        &[
            ("/v4/pool/query", query),
            ("/v4/pool/batch", &[("BATCH", "context", None)]),
            ("/v5/conn/query", query),
            ("/v5/conn/noctx", &[("SELECT things", "goroutine", None)]),
            ("/v5/pool/go", &[("SELECT things", "ancestor", None)]),
            ("/v5/pool/batch", &[("BATCH", "context", None)]),
            ("/v5/pool/duplicate", &[("INSERT things", "context", Some("23505"))]),
            ("/v5/sql/query", query),
        ],
    )
}

pub(crate) fn redis() -> Result<()> {
    let _server = start_redis().context("start Redis")?;
    trace(
        "redis",
        ("redisapp", &["-redis", &format!("127.0.0.1:{REDIS_PORT}")]),
        &[
            ("/v8/set", &[("SET", "context", None)]),
            ("/v8/tx", &[("MULTI", "context", None)]),
            ("/v9/get", &[("GET", "context", None)]),
            ("/v9/go", &[("GET", "ancestor", None)]),
            ("/v9/pipeline", &[("PIPELINE", "context", None)]),
            ("/v9/unknown", &[("NONSENSE", "context", Some("ERR"))]),
            ("/redigo/get", &[("GET", "goroutine", None)]),
            ("/redigo/tx", &[("MULTI", "goroutine", None)]),
            ("/redigo/pipeline", &[("PIPELINE", "goroutine", None)]),
            ("/redigo/handtx", &[("MULTI", "goroutine", None)]),
            ("/redigo/unknown", &[("NONSENSE", "goroutine", Some("ERR"))]),
        ],
    )
}

/// Observes a program with these arguments, and asks it for each of the cases.
fn trace(what: &str, (app, arguments): (&str, &[&str]), cases: &Cases) -> Result<()> {
    let app = App::start_with(&program(app, Version::NEWEST), arguments, &[])?;
    let gotap = Gotap::trace_what(what, &["--pid", &app.pid().to_string()])?;
    let mut expected = Vec::new();
    for (path, told) in cases {
        let answer = app.get(path, &[]).with_context(|| (*path).to_owned())?;
        expected.extend_from_slice(told);
        gotap.wait_for_lines(expected.len()).with_context(|| format!("{path}: {answer:?}"))?;
    }
    let spans = gotap.wait_for_spans(expected.len())?;
    ensure!(spans.len() == expected.len(), "{}", Span::list(&spans));
    for (span, (name, parent, code)) in spans.iter().zip(expected) {
        ensure!(span.name == name && span.parent == parent, "{}", Span::list(&spans));
        ensure!(span.text("db.response.status_code") == code, "{span:#?}");
    }
    let ended = gotap.stop()?;
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    Ok(())
}

/// It refuses to run as root, and runs as the owner of the database.
fn start_postgres() -> Result<Running> {
    let owner = fs::metadata(DATABASE).context("look at the database")?;
    let mut server = Command::new(POSTGRES);
    server.args(postgres::flags(Path::new(DATABASE), POSTGRES_PORT));
    // It would want a folder for a socket.
    server.args(["-k", ""]);
    server.uid(owner.uid()).gid(owner.gid());
    let server = Running::spawn(server)?;
    server.wait_for_error(postgres::READY, SOON)?;
    Ok(server)
}

fn start_redis() -> Result<Running> {
    let flags = ["--port", REDIS_PORT, "--bind", "127.0.0.1", "--save", ""];
    let log = ["--logfile", "/proc/self/fd/2"];
    let server = Running::start(Path::new(REDIS), &[&flags[..], &log].concat(), &[])?;
    server.wait_for_error("Ready to accept connections", SOON)?;
    Ok(server)
}
