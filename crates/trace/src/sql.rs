//! Operations on databases as spans: the semantic conventions for database clients. Statements lose
//! their literals here (`sql_text`), before anybody sees them.
//!
//! By the conventions, `db.operation.name` and `db.collection.name` are not taken out of a text of SQL,
//! which may have several of each: the summary has them all. An operation has a name where the program
//! called for it by other means than a text.

use compact_str::ToCompactString;
use wire::{Outcome, SqlEvent, SqlLibrary, SqlOperation};

use crate::assemble::ProcessInfo;
use crate::span::{Kind, Span, Status, Value};
use crate::sql_text::{self, Dialect, Statement};
use crate::text::client_error;

type Attributes = Vec<(&'static str, Value)>;

/// What a `sql.DB` stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// `db.system.name`.
    pub system: &'static str,
    /// Host name, address or path of a socket.
    pub address: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// `db.namespace`: the database's name.
    pub namespace: Option<String>,
}

impl Database {
    fn dialect(&self) -> Dialect {
        match self.system {
            "postgresql" => Dialect::PostgreSql,
            "mysql" => Dialect::MySql,
            "sqlite" => Dialect::Sqlite,
            _ => Dialect::Other,
        }
    }
}

pub(crate) fn span(event: SqlEvent, process: &ProcessInfo, clock_offset: i64) -> Span {
    let database =
        process.databases.as_ref().and_then(|known| known.database(event.db, event.library));
    let database = database.unwrap_or_default();
    let mut out = Vec::with_capacity(12);
    let system = if database.system.is_empty() { "other_sql" } else { database.system };
    out.push(("db.system.name", Value::Static(system)));
    let name = operation(&event, database.dialect(), &mut out);
    if let Some(namespace) = &database.namespace {
        out.push(("db.namespace", Value::Text(namespace.as_str().into())));
    }
    if let Some(address) = &database.address {
        out.push(("server.address", Value::Text(address.as_str().into())));
    }
    if let Some(port) = database.port {
        out.push(("server.port", Value::Int(port.into())));
    }
    let status = outcome(&event, process, &mut out);
    let name = if name.is_empty() { target(&database, system) } else { name };
    Span::new(&event.span, name, Kind::Client, status, out, process, clock_offset)
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

/// Adds what was asked for; gives its summary.
fn operation(event: &SqlEvent, dialect: Dialect, out: &mut Attributes) -> String {
    let fixed = match event.operation {
        SqlOperation::Begin => "BEGIN",
        SqlOperation::Commit => "COMMIT",
        SqlOperation::Rollback => "ROLLBACK",
        SqlOperation::Batch if event.batch > 1 => {
            out.push(("db.operation.batch.size", Value::Int(event.batch.into())));
            "BATCH"
        }
        SqlOperation::Query | SqlOperation::Exec if is_name(event) => "EXECUTE",
        _ => {
            let text = &event.text;
            return statement(event, sql_text::parse(&text.value, dialect, text.truncated), out);
        }
    };
    out.push(("db.operation.name", Value::Static(fixed)));
    out.push(("db.query.summary", Value::Static(fixed)));
    fixed.to_owned()
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

fn statement(event: &SqlEvent, mut statement: Statement, out: &mut Attributes) -> String {
    let prepares = event.operation == SqlOperation::Prepare;
    if !statement.text.is_empty() {
        out.push(("db.query.text", Value::Text(statement.text.into())));
    }
    if event.operation == SqlOperation::Copy {
        // pgx has written the text itself, for the one table that it was called with.
        out.push(("db.operation.name", Value::Static("COPY")));
        let table = statement.summary.split_once(' ').map_or("", |(_, table)| table).to_owned();
        statement.summary = format!("COPY {table}").trim_end().to_owned();
        if !table.is_empty() {
            out.push(("db.collection.name", Value::Text(table.into())));
        }
    } else if prepares {
        out.push(("db.operation.name", Value::Static("PREPARE")));
    } else if let Some(procedure) = statement.procedure {
        out.push(("db.stored_procedure.name", Value::Text(procedure.into())));
    }
    let summary = match (prepares, statement.summary.as_str()) {
        (true, "") => "PREPARE".to_owned(),
        (true, summary) => format!("PREPARE {summary}"),
        (false, summary) => summary.to_owned(),
    };
    if !summary.is_empty() {
        out.push(("db.query.summary", Value::Text(summary.as_str().into())));
    }
    summary
}

/// Adds code and error; gives the span's status.
fn outcome(event: &SqlEvent, process: &ProcessInfo, out: &mut Attributes) -> Status {
    if event.span.outcome != Outcome::Error {
        return Status::Unset;
    }
    // A driver's messages may quote what was asked, literals included: the code has to do.
    let code = match event.number {
        Some(number) => Some(number.to_compact_string()),
        None if !event.state.value.is_empty() => Some(event.state.value.clone()),
        None => None,
    };
    if let Some(code) = code {
        out.push(("db.response.status_code", Value::Text(code.clone())));
        out.push(("error.type", Value::Text(code)));
        return Status::Error(String::new());
    }
    let (kind, message) = client_error(process, event.error_type, event.errno, &event.message);
    out.push(("error.type", kind));
    Status::Error(message)
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
