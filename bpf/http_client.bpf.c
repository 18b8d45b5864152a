/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * net/http: HTTP/1 requests that are made. (*Transport).roundTrip starts a span; the branch in it
 * that tests what (*persistConn).roundTrip returned ends it, also in an error. Two more sites stand
 * on error paths only. All run on the caller's goroutine.
 */

/* net/http.(*Transport).roundTrip(t, req *http.Request) */
static __always_inline int http_client_start(struct pt_regs *ctx, const struct gt_process *proc)
{
	u64 req = GO_ARG1(ctx), g = GO_G(ctx);
	struct gt_key key = key_of(proc, goid_of(proc, g));
	struct client_state state = {
		.start_ns = bpf_ktime_get_ns(),
		.goid = key.id,
		.req = req,
		.span_id = random_u64(),
		.trace_flags = 1,
	};
	struct client_state *before = bpf_map_lookup_elem(&clients, &key);
	struct go_iface context = {};
	struct parent parent = {};

	if (before && !before->ended)
		count_drop(GT_DROP_CLIENT_UNFINISHED);
	if (proc->req_ctx != GT_NONE)
		context = read_iface(req + proc->req_ctx);
	if (find_parent(proc, key.id, g, context, &parent)) {
		__builtin_memcpy(state.trace_id, parent.trace_id, 16);
		state.parent_span_id = parent.span_id;
		state.trace_flags = parent.trace_flags;
		state.parent = parent.how;
	} else {
		new_trace(state.trace_id);
	}
	if (bpf_map_update_elem(&clients, &key, &state, BPF_ANY))
		count_drop(GT_DROP_CLIENT_MAP_FULL);
	return 0;
}

/* Follows an error to its type, and to what it wraps for a text or an errno. */
static __always_inline void fill_error(const struct gt_process *proc, struct go_iface error,
				       struct gt_http_event *event)
{
	for (int i = 0; i < 4 && error.tab; i++) {
		u64 type_at = dynamic_type(error.tab);
		struct gt_key key = key_of(proc, type_at);
		struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);

		if (!i)
			event->head.error_type = type_at;
		if (!type)
			break;
		if (type->role == GT_TYPE_ERROR_STRING) {
			event->head.text_len = copy_bytes(event->text, sizeof(event->text),
						     read_string(error.data, type->first));
			break;
		}
		if (type->role == GT_TYPE_ERRNO) {
			event->head.errno_value = read_u64(error.data);
			break;
		}
		if (type->role != GT_TYPE_ERROR_WRAP)
			break;
		error = read_iface(error.data + type->first);
	}
}

static __always_inline void fill_client(const struct gt_process *proc, u64 req, u64 response,
					struct gt_http_event *event)
{
	u64 url = read_field(req, proc->req_url);
	struct go_string path = read_string(url, proc->url_raw_path);

	event->head.method_len = copy_bytes(event->method, sizeof(event->method),
				       read_string(req, proc->req_method));
	event->head.request_size = (s64)read_field(req, proc->req_content_length);
	event->head.flags = 0;
	if (path.len)
		event->head.flags |= GT_HTTP_RAW_PATH;
	else
		path = read_string(url, proc->url_path);
	event->head.target_len = copy_bytes(event->target, sizeof(event->target), path);
	event->head.peer_len = copy_bytes(event->peer, sizeof(event->peer),
				     read_string(url, proc->url_scheme));
	event->head.host_len = copy_bytes(event->host, sizeof(event->host),
				     read_string(url, proc->url_host));
	event->head.user_agent_len = 0;
	event->head.route_len = 0;
	event->head.text_len = 0;
	event->head.error_type = 0;
	event->head.errno_value = 0;
	event->head.status = 0;
	event->head.proto_major = 0;
	event->head.proto_minor = 0;
	event->head.response_size = -1;
	if (!response)
		return;
	event->head.status = read_field(response, proc->response_status);
	event->head.proto_major = read_field(response, proc->response_proto_major);
	event->head.proto_minor = read_field(response, proc->response_proto_minor);
	event->head.response_size = (s64)read_field(response, proc->response_content_length);
}

static __noinline int send_client(const struct gt_process *proc, struct client_state *state,
				  u64 response, struct go_iface *error, u8 outcome)
{
	struct gt_http_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	fill_span(proc, GT_EVENT_HTTP_CLIENT, sizeof(*event), &event->head);
	event->head.span.start_ns = state->start_ns;
	event->head.span.goid = state->goid;
	__builtin_memcpy(event->head.span.trace_id, state->trace_id, 16);
	__builtin_memcpy(event->head.span.span_id, &state->span_id, 8);
	__builtin_memcpy(event->head.span.parent_span_id, &state->parent_span_id, 8);
	event->head.span.trace_flags = state->trace_flags;
	event->head.span.parent = state->parent;
	event->head.span.outcome = outcome;
	event->head.span.resend = state->resend;
	fill_client(proc, state->req, response, event);
	fill_error(proc, *error, event);
	state->start_ns = event->head.span.end_ns;
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/* Ends the client call of the current goroutine. */
static __always_inline int end_client(struct pt_regs *ctx, const struct gt_process *proc,
				      u64 response, struct go_iface error, u8 outcome)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct client_state *state = bpf_map_lookup_elem(&clients, &key);

	if (!state) {
		count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	if (state->ended) {
		/* The transport tried again: an attempt of its own, from where the last one ended. */
		state->ended = 0;
		state->resend++;
		state->span_id = random_u64();
	}
	send_client(proc, state, response, &error, outcome);
	if (outcome == GT_OUTCOME_DONE)
		bpf_map_delete_elem(&clients, &key);
	else
		state->ended = 1;
	return 0;
}

/* After (*persistConn).roundTrip: (*http.Response, error) in registers. */
static __always_inline int http_client_done(struct pt_regs *ctx, const struct gt_process *proc)
{
	struct go_iface error = { GO_ARG1(ctx), GO_ARG2(ctx) };

	return end_client(ctx, proc, error.tab ? 0 : GO_ARG0(ctx), error,
			  error.tab ? GT_OUTCOME_ERROR : GT_OUTCOME_DONE);
}

/* After (*Transport).getConn failed: the error is in its register or in a stack slot. */
static __always_inline int http_client_no_conn(struct pt_regs *ctx, const struct gt_process *proc)
{
	struct go_iface error = { GO_ARG1(ctx), GO_ARG2(ctx) };

	if (proc->no_conn_error != GT_NONE)
		error.tab = read_u64(ctx->sp + proc->no_conn_error);
	if (proc->no_conn_error_data != GT_NONE)
		error.data = read_u64(ctx->sp + proc->no_conn_error_data);
	return end_client(ctx, proc, 0, error, GT_OUTCOME_ERROR);
}
