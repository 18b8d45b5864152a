//! Offsets in structures of gRPC, fasthttp and of packages net and crypto/tls, for the BPF programs. Those of other libraries are in
//! `constants`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Address, NONE};

/// Offsets in `google.golang.org/grpc`, and types that it tells by (`struct gt_grpc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "each is the Go field or type of its name")]
#[repr(C)]
pub struct Grpc {
    pub incoming_key: Address,
    pub outgoing_key: Address,
    pub handler_transport: Address,
    pub tcp_addr: Address,
    pub server_workers: u16,
    pub stream_method: u16,
    pub stream_ctx: u16,
    pub stream_state: u16,
    pub transport_peer: u16,
    pub transport_local: u16,
    pub status_code: u16,
    pub status_message: u16,
    pub attempt_call: u16,
    pub attempt_transport: u16,
    pub attempt_stream: u16,
    pub attempt_transparent: u16,
    pub call_ctx: u16,
    pub call_hdr: u16,
    pub call_cc: u16,
    pub call_finished: u16,
    pub hdr_method: u16,
    pub cc_target: u16,
    pub client_peer: u16,
    pub starts_attempt: u16,
    pub tcp_ip: u16,
    pub stream_inner: u16,
    pub server_number: u16,
    pub client_number: u16,
    pub data: Address,
    pub data_size: u32,
    pub attempt_ctx: u16,
    pub pad: u16,
}

impl Grpc {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        incoming_key: Address::NONE,
        outgoing_key: Address::NONE,
        handler_transport: Address::NONE,
        tcp_addr: Address::NONE,
        server_workers: NONE,
        stream_method: NONE,
        stream_ctx: NONE,
        stream_state: NONE,
        transport_peer: NONE,
        transport_local: NONE,
        status_code: NONE,
        status_message: NONE,
        attempt_call: NONE,
        attempt_transport: NONE,
        attempt_stream: NONE,
        attempt_transparent: NONE,
        call_ctx: NONE,
        call_hdr: NONE,
        call_cc: NONE,
        call_finished: NONE,
        hdr_method: NONE,
        cc_target: NONE,
        client_peer: NONE,
        starts_attempt: 0,
        tcp_ip: NONE,
        stream_inner: NONE,
        server_number: NONE,
        client_number: NONE,
        data: Address::NONE,
        data_size: 0,
        attempt_ctx: NONE,
        pad: 0,
    };
}

/// Where a copy of HTTP/2 has connections and ids of streams (`struct gt_http2_join`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "the header says which Go field each is")]
#[repr(C)]
pub struct Http2Join {
    pub stream_conn: u16,
    pub server_conn: u16,
    pub stream_id: u16,
    pub call_conn: u16,
    pub call_ctx: u16,
    pub call_id: u16,
    pub client_conn: u16,
    pub pad: u16,
}

impl Http2Join {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        stream_conn: NONE,
        server_conn: NONE,
        stream_id: NONE,
        call_conn: NONE,
        call_ctx: NONE,
        call_id: NONE,
        client_conn: NONE,
        pad: 0,
    };
}

/// Where connections are, to join both ends of a call (`struct gt_join`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "the header says which Go field each is")]
#[repr(C)]
pub struct Join {
    pub persist_conn: u16,
    pub response_conn: u16,
    pub conn_rwc: u16,
    pub grpc_client_conn: u16,
    pub grpc_server_conn: u16,
    pub grpc_stream_id: u16,
    pub pad: [u16; 2],
    /// net/http's own HTTP/2, and that of `golang.org/x/net`.
    pub http2: [Http2Join; 2],
}

impl Join {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        persist_conn: NONE,
        response_conn: NONE,
        conn_rwc: NONE,
        grpc_client_conn: NONE,
        grpc_server_conn: NONE,
        grpc_stream_id: NONE,
        pad: [0; 2],
        http2: [Http2Join::ABSENT; 2],
    };
}

/// Where the other side of a connection is: packages net and crypto/tls (`struct gt_net`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "each is the Go field or type of its name")]
#[repr(C)]
pub struct Net {
    pub tcp_conn: Address,
    pub tls_conn: Address,
    pub conn_fd: u16,
    pub fd_remote: u16,
    pub tls_inner: u16,
    pub pad: u16,
}

impl Net {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        tcp_conn: Address::NONE,
        tls_conn: Address::NONE,
        conn_fd: NONE,
        fd_remote: NONE,
        tls_inner: NONE,
        pad: 0,
    };
}

/// Offsets in fasthttp and fiber (`struct gt_fasthttp`, which says in what).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "each is the Go field of its name, or explained in the header")]
#[repr(C)]
pub struct FastHttp {
    pub counted: Address,
    pub counted_tls: Address,
    pub workers: Address,
    pub workers_size: u32,
    pub pad0: u32,
    pub ctx_slot: u16,
    pub conn_id: u16,
    pub conn_requests: u16,
    pub conn: u16,
    pub tls: u16,
    pub timeout_response: u16,
    pub response: u16,
    pub header: u16,
    pub header_size: u16,
    pub method: u16,
    pub uri: u16,
    pub proto: u16,
    pub host: u16,
    pub user_agent: u16,
    pub content_length: u16,
    pub headers: u16,
    pub pair_size: u16,
    pub pair_value: u16,
    pub status: u16,
    pub response_length: u16,
    pub body_stream: u16,
    pub body: u16,
    pub body_raw: u16,
    pub body_bytes: u16,
    pub fiber_route: u16,
    pub fiber_ctx: u16,
    pub route_path: u16,
    pub route_use: u16,
    pub fiber_iface: u16,
    pub fiber_closure: u16,
    pub counted_conn: u16,
    pub counted_tls_conn: u16,
}

impl FastHttp {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        counted: Address::NONE,
        counted_tls: Address::NONE,
        workers: Address::NONE,
        workers_size: 0,
        pad0: 0,
        ctx_slot: NONE,
        conn_id: NONE,
        conn_requests: NONE,
        conn: NONE,
        tls: NONE,
        timeout_response: NONE,
        response: NONE,
        header: NONE,
        header_size: 0,
        method: NONE,
        uri: NONE,
        proto: NONE,
        host: NONE,
        user_agent: NONE,
        content_length: NONE,
        headers: NONE,
        pair_size: 0,
        pair_value: 0,
        status: NONE,
        response_length: NONE,
        body_stream: NONE,
        body: NONE,
        body_raw: NONE,
        body_bytes: NONE,
        fiber_route: NONE,
        fiber_ctx: NONE,
        route_path: NONE,
        route_use: NONE,
        fiber_iface: 0,
        fiber_closure: 0,
        counted_conn: NONE,
        counted_tls_conn: NONE,
    };
}

const _: () = assert!(size_of::<Grpc>() == 96);
const _: () = assert!(size_of::<Net>() == 24);
const _: () = assert!(size_of::<FastHttp>() == 96);
