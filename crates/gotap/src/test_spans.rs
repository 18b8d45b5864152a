//! A span for tests.

use std::sync::Arc;

use trace::{Kind, Span, Status};
use wire::Parent;

/// A span that starts at its id.
pub(crate) fn span(trace: u8, id: u8, parent: Option<u8>) -> Span {
    Span {
        trace_id: [trace; 16],
        span_id: [id; 8],
        parent_span_id: parent.map(|id| [id; 8]),
        trace_flags: 1,
        telemetry: false,
        left_out: false,
        own_trace: false,
        links: Vec::new(),
        trace_state: String::new(),
        name: "x".into(),
        kind: Kind::Server,
        start_unix_nano: id.into(),
        end_unix_nano: u64::from(id) + 1,
        status: Status::Unset,
        attributes: Vec::new(),
        parent: if parent.is_some() { Parent::Context } else { Parent::None },
        unread: wire::UnreadSet::default(),
        resource: Arc::default(),
    }
}
