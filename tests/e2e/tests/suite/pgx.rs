//! What programs ask PostgreSQL for through pgx itself, versions 4 and 5: on a connection, through a
//! pool, and beneath `database/sql`, where an operation must not be told twice. A real server, old and
//! new versions of pgx and of Go.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::postgres::Postgres;

use crate::sql::asked;

/// Versions of pgx, by the list of dependencies that names them, and of Go.
const BUILDS: [(Option<&str>, u32, Mode); 4] = [
    (Some("old"), 18, Mode::Plain),
    (Some("mid"), 21, Mode::Plain),
    (None, 27, Mode::Plain),
    (None, 27, Mode::Race),
];

const CONNECTIONS: [&str; 2] = ["/v4/conn", "/v5/conn"];
const POOLS: [&str; 2] = ["/v4/pool", "/v5/pool"];
const NATIVE: [&str; 4] = ["/v4/conn", "/v5/conn", "/v4/pool", "/v5/pool"];

const SELECT: &str = "SELECT id, name FROM things WHERE id = $1";
const INSERT: &str = "INSERT INTO things (id, name) VALUES (?)";

/// A program that runs, with the command that observes it and its server's port.
struct Observed {
    app: App,
    gotap: Gotap,
    port: u16,
}

impl Observed {
    fn start(
        (dependencies, minor, mode): (Option<&str>, u32, Mode),
        server: &Postgres,
    ) -> Result<Self> {
        let version = Version::of(minor);
        let program = match dependencies {
            Some(name) => go::build_with("pgxapp", name, version, mode)?,
            None => go::build("pgxapp", version, mode)?,
        };
        let app = App::start_with(&program, &["-dsn", &server.dsn()], &[])?;
        let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
        Ok(Self { app, gotap, port: server.port() })
    }

    /// The client spans of a case; all must be its request's children and name the server.
    fn asked(&self, way: &str, case: &str) -> Result<Vec<Span>> {
        let path = format!("{way}/{case}");
        let spans = asked(&self.gotap, &self.app, &path)?;
        for span in &spans {
            let place = (
                span.text("db.system.name"),
                span.text("server.address"),
                span.int("server.port"),
                span.text("db.namespace"),
            );
            let expected =
                (Some("postgresql"), Some("127.0.0.1"), Some(self.port.into()), Some("postgres"));
            ensure!(place == expected, "{path}: {span:#?}");
        }
        Ok(spans)
    }

    /// The only span of a case.
    fn one(&self, way: &str, case: &str) -> Result<Span> {
        let mut spans = self.asked(way, case)?;
        ensure!(spans.len() == 1, "{way}/{case}: {}", Span::list(&spans));
        spans.pop().context("a span")
    }

    /// The only span of a case, which succeeds and asks for this.
    fn statement(&self, way: &str, case: &str, (name, text): (&str, &str)) -> Result<Span> {
        let span = self.one(way, case)?;
        let told = (
            span.name.as_str(),
            span.text("db.query.summary"),
            span.text("db.operation.name"),
            span.text("db.collection.name"),
            span.text("db.query.text"),
        );
        // A text may have several operations and tables.
        let expected = (name, Some(name), None, None, Some(text));
        ensure!(told == expected, "{way}/{case}: {span:#?}");
        succeeded(&span).with_context(|| format!("{way}/{case}"))?;
        Ok(span)
    }

    /// The only span of a case, which fails with an SQLSTATE.
    fn failure(&self, way: &str, case: &str, code: &str) -> Result<Span> {
        let span = self.one(way, case)?;
        let told = (span.text("db.response.status_code"), span.text("error.type"));
        ensure!(told == (Some(code), Some(code)), "{way}/{case}: {span:#?}");
        ensure!(span.status == "error" && span.message.is_empty(), "{way}/{case}: {span:#?}");
        Ok(span)
    }

    fn names(&self, way: &str, case: &str) -> Result<Vec<String>> {
        let spans = self.asked(way, case)?;
        spans.iter().try_for_each(succeeded).with_context(|| format!("{way}/{case}"))?;
        Ok(spans.into_iter().map(|span| span.name).collect())
    }

    /// Nothing was lost but for the `known` reasons, and no value was told.
    fn end(self, known: &[&str]) -> Result<()> {
        let ended = self.gotap.stop()?;
        let is_known = |reason: &String| known.contains(&reason.as_str());
        ensure!(ended.summary.dropped.keys().all(is_known), "{:?}", ended.summary);
        let printed = format!("{:?}", ended.spans);
        ensure!(!printed.contains("secret"), "a literal was not removed");
        Ok(())
    }
}

fn succeeded(span: &Span) -> Result<()> {
    let plain = span.status == "unset"
        && span.text("error.type").is_none()
        && span.text("db.response.status_code").is_none();
    ensure!(plain, "{span:#?}");
    Ok(())
}

/// Runs `test` with each build, and names those that failed. Nothing may be lost.
fn with_each(name: &str, test: impl Fn(&Observed) -> Result<()>) -> Result<()> {
    with_each_losing(&[], name, test)
}

/// The same where something may be lost for the `known` reasons.
fn with_each_losing(
    known: &[&str],
    name: &str,
    test: impl Fn(&Observed) -> Result<()>,
) -> Result<()> {
    if !can_trace(name) {
        return Ok(());
    }
    let server = Postgres::start()?;
    let mut failures = Vec::new();
    for build in BUILDS {
        let result = Observed::start(build, &server).and_then(|observed| {
            test(&observed)?;
            observed.end(known)
        });
        if let Err(error) = result {
            let (dependencies, minor, mode) = build;
            let dependencies = dependencies.unwrap_or("newest");
            failures.push(format!("Go 1.{minor}, {mode}, {dependencies} pgx: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

#[test]
fn pgx_statements_are_told() -> Result<()> {
    with_each("pgx_statements_are_told", |observed| {
        for way in NATIVE {
            for (case, how) in [
                ("query", "context"),
                ("query", "context"), // prepared by now
                ("queryrow", "context"),
                ("norows", "context"), // no error of the database's
                ("simple", "context"),
                ("go", "ancestor"),
                ("noctx", "goroutine"),
            ] {
                let span = observed.statement(way, case, ("SELECT things", SELECT))?;
                ensure!(span.parent == how, "{way}/{case}: {span:#?}");
            }
            let text = "SELECT id, name FROM things WHERE id < $1";
            observed.statement(way, "early", ("SELECT things", text))?;
            let text = "SELECT id, name FROM things WHERE name = ? AND id IN (?)";
            observed.statement(way, "literal", ("SELECT things", text))?;
            observed.statement(way, "exec", ("INSERT things", INSERT))?;
            let large = observed.one(way, "large")?;
            let text = large.text("db.query.text").context("text")?;
            ensure!(text.ends_with('…') && text.len() < 1100, "{text}");
            let empty = observed.one(way, "empty")?;
            ensure!(empty.text("db.query.text").is_none(), "{empty:#?}");
            succeeded(&empty)?;
        }
        Ok(())
    })
}

#[test]
fn pgx_transactions_are_told() -> Result<()> {
    with_each("pgx_transactions_are_told", |observed| {
        // As pgx writes them.
        for way in NATIVE {
            let names = observed.names(way, "tx")?;
            ensure!(names == ["begin", "INSERT things", "SELECT things", "commit"], "{names:?}");
            let names = observed.names(way, "rollback")?;
            ensure!(names == ["begin", "INSERT things", "rollback"], "{names:?}");
        }
        Ok(())
    })
}

#[test]
fn pgx_errors_are_told() -> Result<()> {
    with_each("pgx_errors_are_told", |observed| {
        for way in NATIVE {
            for (case, code) in [
                ("duplicate", "23505"),
                ("returning", "23505"),
                ("returning", "23505"), // of a statement that some versions have kept
                ("syntax", "42601"),
                ("badquery", "42601"),
                ("missing", "42P01"),
                ("divide", "22012"),
            ] {
                observed.failure(way, case, code)?;
            }
        }
        for way in CONNECTIONS {
            let span = observed.one(way, "canceled")?;
            ensure!(span.status == "error" && span.text("error.type").is_some(), "{span:#?}");
        }
        for way in POOLS {
            // The pool gives no connection then.
            let spans = observed.asked(way, "canceled")?;
            ensure!(spans.is_empty(), "{}", Span::list(&spans));
            let span = observed.one(way, "timeout")?;
            ensure!(span.status == "error" && span.text("error.type").is_some(), "{span:#?}");
            observed.statement(way, "query", ("SELECT things", SELECT))?;
        }
        Ok(())
    })
}

#[test]
fn pgx_batches_are_told() -> Result<()> {
    with_each("pgx_batches_are_told", |observed| {
        for way in NATIVE {
            let span = observed.one(way, "batch")?;
            check_batch(&span, 3).with_context(|| format!("{way}: {span:#?}"))?;
            succeeded(&span)?;
            // One statement is no batch.
            let span = observed.statement(way, "batchone", ("SELECT things", SELECT))?;
            ensure!(span.int("db.operation.batch.size").is_none(), "{span:#?}");
            let spans = observed.asked(way, "batchempty")?;
            ensure!(spans.is_empty(), "{}", Span::list(&spans));
        }
        for way in POOLS {
            for (case, code, size) in [
                ("batchfails", "23505", 3),
                ("batchunread", "23505", 2),
                ("batchsyntax", "42601", 2),
            ] {
                let span = observed.failure(way, case, code)?;
                check_batch(&span, size).with_context(|| format!("{way}/{case}: {span:#?}"))?;
            }
        }
        Ok(())
    })
}

fn check_batch(span: &Span, size: i64) -> Result<()> {
    ensure!(span.name.starts_with("BATCH"), "name");
    ensure!(span.text("db.operation.name") == Some("BATCH"), "operation");
    ensure!(span.int("db.operation.batch.size") == Some(size), "size");
    Ok(())
}

#[test]
fn pgx_copies_are_told() -> Result<()> {
    with_each("pgx_copies_are_told", |observed| {
        for way in NATIVE {
            for case in ["copy", "copyschema", "copyduplicate"] {
                // pgx may prepare a select before, to learn the types of the columns.
                let mut spans = observed.asked(way, case)?;
                let copy = spans.pop().with_context(|| format!("{way}/{case}: no span"))?;
                ensure!(copy.text("db.operation.name") == Some("COPY"), "{way}/{case}: {copy:#?}");
                let table = copy.text("db.collection.name").unwrap_or_default();
                ensure!(table.contains("things"), "{way}/{case}: {copy:#?}");
                ensure!(copy.name.starts_with("COPY "), "{way}/{case}: {copy:#?}");
                let prepared = spans.iter().all(|span| span.name.starts_with("PREPARE select"));
                ensure!(prepared && spans.len() < 2, "{way}/{case}: {}", Span::list(&spans));
                if case == "copyduplicate" {
                    let code = copy.text("db.response.status_code");
                    ensure!(code == Some("23505"), "{way}: {copy:#?}");
                } else {
                    succeeded(&copy)?;
                }
            }
        }
        Ok(())
    })
}

#[test]
fn pgx_prepared_statements_are_told() -> Result<()> {
    with_each("pgx_prepared_statements_are_told", |observed| {
        for way in NATIVE {
            // Queried and executed by name.
            let spans = observed.asked(way, "prepared")?;
            let [prepare, query, exec] = &spans[..] else {
                anyhow::bail!("{way}: {}", Span::list(&spans))
            };
            let texts = (prepare.text("db.query.text"), query.text("db.query.text"));
            ensure!(texts == (Some(SELECT), Some(SELECT)), "{way}: {spans:#?}");
            ensure!(prepare.name == "PREPARE SELECT things", "{way}: {prepare:#?}");
            ensure!(query.name == "SELECT things", "{way}: {query:#?}");
            // A name is no text.
            ensure!(exec.text("db.query.text") != Some("by_id"), "{way}: {exec:#?}");
            spans.iter().try_for_each(succeeded)?;
        }
        for way in CONNECTIONS {
            // Nothing is sent to prepare it again.
            let names = observed.names(way, "prepared")?;
            ensure!(names.len() == 2 && names[0] == "SELECT things", "{way}: {names:?}");
        }
        Ok(())
    })
}

/// What is asked of a connection that is nil panics, and leaves nothing behind for the next query.
#[test]
fn pgx_asked_of_nobody_is_not_told() -> Result<()> {
    with_each_losing(&["client_unfinished"], "pgx_asked_of_nobody_is_not_told", |observed| {
        for way in NATIVE {
            for _ in 0..2 {
                observed.statement(way, "nil", ("SELECT things", SELECT))?;
            }
        }
        Ok(())
    })
}

#[test]
fn pgx_connections_are_kept_apart() -> Result<()> {
    with_each("pgx_connections_are_kept_apart", |observed| {
        for way in POOLS {
            let mut spans = observed.asked(way, "nested")?;
            spans.sort_by_key(|span| span.start);
            let [select, insert] = &spans[..] else {
                anyhow::bail!("{way}: {}", Span::list(&spans))
            };
            let names = (select.name.as_str(), insert.name.as_str());
            ensure!(names == ("SELECT things", "INSERT things"), "{way}: {names:?}");
            ensure!(insert.end <= select.end, "{way}: the rows were closed last");
            spans.iter().try_for_each(succeeded)?;
        }
        Ok(())
    })
}

#[test]
fn pgx_beneath_database_sql_is_told_once() -> Result<()> {
    with_each("pgx_beneath_database_sql_is_told_once", |observed| {
        let way = "/v5/sql";
        for case in ["query", "query", "queryrow", "noctx", "go"] {
            observed.statement(way, case, ("SELECT things", SELECT))?;
        }
        observed.statement(way, "exec", ("INSERT things", INSERT))?;
        // By database/sql or by what pgx writes, which has small letters, but once.
        let names: Vec<_> = observed.names(way, "tx")?.iter().map(|n| n.to_lowercase()).collect();
        ensure!(names == ["begin", "insert things", "select things", "commit"], "{names:?}");
        for (case, code) in [("duplicate", "23505"), ("syntax", "42601"), ("missing", "42P01")] {
            observed.failure(way, case, code)?;
        }
        // And what is native in the same program is told still.
        observed.statement("/v5/pool", "query", ("SELECT things", SELECT))?;
        Ok(())
    })
}
