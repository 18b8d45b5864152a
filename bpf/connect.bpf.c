/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * connectrpc.com/connect, whose calls are requests of net/http: how those that are served ended, which
 * stands in bodies and trailers. The request says everything else.
 */

/* Errors around the one that has a code. */
#define MAX_WRAPPED 4

/* What an error says: a code, else none that is known. */
static __noinline int fill_connect_error(const struct gt_process *proc, const struct go_iface *given,
					 struct gt_rpc_event *event)
{
	struct go_iface error = *given;
	bool coded = false;

	event->code = error.tab ? CODE_UNKNOWN : 0;
	for (u32 i = 0; i < MAX_WRAPPED && error.tab; i++) {
		struct gt_key key = key_of(proc, dynamic_type(error.tab));
		struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);

		if (!type)
			break;
		if (type->role == GT_TYPE_ERROR_STRING) {
			event->message_len = copy_bytes(event->message, sizeof(event->message),
							read_string(error.data, type->first));
			break;
		}
		if (type->role == GT_TYPE_CONNECT_ERROR) {
			/* The outermost counts. */
			if (!coded)
				event->code = read_u64(error.data + type->first);
			coded = true;
			error = read_iface(error.data + type->second);
			continue;
		}
		if (type->role != GT_TYPE_ERROR_WRAP)
			break;
		error = read_iface(error.data + type->first);
	}
	return 0;
}

/* (*grpcHandlerConn).Close(hc, err error) and the like of connect's own protocol. */
static __noinline int connect_server_end(struct pt_regs *ctx, const struct gt_process *proc)
{
	u64 g = GO_G(ctx);
	struct server_state *state = server_at(proc, g, goid_of(proc, g));
	struct go_iface error = { GO_ARG1(ctx), GO_ARG2(ctx) };
	struct gt_rpc_event *event;

	/* The request began before the probes were in, which its own end will count. */
	if (!state || !state->active || state->rpc || state->fast)
		return 0;
	event = new_rpc_event(proc, GT_EVENT_RPC_STATUS, bpf_ktime_get_ns());
	if (!event)
		return 0;
	fill_server_span(state, GT_OUTCOME_DONE, &event->span);
	event->flags = GT_RPC_CONNECT;
	event->method_len = 0;
	fill_connect_error(proc, &error, event);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}
