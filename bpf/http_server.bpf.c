/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * net/http: HTTP/1 requests that are served. serverHandler.ServeHTTP starts a span and
 * (*response).finishRequest ends it; a handler that panics ends at (*conn).close and one that takes
 * over the connection at Hijack. Strings are read at the end only, straight into the ring buffer.
 */

static __always_inline u64 hex_digit(u8 c, u32 *bad)
{
	bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';

	*bad |= !(digit || letter);
	return digit ? c - '0' : c - 'a' + 10;
}

static __noinline int parse_hex(const char *text, u8 *out, u32 bytes)
{
	u32 bad = 0, any = 0;

	for (u32 i = 0; i < 16; i++) {
		if (i >= bytes)
			break;
		out[i] = hex_digit(text[2 * i], &bad) << 4 | (hex_digit(text[2 * i + 1], &bad) & 15);
		any |= out[i];
	}
	return !bad && any;
}

/* W3C trace context: version-traceid-parentid-flags. Gives whether it is valid. */
static __always_inline bool parse_traceparent(struct go_string header, struct server_state *state)
{
	char text[56] = {};
	u8 span_id[16] = {};
	u32 bad = 0;

	if (header.len < 55 || bpf_probe_read_user(text, 55, (void *)header.ptr))
		return false;
	hex_digit(text[0], &bad);
	hex_digit(text[1], &bad);
	if (bad || text[2] != '-' || text[35] != '-' || text[52] != '-')
		return false;
	if (text[0] == 'f' && text[1] == 'f')
		return false;
	if (text[0] == '0' && text[1] == '0' && header.len != 55)
		return false;
	u64 high = hex_digit(text[53], &bad), low = hex_digit(text[54], &bad);

	if (bad || !parse_hex(text + 36, span_id, 8) || !parse_hex(text + 3, state->trace_id, 16))
		return false;
	__builtin_memcpy(&state->parent_span_id, span_id, 8);
	state->trace_flags = high << 4 | low;
	state->parent = GT_PARENT_REMOTE;
	return true;
}

/* Sends the tracestate ahead of its span. */
static __noinline int send_tracestate(u64 span_id, u64 ptr, u64 len)
{
	struct gt_tracestate_event *event;
	struct go_string text = { .ptr = ptr, .len = len };

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	event->header.kind = GT_EVENT_TRACESTATE;
	event->header.size = sizeof(*event);
	event->header.process = 0;
	__builtin_memcpy(event->span_id, &span_id, 8);
	event->len = copy_bytes(event->text, sizeof(event->text), text);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 1;
}

/* A word, or a string, of the request as it was at its start. */
static __always_inline u64 request_u64(const struct server_state *state, u32 offset)
{
	return copied_u64(state->request, sizeof(state->request), offset);
}

static __always_inline struct go_string request_string(const struct server_state *state, u32 offset)
{
	return copied_string(state->request, sizeof(state->request), offset);
}

static __always_inline void read_request_headers(const struct gt_process *proc,
						 struct server_state *state)
{
	struct found_headers found = {};

	scan_headers(proc, request_u64(state, proc->req_header), &found);
	state->user_agent = found.user_agent.ptr;
	state->user_agent_len = found.user_agent.len;
	if (found.traceparent.ptr) {
		if (!parse_traceparent(found.traceparent, state)) {
			state->parent = GT_PARENT_NONE;
			state->parent_span_id = 0;
			count_drop(GT_DROP_TRACEPARENT_INVALID);
		}
	}
	if (state->parent == GT_PARENT_REMOTE && found.tracestate.len) {
		if (send_tracestate(state->span_id, found.tracestate.ptr, found.tracestate.len))
			state->flags |= GT_HTTP_TRACESTATE;
	}
	if (state->parent != GT_PARENT_REMOTE) {
		new_trace(state->trace_id);
		state->trace_flags = 1;
	}
}

static const struct server_state new_state;

/* The state of the current goroutine, made when there is none. */
static __always_inline struct server_state *server_state_of(const struct gt_key *key)
{
	struct server_state *state = bpf_map_lookup_elem(&servers, key);

	if (state)
		return state;
	if (bpf_map_update_elem(&servers, key, &new_state, BPF_ANY)) {
		count_drop(GT_DROP_SERVER_MAP_FULL);
		return NULL;
	}
	return bpf_map_lookup_elem(&servers, key);
}

/* Remembers the request's context, so that whoever holds one derived from it finds the request. */
static __always_inline void remember_request(const struct gt_process *proc,
					     struct server_state *state)
{
	/* The interface's data word: a *context.cancelCtx of this request alone. */
	u64 context = request_u64(state, proc->req_ctx + 8);

	/* A cancelCtx embeds its parent first, of which the data word is the second. */
	if (!state->connection_context)
		state->connection_context = read_u64(context + 8);
	remember_context(proc, context, state->connection_context, state);
}

/* net/http.serverHandler.ServeHTTP(sh, rw http.ResponseWriter, req *http.Request) */
static __noinline int http_server_start(struct pt_regs *ctx, struct gt_process *proc)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct server_state *state = server_state_of(&key);

	if (!state)
		return 0;
	if (state->active)
		count_drop(GT_DROP_SERVER_UNFINISHED);
	state->active = 0;
	state->req = GO_ARG3(ctx);
	state->resp = GO_ARG2(ctx);
	if (!copy_struct(state->request, sizeof(state->request), state->req, proc->req_size)) {
		count_drop(GT_DROP_READ_FAULT);
		return 0;
	}
	if (request_u64(state, proc->req_proto_major) != 1) {
		count_drop(GT_DROP_PROTOCOL_UNSUPPORTED);
		bpf_map_delete_elem(&servers, &key);
		return 0;
	}
	state->start_ns = bpf_ktime_get_ns();
	state->span_id = random_u64();
	state->parent_span_id = 0;
	state->parent = GT_PARENT_NONE;
	state->flags = 0;
	read_request_headers(proc, state);
	note_goids(proc, state);
	remember_request(proc, state);
	/* The address is that of the connection: it is read for its first request. */
	if (!state->peer_len)
		state->peer_len = copy_bytes(state->peer, sizeof(state->peer),
					     request_string(state, proc->req_remote_addr));
	state->active = 1;
	return 0;
}

/* The pattern that a ServeMux matched: Request.Pattern, or Request.pat.str in Go 1.22. */
static __always_inline struct go_string read_pattern(const struct gt_process *proc, u64 req)
{
	if (proc->req_pattern != GT_NONE)
		return read_string(req, proc->req_pattern);
	if (proc->req_pat != GT_NONE)
		return read_string(read_field(req, proc->req_pat), proc->pattern_str);
	return (struct go_string){};
}

/* http.response{…, written, contentLength, status, …}: one read where they are neighbours. */
static __always_inline void fill_response(const struct gt_process *proc,
					  const struct server_state *state,
					  struct gt_http_head *head)
{
	u64 fields[3] = {};

	if (proc->resp_status == proc->resp_written + 16) {
		bpf_probe_read_user(fields, sizeof(fields),
				    (void *)(state->resp + proc->resp_written));
	} else {
		fields[0] = read_field(state->resp, proc->resp_written);
		fields[2] = read_field(state->resp, proc->resp_status);
	}
	head->response_size = (s64)fields[0];
	head->status = fields[2];
}

static __always_inline void find_strings(const struct gt_process *proc,
					 const struct server_state *state,
					 struct request_strings *out)
{
	out->method = request_string(state, proc->req_method);
	out->target = request_string(state, proc->req_request_uri);
	out->host = request_string(state, proc->req_host);
	out->user_agent = (struct go_string){ state->user_agent, state->user_agent_len };
	out->route = read_pattern(proc, state->req);
	/* Method and target are parts of the one request line, so that one read gets both. */
	out->line = out->method.len < 16 && out->target.ptr == out->method.ptr + out->method.len + 1;
	if (out->line) {
		out->target.ptr = out->method.ptr;
		out->target.len += out->method.len + 1;
	}
}

static __always_inline void fill_server(const struct gt_process *proc,
					const struct server_state *state,
					struct gt_http_head *head)
{
	fill_response(proc, state, head);
	head->flags = state->flags;
	head->request_size = (s64)request_u64(state, proc->req_content_length);
	head->proto_major = 1;
	head->proto_minor = request_u64(state, proc->req_proto_minor);
	if (request_u64(state, proc->req_tls))
		head->flags |= GT_HTTP_TLS;
	head->peer_len = state->peer_len;
	head->text_len = 0;
	head->error_type = 0;
	head->errno_value = 0;
}

static __always_inline void fill_server_span(const struct server_state *state, u64 goid,
					     u8 outcome, struct gt_span *span)
{
	span->start_ns = state->start_ns;
	span->goid = goid;
	__builtin_memcpy(span->trace_id, state->trace_id, 16);
	__builtin_memcpy(span->span_id, &state->span_id, 8);
	__builtin_memcpy(span->parent_span_id, &state->parent_span_id, 8);
	span->trace_flags = state->trace_flags;
	span->parent = state->parent;
	span->outcome = outcome;
}

static __noinline int send_server(const struct gt_process *proc, const struct server_state *state,
				  u64 goid, u8 outcome)
{
	struct request_strings strings = {};

	find_strings(proc, state, &strings);
	if (are_short(&strings) && state->peer_len <= sizeof(((struct gt_http_small_event *)0)->peer)) {
		struct gt_http_small_event *event;

		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event)
			goto full;
		fill_span(proc, GT_EVENT_HTTP_SERVER_SMALL, sizeof(*event), &event->head);
		fill_server_span(state, goid, outcome, &event->head.span);
		fill_server(proc, state, &event->head);
		FILL_STRINGS(event, &strings, copy_small);
		__builtin_memcpy(event->peer, state->peer, sizeof(event->peer));
		bpf_ringbuf_submit(event, wakeup_flags());
	} else {
		struct gt_http_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

		if (!event)
			goto full;
		fill_span(proc, GT_EVENT_HTTP_SERVER, sizeof(*event), &event->head);
		fill_server_span(state, goid, outcome, &event->head.span);
		fill_server(proc, state, &event->head);
		FILL_STRINGS(event, &strings, copy_bytes);
		__builtin_memcpy(event->peer, state->peer, sizeof(event->peer));
		bpf_ringbuf_submit(event, wakeup_flags());
	}
	return 0;
full:
	count_drop(GT_DROP_RING_FULL);
	return 0;
}

/* (*response).finishRequest: the request that the current goroutine serves is done. */
static __noinline int http_server_finish(struct pt_regs *ctx, const struct gt_process *proc)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);

	if (!state || !state->active || state->resp != GO_ARG0(ctx)) {
		/*
		 * Started before the probes were in; or net/http could not meet an expectation and
		 * answered 417 itself, without a handler.
		 */
		if (read_field(GO_ARG0(ctx), proc->resp_status) != 417)
			count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	send_server(proc, state, key.id, GT_OUTCOME_DONE);
	state->active = 0;
	return 0;
}

/* The goroutine serves no more: its request, if it has one, ends with it. */
static __noinline int end_server(struct pt_regs *ctx, const struct gt_process *proc,
				      u8 outcome)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);

	if (!state)
		return 0;
	if (state->active)
		send_server(proc, state, key.id, outcome);
	bpf_map_delete_elem(&servers, &key);
	return 0;
}
