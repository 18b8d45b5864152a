//! What the tests of all instruments' mappings start from and look at.

use wire::{HttpEvent, Parent, Role, Text};

pub(crate) use crate::synthetic::{core, get, unread};

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
