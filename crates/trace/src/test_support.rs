//! What the tests of all instruments' mappings start from and look at.

use wire::{Outcome, Parent, SpanCore, Unread, UnreadSet};

use crate::span::{Span, Value};

/// A span of 2.5 microseconds.
pub(crate) fn core(parent: Parent) -> SpanCore {
    SpanCore {
        start_ns: 1_000,
        end_ns: 3_500,
        goid: 7,
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_span_id: [3; 8],
        trace_flags: 1,
        parent,
        outcome: Outcome::Done,
        resend: 0,
        unread: UnreadSet::default(),
    }
}

/// An attribute as text, `-` for none.
pub(crate) fn get(span: &Span, key: &str) -> String {
    match span.get(key) {
        Some(Value::Int(n)) => n.to_string(),
        Some(value) => value.as_str().unwrap_or_default().to_owned(),
        None => "-".into(),
    }
}

/// These things, which could not be read.
pub(crate) fn unread(what: &[Unread]) -> UnreadSet {
    what.iter().fold(UnreadSet::default(), |all, what| all.with(*what, true))
}
