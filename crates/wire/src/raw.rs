//! Byte layouts of `bpf/wire.h`. The ring-buffer records are private to this crate; the map keys
//! and values are written by `probes`.

mod constant;
mod constants;
mod libraries;
mod sampling;
mod wanted;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use constant::Constant;
pub use constants::{
    FREES_REQUESTS, HAS_SDK, HIT_SLOTS, Http2, IS_COLLECTOR, Learned, NO_REGISTER, Process,
    READS_B3, Request, SENDS_TRACE, SITE_ERRORS, SITE_OWN_ERROR, SITE_QUIET, Site, SiteKey,
    TELLS_CONTENT, TELLS_HEADERS, TELLS_PATHS, WAS_HIT,
};
pub use libraries::{Http2Join, Join, Net};
pub use sampling::Sampling;
pub use wanted::{HeaderNameError, Wanted, WantedName};

/// An offset that the binary does not have (`GT_NONE`).
pub const NONE: u16 = 0xffff;

/// An address in an observed program: that in its file until it is relocated. 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Address(u64);

impl Address {
    /// There is none, or it is not known.
    pub const NONE: Self = Self(0);

    /// Whether there is one.
    pub fn is_known(self) -> bool {
        self != Self::NONE
    }

    /// The same in a process with this load bias.
    pub fn relocated(self, bias: u64) -> Self {
        if self.is_known() { Self(self.0.wrapping_add(bias)) } else { self }
    }
}

impl From<Address> for u64 {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl From<u64> for Address {
    fn from(in_file: u64) -> Self {
        Self(in_file)
    }
}

/// What each record begins with (`struct gt_event_header`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "as in the header")]
#[repr(C)]
pub struct Header {
    pub kind: u16,
    pub size: u16,
    pub process: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Lifecycle {
    pub(crate) header: Header,
    pub(crate) time_ns: u64,
}

/// What all operations have (`struct gt_span`).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "as in the header")]
#[repr(C)]
pub struct Span {
    pub start_ns: u64,
    pub end_ns: u64,
    pub goid: u64,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub parent_span_id: [u8; 8],
    pub trace_flags: u8,
    pub parent: u8,
    pub outcome: u8,
    pub resend: u8,
    pub unread: u32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct HttpHead {
    pub(crate) header: Header,
    pub(crate) span: Span,
    pub(crate) request_size: i64,
    pub(crate) response_size: i64,
    pub(crate) subject: u64,
    pub(crate) errno: u32,
    pub(crate) status: u16,
    pub(crate) proto_major: u8,
    pub(crate) proto_minor: u8,
    pub(crate) flags: u16,
    pub(crate) method_len: u16,
    pub(crate) target_len: u16,
    pub(crate) host_len: u16,
    pub(crate) peer_len: u16,
    pub(crate) user_agent_len: u16,
    pub(crate) route_len: u16,
    pub(crate) text_len: u16,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Http {
    pub(crate) head: HttpHead,
    pub(crate) method: [u8; 16],
    pub(crate) peer: [u8; 48],
    pub(crate) host: [u8; 112],
    pub(crate) user_agent: [u8; 128],
    pub(crate) route: [u8; 128],
    pub(crate) text: [u8; 64],
    pub(crate) target: [u8; 256],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct HttpSmall {
    pub(crate) head: HttpHead,
    pub(crate) method: [u8; 8],
    pub(crate) peer: [u8; 32],
    pub(crate) host: [u8; 40],
    pub(crate) user_agent: [u8; 48],
    pub(crate) route: [u8; 48],
    pub(crate) target: [u8; 88],
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Tracestate {
    pub(crate) header: Header,
    pub(crate) span_id: [u8; 8],
    pub(crate) len: u16,
    pub(crate) pad: [u8; 2],
    pub(crate) field: u16,
    pub(crate) fields: u16,
    pub(crate) text: [u8; 512],
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct HeaderValue {
    pub(crate) header: Header,
    pub(crate) span_id: [u8; 8],
    pub(crate) len: u16,
    pub(crate) name: u16,
    pub(crate) pad: [u8; 4],
    pub(crate) text: [u8; 256],
}

/// The text follows, with as much room as the header says.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Path {
    pub(crate) header: Header,
    pub(crate) span_id: [u8; 8],
    pub(crate) part: u16,
    pub(crate) len: u16,
    pub(crate) raw_len: u16,
    pub(crate) pad: u16,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Moved {
    pub(crate) header: Header,
    pub(crate) from: [u8; 16],
    pub(crate) to: [u8; 16],
    pub(crate) trace_flags: u8,
    pub(crate) pad: [u8; 7],
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Rpc {
    pub(crate) header: Header,
    pub(crate) span: Span,
    pub(crate) subject: u64,
    pub(crate) code: u32,
    pub(crate) flags: u16,
    pub(crate) method_len: u16,
    pub(crate) target_len: u16,
    pub(crate) message_len: u16,
    pub(crate) peer_port: u16,
    pub(crate) local_port: u16,
    pub(crate) peer_len: u8,
    pub(crate) local_len: u8,
    pub(crate) pad: [u8; 6],
    pub(crate) peer: [u8; 16],
    pub(crate) local: [u8; 16],
    pub(crate) method: [u8; 128],
    pub(crate) target: [u8; 96],
    pub(crate) message: [u8; 128],
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct CallEnd {
    pub(crate) header: Header,
    pub(crate) end_ns: u64,
    pub(crate) response: u64,
    pub(crate) subject: u64,
    pub(crate) code: u32,
    pub(crate) site: u16,
    pub(crate) message_len: u16,
    pub(crate) unread: u32,
    pub(crate) pad: u32,
    pub(crate) message: [u8; 128],
}

/// Key of what belongs to one goroutine, context or type of one process instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Key {
    /// Goroutine id, or address of a context or type descriptor.
    pub id: u64,
    /// Process instance, as numbered by the agent.
    pub instance: u32,
    /// Zero.
    pub pad: u32,
}

/// How eight entries of a header map lie together (`enum slots` of `bpf/headers.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Slots {
    /// Key and element by turns: Go 1.24 to 1.26.
    Pairs = 0,
    /// All keys, then all elements: Go 1.27.
    Split = 1,
    /// The same in buckets: before Go 1.24.
    Bucket = 2,
    /// It is not known how.
    Unknown = 3,
}

/// Roles of [`Type`] (`enum gt_type_role`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum TypeRole {
    /// A context whose parent interface is at `first`.
    Context = 1,
    /// A context whose parent is reached through the pointer at `first`, at `second` behind it.
    ContextVia = 2,
    /// An error that holds another at `first`.
    ErrorWrap = 3,
    /// An error whose text is the string at `first`.
    ErrorString = 4,
    /// `syscall.Errno`.
    Errno = 5,
    /// An error whose HTTP/2 error code is at `first`.
    Http2Code = 6,
    /// HTTP/2's error for want of a connection, upon which another is dialled.
    NothingSent = 7,
    /// A request's body that is none.
    NoBody = 8,
    /// gRPC's error: `first` pointers lead from it to the message of its status.
    GrpcStatus = 9,
    /// An error whose SQLSTATE is the string at `first`.
    SqlState = 10,
    /// An error whose number is at `first`, of `second` bytes.
    SqlNumber = 11,
    /// What a server answered, as the string at `first`.
    Answer = 12,
    /// A context of fasthttp: the pointer to it is at `first`; none: it is the context itself.
    RequestContext = 13,
    /// connect's error: its code is at `first`, the error that it holds at `second`.
    ConnectError = 14,
    /// A context with several others, at `first`, `second` and `third`.
    ContextFork = 15,
    /// The same, and it holds contexts that are not followed.
    ContextForkMore = 16,
    /// A context that can hold no other one.
    ContextRoot = 17,
    /// A `net.Conn` whose `netFD` is what `first` points to; its descriptor is at `second` in that.
    Conn = 18,
    /// A `net.Conn` that holds another one at `first`.
    ConnVia = 19,
}

/// What is known of a Go type that interface values hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Type {
    /// A [`TypeRole`].
    pub role: u16,
    /// Offset of the field that matters.
    pub first: u16,
    /// Offset behind a pointer.
    pub second: u16,
    /// Offset of a third field.
    pub third: u16,
}

const _: () = assert!(size_of::<Header>() == 8);
const _: () = assert!(size_of::<Lifecycle>() == 16);
const _: () = assert!(size_of::<Span>() == 64);
const _: () = assert!(size_of::<HttpHead>() == 120);
const _: () = assert!(size_of::<Http>() == 872);
const _: () = assert!(size_of::<HttpSmall>() == 384);
const _: () = assert!(size_of::<Tracestate>() == 536);
const _: () = assert!(size_of::<HeaderValue>() == 280);
const _: () = assert!(size_of::<Path>() == 24);
const _: () = assert!(size_of::<Moved>() == 48);
const _: () = assert!(size_of::<Key>() == 16);
const _: () = assert!(size_of::<Type>() == 8);
const _: () = assert!(size_of::<Rpc>() == 488);
const _: () = assert!(size_of::<CallEnd>() == 176);
