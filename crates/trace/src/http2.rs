//! What is particular to HTTP/2: streams that end before their time, and error codes.
//!
//! Texts and types are those of `golang.org/x/net/http2`; net/http has copies of it with longer
//! names until Go 1.26.

use wire::{HttpEvent, Outcome, Role};

/// Error codes by number: RFC 9113, section 7.
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// Why a stream was closed before its handler was done, as `(error.type, message)`. Other texts say
/// that it ended as it should.
pub(crate) fn closed_early(event: &HttpEvent) -> Option<(&'static str, &'static str)> {
    if event.role != Role::Server || event.version.0 != 2 {
        return None;
    }
    match event.error_text.value.as_str() {
        "http2: stream closed" => Some(("stream reset", "the stream was reset")),
        "client disconnected" => Some(("client disconnected", "the client disconnected")),
        _ => None,
    }
}

/// Type and message of an error that carries an HTTP/2 code; `None` for one that could not be read.
pub(crate) fn error(type_name: &str, code: Option<u32>) -> Option<(&'static str, String)> {
    let plain = type_name.trim_start_matches('*');
    let name = plain.strip_prefix("http2.").or_else(|| plain.strip_prefix("http.http2"))?;
    let (kind, what) = match name {
        "StreamError" => ("http2.StreamError", "stream error"),
        "ConnectionError" => ("http2.ConnectionError", "connection error"),
        "GoAwayError" => ("http2.GoAwayError", "the server sent GOAWAY"),
        _ => return None,
    };
    let Some(code) = code else { return Some((kind, what.to_owned())) };
    let known = CODES.get(code as usize);
    let code = known.map_or_else(|| format!("code {code}"), |name| (*name).to_owned());
    Some((kind, format!("{what}: {code}")))
}

/// Whether HTTP's mapping made the text, of a code or of how a request or a stream ended.
pub(crate) fn is_own(message: &str) -> bool {
    const WHOLE: [&str; 10] = [
        "connection error",
        "stream error",
        "the client closed the stream or its connection",
        "the client disconnected",
        "the client refuses the request: it cannot be sent",
        "the handler did not return",
        "the handler gave its answer up",
        "the handler panicked",
        "the server sent GOAWAY",
        "the stream was reset",
    ];
    let is_code = |code: &str| {
        let number = code.strip_prefix("code ");
        CODES.contains(&code) || number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let begins = ["stream error: ", "connection error: ", "the server sent GOAWAY: "];
    WHOLE.contains(&message)
        || begins.iter().any(|begin| message.strip_prefix(begin).is_some_and(is_code))
}

/// Whether the event is of an attempt that found no connection to use: the transport takes another
/// one, and nothing was sent.
pub(crate) fn is_nothing_sent(event: &HttpEvent) -> bool {
    event.role == Role::Client
        && event.span.outcome == Outcome::Error
        && event.error_text.value == "http2: client conn not usable"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_both_copies_have_one_name() {
        let expected = Some(("http2.StreamError", "stream error: CANCEL".to_owned()));
        assert_eq!(error("http.http2StreamError", Some(8)), expected);
        assert_eq!(error("http2.StreamError", Some(8)), expected);
        let away = error("http2.GoAwayError", Some(99)).map(|(_, message)| message);
        assert_eq!(away.as_deref(), Some("the server sent GOAWAY: code 99"));
        assert_eq!(error("*url.Error", Some(8)), None);
        let unread = Some(("http2.StreamError", "stream error".to_owned()));
        assert_eq!(error("http2.StreamError", None), unread, "0 would be NO_ERROR");
    }
}
