//! What programs ask databases for, through `database/sql`: real servers, several drivers, old and new
//! versions of them and of Go.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::mysql::Mysql;
use gotap_testkit::postgres::Postgres;

/// Versions of the drivers, by the list of dependencies that names them, and of Go.
const BUILDS: [(Option<&str>, u32); 2] = [(Some("old"), 18), (None, 27)];

/// A driver with its database, and what spans say of it.
struct Database {
    driver: &'static str,
    dsn: String,
    system: &'static str,
    port: Option<u16>,
    namespace: Option<&'static str>,
    placeholder: &'static str,
    /// Codes of a duplicate key, a syntax error and a table that is missing.
    codes: [&'static str; 3],
    mode: Mode,
    /// The dependencies with which a query does nothing before its rows are read.
    lazy: Option<&'static str>,
}

/// Runs `test` with each build on a fresh table, says whether it is the lazy one, and names those
/// that failed.
fn with_each(database: &Database, test: impl Fn(&App, bool) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for (dependencies, minor) in BUILDS {
        let version = Version::of(minor);
        // Outside of the whole matrix the oldest Go is built with in one way only.
        let is_common = go::is_common(version, database.mode);
        let version = if is_common { version } else { Version::of(21) };
        let program = match dependencies {
            Some(name) => go::build_with("sqlapp", name, version, database.mode),
            None => go::build("sqlapp", version, database.mode),
        };
        let lazy = dependencies.is_some() && dependencies == database.lazy;
        let result = program.and_then(|program| test(&start(&program, database)?, lazy));
        if let Err(error) = result {
            let name = dependencies.unwrap_or("newest");
            let driver = database.driver;
            failures.push(format!("Go {version}, {name} drivers, {driver}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn start(program: &Path, database: &Database) -> Result<App> {
    App::start_with(program, &["-driver", database.driver, "-dsn", &database.dsn], &[])
}

/// The client spans of a request for `path`; all must be its children.
pub(crate) fn asked(gotap: &Gotap, app: &App, path: &str) -> Result<Vec<Span>> {
    Ok(answered(gotap, app, path)?.1)
}

/// The same, behind what the program answers.
pub(crate) fn answered(gotap: &Gotap, app: &App, path: &str) -> Result<(String, Vec<Span>)> {
    let before = gotap.spans()?.len();
    let answer = app.get(path, &[])?.text();
    // The server's span comes last, on a busy machine in a later look at the ring buffer.
    let deadline = Instant::now() + Duration::from_secs(10);
    let spans = loop {
        let spans = gotap.wait_for_spans(before + 1)?.split_off(before);
        if spans.last().is_some_and(Span::is_server) || Instant::now() >= deadline {
            break spans;
        }
    };
    let list = Span::list(&spans);
    let (server, clients) = spans.split_last().with_context(|| list.clone())?;
    ensure!(server.is_server() && server.target() == path, "{list}");
    for client in clients {
        ensure!(client.is_client() && client.is_child_of(server), "{path}: {client:#?}");
        ensure!(server.start <= client.start && client.end <= server.end, "{path}: {client:#?}");
    }
    Ok((answer, clients.to_vec()))
}

fn check(database: &Database) -> Result<()> {
    with_each(database, |app, lazy| {
        let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
        statements(database, app, &gotap)?;
        // Without optimisation an old compiler leaves no site there: then gotap says so.
        let unseen = |line: &String| line.contains("no site found for ending transactions");
        if gotap.process.stderr().iter().any(unseen) {
            ensure!(database.mode == Mode::Unoptimised, "the ends of transactions are not seen");
        } else {
            transactions(database, app, &gotap)?;
        }
        errors(database, app, &gotap, lazy)?;
        let ended = gotap.stop()?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
        // Two an operation: what a driver asks itself is in nobody's way. Those of bad connections
        // and of rows that are never closed have other ends.
        let spans = ended.spans.iter().filter(|span| span.text("db.system.name").is_some()).count();
        let traps = ended.summary.trapped(&["sql"]);
        ensure!(traps <= 2 * spans as u64, "{traps} traps for {spans} operations");
        let printed = format!("{:?}", ended.spans);
        ensure!(!printed.contains("secret"), "a literal was not removed");
        Ok(())
    })
}

fn statements(database: &Database, app: &App, gotap: &Gotap) -> Result<()> {
    let place = database.placeholder;
    let select = format!("SELECT id, name FROM things WHERE id = {place}");
    for (path, how) in [
        ("/query", "context"),
        ("/queryrow", "context"),
        ("/go", "ancestor"),
        ("/noctx", "goroutine"),
    ] {
        let spans = asked(gotap, app, path)?;
        let [span] = &spans[..] else { anyhow::bail!("{path}: {}", Span::list(&spans)) };
        let expected = ("SELECT things", select.as_str());
        check_span(database, span, expected).with_context(|| format!("{path}: {span:#?}"))?;
        ensure!(span.parent == how, "{path}: {span:#?}");
    }
    for path in ["/exec", "/conn"] {
        let spans = asked(gotap, app, path)?;
        let [span] = &spans[..] else { anyhow::bail!("{path}: {}", Span::list(&spans)) };
        let text = "INSERT INTO things (id, name) VALUES (?)";
        let checked = check_span(database, span, ("INSERT things", text));
        checked.with_context(|| format!("{path}: {span:#?}"))?;
    }
    let spans = asked(gotap, app, "/literal")?;
    let text = "SELECT name FROM things WHERE name = ? AND id IN (?)";
    check_span(database, &spans[0], ("SELECT things", text))?;
    let spans = asked(gotap, app, "/large")?;
    let text = spans[0].text("db.query.text").context("text")?;
    ensure!(text.ends_with('…') && text.len() < 1100, "{text}");
    let names = |spans: &[Span]| spans.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    let prepared = names(&asked(gotap, app, "/prepared")?);
    let expected =
        ["PREPARE SELECT things", "PREPARE INSERT things", "SELECT things", "INSERT things"];
    ensure!(prepared == expected, "{prepared:?}");
    let again = names(&asked(gotap, app, "/prepared")?);
    ensure!(again == ["SELECT things", "INSERT things"], "{again:?}");
    Ok(())
}

fn check_span(database: &Database, span: &Span, (name, text): (&str, &str)) -> Result<()> {
    ensure!(span.name == name && span.text("db.query.summary") == Some(name), "name");
    ensure!(span.text("db.system.name") == Some(database.system), "system");
    // A text may have several of each.
    ensure!(span.text("db.operation.name").is_none(), "operation");
    ensure!(span.text("db.collection.name").is_none(), "collection");
    ensure!(span.text("db.query.text") == Some(text), "text");
    ensure!(span.status == "unset" && span.text("error.type").is_none(), "outcome");
    check_place(database, span)
}

fn check_place(database: &Database, span: &Span) -> Result<()> {
    ensure!(span.int("server.port") == database.port.map(Into::into), "port");
    ensure!(span.text("db.namespace") == database.namespace, "namespace");
    let address = database.port.map(|_| "127.0.0.1");
    ensure!(span.text("server.address") == address, "address");
    Ok(())
}

fn transactions(database: &Database, app: &App, gotap: &Gotap) -> Result<()> {
    for (path, expected) in [
        ("/tx", &["BEGIN", "INSERT things", "SELECT things", "COMMIT"][..]),
        ("/rollback", &["BEGIN", "INSERT things", "ROLLBACK"]),
    ] {
        let spans = asked(gotap, app, path)?;
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        ensure!(names == expected, "{path}: {names:?}");
        for span in &spans {
            ensure!(span.status == "unset" && span.parent == "context", "{path}: {span:#?}");
            check_place(database, span).with_context(|| format!("{path}: {span:#?}"))?;
        }
    }
    Ok(())
}

fn errors(database: &Database, app: &App, gotap: &Gotap, lazy: bool) -> Result<()> {
    for (path, code) in ["/duplicate", "/syntax", "/missing"].into_iter().zip(database.codes) {
        let spans = asked(gotap, app, path)?;
        let [span] = &spans[..] else { anyhow::bail!("{path}: {}", Span::list(&spans)) };
        ensure!(span.status == "error" && span.message.is_empty(), "{path}: {span:#?}");
        ensure!(span.text("db.response.status_code") == Some(code), "{path}: {span:#?}");
        ensure!(span.text("error.type") == Some(code), "{path}: {span:#?}");
    }
    let spans = asked(gotap, app, "/timeout")?;
    let [span] = &spans[..] else { anyhow::bail!("{}", Span::list(&spans)) };
    let told = span.status == "error" && span.text("error.type").is_some();
    // What fails while rows are read is not told.
    ensure!(told != lazy, "{span:#?}");
    if database.port.is_some() {
        let spans = asked(gotap, app, "/badconn")?;
        let last = spans.last().context("spans")?;
        ensure!(last.name == "SELECT things" && last.status == "unset", "{}", Span::list(&spans));
    }
    Ok(())
}

#[test]
fn postgresql_is_told_through_all_drivers() -> Result<()> {
    if !can_trace("postgresql_is_told_through_all_drivers") {
        return Ok(());
    }
    let server = Postgres::start()?;
    for driver in ["postgres", "pgx", "wrapped-postgres"] {
        check(&Database {
            driver,
            dsn: server.dsn(),
            system: "postgresql",
            port: Some(server.port()),
            namespace: Some("postgres"),
            placeholder: "$1",
            codes: ["23505", "42601", "42P01"],
            mode: Mode::Plain,
            lazy: None,
        })?;
    }
    Ok(())
}

/// By its connector, which another one may wrap.
#[test]
fn mariadb_is_told() -> Result<()> {
    if !can_trace("mariadb_is_told") {
        return Ok(());
    }
    let server = Mysql::start()?;
    ["mysql", "wrapped-mysql"].into_iter().try_for_each(|driver| check_mariadb(&server, driver))
}

fn check_mariadb(server: &Mysql, driver: &'static str) -> Result<()> {
    check(&Database {
        driver,
        dsn: server.dsn(),
        system: "mysql",
        port: Some(server.port()),
        namespace: Some("shop"),
        placeholder: "?",
        codes: ["1062", "1064", "1146"],
        mode: Mode::Plain,
        lazy: None,
    })
}

#[test]
fn sqlite_is_told_through_both_drivers() -> Result<()> {
    if !can_trace("sqlite_is_told_through_both_drivers") {
        return Ok(());
    }
    let folder = tempfile::TempDir::new()?;
    // The one is written in Go. The other one is C, and looked at a row only when asked for it once.
    for (driver, mode, lazy) in [
        ("sqlite", Mode::Plain, None),
        ("sqlite", Mode::Unoptimised, None),
        ("sqlite3", Mode::Cgo, Some("old")),
    ] {
        check(&Database {
            driver,
            dsn: folder.path().join(format!("{driver}-{mode}")).to_string_lossy().into_owned(),
            system: "sqlite",
            port: None,
            namespace: None,
            placeholder: "?",
            codes: ["1555", "1", "1"],
            mode,
            lazy,
        })?;
    }
    Ok(())
}
