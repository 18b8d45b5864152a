//! Which route a served request took: by the pattern that it names itself, or looked up in the table of
//! the program's router by its method and path. Not here: the tables, and how routers match.
//!
//! What was sent need not be what the router looked up: the URL may have another path when the request
//! has ended, and whether it was changed in front of the router or behind it nobody can tell. Then there
//! is a route only if both paths lead to the same.

use std::borrow::Cow;

use compact_str::CompactString;
use percent_encoding::{percent_decode_str, percent_encode, utf8_percent_encode};
use wire::{HttpEvent, PathEvent, PathPart, Text, Unread};

use crate::assemble::{ProcessInfo, Routed};
use crate::text::{host_port, marked};
use crate::url::PATH;

/// What is known of a request's path ahead of its event.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// The request target, where it is too long for the event.
    sent: Option<Text>,
    /// The URL's path at the end, and the length of its `RawPath`, where they may be others.
    at_end: Option<(Text, u16)>,
}

impl Paths {
    pub(crate) fn add(&mut self, event: PathEvent) {
        match event.part {
            PathPart::Sent => self.sent = Some(event.text),
            PathPart::AtEnd { raw_len } => self.at_end = Some((event.text, raw_len)),
        }
    }
}

/// The route of a request, if it is known.
pub(crate) fn of(event: &HttpEvent, paths: &Paths, process: &ProcessInfo) -> Option<CompactString> {
    let named = pattern(&event.route);
    let route = match named {
        // Behind a pattern that takes all below it there may be another router.
        Some(route) if !takes_all_below(&route) => Some(route),
        named => looked_up(event, paths, process).map(CompactString::from).or(named),
    };
    route.filter(|route| {
        // What stands for everything says nothing, unless it names this very path.
        !stands_for_everything(route) || path_of(&event.target.value) == Some(route.as_str())
    })
}

/// The path of a ServeMux pattern: `[METHOD ][HOST]/[PATH]`.
fn pattern(pattern: &Text) -> Option<CompactString> {
    let path = pattern.value.find('/')?;
    Some(marked(&pattern.value[path..], pattern.truncated))
}

/// Whether a pattern of a ServeMux takes all paths below it.
fn takes_all_below(route: &str) -> bool {
    route.ends_with('/') || route.ends_with("...}")
}

/// Whether every path takes this route, in the words of any of the routers: `/`, `/*`, `/*path`,
/// `/{path...}`, `/{path:.*}`.
fn stands_for_everything(route: &str) -> bool {
    let rest = route.strip_prefix('/').unwrap_or(route);
    match rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if !name.contains(['{', '}']) => {
            name.ends_with("...") || name.ends_with(":.*") || name.ends_with(":.+")
        }
        _ => rest.is_empty() || (rest.starts_with(['*', '+']) && !rest.contains('/')),
    }
}

/// The route that the program's router would take.
fn looked_up(event: &HttpEvent, paths: &Paths, process: &ProcessInfo) -> Option<String> {
    let routes = process.routes.as_ref().filter(|_| event.server != 0)?;
    let needed = [Unread::Method, Unread::Target, Unread::Host];
    if needed.iter().any(|what| event.span.unread.has(*what)) {
        return None;
    }
    let target = match &paths.sent {
        Some(sent) => sent,
        None => &event.target,
    };
    if target.truncated && !target.value.contains('?') {
        return None;
    }
    let sent = Url::parse(path_of(&target.value)?)?;
    let authority = event.host.value.as_str();
    let find = |url: &Url<'_>| {
        routes.route(&Routed {
            server: event.server,
            method: &event.method.value,
            authority,
            host: host_port(authority).map_or("", |(host, _)| host),
            path: &url.path,
            raw_path: url.raw_path,
            escaped: &url.escaped(),
            pattern: &event.route.value,
        })
    };
    if event.path_kept {
        return find(&sent);
    }
    let (path, raw_len) = paths.at_end.as_ref().filter(|(path, _)| !path.truncated)?;
    if sent.path == path.value.as_str() && sent.raw_path.len() == usize::from(*raw_len) {
        return find(&sent);
    }
    // What a raw path would say that was set by something else is not known.
    let at_end = (*raw_len == 0).then(|| Url { path: path.value.as_str().into(), raw_path: "" })?;
    find(&sent).filter(|route| find(&at_end).as_ref() == Some(route))
}

/// The path of a request target in Go's `url.URL`.
struct Url<'a> {
    path: Cow<'a, str>,
    /// As sent, where that is not what Go would make of `path`.
    raw_path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(sent: &'a str) -> Option<Self> {
        let bytes: Cow<'a, [u8]> = percent_decode_str(sent).into();
        let encoded = Cow::<str>::from(percent_encode(&bytes, PATH)) == sent;
        let path = match bytes {
            Cow::Borrowed(_) => sent.into(),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok()?.into(),
        };
        Some(Self { path, raw_path: if encoded { "" } else { sent } })
    }

    /// As sent, unless that has bytes which no escaped path may have.
    fn escaped(&self) -> Cow<'_, str> {
        let may_stand =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/!$&'()*+,;=:@[]%".contains(&byte);
        match self.raw_path {
            raw if !raw.is_empty() && raw.bytes().all(may_stand) => raw.into(),
            _ if self.path == "*" => "*".into(),
            _ => utf8_percent_encode(&self.path, PATH).into(),
        }
    }
}

/// The path of a request target in origin, absolute or asterisk form.
pub(crate) fn path_of(target: &str) -> Option<&str> {
    let target = match target.as_bytes().first() {
        // Almost all are in origin form: looking for a scheme takes longer than all else here.
        Some(b'/') => target,
        _ => match target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => {
                rest.find('/').map_or("/", |i| &rest[i..])
            }
            _ => target,
        },
    };
    let end = target.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let path = end.map_or(target, |end| &target[..end]);
    (path.starts_with('/') || path == "*").then_some(path)
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
