//! HTTP events as spans: the stable HTTP semantic conventions (1.23 and later).

use compact_str::{CompactString, ToCompactString};
use wire::{HttpEvent, Outcome, Role, Text, Unread};

use crate::assemble::ProcessInfo;
use crate::connect;
use crate::http2;
use crate::operation::{Endpoint, Http, Named, Operation};
use crate::route::{self, Paths, path_of};
use crate::span::{Ended, Kind, Span};
use crate::text::{error_message, host_port, joined, marked};
use crate::url;

/// Methods that the conventions know; others are `_OTHER`.
pub const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"];

/// The span of a request; `paths` came ahead of it. With `queries`, it has query strings.
pub(crate) fn span(
    event: &HttpEvent,
    paths: &Paths,
    process: &ProcessInfo,
    clock_offset: i64,
    queries: bool,
) -> Span {
    let (shown, method) = method(event);
    let mut http = Box::new(Http { method, version: version(event), ..sizes(event) });
    match event.role {
        Role::Server => server(event, paths, process, queries, &mut http),
        Role::Client => client(event, queries, &mut http),
    }
    let mut ended = outcome(event, process, &mut http);
    let mut core = event.span.clone();
    if http.route.is_some() {
        // The request could not be asked for it any more, and the router's table had it.
        core.unread = core.unread.without(Unread::Route);
    }
    let call = call(event, process, &mut http, &mut ended);
    let name = match (call, &http.route) {
        (Some(call), _) => call,
        (None, Some(route)) => joined([shown, " ", route]),
        (None, None) => shown.into(),
    };
    let kind = match event.role {
        Role::Server => Kind::Server,
        Role::Client => Kind::Client,
    };
    Span::new(&core, name, kind, ended, Operation::Http(http), process, clock_offset)
}

/// Adds what the request is as a call by connect, if it is one; gives the call's name.
fn call(
    event: &HttpEvent,
    process: &ProcessInfo,
    http: &mut Http,
    ended: &mut Ended,
) -> Option<CompactString> {
    let target = event.target.value.as_str();
    if process.procedures.is_empty() || (event.target.truncated && !target.contains('?')) {
        return None;
    }
    let path = if event.role == Role::Server { path_of(target)? } else { target };
    connect::add_call(event, path, &process.procedures, http, ended)
}

/// The method as it stands in the span's name, and what is known of it.
fn method(event: &HttpEvent) -> (&'static str, Option<Named>) {
    if event.span.unread.has(Unread::Method) {
        return ("HTTP", None);
    }
    // The client's empty method means GET.
    let given = if event.method.value.is_empty() { "GET" } else { &event.method.value };
    match METHODS.iter().find(|m| **m == given) {
        Some(known) => (known, Some(Named::known(known))),
        None => ("HTTP", Some(Named::Other(text(&event.method)))),
    }
}

/// Adds what a server knows.
fn server(event: &HttpEvent, paths: &Paths, process: &ProcessInfo, queries: bool, http: &mut Http) {
    http.scheme = scheme(event);
    // The query goes first, so a cut in it does not cut the path.
    let cut = event.target.truncated && !event.target.value.contains('?');
    http.path = path_of(&event.target.value).map(|path| marked(path, cut));
    if queries {
        http.query = url::query_of(&event.target);
    }
    http.route = route::of(event, paths, process);
    http.server = address(&event.host.value, http.scheme);
    http.peer = host_port(&event.peer.value).map(|(host, port)| Endpoint::new(host, port));
    if !event.user_agent.value.is_empty() {
        http.user_agent = Some(text(&event.user_agent));
    }
}

/// Adds what a client knows.
fn client(event: &HttpEvent, queries: bool, http: &mut Http) {
    let scheme = scheme(event);
    let unread = event.span.unread;
    let unknown = [Unread::Scheme, Unread::Host, Unread::Target];
    // Of another scheme than the two only that it is another one is known.
    if event.known_scheme && !unknown.iter().any(|what| unread.has(*what)) {
        http.url = Some(url::full(event, scheme.unwrap_or_default(), queries));
    }
    http.server = address(&event.host.value, scheme);
    http.resend = if unread.has(Unread::Resend) { 0 } else { event.span.resend };
}

fn scheme(event: &HttpEvent) -> Option<&'static str> {
    match event.tls {
        _ if event.span.unread.has(Unread::Scheme) => None,
        true => Some("https"),
        false => Some("http"),
    }
}

fn version(event: &HttpEvent) -> Option<&'static str> {
    match event.version {
        (1, 0) => Some("1.0"),
        (1, 1) => Some("1.1"),
        (2, 0) => Some("2"),
        _ => None,
    }
}

/// A request with the sizes of its bodies, and nothing else yet.
fn sizes(event: &HttpEvent) -> Http {
    let possible = |size: &u64| i64::try_from(*size).is_ok();
    // Go counts what the handler wrote, or what a GET would bring; of neither is anything sent.
    let head = event.method.value == "HEAD";
    let response_size = event.response_size.map(|size| if head { 0 } else { size });
    Http {
        request_size: event.request_size.filter(possible),
        response_size: response_size.filter(possible),
        ..Http::default()
    }
}

/// Adds the status code; gives how the request ended.
fn outcome(event: &HttpEvent, process: &ProcessInfo, http: &mut Http) -> Ended {
    if event.span.outcome == Outcome::Refused {
        let message = "the client refuses the request: it cannot be sent";
        return Ended::error("request refused", message);
    }
    http.status = match (event.role, event.span.outcome, event.status) {
        // A handler that writes nothing answers 200.
        (Role::Server, Outcome::Done, None) if !event.span.unread.has(Unread::Status) => Some(200),
        (_, _, status) => status,
    };
    match event.span.outcome {
        Outcome::Aborted | Outcome::GivenUp | Outcome::Left => {
            let (kind, message) = aborted(event);
            return Ended::error(kind, message);
        }
        Outcome::Error | Outcome::CtxDone => return error(event, process),
        Outcome::Done | Outcome::Hijacked | Outcome::Refused => {}
    }
    if let Some((kind, message)) = http2::closed_early(event) {
        return Ended::error(kind, message);
    }
    let failed = if event.role == Role::Server { 500 } else { 400 };
    match http.status {
        Some(code) if code >= failed => Ended::error(code.to_compact_string(), ""),
        _ => Ended::default(),
    }
}

/// Type and message of a request whose handler did not return. One that gives its answer up, as a proxy
/// does whose client has left, did not crash.
fn aborted(event: &HttpEvent) -> (&'static str, &'static str) {
    let unknown = event.span.unread.has(Unread::Error);
    match event.span.outcome {
        Outcome::Left => http2::closed_early(event).unwrap_or(match event.version.0 {
            2 => ("stream closed", "the client closed the stream or its connection"),
            _ => ("client disconnected", "the client disconnected"),
        }),
        Outcome::GivenUp => ("http.ErrAbortHandler", "the handler gave its answer up"),
        _ if unknown => ("_OTHER", "the handler did not return"),
        _ => ("panic", "the handler panicked"),
    }
}

/// A client's error.
fn error(event: &HttpEvent, process: &ProcessInfo) -> Ended {
    let name = process.type_names.get(&event.error_type);
    let code = (!event.span.unread.has(Unread::Error)).then_some(event.errno);
    if let Some((kind, message)) = name.and_then(|name| http2::error(name, code)) {
        return Ended::error(kind, message);
    }
    let errno = (event.errno != 0).then_some(event.errno);
    let message = error_message(errno, name, &event.error_text);
    let kind: CompactString = match (event.span.outcome, message.as_str(), name) {
        (Outcome::CtxDone, ..) => "context done".into(),
        // Go's sentinel errors all have the same type: the text is what tells them apart.
        (_, text @ ("context canceled" | "EOF" | "unexpected EOF"), _) => text.into(),
        (_, _, Some(name)) => name.as_str().into(),
        _ => "_OTHER".into(),
    };
    Ended::error(kind, message)
}

fn address(host: &str, scheme: Option<&str>) -> Endpoint {
    let Some((host, port)) = host_port(host) else { return Endpoint::default() };
    let default = match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    Endpoint::new(host, port.or(default))
}

fn text(text: &Text) -> CompactString {
    marked(&text.value, text.truncated)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
