//! Kernel events become spans, with the names of OpenTelemetry's semantic conventions.
//!
//! No IO and no clock: the caller passes events and the offset between the kernel's clock and real
//! time. Parents were decided in the kernel, where the answer was known; here they are only named.
//! Records that one instrument alone knows become spans in `instruments`, by a [`Maker`] that the [`Assembler`] is
//! given. Not here: how spans are sent (`export`) or printed (`gotap`).

mod assemble;
mod attributes;
mod connect;
mod database;
mod headers;
mod http;
mod http2;
mod log;
mod messages;
mod moved;
mod operation;
pub mod paths;
mod pending;
mod route;
mod rpc;
mod span;
/// Spans for tests.
#[doc(hidden)]
pub mod synthetic;
#[cfg(test)]
mod test_support;
mod text;
mod tracestate;
mod url;
mod waiting;

pub use assemble::{Assembler, MAX_PENDING, Maker, ProcessInfo, Routed, Routes};
pub use attributes::ValueRef;
pub use database::{Database, Databases, SqlLibrary};
pub use http::METHODS as HTTP_METHODS;
pub use log::{LogRecord, Severity, SpanContext};
pub use operation::{
    Call, Connection, Endpoint, Http, Named, Operation, Query, Rpc, RpcSystem, Traffic,
};
pub use span::{Added, Ended, Header, Kept, Kind, Resource, Span, Status, Value};
pub use text::{client_error, host_port};
