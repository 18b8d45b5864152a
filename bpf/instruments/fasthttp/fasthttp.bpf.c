/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * github.com/valyala/fasthttp and, upon it, fiber: how requests end. They start as net/http's do
 * (fasthttp_start.h), on the goroutine of their connection. A request of fasthttp ends when its
 * response was written, one of fiber when its handlers have returned: then its route is known.
 */

/* What is sent of a response. */
struct fast_response {
	s64 size;
	u64 status;
	struct go_string route;
	u32 unread; /* bits of enum gt_unread */
	u32 pad;
};

/* How long the body of a response is that was not written yet; -1 unknown. */
static __always_inline s64 body_size(const struct gt_fasthttp *fast, u64 response, s64 declared,
				     u32 *unread)
{
	u64 body;

	if (read_field_noted(response, fast->body_stream, UNREAD(SIZE), unread))
		return declared;
	if (read_field_noted(response, fast->body_raw, UNREAD(SIZE), unread))
		return read_noted(response + fast->body_raw + 8, UNREAD(SIZE), unread);
	body = read_field_noted(response, fast->body, UNREAD(SIZE), unread);
	return body ? (s64)read_noted(body + fast->body_bytes + 8, UNREAD(SIZE), unread) : 0;
}

/* What the handler answered, or what was answered in its place as it took too long. */
static __noinline int read_fast_response(const struct gt_process *proc, u64 request, bool written,
					 struct fast_response *out)
{
	const struct gt_fasthttp *fast = &proc->instruments.fasthttp;
	u32 unread = 0, all = UNREAD(STATUS) | UNREAD(SIZE);
	u64 response = read_field_noted(request, fast->timeout_response, all, &unread);
	s64 declared;

	if (!response)
		response = request + fast->response;
	/* As fasthttp does it. */
	out->status = read_field_noted(response, fast->status, UNREAD(STATUS), &unread);
	if (!out->status)
		out->status = 200;
	declared = (s64)read_field_noted(response, fast->response_length, UNREAD(SIZE), &unread);
	out->size = written ? declared : body_size(fast, response, declared, &unread);
	out->unread = unread;
	return 0;
}

static __always_inline void fill_fast(const struct gt_process *proc,
				      const struct server_state *state, u8 outcome,
				      const struct fast_request *request,
				      const struct fast_response *response,
				      struct gt_http_head *head)
{
	fill_server_span(state, outcome, &head->span);
	head->span.unread |= response->unread;
	head->request_size = request->size;
	head->response_size = response->size;
	head->subject = 0;
	head->errno_value = 0;
	head->status = response->status;
	head->proto_major = request->proto_major;
	head->proto_minor = request->proto_minor;
	head->flags = state->flags | request->flags | GT_HTTP_PEER_ADDRESS;
	head->method_len = request->method_len;
	head->target_len = request->target_len;
	head->host_len = request->host_len;
	head->user_agent_len = request->user_agent_len;
	head->peer_len = state->peer_len;
	head->text_len = 0;
}

/* Fills the slots of either event; the smaller one's are wide enough. */
#define COPY_FAST(event, state, request, response, copy)                                           \
	do {                                                                                       \
		__builtin_memcpy((event)->method, (request)->method, sizeof((event)->method));     \
		__builtin_memcpy((event)->host, (request)->host, sizeof((event)->host));           \
		__builtin_memcpy((event)->user_agent, (request)->user_agent,                       \
				 sizeof((event)->user_agent));                                     \
		__builtin_memcpy((event)->target, (request)->target, sizeof((event)->target));     \
		__builtin_memcpy((event)->peer, (state)->peer, sizeof((event)->peer));             \
		FILL(event, route, copy, (response)->route);                                       \
	} while (0)

static __always_inline bool is_short(const struct fast_request *request,
				     const struct fast_response *response)
{
	const struct gt_http_small_event *slots = NULL;

	return request->method_len <= sizeof(slots->method) &&
	       request->target_len <= sizeof(slots->target) &&
	       request->host_len <= sizeof(slots->host) &&
	       request->user_agent_len <= sizeof(slots->user_agent) &&
	       response->route.len <= sizeof(slots->route);
}

static __noinline int send_fast(const struct gt_process *proc, const struct server_state *state,
				u8 outcome, const struct fast_response *response)
{
	struct gt_key key = key_of(proc, state->g);
	const struct fast_request *request = bpf_map_lookup_elem(&fast_requests, &key);
	struct gt_http_small_event *small;
	struct gt_http_event *event;

	if (!request) {
		count_drop(GT_DROP_SERVER_MAP_FULL);
		return 0;
	}
	if (is_short(request, response)) {
		small = bpf_ringbuf_reserve(&events, sizeof(*small), 0);
		if (!small) {
			count_drop(GT_DROP_RING_FULL);
			return 0;
		}
		fill_span(proc, GT_EVENT_HTTP_SERVER_SMALL, sizeof(*small), state->ended_ns,
			  &small->head);
		fill_fast(proc, state, outcome, request, response, &small->head);
		COPY_FAST(small, state, request, response, copy_small);
		bpf_ringbuf_submit(small, wakeup_flags());
		return 0;
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	fill_span(proc, GT_EVENT_HTTP_SERVER, sizeof(*event), state->ended_ns, &event->head);
	fill_fast(proc, state, outcome, request, response, &event->head);
	COPY_FAST(event, state, request, response, copy_bytes);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/*
 * The fiber.Ctx that (*App).ReleaseCtx(app, c) gives back, or a closure that does so and holds the two. In
 * fiber 3 it is an interface, and may be in a structure of the program's own.
 */
static __always_inline u64 fiber_context(struct pt_regs *ctx, const struct gt_process *proc,
					 u64 request)
{
	const struct gt_fasthttp *fast = &proc->instruments.fasthttp;
	struct gt_type *type;
	struct gt_key key;

	if (fast->fiber_closure) {
		u64 fiber = read_u64(GO_CLOSURE(ctx) + 16);

		return read_field(fiber, fast->fiber_ctx) == request ? fiber :
								       read_u64(GO_CLOSURE(ctx) + 8);
	}
	if (!fast->fiber_iface)
		return GO_ARG1(ctx);
	key = key_of(proc, dynamic_type(GO_ARG1(ctx)));
	type = bpf_map_lookup_elem(&go_types, &key);
	if (!type || type->role != GT_TYPE_REQUEST_CONTEXT)
		return 0;
	return GO_ARG2(ctx) + type->first - fast->fiber_ctx;
}

/* Reads the route that fiber chose. Middleware has one, too, which is none of the request's. */
static __noinline int read_fiber_route(const struct gt_process *proc, u64 fiber,
				       struct fast_response *out)
{
	const struct gt_fasthttp *fast = &proc->instruments.fasthttp;
	u32 unread = 0;
	u64 route = read_field_noted(fiber, fast->fiber_route, UNREAD(ROUTE), &unread), use;

	if (route) {
		use = read_field_noted(route, fast->route_use, UNREAD(ROUTE), &unread);
		if (!unread && !(use & 1))
			out->route = read_text(route, fast->route_path);
	}
	out->unread |= unread;
	return 0;
}

/*
 * A request of the current goroutine was answered, or its connection is over: taken over, closed, or
 * lost in a panic, which ends the process. What is deferred, as by fiber, runs in a panic, too.
 */
static __noinline int fasthttp_end(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	bool finished = probe == GT_PROBE_FASTHTTP_SERVER_FINISH;
	bool fiber = finished && proc->instruments.fasthttp.fiber_route != GT_NONE;
	u64 g = GO_G(ctx);
	struct server_state *state = server_at(proc, g, goid_of(proc, g));
	struct gt_key key = key_of(proc, g);
	struct fast_response response = { .size = -1 };
	u64 context = fiber ? fiber_context(ctx, proc, state ? state->req : 0) : 0;
	u64 request = read_field(context, proc->instruments.fasthttp.fiber_ctx);
	u8 outcome = GT_OUTCOME_DONE;

	if (!state || !state->fast) {
		/* Started before the probes were in; of fiber it may be no request, but an error. */
		if (finished && (!fiber || proc->instruments.fasthttp.fiber_closure ||
				 read_field(request, proc->instruments.fasthttp.conn_requests)))
			count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	if (finished && (!state->active || (fiber && request != state->req)))
		return 0;
	if (state->active) {
		state->ended_ns = bpf_ktime_get_ns();
		if (probe == GT_PROBE_FASTHTTP_SERVER_HIJACK)
			outcome = GT_OUTCOME_HIJACKED;
		else if (read_field(GO_G(ctx), proc->g_panic))
			outcome = GT_OUTCOME_ABORTED;
		if (outcome == GT_OUTCOME_DONE)
			read_fast_response(proc, state->req, finished && !fiber, &response);
		if (fiber)
			read_fiber_route(proc, context, &response);
		if ((state->trace_flags & 1) ||
		    is_sent(state->trace_flags, state->ended_ns - state->start_ns,
			    outcome == GT_OUTCOME_ABORTED || response.status >= 500))
			send_fast(proc, state, outcome, &response);
		state->active = 0;
	}
	/* The goroutine serves on, unless it was made for a handler that may take too long. */
	if (!finished || (fiber && !is_worker(proc, GO_G(ctx)))) {
		leave(proc, state);
		bpf_map_delete_elem(&fast_requests, &key);
	}
	return 0;
}
