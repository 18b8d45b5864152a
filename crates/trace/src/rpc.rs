//! gRPC calls as spans: the RPC semantic conventions, and those for gRPC.

use core::net::SocketAddr;

use compact_str::{CompactString, ToCompactString};
use wire::{Role, RpcEvent, Text, Unread, UnreadSet};

use crate::assemble::ProcessInfo;
use crate::connect;
use crate::operation::{Call, Endpoint, Named, Operation, Rpc, RpcSystem};
use crate::span::{Ended, Kind, Span, Status};
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

/// What a call that is an HTTP request adds to the request's span.
#[derive(Debug, Clone)]
pub(crate) struct Addition {
    what: Added,
    unread: UnreadSet,
}

#[derive(Debug, Clone)]
enum Added {
    /// gRPC's: what it is, and how it ended.
    Call { name: CompactString, call: Call, ended: Ended },
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
        let (name, method) = method(event);
        let mut call = Call { system: RpcSystem::Grpc, method, code: None };
        let ended = outcome(event, None, &mut call);
        Self { what: Added::Call { name, call, ended }, unread }
    }

    /// The request's span is the call's, too: the call says better what it is and how it ended.
    pub(crate) fn add_to(self, span: &mut Span) {
        span.add_unread(self.unread);
        match self.what {
            Added::Call { name, call, ended } => {
                let Operation::Http(http) = &mut span.operation else { return };
                http.call = Some(call);
                span.name = name;
                span.error_type = ended.error_type;
                if span.status == Status::Unset {
                    span.status = ended.status;
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
    let (name, method) = method(&event);
    let mut call = Call { system: RpcSystem::Grpc, method, code: None };
    let ended = outcome(&event, Some(process), &mut call);
    let (kind, server, resend) = match event.role {
        Role::Server => (Kind::Server, event.local.map(at).unwrap_or_default(), 0),
        Role::Client => (Kind::Client, target(&event), event.span.resend),
    };
    let rpc = Operation::Rpc(Box::new(Rpc { call, server, peer: event.peer, resend }));
    Span::new(&event.span, name, kind, ended, rpc, process, clock_offset)
}

/// The span's name, and what is known of the method.
fn method(event: &RpcEvent) -> (CompactString, Option<Named>) {
    if event.span.unread.has(Unread::Method) {
        return ("grpc".into(), None);
    }
    let full = event.method.value.strip_prefix('/').unwrap_or(&event.method.value);
    let full = marked(full, event.method.truncated);
    let unknown = event.role == Role::Server
        && event.code == Some(12)
        && UNKNOWN_METHOD.iter().any(|text| event.message.value.starts_with(text));
    if unknown {
        // Whatever the client wrote: not one of a few names.
        return ("grpc".into(), Some(Named::Other(full)));
    }
    let name = if full.is_empty() { "grpc".into() } else { full.clone() };
    (name, Some(Named::Known(full)))
}

/// Adds the code; gives how the call ended.
fn outcome(event: &RpcEvent, process: Option<&ProcessInfo>, call: &mut Call) -> Ended {
    if event.span.unread.has(Unread::Status) {
        return Ended::default();
    }
    let Some(code) = event.code else {
        let name = process.and_then(|process| process.type_names.get(&event.error_type));
        let kind = name.map_or("_OTHER", String::as_str);
        return Ended::error(kind, message(&event.message));
    };
    let label = label(code, &CODES);
    call.code = Some(label.clone());
    let failed = match event.role {
        Role::Server => is_servers_fault(code),
        Role::Client => code != 0,
    };
    if failed { Ended::error(label, message(&event.message)) } else { Ended::default() }
}

/// Whether a served call failed by the server's fault, and not by the client's.
pub(crate) fn is_servers_fault(code: u32) -> bool {
    SERVER_FAULTS.contains(&code) || code > 16
}

/// The name of a code among `names`, else its number.
pub(crate) fn label(code: u32, names: &[&'static str; 17]) -> CompactString {
    match usize::try_from(code).ok().and_then(|code| names.get(code)) {
        Some(label) => CompactString::const_new(label),
        None => code.to_compact_string(),
    }
}

fn message(text: &Text) -> String {
    marked(&text.value, text.truncated).into()
}

/// Where the client dialled, from what it wrote: `host:port`, `SCHEME:///host:port`.
fn target(event: &RpcEvent) -> Endpoint {
    let text = event.target.value.as_str();
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    match scheme {
        "unix" | "unix-abstract" => Endpoint::new(rest.trim_start_matches("//"), None),
        _ => {
            // An authority, such as a name server's, stands before the endpoint.
            let after = text.split_once("://").map(|(_, rest)| rest);
            let endpoint = after.map_or(text, |rest| rest.split_once('/').map_or(rest, |r| r.1));
            let endpoint = match endpoint.split_once(':') {
                Some(("dns" | "passthrough", rest)) if after.is_none() => rest,
                _ => endpoint,
            };
            match host_port(endpoint) {
                Some((host, port)) => Endpoint::new(host, port),
                None => event.peer.map(at).unwrap_or_default(),
            }
        }
    }
}

fn at(address: SocketAddr) -> Endpoint {
    Endpoint::new(address.ip().to_compact_string(), Some(address.port()))
}

#[cfg(test)]
#[path = "rpc_tests.rs"]
mod tests;
