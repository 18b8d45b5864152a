//! Where secrets stand in a text. Each function goes through it once, whatever is in it, and gives byte
//! ranges in order. Not here: which names are secret.

use std::ops::Range;

/// The longest name that is looked at, from its end.
const MAX_NAME: usize = 64;

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// Values of `name=value`, `name: value` and `"name": "value"`.
pub(super) fn assigned(text: &str, is_secret: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut out: Vec<Range<usize>> = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        let inside = out.last().is_some_and(|last| at < last.end);
        if inside || !matches!(byte, b'=' | b':') || bytes[at..].starts_with(b"://") {
            continue;
        }
        let name = name_before(text, at);
        if name.is_empty() || !is_secret(name) {
            continue;
        }
        let value = value_after(bytes, at + 1, *byte == b':');
        if !value.is_empty() {
            out.push(value);
        }
    }
    out
}

/// The name that ends at `at`, or before quotes and spaces there.
fn name_before(text: &str, at: usize) -> &str {
    let bytes = text.as_bytes();
    let skipped = bytes[..at].iter().rev().take(4).take_while(|b| b" \"'\\".contains(b)).count();
    let end = at - skipped;
    let len = bytes[..end].iter().rev().take(MAX_NAME).take_while(|b| is_name(**b)).count();
    text.get(end - len..end).unwrap_or_default()
}

/// The value that begins at `at`, or behind spaces there; a header's goes to the end of its line.
fn value_after(bytes: &[u8], at: usize, colon: bool) -> Range<usize> {
    let spaces = bytes[at..].iter().take_while(|b| **b == b' ').count();
    let start = at + spaces;
    let rest = &bytes[start..];
    let len = match rest {
        [b'\\', b'"', inside @ ..] => 2 + until(inside, |b| b == b'"') + 1,
        [quote @ (b'"' | b'\''), inside @ ..] => 1 + until(inside, |b| b == *quote) + 1,
        _ if colon && spaces > 0 => until(rest, |b| b"\"'\r\n".contains(&b)),
        _ => until(rest, |b| b.is_ascii_whitespace() || b"\"'&;|".contains(&b)),
    };
    start..(start + len).min(bytes.len())
}

fn until(bytes: &[u8], ends: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| ends(*byte)).unwrap_or(bytes.len())
}

/// Values of `--name value` within one text, as in a script.
pub(super) fn options(text: &str, is_secret: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at + bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let end = start + until(&bytes[start..], |b| b.is_ascii_whitespace());
        let name = text.get(start..end).unwrap_or_default();
        at = end.max(at + 1);
        let is_option = name.starts_with('-') && name.bytes().all(is_name);
        if !is_option || end == bytes.len() || !is_secret(name) {
            continue;
        }
        let value = value_after(bytes, end + 1, false);
        if !value.is_empty() && bytes[value.start] != b'-' {
            at = value.end;
            out.push(value);
        }
    }
    out
}

/// Passwords of `scheme://user:password@host`.
pub(super) fn passwords_of_urls(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        if out.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let rest = &text.as_bytes()[start..];
        // As browsers do it, the last one before the path counts.
        let end = until(rest, |b| b.is_ascii_whitespace() || b"/?#\"'".contains(&b));
        let Some(sign) = rest[..end].iter().rposition(|b| *b == b'@') else { continue };
        if let Some(colon) = rest[..sign].iter().position(|b| *b == b':') {
            out.push(start + colon + 1..start + sign);
        }
    }
    out.retain(|part| !part.is_empty());
    out
}

/// Passwords of Go's `user:password@tcp(host)`.
pub(super) fn passwords_of_sources(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let bytes = text.as_bytes();
    for sign in ["@tcp(", "@unix(", "@("] {
        let mut from = 0;
        for (end, _) in text.match_indices(sign) {
            let before = &bytes[from..end];
            let start = before.iter().rposition(|b| b.is_ascii_whitespace() || b"=\"'".contains(b));
            let start = from + start.map_or(0, |at| at + 1);
            from = end;
            if let Some(colon) = bytes[start..end].iter().position(|b| *b == b':') {
                out.push(start + colon + 1..end);
            }
        }
    }
    out.retain(|part| !part.is_empty());
    out.sort_by_key(|part| part.start);
    out
}
