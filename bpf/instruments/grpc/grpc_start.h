/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How a call that gRPC serves starts: what http_server.bpf.c needs to begin a request of it. The rest
 * is in grpc.bpf.c.
 */
#ifndef GOTAP_GRPC_START_H
#define GOTAP_GRPC_START_H

/* Contexts between a stream's and the one that holds its metadata. */
#define MAX_STREAM_CONTEXTS 16

/* What all streams have, of one that a server handles. */
static __always_inline u64 common_stream(const struct gt_process *proc, u64 stream)
{
	return proc->instruments.grpc.stream_inner == GT_NONE ? stream :
						    read_u64(stream + proc->instruments.grpc.stream_inner);
}

/*
 * Finds above a stream's context the one that holds what the client sent along, in a map: it is made
 * for this call. Kept in the state, where the verifier does not tell one path from another.
 */
static __noinline int find_stream_context(const struct gt_process *proc, u64 tab, u64 data,
					  struct server_state *state)
{
	u64 words[VALUE_WORDS];

	state->context = 0;
	state->context_mark = 0;
	for (u32 i = 0; i < MAX_STREAM_CONTEXTS && tab && data; i++) {
		struct incoming read = read_context(proc, tab, data, words);

		if (read.headers) {
			state->context_mark = read.headers;
			state->context = data;
			break;
		}
		tab = read.up.tab;
		data = read.up.data;
	}
	state->headers = state->context_mark;
	return 0;
}

/* A call that net/http serves as a request: that is what work for it is a child of. */
static __noinline int is_in_http(const struct gt_process *proc, u64 tab, u64 data,
				 struct server_state *state)
{
	struct parent request = {};

	if (parent_by_context(proc, tab, data, &request) != WALKED_TO_REQUEST)
		return 0;
	__builtin_memcpy(state->trace_id, request.trace_id, 16);
	state->span_id = request.span_id;
	state->trace_flags = request.trace_flags;
	return 1;
}

/* Whether a transport, by its table, is net/http's request and not a connection of gRPC's own. */
static __always_inline bool is_handler(const struct gt_process *proc, u64 tab)
{
	struct gt_learned *learned = learned_of(proc);
	u64 handler = proc->instruments.grpc.handler_transport;

	u64 type;

	if (!handler || tab == learned->transport)
		return false;
	type = dynamic_type(tab);
	if (type && type != handler)
		learned->transport = tab;
	return type == handler;
}

/* Whether each stream of a server has a goroutine of its own, as without a pool of workers. */
static __always_inline bool has_no_pool(const struct gt_process *proc, u64 server)
{
	struct gt_learned *learned = learned_of(proc);
	u32 workers = 0;

	if (server == learned->server)
		return true;
	/* What can't be read may be a pool. */
	if (proc->instruments.grpc.server_workers != GT_NONE &&
	    ((u32)read_noted(server + proc->instruments.grpc.server_workers, 1, &workers) || workers))
		return false;
	learned->server = server;
	return true;
}

/* (*Server).handleStream(s, t transport.ServerTransport, stream *transport.ServerStream) */
static __noinline int accept_stream(struct pt_regs *ctx, const struct gt_process *proc,
					  struct server_state *state)
{
	u64 tab = GO_ARG1(ctx), stream = GO_ARG3(ctx);
	u64 common = common_stream(proc, stream), context[4] = {};
	long failed;

	/* In newer versions they are neighbours. */
	if (proc->instruments.grpc.stream_method == proc->instruments.grpc.stream_ctx + 16) {
		failed = read_object(context, sizeof(context), common + proc->instruments.grpc.stream_ctx);
	} else {
		bpf_probe_read_user(context, 16, (void *)(common + proc->instruments.grpc.stream_ctx));
		failed = bpf_probe_read_user(context + 2, 16,
					     (void *)(common + proc->instruments.grpc.stream_method));
	}
	state->unread |= if_failed(failed, UNREAD(METHOD));
	state->method = context[2];
	state->method_len = context[3];
	state->req = GO_ARG2(ctx);
	state->resp = stream;
	state->http2 = 0;
	state->rpc = RPC_STREAM;
	state->alone = has_no_pool(proc, GO_ARG0(ctx));
	find_stream_context(proc, context[0], context[1], state);
	if (is_handler(proc, tab) && is_in_http(proc, context[0], context[1], state))
		state->rpc = RPC_IN_HTTP;
	return 1;
}

#endif
