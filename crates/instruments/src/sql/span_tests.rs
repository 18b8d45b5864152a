//! Tests of the mapping from operations on databases to spans.

use std::sync::Arc;

use wire::{Parent, Text, Unread};
use zerocopy::{FromZeros, IntoBytes};

use super::*;
use crate::sql::contract::{EVENT_SQL, Sql};
use trace::synthetic::{core, get, unread};
use trace::{Databases, Status};

fn event(operation: SqlOperation, text: &str) -> SqlEvent {
    SqlEvent {
        span: core(Parent::Context),
        operation,
        library: SqlLibrary::Std,
        batch: 0,
        db: 0xdb,
        error_type: 0,
        number: None,
        errno: None,
        state: Text::default(),
        message: Text::default(),
        text: Text { value: text.into(), truncated: false },
    }
}

#[derive(Debug)]
struct One;

impl Databases for One {
    fn database(&self, db: u64, _: SqlLibrary) -> Option<Database> {
        (db == 0xdb).then(|| Database {
            system: "postgresql",
            address: Some("db.example".into()),
            port: Some(5432),
            namespace: Some("shop".into()),
        })
    }
}

fn made(event: SqlEvent) -> Span {
    let process = ProcessInfo { databases: Some(Arc::new(One)), ..ProcessInfo::default() };
    span(event, &process, 0)
}

#[test]
fn a_query_is_told_without_its_literals() {
    let span = made(event(SqlOperation::Query, "SELECT name FROM users WHERE mail = 'a@b.c'"));
    assert_eq!((span.name.as_str(), span.kind), ("SELECT users", Kind::Client));
    assert_eq!(get(&span, "db.query.text"), "SELECT name FROM users WHERE mail = ?");
    let keys = ["db.operation.name", "db.collection.name", "db.query.summary", "db.namespace"];
    assert_eq!(keys.map(|k| get(&span, k)), ["-", "-", "SELECT users", "shop"]);
    let keys = ["db.system.name", "server.address", "server.port"];
    assert_eq!(keys.map(|k| get(&span, k)), ["postgresql", "db.example", "5432"]);
    assert_eq!(span.status, Status::Unset);
}

#[test]
fn what_is_copied_to_one_table_has_its_name() {
    let span = made(event(SqlOperation::Copy, "copy \"things\" ( \"a\" ) from stdin binary;"));
    let keys = ["db.operation.name", "db.collection.name", "db.query.summary"];
    assert_eq!(keys.map(|k| get(&span, k)), ["COPY", "things", "COPY things"]);
    assert_eq!(span.name, "COPY things");
}

#[test]
fn a_stored_procedure_has_a_name() {
    let span = made(event(SqlOperation::Exec, "CALL pay(5)"));
    let keys = ["db.stored_procedure.name", "db.query.summary", "db.operation.name"];
    assert_eq!(keys.map(|k| get(&span, k)), ["pay", "CALL pay", "-"]);
    assert_eq!(span.name, "CALL pay");
}

#[test]
fn a_text_that_is_no_sql_is_named_for_what_it_was_sent_to() {
    let span = made(event(SqlOperation::Query, "selec 1"));
    let keys = ["db.operation.name", "db.query.summary", "db.query.text"];
    assert_eq!(keys.map(|k| get(&span, k)), ["-", "-", "selec ?"]);
    assert_eq!(span.name, "shop");
}

#[test]
fn transactions_and_preparing_are_operations() {
    assert_eq!(made(event(SqlOperation::Commit, "")).name, "COMMIT");
    let prepared = made(event(SqlOperation::Prepare, "DELETE FROM users WHERE id = $1"));
    assert_eq!(prepared.name, "PREPARE DELETE users");
    assert_eq!(get(&prepared, "db.operation.name"), "PREPARE");
    assert_eq!(get(&prepared, "db.query.text"), "DELETE FROM users WHERE id = $1");
}

#[test]
fn a_drivers_code_is_the_error() {
    let mut failed = event(SqlOperation::Exec, "INSERT INTO users VALUES (1)");
    failed.span.outcome = Outcome::Error;
    failed.state = Text { value: "23505".into(), truncated: false };
    let span = made(failed.clone());
    assert_eq!(get(&span, "db.response.status_code"), "23505");
    assert_eq!(
        (get(&span, "error.type").as_str(), span.status),
        ("23505", Status::Error(String::new()))
    );
    failed.state = Text::default();
    failed.message = Text { value: "driver: bad connection".into(), truncated: false };
    let span = made(failed);
    assert_eq!(get(&span, "error.type"), "driver: bad connection");
    assert_eq!(get(&span, "db.response.status_code"), "-");
}

#[test]
fn a_drivers_text_leaves_only_if_it_quotes_nothing_or_is_asked_for() {
    let told = |text: &str, all: bool| {
        let mut assembler = trace::Assembler::new();
        assembler.add_makers(crate::makers());
        let names = [(0x10, "*errors.errorString".to_owned())].into();
        let info = ProcessInfo { type_names: Arc::new(names), ..ProcessInfo::default() };
        assembler.add_process(1, info);
        if all {
            assembler.error_messages();
        }
        let mut record = Sql::new_zeroed();
        (record.header.kind, record.header.process) = (EVENT_SQL, 1);
        (record.span.outcome, record.subject) = (Outcome::Error as u8, 0x10);
        record.message_len = text.len() as u16;
        record.message[..text.len()].copy_from_slice(text.as_bytes());
        let event = wire::decode(record.as_bytes()).unwrap();
        let span = assembler.on_event(event, 0).expect("a span");
        (get(&span, "error.type"), span.status)
    };
    let kind = "*errors.errorString".to_owned();
    let text = "duplicate value \"a@example.com\" of column mail";
    assert_eq!(told(text, false), (kind.clone(), Status::Error(String::new())));
    assert_eq!(told(text, true), (kind, Status::Error(text.into())));
    let constant = "driver: bad connection";
    assert_eq!(told(constant, false), (constant.into(), Status::Error(constant.into())));
}

#[test]
fn an_unknown_database_is_some_sql() {
    let span = span(event(SqlOperation::Query, "SELECT 1"), &ProcessInfo::default(), 0);
    assert_eq!(get(&span, "db.system.name"), "other_sql");
    assert_eq!(get(&span, "server.address"), "-");
}

#[test]
fn a_name_is_no_statement() {
    let mut named = event(SqlOperation::Exec, "by_id");
    named.library = SqlLibrary::Pgx5;
    let span = made(named.clone());
    assert_eq!((span.name.as_str(), get(&span, "db.query.text").as_str()), ("EXECUTE", "-"));
    named.text.value = "commit".into();
    assert_eq!(made(named).name, "commit");
}

#[test]
fn a_batch_has_a_size_and_one_statement_is_none() {
    let mut batch = event(SqlOperation::Batch, "");
    batch.batch = 3;
    let span = made(batch);
    assert_eq!(
        (span.name.as_str(), get(&span, "db.operation.batch.size").as_str()),
        ("BATCH", "3")
    );
    let mut single = event(SqlOperation::Batch, "SELECT a FROM things");
    single.batch = 1;
    let span = made(single);
    assert_eq!(
        (span.name.as_str(), get(&span, "db.operation.batch.size").as_str()),
        ("SELECT things", "-")
    );
}

#[test]
fn an_error_whose_code_could_not_be_read_is_an_error_without_one() {
    let mut failed = event(SqlOperation::Query, "");
    failed.span.outcome = Outcome::Error;
    failed.error_type = 0x1000;
    failed.span.unread = unread(&[Unread::Status, Unread::Statement]);
    let names = [(0x1000, "*mysql.MySQLError".to_owned())].into();
    let process = ProcessInfo { type_names: Arc::new(names), ..ProcessInfo::default() };
    let span = span(failed, &process, 0);
    let keys = ["db.response.status_code", "db.query.text", "error.type", "gotap.unread"];
    assert_eq!(keys.map(|k| get(&span, k)), ["-", "-", "*mysql.MySQLError", "status,statement"]);
    assert!(matches!(span.status, Status::Error(_)));
}
