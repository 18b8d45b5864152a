/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A part of wire.h: what the programs know of libraries with structures of their own. */
#ifndef GOTAP_LIBRARIES_H
#define GOTAP_LIBRARIES_H

/*
 * Where connections are, and ids of streams, to join both ends of a call. Of a copy of HTTP/2: of the server
 * stream.sc, serverConn.conn and stream.id; of the client clientStream.cc, .ctx and .ID, and ClientConn.tconn.
 */
struct gt_http2_join {
	__u16 stream_conn, server_conn, stream_id;
	__u16 call_conn, call_ctx, call_id, client_conn;
	__u16 pad;
};
_Static_assert(sizeof(struct gt_http2_join) == 16, "wire");

struct gt_join {
	__u16 persist_conn; /* net/http.persistConn.conn */
	__u16 response_conn, conn_rwc; /* net/http.response.conn, conn.rwc */
	__u16 grpc_client_conn, grpc_server_conn; /* http2Client.conn, http2Server.conn */
	__u16 grpc_stream_id; /* Stream.id */
	__u16 pad[2];
	struct gt_http2_join http2[2]; /* by enum gt_http2_kind */
};
_Static_assert(sizeof(struct gt_join) == 48, "wire");

/* Packages net and crypto/tls: the other side of a connection. */
struct gt_net {
	__u64 tcp_conn; /* *net.TCPConn */
	__u64 tls_conn; /* *tls.Conn */
	__u64 tcp_addr; /* *net.TCPAddr */
	__u16 conn_fd, fd_remote, tls_inner;
	__u16 tcp_ip; /* net.TCPAddr.IP, which Port follows */
};
_Static_assert(sizeof(struct gt_net) == 32, "wire");

#endif
