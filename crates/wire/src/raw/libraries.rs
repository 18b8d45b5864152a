//! Offsets in structures that several instruments need, for the BPF programs. Those of one alone are in
//! `instruments`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Address, NONE};

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
    pub tcp_addr: Address,
    pub conn_fd: u16,
    pub fd_remote: u16,
    pub tls_inner: u16,
    pub tcp_ip: u16,
}

impl Net {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        tcp_conn: Address::NONE,
        tls_conn: Address::NONE,
        tcp_addr: Address::NONE,
        conn_fd: NONE,
        fd_remote: NONE,
        tls_inner: NONE,
        tcp_ip: NONE,
    };
}

const _: () = assert!(size_of::<Net>() == 32);
