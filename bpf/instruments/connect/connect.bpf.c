/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * connectrpc.com/connect, whose calls are requests of net/http: how they ended, which stands in bodies
 * and trailers. The request says everything else. What ends a call that was made may run on another
 * goroutine than its request, long after that was answered: the two have the response's http.Header in
 * common, also where something makes a copy of the http.Response.
 */

/* Errors around the one that has a code. */
#define MAX_WRAPPED 4

struct connect_error {
	u64 code;
	u64 uncoded; /* the innermost error's type, where none has a code */
	u64 innermost; /* the data of the error that is a plain text, 0 none */
	struct go_string text; /* still in the target */
	u32 unread; /* bits of enum gt_unread */
	u32 pad;
};

/* What an error of this type says: a code, else none that is known. */
static __noinline int find_connect_error(const struct gt_process *proc, u64 type_at, u64 data,
					 struct connect_error *out)
{
	bool coded = false;

	__builtin_memset(out, 0, sizeof(*out));
	out->code = type_at ? CODE_UNKNOWN : 0;
	for (u32 i = 0; i < MAX_WRAPPED && type_at; i++) {
		struct gt_key key = key_of(proc, type_at);
		struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);
		struct go_iface inner;

		if (!coded)
			out->uncoded = type_at;
		if (!type)
			break;
		if (type->role == GT_TYPE_ERROR_STRING) {
			out->innermost = data;
			out->text = read_text(data, type->first);
			break;
		}
		if (type->role == GT_TYPE_CONNECT_ERROR) {
			/* The outermost counts. */
			if (!coded)
				out->code = (u32)read_noted(data + type->first, UNREAD(STATUS),
							    &out->unread);
			coded = true;
			out->uncoded = 0;
			/* What it holds is its message at most. */
			inner = read_iface(data + type->second);
		} else if (type->role == GT_TYPE_ERROR_WRAP) {
			inner = read_iface_noted(data + type->first, UNREAD(ERROR), &out->unread);
		} else {
			break;
		}
		type_at = dynamic_type(inner.tab);
		data = inner.data;
	}
	return 0;
}

/* (*grpcHandlerConn).Close(hc, err error) and the like of connect's own protocol. */
static __noinline int connect_server_end(struct pt_regs *ctx, const struct gt_process *proc,
					u32 probe)
{
	u64 g = GO_G(ctx);
	struct server_state *state = server_at(proc, g, goid_of(proc, g));
	struct connect_error error;
	struct gt_rpc_event *event;
	u64 type_at;

	/* The request began before the probes were in, which its own end will count. */
	if (!state || !state->active || state->rpc || state->fast)
		return 0;
	/* The request's own end decides whether anything is sent; without this it is a request of HTTP. */
	if (!(state->trace_flags & 1) && !sends_all())
		return 0;
	event = new_rpc_event(proc, GT_EVENT_RPC_STATUS, bpf_ktime_get_ns());
	if (!event)
		return 0;
	fill_server_span(state, GT_OUTCOME_DONE, &event->span);
	event->flags = GT_RPC_CONNECT;
	event->method_len = 0;
	type_at = dynamic_type(GO_ARG1(ctx));
	find_connect_error(proc, type_at, GO_ARG2(ctx), &error);
	if (GO_ARG1(ctx) && !type_at)
		error.unread = UNREAD(STATUS);
	event->span.unread |= error.unread;
	event->code = error.code;
	event->message_len = copy_bytes(event->message, sizeof(event->message), error.text);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/* What a call ended with, at a site that is an end. */
static __always_inline void find_call_error(struct pt_regs *ctx, const struct gt_process *proc,
					    const struct gt_site *site, u64 call,
					    struct connect_error *out)
{
	u32 unread = 0;
	struct go_iface error =
		site->error_field == GT_NONE ?
			site_error(ctx, site, &unread) :
			read_iface_noted(call + site->error_field, UNREAD(ERROR), &unread);
	u64 type_at, eof;

	if (site->flags & GT_SITE_OWN_ERROR)
		type_at = error.data ? proc->instruments.connect.error : 0;
	else
		type_at = dynamic_type(error.tab);
	find_connect_error(proc, type_at, error.data, out);
	/* Of connect's own error the first word is none. */
	if (unread || (!(site->flags & GT_SITE_OWN_ERROR) && error.tab && !type_at))
		out->unread |= UNREAD(STATUS);
	if (!out->innermost)
		return;
	eof = read_noted(proc->instruments.connect.eof + 8, UNREAD(STATUS), &out->unread);
	/* All was read that there is, and nothing went wrong. */
	if (out->innermost == eof) {
		out->code = 0;
		out->uncoded = 0;
		out->text.len = 0;
	}
}

/* Where a call that was made ends: its response, error and end are sent. */
static __noinline int connect_client_end(struct pt_regs *ctx, const struct gt_process *proc,
					u32 probe)
{
	const struct gt_site *site = site_of(ctx, proc);
	struct connect_error error = {};
	struct gt_call_end_event *event;
	u64 call, response;
	u32 unread = 0;

	if (!site)
		return 0;
	call = site_base(ctx, site);
	if (site->key_field != GT_NONE)
		call = read_u64(call + site->key_field);
	response = read_noted(call + site->db_field, 1, &unread);
	if (unread)
		count_drop(GT_DROP_READ_FAULT);
	/* Without one, the request says all. */
	if (!response)
		return 0;
	response = read_field(response, proc->response_header);
	if (site->operation == GT_CALL_ENDED)
		find_call_error(ctx, proc, site, call, &error);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	event->header.kind = GT_EVENT_CALL_END;
	event->header.size = sizeof(*event);
	event->header.process = proc->instance;
	event->end_ns = bpf_ktime_get_ns();
	event->response = response;
	event->subject = error.uncoded;
	event->code = error.code;
	event->site = site->operation;
	event->unread = error.unread;
	event->pad = 0;
	event->message_len = copy_bytes(event->message, sizeof(event->message), error.text);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}
