/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A part of wire.h: what the programs are told of libraries with structures of their own. */
#ifndef GOTAP_LIBRARIES_H
#define GOTAP_LIBRARIES_H

/* google.golang.org/grpc: type descriptors, and offsets in structures of its own. */
struct gt_grpc {
	__u64 incoming_key; /* metadata.mdIncomingKey */
	__u64 outgoing_key; /* metadata.mdOutgoingKey, 0 unknown */
	__u64 handler_transport; /* *transport.serverHandlerTransport */
	__u64 tcp_addr; /* *net.TCPAddr */
	__u16 server_workers; /* Server.opts.numServerWorkers */
	__u16 stream_method, stream_ctx, stream_state;
	__u16 transport_peer, transport_local; /* net.Addr in a server's transport */
	__u16 status_code, status_message;
	__u16 attempt_call, attempt_transport, attempt_stream, attempt_transparent;
	__u16 call_ctx, call_hdr, call_cc, call_finished;
	__u16 hdr_method, cc_target;
	__u16 client_peer; /* net.Addr in a client's transport */
	__u16 starts_attempt; /* a client's start has the attempt, and not the call, as receiver */
	__u16 tcp_ip; /* net.TCPAddr.IP, which Port follows */
	__u16 stream_inner; /* *Stream in a ServerStream, from 1.69 to 1.76 */
	__u16 server_number, client_number; /* of a connection, in a transport */
	__u64 data; /* variables that were there at the start, and are never freed; 0 unknown */
	__u32 data_size;
	__u16 attempt_ctx;
	__u16 pad;
};
_Static_assert(sizeof(struct gt_grpc) == 96, "wire");

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
	__u16 conn_fd, fd_remote, tls_inner;
	__u16 pad;
};
_Static_assert(sizeof(struct gt_net) == 24, "wire");

/* github.com/valyala/fasthttp, in the RequestCtx but where another structure is named; and fiber. */
struct gt_fasthttp {
	__u64 counted, counted_tls; /* *perIPConn, *perIPTLSConn, around other connections; 0 unknown */
	__u64 workers; /* code that starts the goroutines of connections, 0 unknown */
	__u32 workers_size;
	__u32 pad0;
	__u16 ctx_slot; /* a start has it at this distance from the stack pointer; none: as 2nd argument */
	__u16 conn_id, conn_requests; /* numbers of the connection, and of the request on it */
	__u16 conn; /* net.Conn */
	__u16 tls; /* Request.isTLS */
	__u16 timeout_response; /* *Response, given in place of the other one */
	__u16 response;
	__u16 header, header_size; /* what is copied of Request.Header, and in that: */
	__u16 method, uri, proto, host, user_agent, content_length;
	__u16 headers; /* Request.Header.h, an array of argsKV: */
	__u16 pair_size, pair_value;
	__u16 status, response_length; /* Response.Header.statusCode, .contentLength */
	__u16 body_stream, body, body_raw; /* Response */
	__u16 body_bytes; /* ByteBuffer.B */
	__u16 fiber_route, fiber_ctx; /* fiber.Ctx.route, .fasthttp */
	__u16 route_path, route_use; /* fiber.Route.Path, .use */
	__u16 fiber_iface; /* fiber.Ctx is an interface */
	__u16 fiber_closure; /* an end is in what is deferred, as ReleaseCtx is inlined there */
	__u16 counted_conn, counted_tls_conn; /* net.Conn, *tls.Conn in these */
};
_Static_assert(sizeof(struct gt_fasthttp) == 96, "wire");

#endif
