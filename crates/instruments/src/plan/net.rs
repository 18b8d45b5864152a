//! How to find the other side of a `net.Conn`, for instruments whose structures hold one.

use wire::raw::{Address, NONE};

use super::{Context, Plan};

/// Adds what the programs must know of packages net and crypto/tls.
pub(crate) fn connections(context: &Context<'_, '_>, plan: &mut Plan) {
    addresses(context, plan);
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

/// How to read a `*net.TCPAddr`.
pub(crate) fn addresses(context: &Context<'_, '_>, plan: &mut Plan) {
    let found = &mut plan.constants.net;
    if !found.tcp_addr.is_known() {
        found.tcp_addr = context.pointer_to("net.TCPAddr").into();
        found.tcp_ip = context.offset("net.TCPAddr", &["IP"]);
        // The program reads both at once, behind the address's slice.
        if context.offset("net.TCPAddr", &["Port"]) != found.tcp_ip.wrapping_add(24) {
            found.tcp_addr = Address::NONE;
        }
    }
}
