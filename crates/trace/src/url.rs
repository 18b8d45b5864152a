//! What spans say of URLs: how a client's is put together, and query strings without their secrets.
//!
//! Whether spans have query strings at all is a setting; it is not decided here.

use std::borrow::Cow;

use compact_str::CompactString;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use wire::{HttpEvent, Text};

use crate::text::{joined, marked};

/// What Go's `url.URL.EscapedPath` escapes in a path.
pub(crate) const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%')
    .add(b'^')
    .add(b'|')
    .add(b'\\')
    .add(b'[')
    .add(b']')
    .add(b'!')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*');

/// Parameters whose values the conventions want to be redacted, in these very letters.
const SENSITIVE: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];
/// What stands in their place.
const REDACTED: &str = "REDACTED";

/// The URL of a client's request, as it is sent; its query only with `queries`.
pub(crate) fn full(event: &HttpEvent, scheme: &str, queries: bool) -> CompactString {
    let target = event.target.value.as_str();
    let (path, own_query) = match target.split_once('?') {
        // What the program gave as the whole may have a query of its own.
        Some((path, query)) if event.opaque => (path, Some(query)),
        _ => (target, None),
    };
    let path: Cow<'_, str> =
        if event.raw_path { path.into() } else { utf8_percent_encode(path, PATH).into() };
    let cut = event.target.truncated && own_query.is_none();
    let end = if cut { "…" } else { "" };
    let mut out = match path.strip_prefix("//") {
        // Go sends such a one as an absolute URL.
        Some(rest) if event.opaque => joined([scheme, "://", without_user(rest), end]),
        _ if event.opaque && !path.starts_with('/') => joined([scheme, ":", &path, end]),
        _ => joined([scheme, "://", &event.host.value, &path, end]),
    };
    if queries && !cut {
        let own = own_query.map(|query| marked(&redacted(query), event.target.truncated));
        let added = Some(&event.query).filter(|query| !query.value.is_empty());
        for query in [own, added.map(|query| marked(&redacted(&query.value), query.truncated))] {
            out.extend(query.iter().flat_map(|query| ["?", query]));
        }
    }
    out
}

/// What stands behind the name and password in `name:password@host/path`.
fn without_user(rest: &str) -> &str {
    let end = rest.find('/').unwrap_or(rest.len());
    rest[..end].rfind('@').map_or(rest, |at| &rest[at + 1..])
}

/// The query of a request's target, without secrets; none where there is none.
pub(crate) fn query_of(target: &Text) -> Option<CompactString> {
    let query = target.value.split('#').next()?.split_once('?')?.1;
    (!query.is_empty()).then(|| marked(&redacted(query), target.truncated))
}

/// A query with the values of sensitive parameters replaced. Names may be escaped, and a semicolon may
/// separate: rather too much is removed.
fn redacted(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    for piece in query.split_inclusive(['&', ';']) {
        let (pair, end) = match piece.strip_suffix(['&', ';']) {
            Some(pair) => (pair, &piece[pair.len()..]),
            None => (piece, ""),
        };
        let name = pair.split('=').next().unwrap_or_default();
        let decoded = percent_decode_str(name).decode_utf8_lossy();
        if pair.len() > name.len() && SENSITIVE.contains(&decoded.as_ref()) {
            out.extend([name, "=", REDACTED, end]);
        } else {
            out.push_str(piece);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_sensitive_parameters_are_redacted() {
        let cases = [
            ("q=go&page=2", "q=go&page=2"),
            ("a=1&sig=abc%3D&b=2", "a=1&sig=REDACTED&b=2"),
            ("Signature=x=y", "Signature=REDACTED"),
            (
                "AWSAccessKeyId=A;X-Goog-Signature=b",
                "AWSAccessKeyId=REDACTED;X-Goog-Signature=REDACTED",
            ),
            ("s%69g=abc&sig", "s%69g=REDACTED&sig"),
            ("signature=x&SIG=y&design=z", "signature=x&SIG=y&design=z"),
            ("sig=", "sig=REDACTED"),
            ("&&sig=a&", "&&sig=REDACTED&"),
        ];
        for (query, expected) in cases {
            assert_eq!(redacted(query), expected);
        }
    }

    #[test]
    fn the_query_of_a_target_is_told_apart() {
        let text = |value: &str, truncated| Text { value: value.into(), truncated };
        let query = |value, truncated| query_of(&text(value, truncated)).map(String::from);
        assert_eq!(query("/a?b=c?d", false).as_deref(), Some("b=c?d"));
        assert_eq!(query("/a?sig=12", true).as_deref(), Some("sig=REDACTED…"));
        assert_eq!(query("http://x/a?b#c", false).as_deref(), Some("b"));
        assert_eq!(
            (query("/a", false), query("/a?", false), query("/a#?b", false)),
            (None, None, None)
        );
    }

    #[test]
    fn a_password_is_no_part_of_a_host() {
        assert_eq!(without_user("user:p@ss@host/a@b"), "host/a@b");
        assert_eq!(without_user("host:80"), "host:80");
    }
}
