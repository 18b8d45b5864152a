//! Which texts of errors leave: the one place where that is decided.
//!
//! An error's text may quote data: what was asked, a key, a name, a password. So a text leaves only if
//! it is one of a fixed set that cannot, or if the user asks for all. The set are gotap's own
//! sentences, the operating system's names of errors, and errors of Go's standard library whose texts
//! are constants. What an error is stays in its type and code in any case. Not here: how texts are found
//! (`text`).

use crate::span::{Span, Status};
use crate::{http2, text};

/// Errors of Go's standard library, and of what it is built with, whose texts are constants.
const CONSTANT: [&str; 46] = [
    "EOF",
    "broken pipe",
    "bufio: buffer full",
    "bufio: negative count",
    "connection refused",
    "connection reset by peer",
    "context canceled",
    "context deadline exceeded",
    "driver: bad connection",
    "driver: skip fast-path; continue as if unimplemented",
    "file already closed",
    "http2: Transport received Server's graceful shutdown GOAWAY",
    "http2: client conn is closed",
    "http2: client conn not usable",
    "http2: client conn could not be established",
    "http2: client connection force closed via ClientConn.Close",
    "http2: client connection lost",
    "http2: no cached connection was available",
    "http2: request body closed due to handler exiting",
    "http2: response body closed",
    "http2: stream closed",
    "http2: timeout awaiting response headers",
    "http2: transport is closed",
    "http: Server closed",
    "http: nil Request.URL",
    "http: no Host in request URL",
    "http: request body too large",
    "http: server closed idle connection",
    "i/o timeout",
    "io: read/write on closed pipe",
    "net/http: HTTP/1.x transport connection broken",
    "net/http: HTTP/1.x transport connection broken: EOF",
    "net/http: HTTP/1.x transport connection broken: unexpected EOF",
    "net/http: TLS handshake timeout",
    "net/http: abort Handler",
    "net/http: nil Context",
    "net/http: request canceled",
    "net/http: request canceled while waiting for connection",
    "net/http: timeout awaiting response headers",
    "operation was canceled",
    "short write",
    "sql: connection is already closed",
    "sql: database is closed",
    "sql: transaction has already been committed or rolled back",
    "unexpected EOF",
    "use of closed network connection",
];

/// What may leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Messages {
    /// The user asked for all texts.
    pub(crate) all: bool,
}

impl Messages {
    /// The span as it leaves.
    pub(crate) fn checked(self, mut span: Span) -> Span {
        if let Status::Error(message) = &mut span.status
            && !self.all
            && !is_constant(message)
        {
            message.clear();
        }
        span
    }

    pub(crate) fn all_checked(self, spans: Vec<Span>) -> Vec<Span> {
        spans.into_iter().map(|span| self.checked(span)).collect()
    }
}

/// Whether the text is one that quotes nothing.
pub(crate) fn is_constant(message: &str) -> bool {
    CONSTANT.contains(&message) || http2::is_own(message) || text::is_errno(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_that_quote_nothing_are_constant() {
        for constant in [
            "EOF",
            "context canceled",
            "connection refused",
            "no route to host",
            "the handler panicked",
            "the stream was reset",
            "stream error: CANCEL",
            "the server sent GOAWAY: code 99",
        ] {
            assert!(is_constant(constant), "{constant}");
        }
        for other in [
            "duplicate value \"somebody@example.com\" of the column email",
            "read tcp 10.0.0.1:1->10.0.0.2:2: connection reset by peer",
            "EOF ",
            "stream error: somebody",
            "the server sent GOAWAY: code x",
            "success",
            "unknown error 9538840",
            "errno",
        ] {
            assert!(!is_constant(other), "{other}");
        }
    }
}
