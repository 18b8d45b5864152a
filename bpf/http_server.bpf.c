/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * net/http: requests that are served: their start, and how they are sent. The ends are in
 * http_server_end.bpf.c. Strings are read at the end only, straight into the ring buffer.
 */

/* Peers that fit into the small event. */
#define PEER_SHORT sizeof(((struct gt_http_small_event *)NULL)->peer)

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
	/* A cancelCtx embeds its parent first, of which the data word is the second. */
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
 * Begins the span of the request in `state`, of which trace and span are known already when it is
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
	bool fast = probe == GT_PROBE_FASTHTTP_SERVER_START;
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
	} else if (probe == GT_PROBE_GRPC_SERVER_START) {
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
		if (probe != GT_PROBE_GRPC_SERVER_START && !fast)
			find_request(proc, state);
		return begin_request(proc, state);
	}
	leave(proc, state);
	return 0;
}

/*
 * The pattern that a ServeMux matched: Request.Pattern, or Request.pat.str in Go 1.22. Where the request's
 * end can't be read, it lies in a page that nobody has written, as read_object says: there is none.
 */
static __always_inline struct go_string read_pattern(const struct gt_process *proc,
						     const struct gt_request *layout, u64 req)
{
	struct go_string pattern = {};
	u64 pat;

	if (layout->pattern != GT_NONE) {
		if (bpf_probe_read_user(&pattern, sizeof(pattern), (void *)(req + layout->pattern)))
			pattern = (struct go_string){};
		return pattern;
	}
	pat = layout->pat == GT_NONE ? 0 : read_u64(req + layout->pat);
	return pat ? read_text(pat, proc->pattern_str) : pattern;
}

/* http.response{…, written, contentLength, status, …}: one read where they are neighbours. */
static __always_inline void fill_response(const struct gt_process *proc, u64 resp,
					  struct gt_http_head *head)
{
	u64 fields[3] = {};
	u32 unread = 0;

	if (proc->resp_status == proc->resp_written + 16) {
		unread = if_failed(read_object(fields, sizeof(fields), resp + proc->resp_written),
				   UNREAD(SIZE) | UNREAD(STATUS));
	} else {
		fields[0] = read_field_noted(resp, proc->resp_written, UNREAD(SIZE), &unread);
		fields[2] = read_field_noted(resp, proc->resp_status, UNREAD(STATUS), &unread);
	}
	head->span.unread |= unread;
	head->response_size = (s64)fields[0];
	head->status = fields[2];
}

/* The same of HTTP/2; `rws` is the responseWriterState. */
static __always_inline void fill_http2_response(const struct gt_http2 *http2, u64 rws,
						struct gt_http_head *head)
{
	u32 unread = 0;

	head->response_size = (s64)read_field_noted(rws, http2->written, UNREAD(SIZE), &unread);
	head->status = read_field_noted(rws, http2->status, UNREAD(STATUS), &unread);
	head->span.unread |= unread;
}

/* All of them but the route. */
static __always_inline void find_strings(const struct gt_process *proc,
					 const struct server_state *state,
					 struct request_strings *out)
{
	const struct gt_request *layout = layout_of(proc, state);

	out->method = request_string(state, layout->method);
	out->target = request_string(state, layout->request_uri);
	out->host = request_string(state, layout->host);
	out->user_agent = (struct go_string){ state->user_agent, state->user_agent_len };
	/* Method and target are parts of HTTP/1's one request line, so that one read gets both. */
	out->line = !state->http2 && out->method.len < 16 &&
		    out->target.ptr == out->method.ptr + out->method.len + 1;
	if (out->line) {
		out->target.ptr = out->method.ptr;
		out->target.len += out->method.len + 1;
	}
}

static __always_inline void fill_server_span(const struct server_state *state, u8 outcome,
					     struct gt_span *span)
{
	span->start_ns = state->start_ns;
	span->goid = state->goid;
	__builtin_memcpy(span->trace_id, state->trace_id, 16);
	__builtin_memcpy(span->span_id, &state->span_id, 8);
	__builtin_memcpy(span->parent_span_id, &state->parent_span_id, 8);
	span->trace_flags = state->trace_flags;
	span->parent = state->parent;
	span->outcome = outcome;
	span->unread = state->unread;
}

/* Everything but the strings. */
static __always_inline void fill_server(const struct gt_process *proc,
					const struct server_state *state, u8 outcome,
					struct gt_http_head *head)
{
	const struct gt_request *layout = layout_of(proc, state);

	fill_server_span(state, outcome, &head->span);
	if (state->http2)
		fill_http2_response(http2_of(proc, state), state->rws, head);
	else
		fill_response(proc, state->resp, head);
	head->flags = state->flags;
	head->request_size = (s64)request_u64(state, layout->content_length);
	head->proto_major = request_u64(state, layout->proto_major);
	head->proto_minor = request_u64(state, layout->proto_minor);
	if (request_u64(state, layout->tls))
		head->flags |= GT_HTTP_TLS;
	head->peer_len = state->peer_len;
	head->text_len = 0;
	head->subject = state->server;
	head->errno_value = 0;
}

static __noinline int send_short(const struct gt_process *proc, const struct server_state *state,
				 u8 outcome)
{
	const struct request_strings *strings = &state->strings;
	struct gt_http_small_event *event;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	fill_span(proc, GT_EVENT_HTTP_SERVER_SMALL, sizeof(*event), state->ended_ns,
		  &event->head);
	fill_server(proc, state, outcome, &event->head);
	FILL_STRINGS(event, strings, copy_small);
	__builtin_memcpy(event->peer, state->peer, sizeof(event->peer));
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/* Looks for what the end of a request says, but for its route, and notes it in the state. */
static __always_inline void find_ending(const struct gt_process *proc, struct server_state *state)
{
	u32 unread = 0;

	state->closed = (struct go_iface){};
	if (state->http2) {
		const struct gt_http2 *http2 = http2_of(proc, state);
		u64 stream;

		state->rws = read_field(state->resp, http2->rws);
		if (http2->close_err != GT_NONE) {
			stream = read_field_noted(state->rws, http2->stream, UNREAD(ERROR), &unread);
			/* As with a pattern: what can't be read was never written. */
			state->closed = read_iface(stream + http2->close_err);
		}
	}
	find_strings(proc, state, &state->strings);
	state->unread |= unread;
	/* What was found is read again: the verifier goes on with what it does not know. */
	asm volatile("" ::: "memory");
}

/* The end of a request. */
static __noinline int send_server(const struct gt_process *proc, struct server_state *state, u8 outcome)
{
	const struct request_strings *strings = &state->strings;
	struct gt_http_event *event;

	find_ending(proc, state);
	if (!state->closed.tab && are_short(strings) && state->peer_len <= PEER_SHORT)
		return send_short(proc, state, outcome);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	fill_span(proc, GT_EVENT_HTTP_SERVER, sizeof(*event), state->ended_ns,
		  &event->head);
	fill_server(proc, state, outcome, &event->head);
	FILL_STRINGS(event, strings, copy_bytes);
	__builtin_memcpy(event->peer, state->peer, sizeof(event->peer));
	fill_error(proc, state->closed, event);
	event->head.subject = state->server;
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}
