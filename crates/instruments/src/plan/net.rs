//! How to find the other side of a `net.Conn`, for instruments whose structures hold one.

use wire::raw::{Address, NONE};

use super::{Context, Plan, grpc};

/// Adds what the programs must know of packages net and crypto/tls.
pub(crate) fn connections(context: &Context<'_, '_>, plan: &mut Plan) {
    grpc::addresses(context, plan);
    let found = &mut plan.constants.net;
    found.tcp_conn = context.pointer_to("net.TCPConn").into();
    found.tls_conn = context.pointer_to("crypto/tls.Conn").into();
    found.conn_fd = context.offset("net.TCPConn", &["conn", "fd"]);
    found.fd_remote = context.offset("net.netFD", &["raddr"]);
    found.tls_inner = context.offset("crypto/tls.Conn", &["conn"]);
    // Nothing is read at places that are not known.
    if found.conn_fd == NONE || found.fd_remote == NONE {
        found.tcp_conn = Address::NONE;
    }
    if found.tls_inner == NONE {
        found.tls_conn = Address::NONE;
    }
}
