//! Spans and log records for tests and benchmarks, of this crate and of others, and what they say of themselves.

use std::sync::Arc;

use wire::{Outcome, Parent, SpanCore, Unread, UnreadSet};

use crate::{Added, Http, Kind, LogRecord, Operation, Span, Value, ValueRef};

/// The span of a request, without anything that is known of it. It starts at its id.
pub fn span(trace: u8, id: u8, parent: Option<u8>) -> Span {
    let times = (id.into(), u64::from(id) + 1);
    let operation = Operation::Http(Box::default());
    Span {
        parent_span_id: parent.map(|id| [id; 8]),
        parent: if parent.is_some() { Parent::Context } else { Parent::None },
        ..Span::root(([trace; 16], [id; 8]), "x", Kind::Server, times, operation, Arc::default())
    }
}

/// A log record that says nothing.
pub fn record() -> LogRecord {
    LogRecord {
        time_unix_nano: 1,
        observed_unix_nano: 1,
        severity: None,
        event_name: "",
        body: None,
        stream: None,
        added: Added::default(),
        span: None,
        resource: Arc::default(),
    }
}

/// An HTTP request, as the operation of a span.
pub fn http(http: Http) -> Operation {
    Operation::Http(Box::new(http))
}

/// An attribute as it leaves.
pub fn attribute(span: &Span, key: &str) -> Option<Value> {
    let mut found = None;
    span.attributes(|name, value| {
        if name == key {
            assert!(found.is_none(), "{key} is there twice");
            found = Some(match value {
                ValueRef::Text(text) => Value::Text(text.into()),
                ValueRef::Int(n) => Value::Int(n),
                ValueRef::Double(n) => Value::Double(n),
                ValueRef::Texts(texts) => Value::Texts(texts.into()),
            });
        }
    });
    found
}

/// The names of all attributes, as they leave.
pub fn keys(span: &Span) -> Vec<&'static str> {
    let mut keys = Vec::new();
    span.attributes(|name, _| keys.push(name));
    keys
}

/// A span of 2.5 microseconds.
pub fn core(parent: Parent) -> SpanCore {
    SpanCore {
        start_ns: 1_000,
        end_ns: 3_500,
        goid: 7,
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_span_id: [3; 8],
        trace_flags: 1,
        telemetry: false,
        left_out: false,
        own_trace: false,
        parent,
        outcome: Outcome::Done,
        resend: 0,
        unread: UnreadSet::default(),
    }
}

/// An attribute as text, `-` for none.
pub fn get(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Value::Int(n)) => n.to_string(),
        Some(Value::Double(n)) => n.to_string(),
        Some(value) => value.as_str().unwrap_or_default().to_owned(),
        None => "-".into(),
    }
}

/// These things, which could not be read.
pub fn unread(what: &[Unread]) -> UnreadSet {
    what.iter().fold(UnreadSet::default(), |all, what| all.with(*what, true))
}
