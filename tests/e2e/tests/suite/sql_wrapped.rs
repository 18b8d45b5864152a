//! Drivers around drivers: which database is behind them, in whatever shape they hold it.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::mysql::Mysql;
use gotap_testkit::postgres::Postgres;

use crate::sql::asked;

/// What is known of a database: its system, and whether its server is.
const POSTGRESQL: (&str, bool) = ("postgresql", true);
const MYSQL: (&str, bool) = ("mysql", true);
/// One that is not known. Which of two it is, is not guessed.
const NONE: (&str, bool) = ("other_sql", false);

const DRIVERS: [(&str, (&str, bool)); 9] = [
    ("otelsql", POSTGRESQL),
    ("otelsql-mysql", MYSQL),
    ("otelsql-connector", MYSQL),
    ("sqlmw", POSTGRESQL),
    ("held", POSTGRESQL),
    ("embedded", MYSQL),
    ("pointed", POSTGRESQL),
    ("both", NONE),
    ("closed", NONE),
];

#[test]
fn wrapped_drivers_are_looked_through() -> Result<()> {
    if !can_trace("wrapped_drivers_are_looked_through") {
        return Ok(());
    }
    let (postgres, mysql) = (Postgres::start()?, Mysql::start()?);
    let program = go::build("wrapapp", Version::NEWEST, Mode::Stripped)?;
    let names = ["-postgres", &postgres.dsn(), "-mysql", &mysql.dsn()];
    let app = App::start_with(&program, &names, &[])?;
    let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
    for (driver, (system, is_found)) in DRIVERS {
        let spans = asked(&gotap, &app, &format!("/{driver}"))?;
        let span = spans.iter().find(|span| span.text("db.query.text").is_some());
        let span = span.with_context(|| format!("{driver} makes no query: {spans:#?}"))?;
        ensure!(span.text("db.system.name") == Some(system), "{driver}: {span:#?}");
        let port = if system == "mysql" { mysql.port() } else { postgres.port() };
        let expected = is_found.then_some(i64::from(port));
        ensure!(span.int("server.port") == expected, "{driver}: {span:#?}");
        ensure!(span.text("db.namespace").is_some() == is_found, "{driver}: {span:#?}");
    }
    let ended = gotap.stop()?;
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    let printed = format!("{:?}", ended.spans);
    ensure!(!printed.contains("secret"), "a literal was not removed: {printed}");
    Ok(())
}
