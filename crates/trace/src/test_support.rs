//! What the tests of all instruments' mappings start from and look at.

use wire::{HttpEvent, Outcome, Parent, Role, SpanCore, Text, Unread, UnreadSet};

use crate::span::{Span, Value};
use crate::synthetic::attribute;

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
        telemetry: false,
        left_out: false,
        own_trace: false,
        parent,
        outcome: Outcome::Done,
        resend: 0,
        unread: UnreadSet::default(),
    }
}

/// A request of either side that went well.
pub(crate) fn http_event(role: Role) -> HttpEvent {
    let text = |value: &str| Text { value: value.into(), truncated: false };
    HttpEvent {
        instance: 1,
        role,
        span: core(Parent::None),
        request_size: Some(0),
        response_size: Some(3),
        status: Some(200),
        version: (1, 1),
        tls: false,
        known_scheme: true,
        raw_path: false,
        opaque: false,
        path_kept: true,
        tracestate: false,
        content: wire::Content::Other,
        error_type: 0,
        response: 0,
        server: 0,
        errno: 0,
        method: text("GET"),
        target: text("/users/7?token=secret"),
        host: text("example.com:8080"),
        peer: text("127.0.0.1:4711"),
        user_agent: text("curl/8"),
        route: text("GET /users/{id}"),
        query: Text::default(),
        error_text: Text::default(),
    }
}

/// An attribute as text, `-` for none.
pub(crate) fn get(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Value::Int(n)) => n.to_string(),
        Some(Value::Double(n)) => n.to_string(),
        Some(value) => value.as_str().unwrap_or_default().to_owned(),
        None => "-".into(),
    }
}

/// These things, which could not be read.
pub(crate) fn unread(what: &[Unread]) -> UnreadSet {
    what.iter().fold(UnreadSet::default(), |all, what| all.with(*what, true))
}
