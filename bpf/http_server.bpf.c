/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * net/http: where requests begin that are served. What is sent of them is in http_server_event.h, their ends are in
 * http_server_end.bpf.c.
 */

/* Which HTTP/2 it is, if it is that. */
static __always_inline const struct gt_http2 *http2_of(const struct gt_process *proc,
						       const struct server_state *state)
{
	return &proc->http2[(state->http2 - 1) & (GT_HTTP2_KINDS - 1)];
}

/* What splitmix64 makes of a number. */
static __always_inline u64 mixed(u64 number)
{
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9ULL;
	number = (number ^ (number >> 27)) * 0x94d049bb133111ebULL;
	number ^= number >> 31;
	return number ? number : 1;
}

/*
 * The ids of a request that begins, should it be the first of its trace: a random number of the
 * process, mixed with the time and with the goroutine. A random number for each would be a call.
 */
static __always_inline void new_ids(const struct gt_process *proc, struct server_state *state)
{
	struct gt_learned *learned = learned_of(proc);
	u64 seed = learned->seed, halves[2];

	if (!seed)
		learned->seed = seed = random_u64();
	halves[0] = mixed(seed + state->start_ns * 0x9e3779b97f4a7c15ULL);
	halves[1] = mixed(halves[0] + state->goid * 0x9e3779b97f4a7c15ULL);
	__builtin_memcpy(state->trace_id, halves, 16);
	state->span_id = mixed(halves[1] ^ seed);
	state->trace_flags = 1;
	if (proc->tells & GT_SENDS_TRACE)
		state->trace_flags |= GT_TRACE_OWN;
}

/* What the headers say of a request: its trace, or a new one, and its user agent. */
static __noinline int read_request_headers(const struct gt_process *proc,
					   struct server_state *state)
{
	struct found_headers *found = &state->found;
	u32 parsed;

	*found = (struct found_headers){};
	state->user_agent = 0;
	state->user_agent_len = 0;
	if (state->fast)
		scan_pairs(proc, state);
	else
		scan_headers(proc, state);
	if (!found->traceparent)
		return 0;
	/* Two fields are one that is no traceparent. */
	parsed = found->parents == 1 ?
			 parse_traceparent(found->traceparent, (u64 *)state->trace_id) : 0;
	if (!parsed) {
		count_drop(GT_DROP_TRACEPARENT_INVALID);
		return 0;
	}
	state->trace_flags = parsed;
	state->parent = GT_PARENT_REMOTE;
	if (!found->states || !(parsed & 1))
		return 0;
	state->flags |= GT_HTTP_TRACESTATE;
	if (state->fast)
		send_pair_states(state->span_id, found->tracestate, proc->instruments.fasthttp.pair_value,
				 proc->instruments.fasthttp.pair_size, found->states);
	else
		send_tracestates(state->span_id, found->tracestate, found->states);
	return 0;
}

/* Copies the request at `req`, so that its fields can be read, by way of the stack. */
static __noinline int copy_request(const struct gt_process *proc, u64 req, u8 kind,
				   struct server_state *state)
{
	u64 words[REQUEST_BYTES / 8] = {};

	state->req = req;
	state->request_kind = kind;
	if (!copy_struct(words, sizeof(words), req, layout_of(proc, state)->size)) {
		count_drop(GT_DROP_READ_FAULT);
		return 0;
	}
	__builtin_memcpy(state->request, words, sizeof(words));
	return 1;
}

/* What begins a request, from its copy. */
static __always_inline void find_request(const struct gt_process *proc, struct server_state *state)
{
	const struct gt_request *layout = layout_of(proc, state);

	state->headers = request_u64(state, layout->header);
	/* The interface's data word: a *context.cancelCtx of this request alone. */
	state->context = request_u64(state, layout->ctx + 8);
	/* A cancelCtx embeds its parent first, an interface: its second word is the data. */
	if (!state->context_mark)
		state->context_mark = mark_of_context(read_u64(state->context + 8));
	/* The address is that of the connection: it is read for its first request. */
	if (!state->peer_len || state->peer_len == GT_TEXT_UNREAD)
		state->peer_len = copy_bytes(state->peer, sizeof(state->peer),
					     request_string(state, layout->remote_addr));
	state->rpc = RPC_NONE;
	state->alone = state->http2 != 0;
}

/* Notes the class of a request's content where it matters, and marks what delivers telemetry. */
static __noinline int mark_telemetry(const struct gt_process *proc, struct server_state *state)
{
	const struct gt_request *layout = layout_of(proc, state);
	struct go_string agent = { state->user_agent, state->user_agent_len };

	if (state->fast)
		agent = request_string(state, proc->instruments.fasthttp.user_agent);
	else if (state->rpc == RPC_NONE)
		state->flags |= content_and_export(proc, state->headers,
						   request_string(state, layout->method),
						   request_string(state, layout->request_uri),
						   &state->trace_flags);
	else if (is_export_method((struct go_string){ state->method, state->method_len }))
		state->trace_flags |= GT_TRACE_TELEMETRY;
	if (is_own_agent(agent.ptr, agent.len))
		state->trace_flags |= GT_TRACE_TELEMETRY;
	return 0;
}

/*
 * Begins the span of the request in `state`. Its trace and span are known already when it is
 * a gRPC call in one of net/http. Whoever holds a context derived from the request's finds it.
 */
static __noinline int begin_request(const struct gt_process *proc, struct server_state *state)
{
	bool denied = false;

	state->start_ns = bpf_ktime_get_ns();
	state->parent_span_id = 0;
	state->parent = GT_PARENT_NONE;
	state->flags = 0;
	if (state->rpc != RPC_IN_HTTP) {
		new_ids(proc, state);
		read_request_headers(proc, state);
		if (state->parent == GT_PARENT_NONE && (proc->tells & GT_READS_B3) && !state->fast)
			denied = read_b3(state->g);
		if (state->parent == GT_PARENT_NONE)
			join_request(proc, state);
		if (state->parent == GT_PARENT_NONE && !denied)
			state->trace_flags = begin_flags(proc, *(u64 *)(state->trace_id + 8)) |
					     (state->trace_flags & ~1);
	}
	/* Not in there: functions that call each other have 512 bytes of stack in all. */
	mark_telemetry(proc, state);
	note_goids(proc, state);
	if (state->context)
		remember_context(proc, state->context, state->context_mark, state);
	if ((proc->tells & GT_TELLS_HEADERS) && state->rpc != RPC_IN_HTTP &&
	    may_be_sent(state->trace_flags))
		send_wanted(state->g);
	state->active = 1;
	return 0;
}

/* Whether it is HTTP/2's preface, which looks like a request to a server that speaks only HTTP/1. */
static __always_inline bool is_preface(const struct gt_process *proc,
				       const struct server_state *state)
{
	struct go_string method = request_string(state, proc->requests[GT_REQUEST_HTTP].method);
	char text[4] = {};

	if (method.len != 3 || bpf_probe_read_user(text, 3, (void *)method.ptr))
		return false;
	return text[0] == 'P' && text[1] == 'R' && text[2] == 'I';
}

/* Copies what serverHandler.ServeHTTP got; gives whether it is a request that is followed. */
static __always_inline bool accept_request(struct pt_regs *ctx, const struct gt_process *proc,
					   struct server_state *state)
{
	u64 major;

	if (!copy_request(proc, GO_ARG3(ctx), GT_REQUEST_HTTP, state))
		return false;
	major = request_u64(state, proc->requests[GT_REQUEST_HTTP].proto_major);
	state->http2 = major == 2 ? GT_HTTP2_STD + 1 : 0;
	/* Its routes are read by user space. */
	state->server = GO_ARG0(ctx);
	if (major == 1 || (major == 2 && !is_preface(proc, state)))
		return true;
	if (major != 2)
		count_drop(GT_DROP_PROTOCOL_UNSUPPORTED);
	return false;
}

/*
 * The start of a request. Most begin in serverHandler.ServeHTTP(sh, rw http.ResponseWriter, req
 * *http.Request), those of handlers that HTTP/2 was given directly in (*serverConn).runHandler(sc,
 * rw *responseWriter, req, handler), gRPC's in (*Server).handleStream(s, transport, stream), and
 * fasthttp's before its handler is called.
 * Requests of HTTP/2 have goroutines, and so states, of their own. One function for all sites, so that
 * the verifier goes through what follows once.
 */
static __noinline int server_start(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	bool stream = probe == GT_PROBE_HTTP2_STREAM_START || probe == GT_PROBE_XNET_SERVER_START;
	bool fast = is_probe(probe, GT_PROBE_FASTHTTP_SERVER_START);
	u64 g = GO_G(ctx);
	struct server_state *state = serve(proc, g, goid_of(proc, g));
	u64 second = GO_ARG1(ctx), third = GO_ARG2(ctx);
	bool accepted;

	/* Keeps clang from reading one of them at a computed place, which the verifier refuses. */
	asm volatile("" : "+r"(second), "+r"(third));
	if (!state)
		return 0;
	if (fast && state->active && is_nested(ctx, proc, state))
		return 0;
	if (probe == GT_PROBE_HTTP_SERVER_START && state->active && state->http2 &&
	    state->resp == third) {
		/* Begun as a stream; this is the request that a router will write to. */
		copy_request(proc, GO_ARG3(ctx), GT_REQUEST_HTTP, state);
		state->server = GO_ARG0(ctx);
		return 0;
	}
	if (state->active)
		count_drop(GT_DROP_SERVER_UNFINISHED);
	state->active = 0;
	state->unread = 0;
	state->resp = stream ? second : third;
	state->fast = fast;
	if (fast) {
		state->req = fast_context(ctx, proc);
		accepted = accept_fast(proc, state);
	} else if (is_probe(probe, GT_PROBE_GRPC_SERVER_START)) {
		accepted = accept_stream(ctx, proc, state);
	} else if (stream) {
		bool own = probe == GT_PROBE_HTTP2_STREAM_START;

		state->http2 = (own ? GT_HTTP2_STD : GT_HTTP2_XNET) + 1;
		accepted = copy_request(proc, third,
					own ? GT_REQUEST_HTTP2 : GT_REQUEST_HTTP, state);
	} else {
		accepted = accept_request(ctx, proc, state);
	}
	if (accepted) {
		if (!is_probe(probe, GT_PROBE_GRPC_SERVER_START) && !fast)
			find_request(proc, state);
		return begin_request(proc, state);
	}
	leave(proc, state);
	return 0;
}
