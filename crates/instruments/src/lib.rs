//! The instruments: what is observed of each library, and what an observation means.
//!
//! [`Plan`] says what will be attached where in one binary; [`traced`] lists all that is traced. An instrument of a
//! client library stands in a module of its own, with its plan, its part of the contract with the BPF programs, and
//! how its records become spans: `redis` is the pattern. `bpf/instruments.h` lists
//! them. What records of HTTP and gRPC mean is in `wire` and `trace` instead, and net/http's plan in `plan`: one request
//! may be all of HTTP/1, HTTP/2, gRPC and Connect.
//!
//! Pure: it reads binaries that it is given, and bytes. Not here: loading and attaching (`probes`).

pub mod connect;
pub mod fasthttp;
pub mod grpc;
mod instrument;
mod plan;
pub mod redis;
mod registry;
pub mod sql;

pub use instrument::{Constants, makers};
pub use plan::{
    Ability, Missing, Options, Plan, PlannedSite, RequestLayouts, Rewriter, RouteLayout, Router,
    Tls,
};
pub use registry::{KnownLibrary, Seen, Traced, Verb, libraries, traced, verbs};
/// For its benchmark and its fuzz target; nobody else calls it from outside.
#[doc(hidden)]
pub use sql::text as sql_text;
pub use sql::{ConnectorLayout, DatabaseLayout, Held, PgxLayout, Wrapper};
