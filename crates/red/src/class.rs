//! The sorts of operations that have metrics of their own, with the names, attributes and bounds that the
//! semantic conventions give them.

use trace::{Kind, Operation, Span};

use crate::keys::Key;

/// A sort of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// HTTP requests that are served.
    HttpServer,
    /// HTTP requests that are made.
    HttpClient,
    /// Remote procedures that are served.
    RpcServer,
    /// Remote procedures that are called.
    RpcClient,
    /// What is asked of databases.
    Database,
}

/// Which sorts are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// HTTP requests.
    pub http: bool,
    /// The sizes of their bodies.
    pub body_sizes: bool,
    /// Remote procedure calls.
    pub rpc: bool,
    /// What is asked of databases.
    pub database: bool,
}

impl Groups {
    /// All of them.
    pub const ALL: Groups = Groups { http: true, body_sizes: true, rpc: true, database: true };

    pub(crate) fn contains(self, class: Class) -> bool {
        match class {
            Class::HttpServer | Class::HttpClient => self.http,
            Class::RpcServer | Class::RpcClient => self.rpc,
            Class::Database => self.database,
        }
    }
}

/// A metric as the conventions define it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
}

const fn seconds(name: &'static str, description: &'static str) -> Definition {
    Definition { name, unit: "s", description }
}

const fn bytes(name: &'static str, description: &'static str) -> Definition {
    Definition { name, unit: "By", description }
}

/// What the conventions advise for HTTP and remote procedures.
pub(crate) const REQUEST_BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// What they advise for databases.
const DATABASE_BOUNDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// They advise nothing for sizes: what SDKs take then, and more for what is larger.
pub(crate) const SIZE_BOUNDS: &[f64] = &[
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4, 1e5,
    1e6, 1e7, 1e8,
];

impl Class {
    pub(crate) const ALL: [Class; 5] =
        [Class::HttpServer, Class::HttpClient, Class::RpcServer, Class::RpcClient, Class::Database];

    /// The sorts of an operation. A call that is an HTTP request counts as both, unless each is to
    /// count once.
    pub(crate) fn of(span: &Span, groups: Groups, each_once: bool) -> [Option<Class>; 2] {
        let (http, rpc) = match span.kind {
            Kind::Server => (Class::HttpServer, Class::RpcServer),
            Kind::Client => (Class::HttpClient, Class::RpcClient),
        };
        let classes = match &span.operation {
            Operation::Http(of) if of.call.is_none() => [Some(http), None],
            // A call whose HTTP method could not be read counts as a call only.
            Operation::Http(of) if each_once || of.method.is_none() => [None, Some(rpc)],
            Operation::Http(_) => [Some(http), Some(rpc)],
            Operation::Rpc(_) => [None, Some(rpc)],
            Operation::Database(_) => [None, Some(Class::Database)],
            Operation::Connection(_) => [None, None],
        };
        classes.map(|class| class.filter(|class| groups.contains(*class)))
    }

    /// Which side its operations are on.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Class::HttpServer | Class::RpcServer => Kind::Server,
            Class::HttpClient | Class::RpcClient | Class::Database => Kind::Client,
        }
    }

    /// The attributes of its metrics.
    pub(crate) fn keys(self) -> &'static [Key] {
        use Key::*;
        match self {
            Class::HttpServer => &[Method, Scheme, Route, HttpStatus, ErrorType, ProtocolVersion],
            Class::HttpClient => {
                &[Method, ServerAddress, ServerPort, HttpStatus, ErrorType, ProtocolVersion]
            }
            Class::RpcServer => &[RpcSystem, RpcMethod, RpcStatus, ErrorType],
            Class::RpcClient => {
                &[RpcSystem, RpcMethod, ServerAddress, ServerPort, RpcStatus, ErrorType]
            }
            Class::Database => &[
                DbSystem,
                DbNamespace,
                DbCollection,
                DbOperation,
                DbSummary,
                DbProcedure,
                ServerAddress,
                ServerPort,
                DbStatus,
                ErrorType,
            ],
        }
    }

    pub(crate) fn duration(self) -> Definition {
        match self {
            Class::HttpServer => {
                seconds("http.server.request.duration", "Duration of HTTP server requests")
            }
            Class::HttpClient => {
                seconds("http.client.request.duration", "Duration of HTTP client requests")
            }
            Class::RpcServer => {
                seconds("rpc.server.call.duration", "Duration of remote procedures that are served")
            }
            Class::RpcClient => {
                seconds("rpc.client.call.duration", "Duration of remote procedures that are called")
            }
            Class::Database => {
                seconds("db.client.operation.duration", "Duration of database client operations")
            }
        }
    }

    pub(crate) fn bounds(self) -> &'static [f64] {
        if self == Class::Database { DATABASE_BOUNDS } else { REQUEST_BOUNDS }
    }

    /// The metrics of the bodies' sizes: of requests and of answers.
    pub(crate) fn sizes(self) -> Option<[Definition; 2]> {
        match self {
            Class::HttpServer => Some([
                bytes("http.server.request.body.size", "Size of HTTP server request bodies"),
                bytes("http.server.response.body.size", "Size of HTTP server response bodies"),
            ]),
            Class::HttpClient => Some([
                bytes("http.client.request.body.size", "Size of HTTP client request bodies"),
                bytes("http.client.response.body.size", "Size of HTTP client response bodies"),
            ]),
            _ => None,
        }
    }
}
