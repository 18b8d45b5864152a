/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The serving side of join.h: a request without a traceparent goes on with the trace of the call that it is
 * the other end of. No trap of its own.
 */
#ifndef GOTAP_JOIN_SERVED_H
#define GOTAP_JOIN_SERVED_H

/* The connection of an HTTP/2 request and its stream's id. */
static __always_inline u64 http2_connection(const struct gt_process *proc, struct server_state *state,
					    u32 *stream_id)
{
	u32 kind = (state->http2 - 1) & (GT_HTTP2_KINDS - 1);
	const struct gt_http2_join *layout = &proc->join.http2[kind];
	u64 writer = read_field(state->resp, proc->http2[kind].rws);
	u64 stream = read_field(writer, proc->http2[kind].stream);
	struct go_iface conn;

	*stream_id = read_field(stream, layout->stream_id);
	if (!*stream_id || layout->server_conn == GT_NONE)
		return JOIN_NONE;
	conn = read_iface(read_field(stream, layout->stream_conn) + layout->server_conn);
	return connection_key(conn.tab, conn.data, 1);
}

/* The connection of a request in HTTP/1, which its goroutine serves until it closes. */
static __always_inline u64 http_connection(const struct gt_process *proc, struct server_state *state)
{
	struct go_iface conn;

	if (state->conn)
		return state->conn;
	if (state->fast)
		conn = read_iface(state->req + proc->instruments.fasthttp.conn);
	else if (proc->join.response_conn == GT_NONE)
		return JOIN_NONE;
	else
		conn = read_iface(read_field(state->resp, proc->join.response_conn) + proc->join.conn_rwc);
	state->conn = connection_key(conn.tab, conn.data, 1);
	return state->conn;
}

/* Takes over the span that calls; gives whether there is one. */
static __always_inline bool take_call(struct server_state *state, u64 conn, u32 stream)
{
	struct join_key key = join_key_of(conn, stream);
	struct join *entry = bpf_map_lookup_elem(&joins, &key);
	u64 trace_id[2], span_id;
	u8 flags;

	if (!entry || entry->used || entry->conn != conn || entry->stream != stream)
		return false;
	span_id = entry->span_id;
	trace_id[0] = entry->trace_id[0];
	trace_id[1] = entry->trace_id[1];
	flags = entry->trace_flags;
	asm volatile("" ::: "memory");
	/* It may have been given to another key, or another stream's call, meanwhile. */
	if (entry->used || entry->conn != conn || entry->stream != stream)
		return false;
	entry->used = 1;
	__builtin_memcpy(state->trace_id, trace_id, 16);
	state->parent_span_id = span_id;
	state->trace_flags = flags & ~GT_TRACE_OWN;
	state->parent = GT_PARENT_CONNECTION;
	return true;
}

/* Where no trace was sent, programs with OpenTelemetry's SDK begin one of their own. */
static __noinline int join_request(const struct gt_process *proc, struct server_state *state)
{
	u32 first = 0, stream = 0;
	u64 *noted = bpf_map_lookup_elem(&joining, &first), conn;

	if (!noted || !*noted || (proc->tells & GT_HAS_SDK))
		return 0;
	if (state->rpc == RPC_STREAM) {
		conn = grpc_connection_key(proc, state->req, 1);
		stream = read_field(common_stream(proc, state->resp), proc->join.grpc_stream_id);
	} else if (state->http2) {
		conn = http2_connection(proc, state, &stream);
	} else {
		conn = http_connection(proc, state);
	}
	if (!conn)
		count_drop(GT_DROP_JOIN_UNREAD);
	else if (conn != JOIN_NONE)
		take_call(state, conn, stream);
	return 0;
}

#endif
