//! Small things that all instruments do with texts.

use std::io;

use compact_str::{CompactString, format_compact};
use wire::Text;

use crate::assemble::ProcessInfo;
use crate::span::Ended;

/// Splits `host[:port]`, also with an IPv6 literal.
pub fn host_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.is_empty() {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return Some((host, after.strip_prefix(':').and_then(|p| p.parse().ok())));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok())),
        None => Some((text, None)),
    }
}

/// Several texts as one: what formatting does takes several times as long.
pub(crate) fn joined<const N: usize>(parts: [&str; N]) -> CompactString {
    let mut out = CompactString::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.push_str(part));
    out
}

/// The text, with an ellipsis where it was cut.
pub(crate) fn marked(text: &str, cut: bool) -> CompactString {
    if cut { format_compact!("{text}…") } else { text.into() }
}

/// What an error says: of the operating system's what that calls it, else its own text. `name` is that
/// of its type.
pub(crate) fn error_message(errno: Option<u32>, name: Option<&String>, text: &Text) -> String {
    if let Some(text) = errno.and_then(errno_text) {
        return text;
    }
    if name.is_some_and(|name| name == "context.deadlineExceededError") {
        // It holds nothing: its method returns the text.
        return "context deadline exceeded".to_owned();
    }
    marked(&text.value, text.truncated).into()
}

/// An end in an error that a database's client made itself.
pub fn client_error(
    process: &ProcessInfo,
    error_type: u64,
    errno: Option<u32>,
    text: &Text,
) -> Ended {
    let name = process.type_names.get(&error_type);
    let message = error_message(errno, name, text);
    let kind: CompactString = match (message.as_str(), name) {
        // Go's sentinel errors all have the same type: the text is what tells them apart.
        (text @ ("context canceled" | "driver: bad connection" | "EOF"), _) => text.into(),
        (_, Some(name)) => name.as_str().into(),
        _ => "_OTHER".into(),
    };
    Ended::error(kind, message)
}

/// The operating system's errors have numbers from one up to this.
const LAST_ERRNO: u32 = 133;

/// `connection refused` and the like, without the number that Rust appends. What is no number of an
/// error was read wrongly.
fn errno_text(errno: u32) -> Option<String> {
    if !(1..=LAST_ERRNO).contains(&errno) {
        return None;
    }
    let text = io::Error::from_raw_os_error(errno.cast_signed()).to_string();
    Some(text.split(" (os error").next().unwrap_or_default().to_lowercase())
}

/// Whether the text is an error's of the operating system.
pub(crate) fn is_errno(text: &str) -> bool {
    !text.is_empty() && (1..=LAST_ERRNO).any(|errno| errno_text(errno).as_deref() == Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_errors_have_texts_and_others_none() {
        let message = |errno| error_message(errno, None, &Text::default());
        assert_eq!(message(Some(111)), "connection refused");
        assert_eq!(message(Some(104)), "connection reset by peer");
        for wrong in [0, 9_538_840, u32::MAX] {
            assert_eq!(message(Some(wrong)), "", "{wrong}");
        }
        assert!(is_errno("connection refused") && is_errno("broken pipe"));
        assert!(!is_errno("") && !is_errno("success") && !is_errno("connection"));
    }

    #[test]
    fn hosts_and_ports_are_split() {
        assert_eq!(host_port("[::1]:80"), Some(("::1", Some(80))));
        assert_eq!(host_port("[::1]"), Some(("::1", None)));
        assert_eq!(host_port("host"), Some(("host", None)));
        assert_eq!(host_port("host:99999"), Some(("host", None)));
        assert_eq!(host_port(""), None);
    }
}
