//! What the kernel side reports, as owned events.

use core::net::SocketAddr;

use compact_str::CompactString;

use crate::names::{Content, Outcome, Parent, Unread};

/// A string of the target: validated UTF-8, cut at a bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text; bytes that are no UTF-8 are replaced by U+FFFD.
    pub value: CompactString,
    /// Whether the target's string was longer.
    pub truncated: bool,
}

/// What all spans have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "W3C and OpenTelemetry names")]
pub struct SpanCore {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub start_ns: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub end_ns: u64,
    /// Goroutine that ran it.
    pub goid: u64,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub parent_span_id: [u8; 8],
    pub trace_flags: u8,
    /// Whether it delivers telemetry, or belongs to what does.
    pub telemetry: bool,
    /// Whether gotap's own sampling left its trace out.
    pub left_out: bool,
    /// Whether gotap began the trace with a served request, and it may yet turn out to be another one.
    pub own_trace: bool,
    pub parent: Parent,
    pub outcome: Outcome,
    /// Attempts before this one.
    pub resend: u8,
    /// What could not be read: it is unknown, and not what its field says.
    pub unread: UnreadSet,
}

/// Things that could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnreadSet(u32);

impl UnreadSet {
    /// Those with these bits (`enum gt_unread`); others mean nothing.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether it is one of them.
    pub fn has(self, what: Unread) -> bool {
        self.0 & 1 << what as u32 != 0
    }

    /// The same without one of them.
    #[must_use]
    pub fn without(self, what: Unread) -> Self {
        Self(self.0 & !(1 << what as u32))
    }

    /// The same with one more where `failed` says so.
    #[must_use]
    pub fn with(self, what: Unread, failed: bool) -> Self {
        Self(self.0 | u32::from(failed) << what as u32)
    }

    /// All that are in one of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all was read.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// What they are, in order of number.
    pub fn iter(self) -> impl Iterator<Item = Unread> {
        Unread::ALL.iter().copied().filter(move |what| self.has(*what))
    }
}

/// Which side of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A request that was served.
    Server,
    /// A request that was made.
    Client,
}

/// One finished HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpEvent {
    /// Process instance, as numbered by the agent.
    pub instance: u32,
    /// Which side it was seen from.
    pub role: Role,
    /// Ids, times, parent.
    pub span: SpanCore,
    /// Bytes of the request body, when declared.
    pub request_size: Option<u64>,
    /// Bytes of the response body: written (server) or declared (client).
    pub response_size: Option<u64>,
    /// Status code, `None` when there was none.
    pub status: Option<u16>,
    /// Protocol version, major and minor; zeros when there was no response.
    pub version: (u8, u8),
    /// Whether the scheme is https.
    pub tls: bool,
    /// Whether the scheme is http or https.
    pub known_scheme: bool,
    /// Whether `target` is as sent; otherwise it is decoded.
    pub raw_path: bool,
    /// Whether `target` is what the program gave as the whole, `URL.Opaque` (client).
    pub opaque: bool,
    /// Whether a tracestate came ahead of this event.
    pub tracestate: bool,
    /// Whether the request still had the method and the path that were sent when it ended; else a
    /// [`PathEvent`] may have what it had (server).
    pub path_kept: bool,
    /// What the request's Content-Type says, where the program can make or serve calls with it.
    pub content: Content,
    /// Address of the error's type descriptor, 0 without an error.
    pub error_type: u64,
    /// Address of the `http.Header` of the response, which copies of that share; 0 without one (client).
    pub response: u64,
    /// Address of the `http.Server` that served the request, 0 unknown (server).
    pub server: u64,
    /// Operating system error that the error wraps, 0 for none.
    pub errno: u32,
    /// Request method.
    pub method: Text,
    /// Server: request target as sent. Client: path.
    pub target: Text,
    /// Server: `Host`. Client: host and port of the URL.
    pub host: Text,
    /// The peer's address and port (server).
    pub peer: Text,
    /// `User-Agent` (server).
    pub user_agent: Text,
    /// Pattern that the router matched (server).
    pub route: Text,
    /// Query of the URL, when it is asked for (client). A server's is part of its target.
    pub query: Text,
    /// Text of the error, when it is a plain string.
    pub error_text: Text,
}

/// What is known of a served request's path ahead of its own event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathEvent {
    /// The span that the request has.
    pub span_id: [u8; 8],
    /// What it is.
    pub part: PathPart,
    /// The text.
    pub text: Text,
}

/// What a [`PathEvent`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPart {
    /// The request target as sent, which did not fit into the event.
    Sent,
    /// The path of the request's URL when the request ended, decoded.
    AtEnd {
        /// Length of the `RawPath` beside it.
        raw_len: u16,
    },
}

/// One finished gRPC call, with all its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcEvent {
    /// Process instance, as numbered by the agent.
    pub instance: u32,
    /// Which side it was seen from.
    pub role: Role,
    /// Ids, times, parent.
    pub span: SpanCore,
    /// Code of the status (`google.golang.org/grpc/codes`); `None` for an error that has none, and where
    /// it could not be read.
    pub code: Option<u32>,
    /// Whether it is connect's: its request says what is called.
    pub connect: bool,
    /// Address of the error's type descriptor, where it has no code.
    pub error_type: u64,
    /// The other side's address, when it is one of TCP.
    pub peer: Option<SocketAddr>,
    /// The own address (server).
    pub local: Option<SocketAddr>,
    /// `/package.Service/Method`.
    pub method: Text,
    /// What the client dialled, as it was written.
    pub target: Text,
    /// Message of the status.
    pub message: Text,
}

/// How a call by connect ended that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEndEvent {
    /// Process instance, as numbered by the agent.
    pub instance: u32,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub end_ns: u64,
    /// Address of the `http.Header` of the response that answered its request.
    pub response: u64,
    /// Code, 0 for success; `None` where the caller wants no more, and the end may have been told, and
    /// where it could not be read.
    pub code: Option<u32>,
    /// What could not be read.
    pub unread: UnreadSet,
    /// Whether the caller wants no more.
    pub closed: bool,
    /// Address of the type descriptor of an error that has no code, else 0.
    pub error_type: u64,
    /// Text of the error.
    pub message: Text,
}

/// A record whose kind only one instrument knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its kind.
    pub kind: u16,
    /// Process instance, as numbered by the agent.
    pub instance: u32,
    /// All of it.
    pub bytes: Box<[u8]>,
}

/// What the kernel side reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A process replaced its program.
    Exec {
        /// Process id.
        pid: u32,
        /// `CLOCK_MONOTONIC`, nanoseconds.
        time_ns: u64,
    },
    /// A process ended.
    Exit {
        /// Process id.
        pid: u32,
        /// `CLOCK_MONOTONIC`, nanoseconds.
        time_ns: u64,
    },
    /// An HTTP request ended.
    Http(Box<HttpEvent>),
    /// A gRPC call ended.
    Rpc(Box<RpcEvent>),
    /// What an instrument reports that decodes its records itself.
    Record(Box<Record>),
    /// A call by connect ended, whose HTTP request had its event before.
    CallEnd(Box<CallEndEvent>),
    /// The gRPC side of an HTTP request, whose own event follows.
    RpcStatus(Box<RpcEvent>),
    /// What an HTTP request, whose own event follows, has for a path.
    Path(Box<PathEvent>),
    /// The trace that a served request began is another one.
    Moved {
        /// As it was begun.
        from: [u8; 16],
        /// The one that the program itself began.
        to: [u8; 16],
        /// The latter's flags.
        trace_flags: u8,
    },
    /// A value of a header that the user asks for, of a served request whose span will follow.
    Header {
        /// The span it belongs to.
        span_id: [u8; 8],
        /// Index of the header's name among those that are asked for.
        name: u16,
        /// The value, `None` where it could not be read.
        value: Option<Text>,
    },
    /// A field of the inbound tracestate of a span that will follow.
    Tracestate {
        /// The span it belongs to.
        span_id: [u8; 8],
        /// Its number among the request's fields, from 0 on.
        field: u16,
        /// How many there are.
        fields: u16,
        /// The field's value.
        text: Text,
    },
}
