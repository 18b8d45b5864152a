/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The event of a request that was served: what its end says, and how it is sent. Strings are read then only, straight
 * into the ring buffer.
 */

/* Peers that fit into the small event. */
#define PEER_SHORT sizeof(((struct gt_http_small_event *)NULL)->peer)

/*
 * The pattern that a ServeMux matched: Request.Pattern, or Request.pat.str in Go 1.22. Where the request's
 * end can't be read, it lies in a page that nobody has written, as read_first_page says: there is none.
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
