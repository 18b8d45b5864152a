/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * google.golang.org/grpc, which has an HTTP/2 of its own. Calls that are served start as requests do
 * (grpc_start.h) and end where the transport is given their status, on the same goroutine.
 * Calls that are made have attempts, each of which starts and finishes; the span is the call's.
 * Calls through (*Server).ServeHTTP are net/http's requests, to which only the status is added.
 */

/* internal/transport: streamDone. */
#define STREAM_DONE 3
/* codes.Unknown */
#define CODE_UNKNOWN 2

/* Everything that does not depend on the side. */
static __always_inline struct gt_rpc_event *new_rpc_event(const struct gt_process *proc, u16 kind,
							  u64 end_ns)
{
	struct gt_rpc_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return NULL;
	}
	event->header.kind = kind;
	event->header.size = sizeof(*event);
	event->header.process = proc->instance;
	event->span.end_ns = end_ns;
	event->span.outcome = GT_OUTCOME_DONE;
	event->span.resend = 0;
	event->span.unread = 0;
	event->subject = 0;
	event->code = 0;
	event->flags = 0;
	event->target_len = 0;
	event->message_len = 0;
	event->peer_port = 0;
	event->local_port = 0;
	event->peer_len = 0;
	event->local_len = 0;
	return event;
}

/*
 * What is behind a status.Status{s *spb.Status}; none says OK, unless `unread` says that it is unknown. So does, nearly always, the one that gRPC
 * keeps for it.
 */
static __always_inline u64 message_of(const struct gt_process *proc, u64 status, u32 *unread)
{
	return status && status != proc->learned.status_ok ?
		       read_noted(status, UNREAD(STATUS), unread) :
		       0;
}

/* Remembers that a status says OK, if it is a variable of a package: others come and go. */
static __always_inline void learn_success(const struct gt_process *proc, u64 status)
{
	struct gt_learned *learned = learned_of(proc);

	if (status - proc->instruments.grpc.data < proc->instruments.grpc.data_size)
		learned->status_ok = status;
}

static __noinline int send_rpc_server(const struct gt_process *proc,
				      const struct server_state *state, u64 status)
{
	bool in_http = state->rpc == RPC_IN_HTTP;
	u32 unread = 0;
	u64 message = message_of(proc, status, &unread);
	struct go_string method = { state->method, state->method_len };
	struct gt_rpc_event *event;

	if (!(state->trace_flags & 1) && in_http && !sends_all())
		return 0;
	if (!(state->trace_flags & 1) && !in_http &&
	    !is_sent(state->trace_flags, state->ended_ns - state->start_ns,
		     message && (u32)read_u64(message + proc->instruments.grpc.status_code)))
		return 0;
	event = new_rpc_event(proc, in_http ? GT_EVENT_RPC_STATUS : GT_EVENT_RPC_SERVER,
			      state->ended_ns);
	if (!event)
		return 0;
	fill_server_span(state, GT_OUTCOME_DONE, &event->span);
	if (message)
		event->code = read_noted(message + proc->instruments.grpc.status_code, UNREAD(STATUS), &unread);
	if (message && !event->code && !unread)
		learn_success(proc, status);
	if (event->code)
		event->message_len = copy_bytes(event->message, sizeof(event->message),
						read_text(message, proc->instruments.grpc.status_message));
	event->span.unread |= unread;
	FILL_RPC(event, method, method);
	if (!in_http)
		fill_conn(proc, state->req, 0, event);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/* (*http2Server).writeStatus(t, s *ServerStream, st *status.Status), and the like for ServeHTTP. */
static __noinline int grpc_server_end(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	u64 stream = GO_ARG1(ctx), status = GO_ARG2(ctx);
	struct gt_key key = key_of(proc, GO_G(ctx));
	/* Whose it is needs no reading: no other goroutine serves this stream. */
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);

	if (!state || !state->active || !state->rpc || state->resp != stream) {
		/* A stream may get a status more than once; only the first one counts. */
		if (probe == GT_PROBE_GRPC_SERVER_STATUS &&
		    (u32)read_field(common_stream(proc, stream), proc->instruments.grpc.stream_state) !=
			    STREAM_DONE)
			count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	state->ended_ns = bpf_ktime_get_ns();
	send_rpc_server(proc, state, status);
	state->active = 0;
	if (state->alone)
		leave(proc, state);
	return 0;
}

static const struct rpc_call new_call;

/* The call, of the attempt or the call that a client starts. */
static __always_inline u64 call_of(struct pt_regs *ctx, const struct gt_process *proc)
{
	u64 first = GO_ARG0(ctx);

	return proc->instruments.grpc.starts_attempt ? read_field(first, proc->instruments.grpc.attempt_call) : first;
}

/*
 * (*csAttempt).getTransport(a), before grpc 1.46 (*clientStream).newAttemptLocked(cs, …). Gives
 * whether a call starts, and not a further attempt, and its context.
 */
static __noinline int grpc_call_start(struct pt_regs *ctx, const struct gt_process *proc, u32 probe,
				      u64 goid, struct go_iface *context)
{
	u64 call = call_of(ctx, proc);
	struct gt_key key = key_of(proc, call);
	struct rpc_call *state = bpf_map_lookup_elem(&rpc_calls, &key);

	note_attempt(proc, goid, call, GO_ARG0(ctx));
	if (state && state->failed) {
		state->attempts++;
		state->failed = 0;
		return 0;
	}
	if (state)
		count_drop(GT_DROP_CLIENT_UNFINISHED);
	*context = read_iface(call + proc->instruments.grpc.call_ctx);
	return 1;
}

/* The context that an attempt sends metadata by: what handlers of statistics made of the call's. */
static __always_inline struct go_iface sending_context(struct pt_regs *ctx,
						       const struct gt_process *proc)
{
	if (proc->instruments.grpc.starts_attempt && proc->instruments.grpc.attempt_ctx != GT_NONE)
		return read_iface(GO_ARG0(ctx) + proc->instruments.grpc.attempt_ctx);
	return read_iface(call_of(ctx, proc) + proc->instruments.grpc.call_ctx);
}

/* Begins the span of a call, whose parent is known now. */
static __noinline int begin_call(struct pt_regs *ctx, const struct gt_process *proc, u64 goid,
				 const struct parent *parent)
{
	struct gt_key key = key_of(proc, call_of(ctx, proc));
	struct rpc_call *state;

	if (bpf_map_update_elem(&rpc_calls, &key, &new_call, BPF_ANY)) {
		count_drop(GT_DROP_CLIENT_MAP_FULL);
		return 0;
	}
	state = bpf_map_lookup_elem(&rpc_calls, &key);
	if (!state)
		return 0;
	begin_span(&state->span, goid, parent);
	return 0;
}

/* Puts a call that has begun into the trace that its metadata names. Apart from that for the stack's sake. */
static __noinline int grpc_call_sent(struct pt_regs *ctx, const struct gt_process *proc,
				     const struct parent *parent)
{
	u64 value = sent_parent(proc, sending_context(ctx, proc));
	struct gt_key key = key_of(proc, call_of(ctx, proc));
	struct rpc_call *state = value ? bpf_map_lookup_elem(&rpc_calls, &key) : NULL;

	return state ? join_sent(proc, value, parent, &state->span) : 0;
}

static __always_inline int grpc_call_join(struct pt_regs *ctx, const struct gt_process *proc,
					  u64 goid, u32 starts, const struct parent *parent)
{
	begin_call(ctx, proc, goid, parent);
	return proc->tells & GT_SENDS_TRACE ? grpc_call_sent(ctx, proc, parent) : 0;
}

static __always_inline bool read_bool(u64 base, u16 offset)
{
	u8 value = 0;

	if (offset != GT_NONE)
		bpf_probe_read_user(&value, sizeof(value), (void *)(base + offset));
	return value;
}

/* The message of the status that gRPC's error holds, behind so many pointers. */
static __always_inline u64 message_of_error(u64 error, u16 pointers, u32 *unread)
{
	u64 message = error;

	if (pointers > 0)
		message = read_noted(message, UNREAD(STATUS), unread);
	if (pointers > 1)
		message = read_noted(message, UNREAD(STATUS), unread);
	return message;
}

/* Remembers what an attempt, or the call, ended with. What is no status keeps an attempt's. */
static __noinline int note_rpc_error(const struct gt_process *proc, struct rpc_call *state,
				     u64 tab, u64 data, bool finished)
{
	struct go_iface error = { tab, data };
	bool before = state->flags & GT_RPC_NO_CODE || state->code;
	u32 unread = 0;

	if (!error.tab) {
		state->span.unread = 0;
		state->code = 0;
		state->flags = 0;
		state->message_len = 0;
		return 0;
	}
	for (u32 i = 0; i < 4 && error.tab; i++) {
		u64 type_at = dynamic_type(error.tab);
		struct gt_key key = key_of(proc, type_at);
		struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);
		struct go_string text;

		if (!i && !before)
			state->subject = type_at;
		if (!type_at)
			unread |= UNREAD(ERROR);
		if (!type)
			break;
		if (type->role == GT_TYPE_GRPC_STATUS) {
			u64 message = message_of_error(error.data, type->first, &unread);

			state->code = read_noted(message + proc->instruments.grpc.status_code, UNREAD(STATUS),
						 &unread);
			state->flags = 0;
			state->message_len =
				copy_bytes(state->message, sizeof(state->message),
					   read_text(message, proc->instruments.grpc.status_message));
			state->span.unread = unread;
			return 0;
		}
		if (type->role == GT_TYPE_ERROR_STRING) {
			text = read_text(error.data, type->first);
			if (finished && text.len == 3) {
				/* io.EOF: the stream was read to its end. */
				state->span.unread = 0;
				state->code = 0;
				state->flags = 0;
				state->message_len = 0;
				return 0;
			}
			if (!before)
				state->message_len = copy_bytes(state->message,
								sizeof(state->message), text);
			break;
		}
		if (type->role != GT_TYPE_ERROR_WRAP)
			break;
		error = read_iface_noted(error.data + type->first, UNREAD(ERROR), &unread);
	}
	if (!before) {
		state->code = CODE_UNKNOWN;
		state->flags = GT_RPC_NO_CODE;
		state->span.unread = unread;
	}
	return 0;
}

static __noinline int send_rpc_client(const struct gt_process *proc, struct rpc_call *state,
				      u64 call, u64 attempt)
{
	u64 end_ns = bpf_ktime_get_ns();
	struct gt_rpc_event *event;
	struct go_string method;

	if (!(state->span.trace_flags & 1) &&
	    !is_sent(state->span.trace_flags, end_ns - state->span.start_ns,
		     state->code || (state->flags & GT_RPC_NO_CODE)))
		return 0;
	event = new_rpc_event(proc, GT_EVENT_RPC_CLIENT, end_ns);
	if (!event)
		return 0;
	carry_span(&event->span, &state->span);
	event->span.resend = state->attempts;
	event->code = state->code;
	event->flags = state->flags;
	if (state->flags & GT_RPC_NO_CODE)
		event->subject = state->subject;
	if (state->code) {
		event->message_len = state->message_len;
		__builtin_memcpy(event->message, state->message, sizeof(event->message));
	}
	method = read_text(read_field(call, proc->instruments.grpc.call_hdr), proc->instruments.grpc.hdr_method);
	if (is_export_method(method))
		event->span.trace_flags |= GT_TRACE_TELEMETRY;
	FILL_RPC(event, method, method);
	fill_conn(proc, read_field(attempt, proc->instruments.grpc.attempt_transport + 8), call, event);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/*
 * (*csAttempt).finish(a, err error): once for an attempt that another may follow, again when the call
 * is over. A call whose start was not seen looks like one that has had its end, and is not
 * counted.
 */
static __noinline int grpc_client_end(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	struct go_iface error = { GO_ARG1(ctx), GO_ARG2(ctx) };
	u64 attempt = GO_ARG0(ctx), call = read_field(attempt, proc->instruments.grpc.attempt_call);
	struct gt_key key = key_of(proc, call);
	struct rpc_call *state = bpf_map_lookup_elem(&rpc_calls, &key);
	bool finished;

	if (!call)
		count_drop(GT_DROP_READ_FAULT);
	if (!state)
		return 0;
	finished = read_bool(call, proc->instruments.grpc.call_finished);
	note_rpc_error(proc, state, error.tab, error.data, finished);
	/* Where nothing was sent, nothing else follows unless the server asked to try elsewhere. */
	if (!finished && (read_field(attempt, proc->instruments.grpc.attempt_stream) ||
			  read_bool(attempt, proc->instruments.grpc.attempt_transparent))) {
		state->failed = 1;
		return 0;
	}
	send_rpc_client(proc, state, call, attempt);
	bpf_map_delete_elem(&rpc_calls, &key);
	return 0;
}
