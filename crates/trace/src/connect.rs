//! Calls by connect as what they add to the HTTP request that each is: the RPC semantic conventions,
//! and those for Connect and gRPC.
//!
//! A request is a call if its path ends in a procedure that the program has among its constants, and
//! its method and Content-Type are those of a protocol that connect speaks. How a call ended stands
//! in the response's body or trailers, which nobody reads here: connect itself knows it, a server's
//! before the request ends, a client's some time after. Otherwise a span has a code where the status of HTTP
//! leaves but one.

use std::collections::BTreeSet;
use std::ops::Bound;

use compact_str::CompactString;
use wire::{CallEndEvent, Content, HttpEvent, Role};

use crate::assemble::ProcessInfo;
use crate::operation::{Call as RpcCall, Http, Named, Operation, RpcSystem};
use crate::pending::{Call, GoesOn};
use crate::rpc;
use crate::span::{Ended, Kind, Span, Status};
use crate::text::error_message;

/// Statuses of HTTP that stand for one code, in Connect's and in gRPC's spelling, whatever answered:
/// connect's handlers, what stands around them, or a proxy.
const CODES: [(u16, &str, &str); 3] = [
    (401, "unauthenticated", "UNAUTHENTICATED"),
    (403, "permission_denied", "PERMISSION_DENIED"),
    (503, "unavailable", "UNAVAILABLE"),
];

/// Connect's names of the codes, in order of number; success has none.
const NAMES: [&str; 17] = [
    "ok",
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// Whether a request that was made is a call that goes on behind the answer. Redirects are no answers to
/// connect.
pub(crate) fn goes_on(event: &HttpEvent, span: &Span) -> Option<GoesOn> {
    let is_call = event.role == Role::Client && span.operation.call().is_some();
    let is_stream = matches!(event.content, Content::Connect | Content::Grpc | Content::GrpcWeb);
    match event.status {
        _ if !is_call || event.response == 0 => None,
        Some(200) => is_stream.then_some(GoesOn::Open),
        // connect takes nothing else for an answer.
        status => status.filter(|status| status / 100 != 3).map(|_| GoesOn::Failed),
    }
}

/// The span of a call that was made, completed. It lasts for as long as by the kernel's clock: the
/// real time may have been set meanwhile.
pub(crate) fn end(call: Call, event: &CallEndEvent, process: &ProcessInfo) -> Span {
    let Call { mut span, answered_ns } = call;
    span.end_unix_nano += event.end_ns.saturating_sub(answered_ns);
    span.add_unread(event.unread);
    let Some(code) = event.code else { return span };
    let name = process.type_names.get(&event.error_type);
    let message = error_message(None, name, &event.message);
    // The codes that connect gives to errors without one, after it has reported them.
    let code = match message.as_str() {
        "context canceled" if event.error_type != 0 => 1,
        "context deadline exceeded" if event.error_type != 0 => 4,
        _ => code,
    };
    add_outcome(&mut span, code, message);
    span
}

/// Adds to the span of a call how it ended. What is no call stays a request.
pub(crate) fn add_outcome(span: &mut Span, code: u32, message: String) {
    let Operation::Http(http) = &mut span.operation else { return };
    let Some(call) = &mut http.call else { return };
    call.code = match (call.system, code) {
        (RpcSystem::Grpc, _) => Some(rpc::label(code, &rpc::CODES)),
        (RpcSystem::Connect, 0) => None,
        (RpcSystem::Connect, _) => Some(rpc::label(code, &NAMES)),
    };
    let failed = match span.kind {
        Kind::Server => rpc::is_servers_fault(code),
        Kind::Client => code != 0,
    };
    if !failed {
        return;
    }
    span.error_type.clone_from(&call.code);
    span.status = Status::Error(message);
}

/// Adds to a request what it is as a call; gives the call's name.
pub(crate) fn add_call(
    event: &HttpEvent,
    path: &str,
    procedures: &BTreeSet<String>,
    http: &mut Http,
    ended: &mut Ended,
) -> Option<CompactString> {
    let system = system(event)?;
    let procedure = procedure(path)?;
    // What is known may go on into what stands behind it.
    let known = procedures.range::<str, _>((Bound::Included(procedure), Bound::Unbounded)).next();
    known.filter(|known| known.starts_with(procedure))?;
    let name = CompactString::from(procedure.get(1..)?);
    let code = CODES.iter().find(|(code, ..)| event.status == Some(*code));
    let code = code.map(|(_, connect, grpc)| match system {
        RpcSystem::Grpc => CompactString::const_new(grpc),
        RpcSystem::Connect => CompactString::const_new(connect),
    });
    if let (Some(code), Some(kind)) = (&code, &mut ended.error_type) {
        kind.clone_from(code);
    }
    http.call = Some(RpcCall { system, method: Some(Named::Known(name.clone())), code });
    Some(name)
}

/// Which protocol's call a request may be.
fn system(event: &HttpEvent) -> Option<RpcSystem> {
    match (event.method.value.as_str(), event.content) {
        // Connect alone takes GET, for calls without side effects.
        ("GET", _) | ("POST", Content::Message | Content::Json | Content::Connect) => {
            Some(RpcSystem::Connect)
        }
        ("POST", Content::Grpc | Content::GrpcWeb) => Some(RpcSystem::Grpc),
        _ => None,
    }
}

/// The last two segments of a path, with the slash before them: services may be mounted anywhere.
fn procedure(path: &str) -> Option<&str> {
    let method = path.rfind('/')?;
    let service = path.get(..method)?.rfind('/')?;
    path.get(service..).filter(|_| path.len() > method + 1)
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
