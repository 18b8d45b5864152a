/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * net/http: requests that are made. (*Transport).roundTrip starts a span. The branch in it that tests
 * what (*persistConn).roundTrip returned ends it, also in an error; for HTTP/2 the same branch does
 * while a connection is new, and the one after the alternate round tripper once it is known. More
 * sites stand on error paths only. golang.org/x/net/http2 without net/http has a start and an
 * end of its own. All run on the caller's goroutine.
 */

/* Redirects that are counted; http.Client follows ten. */
#define MAX_REDIRECTS 10

/* A word of the request as it was at the call's start. */
static __always_inline u64 call_u64(const struct client_state *state, u32 offset)
{
	return copied_u64(state->request, sizeof(state->request), offset);
}

/*
 * A string of the URL as it was at the call's start, when the transport itself reads it: later the
 * program may write to it, and half of a string's words may be read. The text of a string stays.
 */
static __always_inline struct go_string url_string(const struct client_state *state, u32 offset)
{
	return copied_string(state->url, sizeof(state->url), offset);
}

static const struct client_state new_client;

/*
 * How many redirects led to this request: each knows the response that caused it. A function of its own, for the
 * stack's sake.
 */
static __noinline int count_redirects(const struct gt_process *proc, u64 response, u32 *unread)
{
	u64 request;
	u8 count = 0;

	for (; count < MAX_REDIRECTS && response; count++) {
		request = read_field_noted(response, proc->response_request, UNREAD(RESEND), unread);
		response = read_field_noted(request, proc->requests[0].response, UNREAD(RESEND),
					    unread);
	}
	return count;
}

/*
 * net/http.(*Transport).roundTrip(t, req *http.Request), and the like of golang.org/x/net/http2,
 * which is `direct` unless net/http calls it. Gives whether a call starts, and its context.
 */
static __noinline int http_call_start(struct pt_regs *ctx, const struct gt_process *proc, u32 probe,
				      u64 goid, struct go_iface *context)
{
	u8 direct = probe == GT_PROBE_XNET_CLIENT_START;
	struct gt_key key = key_of(proc, goid);
	struct client_state *state = state_of(&clients, &key, &new_client, GT_DROP_CLIENT_MAP_FULL);

	if (!state)
		return 0;
	if (state->phase == CLIENT_ACTIVE) {
		if (direct && !state->direct)
			return 0;
		count_drop(GT_DROP_CLIENT_UNFINISHED);
	}
	state->phase = CLIENT_IDLE;
	state->direct = direct;
	state->req = GO_ARG1(ctx);
	if (!copy_struct(state->request, sizeof(state->request), state->req, proc->requests[0].size)) {
		count_drop(GT_DROP_READ_FAULT);
		return 0;
	}
	context->tab = call_u64(state, proc->requests[0].ctx);
	context->data = call_u64(state, proc->requests[0].ctx + 8);
	return 1;
}

/* The strings of a call; gives what its flags say of the target. */
static __always_inline u16 find_call_strings(const struct gt_process *proc,
					     const struct client_state *state,
					     struct request_strings *out)
{
	u16 flags = GT_HTTP_OPAQUE | GT_HTTP_RAW_PATH;

	out->method = copied_string(state->request, sizeof(state->request), proc->requests[0].method);
	out->host = url_string(state, proc->url_host);
	/* The slot is a server's else. */
	out->route = url_string(state, proc->url_raw_query);
	out->target = url_string(state, proc->url_opaque);
	if (!out->target.len) {
		out->target = url_string(state, proc->url_raw_path);
		flags = GT_HTTP_RAW_PATH;
	}
	if (!out->target.len) {
		out->target = url_string(state, proc->url_path);
		flags = 0;
	}
	return flags;
}

/* What the URL's scheme says. */
static __always_inline u16 scheme_flags(const struct gt_process *proc,
					const struct client_state *state)
{
	struct go_string scheme = url_string(state, proc->url_scheme);
	char text[8] = {};

	if (scheme.len != 4 && scheme.len != 5)
		return GT_HTTP_UNKNOWN_SCHEME;
	/* What can't be read is believed. */
	if (bpf_probe_read_user(text, 4, (void *)scheme.ptr))
		return scheme.len == 5 ? GT_HTTP_TLS : 0;
	if (text[0] != 'h' || text[1] != 't' || text[2] != 't' || text[3] != 'p')
		return GT_HTTP_UNKNOWN_SCHEME;
	return scheme.len == 5 ? GT_HTTP_TLS : 0;
}

/* The length of the body that a call sends. The client's zero says "unknown" where there is one. */
static __always_inline s64 call_size(const struct gt_process *proc,
				     const struct client_state *state)
{
	s64 size = (s64)call_u64(state, proc->requests[0].content_length);
	u64 body = size ? 0 : call_u64(state, proc->requests[0].body);
	struct gt_key key = key_of(proc, body ? dynamic_type(body) : 0);
	struct gt_type *type;

	if (!body)
		return size;
	type = bpf_map_lookup_elem(&go_types, &key);
	return type && type->role == GT_TYPE_NO_BODY ? 0 : -1;
}

static __always_inline void fill_call(const struct gt_process *proc,
				      const struct client_state *state, u8 outcome, u16 flags,
				      struct gt_http_head *head)
{
	carry_span(&head->span, &state->span);
	head->span.outcome = outcome;
	head->span.resend = state->resend;
	head->request_size = call_size(proc, state);
	head->flags = state->flags | flags;
	head->peer_len = 0;
	head->text_len = 0;
	head->subject = 0;
	head->errno_value = 0;
	head->status = 0;
	head->proto_major = 0;
	head->proto_minor = 0;
	head->response_size = -1;
}

static __always_inline void fill_answer(const struct gt_process *proc,
					const struct client_state *state, u64 response,
					struct gt_http_head *head)
{
	const u32 size = sizeof(state->response);

	head->subject = copied_u64(state->response, size, proc->response_header);
	head->status = copied_u64(state->response, size, proc->response_status);
	head->proto_major = copied_u64(state->response, size, proc->response_proto_major);
	head->proto_minor = copied_u64(state->response, size, proc->response_proto_minor);
	head->response_size =
		(s64)copied_u64(state->response, size, proc->response_content_length);
}

static __noinline int send_client(const struct gt_process *proc, struct client_state *state,
				  u64 response, struct go_iface *error, u8 outcome)
{
	u64 end_ns = bpf_ktime_get_ns();
	struct request_strings strings = {};
	u16 flags;

	if (outcome == GT_OUTCOME_DONE &&
	    !copy_struct(state->response, sizeof(state->response), response, RESPONSE_BYTES))
		strings.unread = UNREAD(STATUS) | UNREAD(SIZE);
	if (outcome == GT_OUTCOME_ERROR && !error->tab)
		strings.unread = UNREAD(ERROR);
	if (!(state->span.trace_flags & 1) &&
	    !is_sent(state->span.trace_flags, end_ns - state->span.start_ns,
		     outcome != GT_OUTCOME_DONE ||
			     copied_u64(state->response, sizeof(state->response),
					proc->response_status) >= 400))
		return 0;
	flags = find_call_strings(proc, state, &strings);
	/* The transport sends no other scheme than http and https. */
	if (outcome == GT_OUTCOME_REFUSED)
		flags |= scheme_flags(proc, state);
	else if (url_string(state, proc->url_scheme).len == 5)
		flags |= GT_HTTP_TLS;
	if (response && are_short(&strings)) {
		struct gt_http_small_event *event;

		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event)
			goto full;
		fill_span(proc, GT_EVENT_HTTP_CLIENT_SMALL, sizeof(*event), end_ns, &event->head);
		fill_call(proc, state, outcome, flags, &event->head);
		event->head.span.unread |= strings.unread;
		fill_answer(proc, state, response, &event->head);
		FILL_STRINGS(event, &strings, copy_small);
		bpf_ringbuf_submit(event, wakeup_flags());
	} else {
		struct gt_http_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

		if (!event)
			goto full;
		fill_span(proc, GT_EVENT_HTTP_CLIENT, sizeof(*event), end_ns, &event->head);
		fill_call(proc, state, outcome, flags, &event->head);
		event->head.span.unread |= strings.unread;
		if (response)
			fill_answer(proc, state, response, &event->head);
		FILL_STRINGS(event, &strings, copy_bytes);
		fill_error(proc, *error, event);
		bpf_ringbuf_submit(event, wakeup_flags());
	}
	return 0;
full:
	count_drop(GT_DROP_RING_FULL);
	return 0;
}

/* Ends a call that the transport refuses, as it has no host. Nothing is asked for it. */
static __noinline int refuse_call(const struct gt_process *proc, struct client_state *state)
{
	struct go_iface error = {};

	/* Another transport may take it. */
	if (scheme_flags(proc, state) == GT_HTTP_UNKNOWN_SCHEME)
		return 0;
	send_client(proc, state, 0, &error, GT_OUTCOME_REFUSED);
	state->phase = CLIENT_IDLE;
	return 0;
}

/* The class of a call's content where it matters; marks what delivers telemetry. */
static __always_inline u32 mark_call(const struct gt_process *proc, struct client_state *state)
{
	struct go_string path = url_string(state, proc->url_raw_path);

	if (!path.len)
		path = url_string(state, proc->url_path);
	return content_and_export(proc, call_u64(state, proc->requests[0].header),
				  copied_string(state->request, sizeof(state->request),
						proc->requests[0].method),
				  path, &state->span.trace_flags);
}

/* Begins the span of a call, whose parent is known now. */
static __noinline int http_call_join(struct pt_regs *ctx, const struct gt_process *proc, u64 goid,
				     u32 starts, const struct parent *parent)
{
	struct gt_key key = key_of(proc, goid);
	struct client_state *state = bpf_map_lookup_elem(&clients, &key);
	u32 unread = 0;

	if (!state)
		return 0;
	begin_span(&state->span, goid, parent);
	if (!copy_struct(state->url, sizeof(state->url), call_u64(state, proc->requests[0].url),
			 URL_BYTES))
		unread = UNREAD(TARGET) | UNREAD(SCHEME) | UNREAD(HOST);
	state->resend = count_redirects(proc, call_u64(state, proc->requests[0].response), &unread);
	state->span.unread = unread;
	state->flags = mark_call(proc, state);
	if (proc->tells & GT_SENDS_TRACE)
		join_sent(proc,
			  only_value(header_elem(call_u64(state, proc->requests[0].header),
						 proc->map_slots, proc->map_group_size,
						 HEADER_TRACEPARENT)),
			  parent, &state->span);
	state->phase = CLIENT_ACTIVE;
	if (!(unread & UNREAD(HOST)) && !state->direct && !url_string(state, proc->url_host).len)
		return refuse_call(proc, state);
	return 0;
}

/* Whether the error says that HTTP/2 had no connection, so that another is dialled. */
static __always_inline bool is_nothing_sent(const struct gt_process *proc, struct go_iface error)
{
	struct gt_key key = key_of(proc, dynamic_type(error.tab));
	struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);

	return type && type->role == GT_TYPE_NOTHING_SENT;
}

/*
 * The error that the transport got. It is in registers, but where getConn failed it may have gone
 * to a stack slot; where the context was done before, nothing was asked.
 */
static __always_inline struct go_iface error_of(struct pt_regs *ctx, const struct gt_process *proc,
						u32 probe)
{
	struct go_iface error = { GO_ARG1(ctx), GO_ARG2(ctx) };

	if (probe == GT_PROBE_HTTP_CLIENT_CTX_DONE || probe == GT_PROBE_HTTP_CLIENT_REFUSED)
		return (struct go_iface){};
	if (probe != GT_PROBE_HTTP_CLIENT_NO_CONN)
		return error;
	if (proc->no_conn_error != GT_NONE)
		error.tab = read_u64(ctx->sp + proc->no_conn_error);
	if (proc->no_conn_error_data != GT_NONE)
		error.data = read_u64(ctx->sp + proc->no_conn_error_data);
	return error;
}

/* The *http.Response of a call that went well. */
static __always_inline u64 response_of(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	if (probe == GT_PROBE_HTTP_CLIENT_ALTERNATE && proc->alternate_response != GT_NONE)
		return read_u64(ctx->sp + proc->alternate_response);
	return GO_ARG0(ctx);
}

/* Whether the call goes on in spite of what is returned here. */
static __always_inline bool goes_on(const struct gt_process *proc,
				    const struct client_state *state, struct go_iface error,
				    u32 probe)
{
	struct go_iface declined;
	u32 unread = 0;

	/* When net/http called golang.org/x/net/http2, net/http ends the call. */
	if (probe == GT_PROBE_XNET_CLIENT_DONE && state && !state->direct)
		return true;
	if (!error.tab)
		return false;
	if (probe == GT_PROBE_HTTP_CLIENT_ALTERNATE) {
		declined = read_iface_noted(proc->skip_alternate, 1, &unread);
		if (unread) {
			/* If it was declined another end comes; else this one is lost. */
			count_drop(GT_DROP_READ_FAULT);
			return true;
		}
		if (declined.tab == error.tab && declined.data == error.data)
			return true;
	}
	return is_nothing_sent(proc, error);
}

/*
 * The end of a call: (*http.Response, error) are in registers after (*persistConn).roundTrip and
 * what stands for it in HTTP/2, or only an error where it could not even begin.
 */
static __noinline int client_end(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct client_state *state = bpf_map_lookup_elem(&clients, &key);
	struct go_iface error = error_of(ctx, proc, probe);
	u8 outcome = GT_OUTCOME_ERROR;
	u64 response = 0;

	if (goes_on(proc, state, error, probe))
		return 0;
	if (!state || state->phase == CLIENT_IDLE) {
		count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	if (state->phase == CLIENT_FAILED) {
		/* The transport tried again: an attempt of its own, from where the last one ended. */
		state->resend++;
	}
	if (probe == GT_PROBE_HTTP_CLIENT_CTX_DONE) {
		outcome = GT_OUTCOME_CTX_DONE;
	} else if (probe == GT_PROBE_HTTP_CLIENT_REFUSED) {
		outcome = GT_OUTCOME_REFUSED;
	} else if (probe != GT_PROBE_HTTP_CLIENT_NO_CONN && !error.tab) {
		outcome = GT_OUTCOME_DONE;
		response = response_of(ctx, proc, probe);
	}
	send_client(proc, state, response, &error, outcome);
	state->span.start_ns = bpf_ktime_get_ns();
	state->phase = CLIENT_IDLE;
	if (outcome == GT_OUTCOME_DONE)
		return 0;
	/* Of another attempt, should there be one. */
	renew_span(&state->span);
	state->phase = CLIENT_FAILED;
	return 0;
}
