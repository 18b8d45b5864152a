//! gRPC calls as spans: the RPC semantic conventions, and those for gRPC.

use core::net::SocketAddr;

use compact_str::{CompactString, ToCompactString};
use wire::{Role, RpcEvent, Text, Unread, UnreadSet};

use crate::assemble::ProcessInfo;
use crate::connect;
use crate::span::{Kind, Span, Status, Value};
use crate::text::{host_port, marked};

/// `google.golang.org/grpc/codes`, in order of number.
pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// Codes that are the server's fault, so that its span failed.
const SERVER_FAULTS: [u32; 6] = [2, 4, 12, 13, 14, 15];
/// What grpc-go answers itself to a method that it does not know.
const UNKNOWN_METHOD: [&str; 3] = ["unknown service ", "unknown method ", "malformed method name"];

type Attributes = Vec<(&'static str, Value)>;

/// What a call that is an HTTP request adds to the request's span.
#[derive(Debug, Clone)]
pub(crate) struct Addition {
    what: Added,
    unread: UnreadSet,
}

#[derive(Debug, Clone)]
enum Added {
    /// gRPC's: what it is, and how it ended.
    Call { name: CompactString, attributes: Attributes, status: Status },
    /// connect's: how it ended, where that is known. What it is, its request says.
    Outcome { code: Option<u32>, message: String },
}

impl Addition {
    pub(crate) fn of(event: &RpcEvent) -> Self {
        let unread = event.span.unread;
        if event.connect {
            let what = Added::Outcome { code: event.code, message: message(&event.message) };
            return Self { what, unread };
        }
        let mut attributes = Vec::with_capacity(4);
        let name = method(event, &mut attributes);
        let status = outcome(event, None, &mut attributes);
        Self { what: Added::Call { name, attributes, status }, unread }
    }

    /// The request's span is the call's, too: the call says better what it is and how it ended.
    pub(crate) fn add_to(self, span: &mut Span) {
        span.add_unread(self.unread);
        match self.what {
            Added::Call { name, attributes, status } => {
                span.name = name;
                span.attributes.retain(|(key, _)| *key != "error.type" && !key.starts_with("rpc."));
                span.attributes.extend(attributes);
                if span.status == Status::Unset {
                    span.status = status;
                }
            }
            Added::Outcome { code: Some(code), message } => {
                connect::add_outcome(span, code, message);
            }
            Added::Outcome { code: None, .. } => {}
        }
    }
}

pub(crate) fn span(event: RpcEvent, process: &ProcessInfo, clock_offset: i64) -> Span {
    let mut attributes = Vec::with_capacity(10);
    let name = method(&event, &mut attributes);
    let status = outcome(&event, Some(process), &mut attributes);
    let kind = match event.role {
        Role::Server => {
            if let Some(local) = event.local {
                server(&local.ip().to_string(), Some(local.port()), &mut attributes);
            }
            if let Some(peer) = event.peer {
                attributes.push(("client.address", Value::Text(peer.ip().to_compact_string())));
            }
            Kind::Server
        }
        Role::Client => {
            target(&event, &mut attributes);
            Kind::Client
        }
    };
    peer(event.peer, &mut attributes);
    Span::new(&event.span, name, kind, status, attributes, process, clock_offset)
}

/// Adds system and method; gives the span's name.
fn method(event: &RpcEvent, out: &mut Attributes) -> CompactString {
    out.push(("rpc.system.name", Value::Static("grpc")));
    if event.span.unread.has(Unread::Method) {
        return "grpc".into();
    }
    let full = event.method.value.strip_prefix('/').unwrap_or(&event.method.value);
    let full = marked(full, event.method.truncated);
    let unknown = event.role == Role::Server
        && event.code == Some(12)
        && UNKNOWN_METHOD.iter().any(|text| event.message.value.starts_with(text));
    if unknown {
        // Whatever the client wrote: not one of a few names.
        out.push(("rpc.method", Value::Static("_OTHER")));
        out.push(("rpc.method_original", Value::Text(full)));
        return "grpc".into();
    }
    out.push(("rpc.method", Value::Text(full.clone())));
    if full.is_empty() { "grpc".into() } else { full }
}

/// Adds code and error; gives the span's status.
fn outcome(event: &RpcEvent, process: Option<&ProcessInfo>, out: &mut Attributes) -> Status {
    if event.span.unread.has(Unread::Status) {
        return Status::Unset;
    }
    let Some(code) = event.code else {
        let name = process.and_then(|process| process.type_names.get(&event.error_type));
        let kind = name.map_or(Value::Static("_OTHER"), |name| Value::Text(name.into()));
        out.push(("error.type", kind));
        return Status::Error(message(&event.message));
    };
    out.push(("rpc.response.status_code", label(code, &CODES)));
    let failed = match event.role {
        Role::Server => is_servers_fault(code),
        Role::Client => code != 0,
    };
    if !failed {
        return Status::Unset;
    }
    out.push(("error.type", label(code, &CODES)));
    Status::Error(message(&event.message))
}

/// Whether a served call failed by the server's fault, and not by the client's.
pub(crate) fn is_servers_fault(code: u32) -> bool {
    SERVER_FAULTS.contains(&code) || code > 16
}

/// The name of a code among `names`, else its number.
pub(crate) fn label(code: u32, names: &[&'static str; 17]) -> Value {
    match usize::try_from(code).ok().and_then(|code| names.get(code)) {
        Some(label) => Value::Static(label),
        None => Value::Text(code.to_compact_string()),
    }
}

fn message(text: &Text) -> String {
    marked(&text.value, text.truncated).into()
}

/// Where the client dialled, from what it wrote: `host:port`, `SCHEME:///host:port`.
fn target(event: &RpcEvent, out: &mut Attributes) {
    let text = event.target.value.as_str();
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    match scheme {
        "unix" | "unix-abstract" => {
            server(rest.trim_start_matches("//"), None, out);
        }
        _ => {
            // An authority, such as a name server's, stands before the endpoint.
            let after = text.split_once("://").map(|(_, rest)| rest);
            let endpoint = after.map_or(text, |rest| rest.split_once('/').map_or(rest, |r| r.1));
            let endpoint = match endpoint.split_once(':') {
                Some(("dns" | "passthrough", rest)) if after.is_none() => rest,
                _ => endpoint,
            };
            match host_port(endpoint) {
                Some((host, port)) => server(host, port, out),
                None => {
                    if let Some(peer) = event.peer {
                        server(&peer.ip().to_string(), Some(peer.port()), out);
                    }
                }
            }
        }
    }
    if event.span.resend > 0 {
        out.push(("gotap.rpc.resend_count", Value::Int(event.span.resend.into())));
    }
}

fn server(host: &str, port: Option<u16>, out: &mut Attributes) {
    out.push(("server.address", Value::Text(host.into())));
    if let Some(port) = port {
        out.push(("server.port", Value::Int(port.into())));
    }
}

fn peer(peer: Option<SocketAddr>, out: &mut Attributes) {
    if let Some(peer) = peer {
        out.push(("network.peer.address", Value::Text(peer.ip().to_compact_string())));
        out.push(("network.peer.port", Value::Int(peer.port().into())));
    }
}

#[cfg(test)]
#[path = "rpc_tests.rs"]
mod tests;
