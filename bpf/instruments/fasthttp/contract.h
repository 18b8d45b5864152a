/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Constants of a process for fasthttp and fiber. */
#ifndef GOTAP_FASTHTTP_CONTRACT_H
#define GOTAP_FASTHTTP_CONTRACT_H

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
