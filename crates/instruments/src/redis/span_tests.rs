//! Tests of the mapping from what is asked of Redis to spans.

use wire::{Parent, Text, Unread};

use super::*;
use trace::Status;
use trace::synthetic::{core, get, unread};

fn text(value: &str) -> Text {
    Text { value: value.into(), truncated: false }
}

fn event(operation: RedisSite, name: &str, batch: u32, args: u32) -> RedisEvent {
    RedisEvent {
        span: core(Parent::Context),
        operation,
        batch,
        args,
        name: text(name),
        db: Some(3),
        address: text("cache.example:6379"),
        peer: None,
        error_type: 0,
        errno: None,
        answered: false,
        message: Text::default(),
    }
}

fn made(event: &RedisEvent) -> Span {
    span(event, &ProcessInfo::default(), 0)
}

#[test]
fn a_command_is_told_by_its_name() {
    let span = made(&event(RedisSite::Command, "mget", 1, 4));
    assert_eq!((span.name.as_str(), span.kind), ("MGET", Kind::Client));
    let keys = ["db.system.name", "db.operation.name", "db.namespace", "server.address"];
    assert_eq!(keys.map(|key| get(&span, key)), ["redis", "MGET", "3", "cache.example"]);
    assert_eq!(get(&span, "server.port"), "6379");
    assert_eq!(get(&span, "gotap.redis.key_count"), "3");
    assert_eq!(get(&span, "db.operation.batch.size"), "-");
}

#[test]
fn what_can_be_no_name_is_not_told() {
    for name in ["", "secret key", "schlüssel"] {
        let span = made(&event(RedisSite::Command, name, 1, 2));
        assert_eq!(span.name, "redis", "{name}");
        assert_eq!(get(&span, "db.operation.name"), "-");
    }
}

#[test]
fn keys_are_counted_where_arguments_tell_them() {
    let cases =
        [("SET", 5, Some(1)), ("MSET", 7, Some(3)), ("BLPOP", 4, Some(2)), ("DEL", 1, Some(0))];
    for (name, args, count) in cases {
        assert_eq!(key_count(name, args), count, "{name}");
    }
    assert_eq!((key_count("EVAL", 9), key_count("GET", 0)), (None, None));
}

#[test]
fn batches_have_a_size() {
    for (operation, name, batch, expected, size) in [
        (RedisSite::Pipeline, "get", 3, "PIPELINE", "3"),
        (RedisSite::Pipeline, "multi", 4, "MULTI", "2"),
        (RedisSite::Pipeline, "get", 1, "GET", "-"),
        (RedisSite::Do, "", 2, "PIPELINE", "2"),
        (RedisSite::Do, "GET", 2, "PIPELINE", "3"),
        (RedisSite::Do, "EXEC", 3, "MULTI", "2"),
        (RedisSite::Do, "get", 0, "GET", "-"),
    ] {
        let span = made(&event(operation, name, batch, 2));
        assert_eq!(span.name, expected, "{operation:?} {name}");
        assert_eq!(get(&span, "db.operation.batch.size"), size, "{operation:?} {name}");
    }
}

#[test]
fn an_answer_is_told_by_its_code_alone() {
    let mut failed = event(RedisSite::Command, "nonsense", 1, 2);
    failed.span.outcome = Outcome::Error;
    failed.error_type = 0x10;
    failed.answered = true;
    failed.message = text("ERR unknown command 'x', with args 'secret'");
    let span = made(&failed);
    assert_eq!(span.status, Status::Error(String::new()));
    assert_eq!(
        (get(&span, "db.response.status_code"), get(&span, "error.type")),
        ("ERR".into(), "ERR".into())
    );

    // What the library says of an answer may quote it.
    failed.message = text("redis: can't parse \"secret\"");
    assert_eq!(get(&made(&failed), "error.type"), "_OTHER");
    failed.message = text("redis: transaction failed");
    assert_eq!(get(&made(&failed), "error.type"), "redis: transaction failed");

    failed.message = text("redis: nil");
    let span = made(&failed);
    assert_eq!((span.status.clone(), get(&span, "error.type")), (Status::Unset, "-".into()));
}

#[test]
fn a_server_is_where_the_client_was_told() {
    let mut at = event(RedisSite::Do, "GET", 0, 2);
    at.address = text("FailoverClient");
    assert_eq!(get(&made(&at), "server.address"), "-");
    at.address = text("/run/redis.sock");
    assert_eq!(get(&made(&at), "server.address"), "/run/redis.sock");
    at.address = Text::default();
    at.peer = "10.0.0.1:7000".parse().ok();
    assert_eq!(get(&made(&at), "server.address"), "10.0.0.1");
}

#[test]
fn a_nodes_part_of_a_pipeline_is_one_and_of_a_transaction_has_no_wrapping() {
    let cases = [
        (RedisSite::Batch, "get", 3, "PIPELINE", "3"),
        (RedisSite::Batch, "get", 1, "GET", "-"),
        (RedisSite::Transaction, "set", 2, "MULTI", "2"),
        (RedisSite::Transaction, "set", 1, "MULTI", "1"),
    ];
    for (site, first, batch, name, size) in cases {
        let span = made(&event(site, first, batch, 2));
        assert_eq!(span.name, name);
        assert_eq!(get(&span, "db.operation.name"), name);
        assert_eq!(get(&span, "db.operation.batch.size"), size);
    }
}

#[test]
fn what_could_not_be_read_of_a_command_is_left_out_and_named() {
    let mut unknown = event(RedisSite::Command, "", 1, 0);
    (unknown.db, unknown.address) = (None, Text::default());
    let unread_things = [Unread::Error, Unread::Command, Unread::Database, Unread::Address];
    unknown.span.unread = unread(&unread_things);
    let span = made(&unknown);
    assert_eq!((span.name.as_str(), span.status.clone()), ("redis", Status::Unset));
    let keys = ["db.operation.name", "db.namespace", "server.address"];
    assert_eq!(keys.map(|k| get(&span, k)), ["-"; 3]);
    assert_eq!(get(&span, "gotap.unread"), "error,command,database,address");
    // An answer whose text is unknown may say that there is no such key.
    let mut answered = event(RedisSite::Command, "get", 1, 2);
    (answered.answered, answered.error_type) = (true, 0x1000);
    answered.span.outcome = Outcome::Error;
    answered.span.unread = unread(&[Unread::Message]);
    let span = made(&answered);
    assert_eq!((get(&span, "error.type").as_str(), span.status.clone()), ("-", Status::Unset));
    // A command of an unknown name is one all the same.
    let mut last = event(RedisSite::Do, "", 2, 0);
    last.span.unread = unread(&[Unread::Command]);
    assert_eq!(get(&made(&last), "db.operation.batch.size"), "3");
}
