//! What spans tell of: a closed set of operations with typed fields. What is in here is what gotap knows and
//! decides by. Not here: the names of the semantic conventions, which `attributes` gives them at output.

use core::net::SocketAddr;

use compact_str::CompactString;

/// What a span tells of. Its kind says which side it is on.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// An HTTP request, which may be a remote procedure call, too.
    Http(Box<Http>),
    /// A remote procedure call whose transport has no span of its own.
    Rpc(Box<Rpc>),
    /// What was asked of a database.
    Database(Box<Query>),
    /// A TCP connection.
    Connection(Box<Connection>),
}

impl Operation {
    /// The remote procedure call that it is, if it is one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Operation::Http(http) => http.call.as_ref(),
            Operation::Rpc(rpc) => Some(&rpc.call),
            Operation::Database(_) | Operation::Connection(_) => None,
        }
    }

    /// The server as the client names it; of connections, `Connection` has addresses instead.
    pub fn server(&self) -> Option<&Endpoint> {
        match self {
            Operation::Http(http) => Some(&http.server),
            Operation::Rpc(rpc) => Some(&rpc.server),
            Operation::Database(query) => Some(&query.server),
            Operation::Connection(_) => None,
        }
    }

    /// The other end of the connection that it came on, where that is an IP address.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Operation::Http(http) => {
                let peer = http.peer.as_ref()?;
                Some(SocketAddr::new(peer.address.as_ref()?.parse().ok()?, peer.port?))
            }
            Operation::Rpc(rpc) => rpc.peer,
            Operation::Database(_) | Operation::Connection(_) => None,
        }
    }

    /// Bytes of it beside those of its texts.
    pub(crate) fn size(&self) -> usize {
        match self {
            Operation::Http(_) => size_of::<Http>(),
            Operation::Rpc(_) => size_of::<Rpc>(),
            Operation::Database(_) => size_of::<Query>(),
            Operation::Connection(_) => size_of::<Connection>(),
        }
    }
}

/// An HTTP request. What is not known, or only known on the other side, is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Http {
    /// The method.
    pub method: Option<Named>,
    /// `http` or `https`, of requests that are served.
    pub scheme: Option<&'static str>,
    /// The path, of requests that are served.
    pub path: Option<CompactString>,
    /// The query without secrets, of requests that are served, where it is asked for.
    pub query: Option<CompactString>,
    /// The URL, of requests that are made.
    pub url: Option<CompactString>,
    /// The route, of requests that are served.
    pub route: Option<CompactString>,
    /// The server.
    pub server: Endpoint,
    /// The other end, of requests that are served.
    pub peer: Option<Endpoint>,
    /// The `User-Agent` header, of requests that are served.
    pub user_agent: Option<CompactString>,
    /// How often it was sent again before, of requests that are made.
    pub resend: u8,
    /// The protocol's version.
    pub version: Option<&'static str>,
    /// The status code.
    pub status: Option<u16>,
    /// Bytes of the request's body, and of the answer's.
    pub request_size: Option<u64>,
    /// Bytes of the answer's body.
    pub response_size: Option<u64>,
    /// What it is as a remote procedure call.
    pub call: Option<Call>,
}

/// A remote procedure call whose transport has no span of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Rpc {
    /// What was called.
    pub call: Call,
    /// The server.
    pub server: Endpoint,
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// How often it was sent again before, of calls that are made.
    pub resend: u8,
}

/// What a remote procedure call is, whatever carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Whose protocol it speaks.
    pub system: RpcSystem,
    /// `package.Service/Method`; `None` where that could not be read.
    pub method: Option<Named>,
    /// Its code, in the system's spelling.
    pub code: Option<CompactString>,
}

/// Protocols of remote procedure calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcSystem {
    /// gRPC, whoever speaks it.
    Grpc,
    /// Connect's own.
    Connect,
}

impl RpcSystem {
    /// By the conventions.
    pub fn label(self) -> &'static str {
        match self {
            RpcSystem::Grpc => "grpc",
            RpcSystem::Connect => "connectrpc",
        }
    }
}

/// What was asked of a database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// The word of the instrument that saw it.
    pub instrument: &'static str,
    /// The database's system, by the conventions.
    pub system: &'static str,
    /// The database.
    pub namespace: Option<CompactString>,
    /// The operation, where the program named one.
    pub operation: Option<CompactString>,
    /// How many operations it has, of batches.
    pub batch_size: Option<u32>,
    /// The statement without its literals.
    pub text: Option<CompactString>,
    /// What the statement does, in short.
    pub summary: Option<CompactString>,
    /// The one table that it is about, where the program named it.
    pub collection: Option<CompactString>,
    /// The stored procedure that it calls.
    pub procedure: Option<CompactString>,
    /// A number that the conventions have no name for, and gotap's name for it.
    pub own: Option<(&'static str, u32)>,
    /// The server.
    pub server: Endpoint,
    /// The code that the server answered, of what failed.
    pub code: Option<CompactString>,
}

/// A TCP connection that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// The end that connected, or this one where nobody knows.
    pub client: SocketAddr,
    /// The other one.
    pub server: SocketAddr,
    /// The process on this host.
    pub pid: Option<u32>,
    /// What it carried.
    pub traffic: Option<Traffic>,
    /// How many requests came on it, where that is known.
    pub requests: Option<u64>,
}

/// What a TCP connection carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that were received.
    pub received: u64,
    /// Segments that were sent again.
    pub retransmits: u32,
    /// The smoothed round trip time, in microseconds.
    pub rtt_us: Option<u32>,
}

/// A name that is one of a few, or any other, which metrics must not be told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// One of a few.
    Known(CompactString),
    /// Any other, as it was sent.
    Other(CompactString),
}

impl Named {
    /// One of a few that is known at compile time.
    pub const fn known(name: &'static str) -> Self {
        Named::Known(CompactString::const_new(name))
    }

    /// The name, where that is one of a few.
    pub fn label(&self) -> &str {
        match self {
            Named::Known(name) => name,
            Named::Other(_) => "_OTHER",
        }
    }

    /// The name as it was sent.
    pub fn sent(&self) -> &str {
        match self {
            Named::Known(name) | Named::Other(name) => name,
        }
    }
}

/// A host and a port, as the program has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, an address or the path of a socket.
    pub address: Option<CompactString>,
    /// Its port.
    pub port: Option<u16>,
}

impl Endpoint {
    /// One with an address.
    pub fn new(address: impl Into<CompactString>, port: Option<u16>) -> Self {
        Self { address: Some(address.into()), port }
    }
}
