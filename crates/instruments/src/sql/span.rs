//! Operations on databases as spans: the semantic conventions for database clients. Statements lose
//! their literals here (`text`), before anybody sees them.
//!
//! By the conventions, `db.operation.name` and `db.collection.name` are not taken out of a text of SQL,
//! which may have several of each: the summary has them all. An operation has a name where the program
//! called for it by other means than a text.

use compact_str::{CompactString, ToCompactString, format_compact};
use trace::{
    Database, Ended, Endpoint, Kind, Operation, ProcessInfo, Query, Span, SqlLibrary, client_error,
};
use wire::{DecodeError, Outcome};

use super::WORD;
use super::contract::SqlOperation;
use super::event::{SqlEvent, decode};
use super::text::{self, Dialect, Statement};

fn dialect(database: &Database) -> Dialect {
    match database.system {
        "postgresql" => Dialect::PostgreSql,
        "mysql" => Dialect::MySql,
        "sqlite" => Dialect::Sqlite,
        _ => Dialect::Other,
    }
}

/// The span of a record.
pub(super) fn of_record(
    bytes: &[u8],
    process: &ProcessInfo,
    clock_offset: i64,
) -> Result<Span, DecodeError> {
    Ok(span(decode(bytes)?, process, clock_offset))
}

fn span(event: SqlEvent, process: &ProcessInfo, clock_offset: i64) -> Span {
    let database =
        process.databases.as_ref().and_then(|known| known.database(event.db, event.library));
    let database = database.unwrap_or_default();
    let system = if database.system.is_empty() { "other_sql" } else { database.system };
    let address = database.address.as_deref().map(CompactString::from);
    let mut query = Query {
        system,
        instrument: WORD,
        namespace: database.namespace.as_deref().map(CompactString::from),
        server: Endpoint { address, port: database.port },
        ..Query::default()
    };
    operation(&event, dialect(&database), &mut query);
    let ended = outcome(&event, process, &mut query);
    let name = query.summary.clone().unwrap_or_else(|| target(&database, system).into());
    let query = Operation::Database(Box::new(query));
    Span::new(&event.span, name, Kind::Client, ended, query, process, clock_offset)
}

/// What a span is named for whose text tells no operation.
fn target(database: &Database, system: &str) -> String {
    match (&database.namespace, &database.address, database.port) {
        (Some(namespace), ..) => namespace.clone(),
        (None, Some(address), Some(port)) => format!("{address}:{port}"),
        (None, Some(address), None) => address.clone(),
        _ => system.to_owned(),
    }
}

/// Adds what was asked for.
fn operation(event: &SqlEvent, dialect: Dialect, query: &mut Query) {
    let fixed = match event.operation {
        SqlOperation::Begin => "BEGIN",
        SqlOperation::Commit => "COMMIT",
        SqlOperation::Rollback => "ROLLBACK",
        SqlOperation::Batch if event.batch > 1 => {
            query.batch_size = Some(event.batch);
            "BATCH"
        }
        SqlOperation::Query | SqlOperation::Exec if is_name(event) => "EXECUTE",
        _ => {
            let given = &event.text;
            return statement(event, text::parse(&given.value, dialect, given.truncated), query);
        }
    };
    query.operation = Some(fixed.into());
    query.summary = Some(fixed.into());
}

/// Whether what stands for the text is the name of a statement that was prepared, as pgx takes it.
fn is_name(event: &SqlEvent) -> bool {
    /// What may be asked for in a word.
    const COMMANDS: [&str; 9] =
        ["abort", "analyze", "begin", "checkpoint", "commit", "end", "rollback", "start", "vacuum"];
    let text = event.text.value.as_str();
    let word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    event.library != SqlLibrary::Std
        && word
        && !COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(text))
}

fn statement(event: &SqlEvent, mut statement: Statement, query: &mut Query) {
    let prepares = event.operation == SqlOperation::Prepare;
    if !statement.text.is_empty() {
        query.text = Some(statement.text.into());
    }
    if event.operation == SqlOperation::Copy {
        // pgx has written the text itself, for the one table that it was called with.
        query.operation = Some("COPY".into());
        let table = statement.summary.split_once(' ').map_or("", |(_, table)| table).to_owned();
        statement.summary = format!("COPY {table}").trim_end().to_owned();
        if !table.is_empty() {
            query.collection = Some(table.into());
        }
    } else if prepares {
        query.operation = Some("PREPARE".into());
    } else {
        query.procedure = statement.procedure.map(CompactString::from);
    }
    query.summary = match (prepares, statement.summary.as_str()) {
        (true, "") => Some("PREPARE".into()),
        (true, summary) => Some(format_compact!("PREPARE {summary}")),
        (false, "") => None,
        (false, summary) => Some(summary.into()),
    };
}

/// Adds the code; gives how it ended.
fn outcome(event: &SqlEvent, process: &ProcessInfo, query: &mut Query) -> Ended {
    if event.span.outcome != Outcome::Error {
        return Ended::default();
    }
    // A driver's messages may quote what was asked, literals included: the code has to do.
    let code = match event.number {
        Some(number) => Some(number.to_compact_string()),
        None if !event.state.value.is_empty() => Some(event.state.value.clone()),
        None => None,
    };
    if let Some(code) = code {
        query.code = Some(code.clone());
        return Ended::error(code, "");
    }
    client_error(process, event.error_type, event.errno, &event.message)
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
