/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The caller's side of join.h: where a call has its connection and its stream, and nothing of it is written
 * yet. One trap a call, on the caller's goroutine or, in HTTP/2, on one that it has just started.
 */

/* Notes the span of a call; without one, that the connection's next request is not of the call before. */
static __noinline int note_call(u64 conn, u32 stream, const struct gt_span *span)
{
	struct join_key key = join_key_of(conn, stream);
	struct join *entry = bpf_map_lookup_elem(&joins, &key);
	struct join fresh = { .conn = conn, .used = 1 };
	u32 first = 0;
	u64 *noted;

	if (!span) {
		if (entry && entry->conn == conn && entry->stream == stream)
			entry->used = 1;
		return 0;
	}
	if (!entry || entry->conn != conn) {
		if (bpf_map_update_elem(&joins, &key, &fresh, BPF_ANY)) {
			count_drop(GT_DROP_JOIN_MAP_FULL);
			return 0;
		}
		entry = bpf_map_lookup_elem(&joins, &key);
		if (!entry)
			return 0;
	}
	/* Nobody takes it while it is written. */
	entry->used = 1;
	asm volatile("" ::: "memory");
	entry->conn = conn;
	entry->stream = stream;
	entry->trace_flags = span->trace_flags;
	__builtin_memcpy(&entry->span_id, span->span_id, 8);
	__builtin_memcpy(entry->trace_id, span->trace_id, 16);
	asm volatile("" ::: "memory");
	entry->used = 0;
	noted = bpf_map_lookup_elem(&joining, &first);
	if (noted && !*noted)
		*noted = 1;
	return 0;
}

/* The call of a goroutine that is under way, or tried again. */
static __always_inline struct client_state *call_under_way(const struct gt_process *proc, u64 goid)
{
	struct gt_key key = key_of(proc, goid);
	struct client_state *state = bpf_map_lookup_elem(&clients, &key);

	return state && state->phase != CLIENT_IDLE ? state : NULL;
}

static __always_inline void note_if_known(u64 conn, u32 stream, const struct gt_span *span)
{
	if (!conn)
		count_drop(GT_DROP_JOIN_UNREAD);
	else if (conn != JOIN_NONE)
		note_call(conn, stream, span);
}

/* In net/http.(*Transport).roundTrip, the call of (*persistConn).roundTrip(pc, req). */
static __noinline int join_http(struct pt_regs *ctx, const struct gt_process *proc)
{
	struct client_state *state = call_under_way(proc, goid_of(proc, GO_G(ctx)));
	struct go_iface conn = read_iface(GO_ARG0(ctx) + proc->join.persist_conn);

	note_if_known(connection_key(conn.tab, conn.data, 0), 0, state ? &state->span : NULL);
	return 0;
}

/*
 * (*clientStream).encodeAndWriteHeaders(cs, req), on a goroutine that (*ClientConn).RoundTrip starts. Its
 * caller may have given up, and made another call since: that one has another context.
 */
static __noinline int join_http2(struct pt_regs *ctx, const struct gt_process *proc, u32 kind)
{
	const struct gt_http2_join *layout = &proc->join.http2[kind & (GT_HTTP2_KINDS - 1)];
	u64 stream = GO_ARG0(ctx), caller = read_field(GO_G(ctx), proc->g_parent_goid);
	struct client_state *state = call_under_way(proc, caller);
	struct go_iface conn;
	u64 context;
	u32 id;

	if (!state)
		return 0;
	context = read_field(stream, layout->call_ctx + 8);
	id = read_field(stream, layout->call_id);
	if (!context || !id || context != call_u64(state, proc->requests[0].ctx + 8))
		return 0;
	conn = read_iface(read_field(stream, layout->call_conn) + layout->client_conn);
	note_if_known(connection_key(conn.tab, conn.data, 0), id, &state->span);
	return 0;
}

static __always_inline u64 starting_check(u64 goid, u64 call, u64 attempt, u32 instance)
{
	return (goid * 0x9e3779b97f4a7c15ULL ^ call) * 0x9e3779b97f4a7c15ULL ^ attempt ^ instance;
}

static __always_inline struct rpc_starting *starting_of(const struct gt_process *proc, u64 goid)
{
	u32 slot = (goid + proc->instance * 0x9e3779b1U) & (RPC_STARTING - 1);

	return bpf_map_lookup_elem(&rpc_starting, &slot);
}

/*
 * In a closure of gRPC's (*http2Client).NewStream, where the stream is given its id, the third argument of
 * what is called. The attempt began on this goroutine.
 */
static __noinline int join_grpc(struct pt_regs *ctx, const struct gt_process *proc)
{
	u64 goid = goid_of(proc, GO_G(ctx));
	struct rpc_starting *starting = starting_of(proc, goid);
	struct rpc_call *state;
	u64 call, attempt, transport;
	struct gt_key key;

	if (!starting || starting->goid != goid)
		return 0;
	call = starting->call;
	attempt = starting->attempt;
	if (starting->check != starting_check(goid, call, attempt, proc->instance))
		return 0;
	/* Streams without an attempt follow, as health checks have. */
	starting->check = 0;
	key = key_of(proc, call);
	state = bpf_map_lookup_elem(&rpc_calls, &key);
	if (!state)
		return 0;
	transport = read_field(attempt, proc->instruments.grpc.attempt_transport + 8);
	note_if_known(grpc_connection_key(proc, transport, 0), GO_ARG2(ctx), &state->span);
	return 0;
}

/* An attempt of a gRPC call begins: (*csAttempt).getTransport(a). */
static __always_inline void note_attempt(const struct gt_process *proc, u64 goid, u64 call, u64 attempt)
{
	struct rpc_starting *starting = starting_of(proc, goid);

	if (!starting || proc->join.grpc_client_conn == GT_NONE)
		return;
	starting->check = 0;
	starting->goid = goid;
	starting->call = call;
	starting->attempt = attempt;
	starting->check = starting_check(goid, call, attempt, proc->instance);
}

static __noinline int join_call(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	if (probe == GT_PROBE_HTTP_CLIENT_JOIN)
		return join_http(ctx, proc);
	if (probe == GT_PROBE_GRPC_CLIENT_JOIN)
		return join_grpc(ctx, proc);
	return join_http2(ctx, proc,
			  probe == GT_PROBE_XNET_CLIENT_JOIN ? GT_HTTP2_XNET : GT_HTTP2_STD);
}
