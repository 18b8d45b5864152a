/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How requests that are served end. In HTTP/1 at (*response).finishRequest; a handler that panics at
 * (*conn).close, where the panic is still on its goroutine, and one that takes over the connection at Hijack. In HTTP/2, of net/http or
 * golang.org/x/net/http2, at (*responseWriter).handlerDone or where a panic is recovered.
 */

/* The HTTP/2 that a probe belongs to, as in server_state.http2; 0 for HTTP/1. */
static __always_inline u8 http2_of_probe(u32 probe)
{
	switch (probe) {
	case GT_PROBE_HTTP2_SERVER_FINISH:
	case GT_PROBE_HTTP2_SERVER_PANIC:
		return GT_HTTP2_STD + 1;
	case GT_PROBE_XNET_SERVER_FINISH:
	case GT_PROBE_XNET_SERVER_PANIC:
		return GT_HTTP2_XNET + 1;
	}
	return 0;
}

/*
 * Whether a response without a start is one that net/http gave itself, without a handler: in HTTP/1
 * an expectation that it can't meet, in HTTP/2 headers that are forbidden or too many.
 */
static __always_inline bool is_refusal(const struct gt_process *proc, u64 resp, u8 http2)
{
	const struct gt_http2 *layout = &proc->http2[(http2 - 1) & (GT_HTTP2_KINDS - 1)];
	u32 status;

	if (!http2)
		return (u32)read_field(resp, proc->resp_status) == 417;
	status = read_field(read_field(resp, layout->rws), layout->status);
	return status == 400 || status == 431;
}

/* stateClosed of both copies of HTTP/2: while a handler runs, only the client or the connection closes it. */
#define STREAM_CLOSED 4

/* Whether the client of the request in `state` has left, as far as Go has noticed. */
static __always_inline bool has_left(const struct gt_process *proc, struct server_state *state,
				     u64 conn, u32 *unread)
{
	const struct gt_http2 *http2 = http2_of(proc, state);
	u8 left = 0;
	u64 at;

	if (state->http2) {
		at = read_field_noted(state->resp, http2->rws, UNREAD(ERROR), unread);
		at = read_field_noted(at, http2->stream, UNREAD(ERROR), unread);
		return (u32)read_field_noted(at, http2->stream_state, UNREAD(ERROR), unread) ==
		       STREAM_CLOSED;
	}
	if (proc->resp_left == GT_NONE)
		*unread |= UNREAD(ERROR);
	else
		*unread |= if_failed(bpf_probe_read_user(&left, sizeof(left),
							 (void *)(state->resp + proc->resp_left)),
				     UNREAD(ERROR));
	/* Nothing is read while there is more to come of a request: then a write tells. */
	return left ||
	       read_field_noted(conn, proc->conn_write_error, UNREAD(ERROR), unread);
}

/*
 * How a handler ended that did not return: it crashed or its goroutine exited, or it gave its answer up, as
 * net/http/httputil does where a client has left, by a panic with http.ErrAbortHandler. `conn` is the
 * connection of HTTP/1.
 */
static __noinline int how_aborted(const struct gt_process *proc, struct server_state *state, u64 g,
				  u64 conn)
{
	u64 panic = read_field(g, proc->g_panic), value, wanted;
	u32 unread = 0;
	int outcome = GT_OUTCOME_ABORTED;

	if (!panic || proc->panic_arg == GT_NONE || !proc->abort_handler)
		return outcome;
	/* Both are errors: the data tells them apart. */
	value = read_noted(panic + proc->panic_arg + 8, UNREAD(ERROR), &unread);
	wanted = read_noted(proc->abort_handler + 8, UNREAD(ERROR), &unread);
	if (!unread && wanted && value == wanted)
		outcome = has_left(proc, state, conn, &unread) ? GT_OUTCOME_LEFT :
								 GT_OUTCOME_GIVEN_UP;
	state->unread |= unread;
	return outcome;
}

/*
 * Whether the memory at `state->req` is still the request that began. Where HTTP/2 keeps no net/http request,
 * GC may free it while its handler runs, and another request may lie there. The context and the URL belong to
 * the stream, which outlives the handler: no other request has either of them.
 */
static __noinline int is_kept(const struct gt_process *proc, struct server_state *state)
{
	const struct gt_request *layout = layout_of(proc, state);

	if (!(proc->tells & GT_FREES_REQUESTS) || state->http2 != GT_HTTP2_STD + 1)
		return true;
	return read_field(state->req, layout->url) == request_u64(state, layout->url) ||
	       read_field(state->req, layout->ctx + 8) == request_u64(state, layout->ctx + 8);
}

/* The status of a response. */
static __always_inline u32 status_of(const struct gt_process *proc, const struct server_state *state)
{
	const struct gt_http2 *http2 = http2_of(proc, state);

	if (!state->http2)
		return (u32)read_field(state->resp, proc->resp_status);
	return (u32)read_field(read_field(state->resp, http2->rws), http2->status);
}

/* Whether the request that has ended is sent. */
static __noinline int is_request_sent(const struct gt_process *proc, const struct server_state *state,
				      u8 outcome)
{
	bool failed = outcome != GT_OUTCOME_DONE && outcome != GT_OUTCOME_HIJACKED;

	return (state->trace_flags & 1) ||
	       is_sent(state->trace_flags, state->ended_ns - state->start_ns,
		       failed || status_of(proc, state) >= 500);
}

/*
 * Sends the end of a request, and its path where a router is asked for the route. That happens here and not
 * in send_server, as the two together need more stack than there is.
 */
static __noinline int end_request(const struct gt_process *proc, struct server_state *state,
				  u8 outcome)
{
	struct go_string route = read_pattern(proc, layout_of(proc, state), state->req);
	u32 kept = is_kept(proc, state);

	if (!kept) {
		/* User space looks it up, if it can. */
		state->unread |= UNREAD(ROUTE);
		route = (struct go_string){};
	}
	if (state->server && state->rpc == RPC_NONE &&
	    (!route.len || (proc->tells & GT_TELLS_PATHS)))
		compare_path(proc, state, kept);
	state->strings.route = route;
	return send_server(proc, state, outcome);
}

/* The handler of the current goroutine's request returned, panicked or took over the connection. */
static __noinline int server_end(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	u64 g = GO_G(ctx);
	struct server_state *state = server_at(proc, g, goid_of(proc, g));
	bool returned = probe == GT_PROBE_HTTP_SERVER_FINISH ||
			probe == GT_PROBE_HTTP2_SERVER_FINISH ||
			probe == GT_PROBE_XNET_SERVER_FINISH;
	u8 http2 = http2_of_probe(probe), outcome = GT_OUTCOME_ABORTED;

	if (returned && (!state || !state->active || state->resp != GO_ARG0(ctx))) {
		/* Started before the probes were in. */
		if (!is_refusal(proc, GO_ARG0(ctx), http2))
			count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	if (!state)
		return 0;
	/* A server with golang.org/x/net/http2 begins in net/http all the same. */
	if (http2)
		state->http2 = http2;
	if (returned)
		outcome = GT_OUTCOME_DONE;
	else if (probe == GT_PROBE_HTTP_SERVER_HIJACK)
		outcome = GT_OUTCOME_HIJACKED;
	else if (state->active)
		outcome = how_aborted(proc, state, g, GO_ARG0(ctx));
	outcome = unrelated(outcome);
	state->ended_ns = bpf_ktime_get_ns();
	if (state->active && is_request_sent(proc, state, outcome))
		end_request(proc, state, outcome);
	state->active = 0;
	/* The goroutine of a connection serves on, unless it closes or is taken over. */
	if (probe != GT_PROBE_HTTP_SERVER_FINISH)
		leave(proc, state);
	return 0;
}
