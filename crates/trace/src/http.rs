//! HTTP events as spans: the stable HTTP semantic conventions (1.23 and later).

use compact_str::{CompactString, ToCompactString};
use wire::{HttpEvent, Outcome, Role, Text, Unread};

use crate::assemble::ProcessInfo;
use crate::connect;
use crate::http2;
use crate::route::{self, Paths, path_of};
use crate::span::{Kind, Span, Status, Value};
use crate::text::{error_message, host_port, joined, marked};
use crate::url;

/// Methods that the conventions know; others are `_OTHER`.
pub const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"];

type Attributes = Vec<(&'static str, Value)>;

/// The span of a request; `paths` came ahead of it. With `queries`, its query strings are told.
pub(crate) fn span(
    event: &HttpEvent,
    paths: &Paths,
    process: &ProcessInfo,
    clock_offset: i64,
    queries: bool,
) -> Span {
    let mut attributes = Vec::with_capacity(16);
    let method = method(event, &mut attributes);
    let route = match event.role {
        Role::Server => server(event, paths, process, queries, &mut attributes),
        Role::Client => client(event, queries, &mut attributes),
    };
    let status = outcome(event, process, &mut attributes);
    sizes(event, &mut attributes);
    let mut core = event.span.clone();
    if route.is_some() {
        // The request could not be asked for it any more, and the router's table told it.
        core.unread = core.unread.without(Unread::Route);
    }
    let name = match (call(event, process, &mut attributes), route) {
        (Some(call), _) => call.into(),
        (None, Some(route)) => joined([method, " ", &route]),
        (None, None) => method.into(),
    };
    let kind = match event.role {
        Role::Server => Kind::Server,
        Role::Client => Kind::Client,
    };
    Span::new(&core, name, kind, status, attributes, process, clock_offset)
}

/// Adds what the request is as a call by connect, if it is one; gives the call's name.
fn call(event: &HttpEvent, process: &ProcessInfo, out: &mut Attributes) -> Option<String> {
    let target = event.target.value.as_str();
    if process.procedures.is_empty() || (event.target.truncated && !target.contains('?')) {
        return None;
    }
    let path = if event.role == Role::Server { path_of(target)? } else { target };
    connect::add_call(event, path, &process.procedures, out)
}

/// Adds the method; gives it as it stands in the span's name.
fn method(event: &HttpEvent, out: &mut Attributes) -> &'static str {
    if event.span.unread.has(Unread::Method) {
        return "HTTP";
    }
    // The client's empty method means GET.
    let given = if event.method.value.is_empty() { "GET" } else { &event.method.value };
    if let Some(known) = METHODS.iter().find(|m| **m == given) {
        out.push(("http.request.method", Value::Static(known)));
        return known;
    }
    out.push(("http.request.method", Value::Static("_OTHER")));
    out.push(("http.request.method_original", text(&event.method)));
    "HTTP"
}

/// Adds what a server knows; gives the route.
fn server(
    event: &HttpEvent,
    paths: &Paths,
    process: &ProcessInfo,
    queries: bool,
    out: &mut Attributes,
) -> Option<CompactString> {
    let scheme = scheme(event);
    if !scheme.is_empty() {
        out.push(("url.scheme", Value::Static(scheme)));
    }
    if let Some(path) = path_of(&event.target.value) {
        // The query goes first, so a cut in it does not cut the path.
        let cut = event.target.truncated && !event.target.value.contains('?');
        out.push(("url.path", Value::Text(marked(path, cut))));
    }
    if queries && let Some(query) = url::query_of(&event.target) {
        out.push(("url.query", Value::Text(query)));
    }
    let route = route::of(event, paths, process);
    if let Some(route) = &route {
        out.push(("http.route", Value::Text(route.clone())));
    }
    address(&event.host.value, scheme, "server.address", "server.port", out);
    if let Some((host, port)) = host_port(&event.peer.value) {
        out.push(("client.address", Value::Text(host.into())));
        out.push(("network.peer.address", Value::Text(host.into())));
        if let Some(port) = port {
            out.push(("network.peer.port", Value::Int(port.into())));
        }
    }
    if !event.user_agent.value.is_empty() {
        out.push(("user_agent.original", text(&event.user_agent)));
    }
    version(event, out);
    route
}

/// Adds what a client knows. A client has no route.
fn client(event: &HttpEvent, queries: bool, out: &mut Attributes) -> Option<CompactString> {
    let scheme = scheme(event);
    let unread = event.span.unread;
    let unknown = [Unread::Scheme, Unread::Host, Unread::Target];
    // Of another scheme than the two only that it is another one is known.
    if event.known_scheme && !unknown.iter().any(|what| unread.has(*what)) {
        out.push(("url.full", Value::Text(url::full(event, scheme, queries))));
    }
    address(&event.host.value, scheme, "server.address", "server.port", out);
    if event.span.resend > 0 && !unread.has(Unread::Resend) {
        out.push(("http.request.resend_count", Value::Int(event.span.resend.into())));
    }
    version(event, out);
    None
}

/// Empty where it is not known.
fn scheme(event: &HttpEvent) -> &'static str {
    match event.tls {
        _ if event.span.unread.has(Unread::Scheme) => "",
        true => "https",
        false => "http",
    }
}

fn version(event: &HttpEvent, out: &mut Attributes) {
    let version = match event.version {
        (1, 0) => "1.0",
        (1, 1) => "1.1",
        (2, 0) => "2",
        _ => return,
    };
    out.push(("network.protocol.version", Value::Static(version)));
}

fn sizes(event: &HttpEvent, out: &mut Attributes) {
    let mut add = |key, size: Option<u64>| {
        if let Some(size) = size.and_then(|s| i64::try_from(s).ok()) {
            out.push((key, Value::Int(size)));
        }
    };
    add("http.request.body.size", event.request_size);
    // Go counts what the handler wrote, or what a GET would bring; of neither is anything sent.
    let head = event.method.value == "HEAD";
    add("http.response.body.size", event.response_size.map(|size| if head { 0 } else { size }));
}

/// Adds status code and error; gives the span's status.
fn outcome(event: &HttpEvent, process: &ProcessInfo, out: &mut Attributes) -> Status {
    if event.span.outcome == Outcome::Refused {
        out.push(("error.type", Value::Static("request refused")));
        return Status::Error("the client refuses the request: it cannot be sent".into());
    }
    let code = match (event.role, event.span.outcome, event.status) {
        // A handler that writes nothing answers 200.
        (Role::Server, Outcome::Done, None) if !event.span.unread.has(Unread::Status) => Some(200),
        (_, _, status) => status,
    };
    if let Some(code) = code {
        out.push(("http.response.status_code", Value::Int(code.into())));
    }
    match event.span.outcome {
        Outcome::Aborted | Outcome::GivenUp | Outcome::Left => {
            let (kind, message) = aborted(event);
            out.push(("error.type", Value::Static(kind)));
            return Status::Error(message.into());
        }
        Outcome::Error | Outcome::CtxDone => {
            let (kind, message) = error(event, process);
            out.push(("error.type", kind));
            return Status::Error(message);
        }
        Outcome::Done | Outcome::Hijacked | Outcome::Refused => {}
    }
    if let Some((kind, message)) = http2::closed_early(event) {
        out.push(("error.type", Value::Static(kind)));
        return Status::Error(message.into());
    }
    let failed = if event.role == Role::Server { 500 } else { 400 };
    match code {
        Some(code) if code >= failed => {
            out.push(("error.type", Value::Text(code.to_compact_string())));
            Status::Error(String::new())
        }
        _ => Status::Unset,
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

/// Type and message of a client's error.
fn error(event: &HttpEvent, process: &ProcessInfo) -> (Value, String) {
    let name = process.type_names.get(&event.error_type);
    let code = (!event.span.unread.has(Unread::Error)).then_some(event.errno);
    if let Some((kind, message)) = name.and_then(|name| http2::error(name, code)) {
        return (Value::Static(kind), message);
    }
    let errno = (event.errno != 0).then_some(event.errno);
    let message = error_message(errno, name, &event.error_text);
    let kind = match (event.span.outcome, message.as_str(), name) {
        (Outcome::CtxDone, ..) => Value::Static("context done"),
        // Go's sentinel errors all have the same type: the text is what tells them apart.
        (_, text @ ("context canceled" | "EOF" | "unexpected EOF"), _) => Value::Text(text.into()),
        (_, _, Some(name)) => Value::Text(name.as_str().into()),
        _ => Value::Static("_OTHER"),
    };
    (kind, message)
}

fn address(
    host: &str,
    scheme: &str,
    address: &'static str,
    port_key: &'static str,
    out: &mut Attributes,
) {
    let Some((host, port)) = host_port(host) else { return };
    out.push((address, Value::Text(host.into())));
    let default = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    if let Some(port) = port.or(default) {
        out.push((port_key, Value::Int(port.into())));
    }
}

fn text(text: &Text) -> Value {
    Value::Text(marked(&text.value, text.truncated))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
