/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * HTTP/2 requests that are served, by net/http's own implementation or golang.org/x/net/http2. Each
 * stream has a goroutine of its own. serverHandler.ServeHTTP starts the spans of net/http's servers,
 * (*serverConn).runHandler those of handlers that HTTP/2 was given directly; they end at
 * (*responseWriter).handlerDone or where a panic is recovered.
 */

/* (*serverConn).runHandler(sc, rw *responseWriter, req, handler) */
static __noinline int http2_stream_start(struct pt_regs *ctx, struct gt_process *proc, u8 http2,
					 u8 kind)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct server_state *state = server_state_of(&key);

	if (!state)
		return 0;
	state->http2 = http2 + 1;
	state->resp = GO_ARG1(ctx);
	if (!copy_request(proc, GO_ARG2(ctx), kind, state))
		return 0;
	return begin_request(proc, state);
}

/* Whether `resp` has the status of a stream that is refused without asking a handler. */
static __always_inline bool is_refused(const struct gt_process *proc, u64 resp, u8 kind)
{
	const struct gt_http2 *http2 = &proc->http2[kind & (GT_HTTP2_KINDS - 1)];
	u32 status = read_field(read_field(resp, http2->rws), http2->status);

	return status == 400 || status == 431;
}

/* (*responseWriter).handlerDone: the handler of the current goroutine's stream has returned. */
static __noinline int http2_server_finish(struct pt_regs *ctx, const struct gt_process *proc,
					  u8 http2)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);

	if (!state || !state->active || state->resp != GO_ARG0(ctx)) {
		/* Started before the probes were in; or its headers are forbidden or too many. */
		if (!is_refused(proc, GO_ARG0(ctx), http2))
			count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	/* A server with golang.org/x/net/http2 begins in net/http all the same. */
	state->http2 = http2 + 1;
	send_server(proc, state, key.id, GT_OUTCOME_DONE);
	bpf_map_delete_elem(&servers, &key);
	return 0;
}

/* In (*serverConn).runHandler, where a panic is recovered. */
static __noinline int http2_server_panic(struct pt_regs *ctx, const struct gt_process *proc,
					 u8 http2)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);

	if (!state)
		return 0;
	state->http2 = http2 + 1;
	if (state->active)
		send_server(proc, state, key.id, GT_OUTCOME_ABORTED);
	bpf_map_delete_elem(&servers, &key);
	return 0;
}
