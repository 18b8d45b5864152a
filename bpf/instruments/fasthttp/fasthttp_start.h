/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How a request that fasthttp serves starts: what http_server.bpf.c needs to begin it. Its end is in
 * fasthttp.bpf.c. Memory of a request is used again for the next one, and for what the program makes
 * of it, so that strings are read at once.
 */
#ifndef GOTAP_FASTHTTP_START_H
#define GOTAP_FASTHTTP_START_H

/* Headers of a request that are looked at, beside those that it has a field for. */
#define MAX_PAIRS 256
/* Copies a string into the slot `name` of `request`. */
#define FILL_FAST(request, name, from) \
	((request)->name##_len = copy_bytes((request)->name, sizeof((request)->name), from))

static const struct fast_request new_fast_request;

/* Which of the headers that are looked for the argsKV at `pair` holds: 1, 2, or 0 for none. */
__noinline u32 match_pair(u64 pair)
{
	u64 key[2] = {};
	u32 found;

	if (bpf_probe_read_user(key, sizeof(key), (void *)pair))
		count_drop(GT_DROP_HEADERS_UNSEEN);
	found = match_slot(key[0], key[1], 0, 1, false);
	return found >> 8 & 15 ? 2 : found >> 4 & 15;
}

/*
 * Finds the headers that matter among those of the request in `state`. Without a branch on what was
 * found, and with counts that come from what can't be known: else the verifier goes on apart with each.
 */
static __noinline int scan_pairs(const struct gt_process *proc, struct server_state *state)
{
	struct found_headers *out = &state->found;
	struct go_string pairs = read_text(state->headers, 0);
	u64 at = pairs.ptr, parent = 0, last = 0, parents = 0, states = 0;

	if (!at && pairs.len) {
		count_drop(GT_DROP_HEADERS_UNSEEN);
		return 0;
	}
	for (u32 i = 0; i < MAX_PAIRS && i < pairs.len; i++) {
		u64 which = match_pair(at), is_parent = -(which & 1), is_state = -(which >> 1 & 1);

		/* Keeps clang from making branches of them. */
		asm volatile("" : "+r"(is_parent), "+r"(is_state));
		parents -= is_parent;
		states -= is_state;
		parent = (parent & ~is_parent) | (at & is_parent);
		last = (last & ~is_state) | (at & is_state);
		at += proc->instruments.fasthttp.pair_size;
	}
	if (pairs.len > MAX_PAIRS)
		count_drop(GT_DROP_HEADERS_UNSEEN);
	out->parents = parents;
	out->states = states;
	out->tracestate = states == 1 ? last : pairs.ptr;
	if (parent)
		out->traceparent = parent + proc->instruments.fasthttp.pair_value;
	return 0;
}

/*
 * Sends the field of a tracestate that the argsKV at `pair` is, if it is one; gives whether it is. A
 * global function, so that it is verified once.
 */
__noinline u32 send_pair_state(u64 span_id, u64 pair, u32 pair_value, u32 field, u32 fields)
{
	if (match_pair(pair) != 2)
		return 0;
	if (field < MAX_STATE_FIELDS)
		send_tracestate(span_id, pair + pair_value, field, fields);
	return 1;
}

/*
 * Sends the fields of a tracestate that are at `pair` or behind it, ahead of their span. Entries have
 * `pair_size` bytes, and their values are at `pair_value`. Global for the same reason.
 */
__noinline int send_pair_states(u64 span_id, u64 pair, u32 pair_value, u32 pair_size, u32 fields)
{
	u32 field = 0;

	for (u32 i = 0; i < MAX_PAIRS && field < fields; i++) {
		field += send_pair_state(span_id, pair, pair_value, field, fields) & 1;
		pair += pair_size;
	}
	return 0;
}

/* HTTP/1.1 unless it says another one: `HTTP/1.0`. */
static __always_inline void fill_version(struct go_string proto, struct fast_request *out)
{
	char text[8] = {};

	out->proto_major = 1;
	out->proto_minor = 1;
	if (!proto.len)
		return;
	if (proto.len == 8)
		bpf_probe_read_user(text, sizeof(text), (void *)proto.ptr);
	/* Anything else is none that is known. */
	out->proto_major = text[4] == '/' ? text[5] - '0' : 0;
	out->proto_minor = text[7] - '0';
}

/* Reads what the request at `state->req`, a RequestCtx, says. */
static __noinline int read_fast_request(const struct gt_process *proc, struct server_state *state,
					struct fast_request *out)
{
	const struct gt_fasthttp *fast = &proc->instruments.fasthttp;
	u64 words[REQUEST_BYTES / 8] = {};
	u32 unread = 0;

	if (!copy_struct(words, sizeof(words), state->req + fast->header, fast->header_size)) {
		count_drop(GT_DROP_READ_FAULT);
		return 0;
	}
	__builtin_memcpy(state->request, words, sizeof(words));
	/* -1 for chunks, -2 without a length: then it has no body. */
	out->size = (s64)request_u64(state, fast->content_length);
	if (out->size == -2)
		out->size = 0;
	out->flags = read_field_noted(state->req, fast->tls, UNREAD(SCHEME), &unread) & 1 ?
			     GT_HTTP_TLS :
			     0;
	state->unread |= unread;
	FILL_FAST(out, method, request_string(state, fast->method));
	FILL_FAST(out, target, request_string(state, fast->uri));
	FILL_FAST(out, host, request_string(state, fast->host));
	FILL_FAST(out, user_agent, request_string(state, fast->user_agent));
	fill_version(request_string(state, fast->proto), out);
	return 1;
}

/* The other side of the connection, which is the same for all of its requests. */
static __noinline int read_fast_peer(const struct gt_process *proc, struct server_state *state)
{
	const struct gt_fasthttp *fast = &proc->instruments.fasthttp;
	struct go_iface conn = read_iface(state->req + fast->conn);
	u64 type = dynamic_type(conn.tab), inner;
	u8 ip[16] = {};
	u16 port = 0;

	/* Around the connection where they are counted by address. */
	if (type && type == fast->counted) {
		conn = read_iface(conn.data + fast->counted_conn);
	} else if (type && type == fast->counted_tls) {
		inner = read_u64(conn.data + fast->counted_tls_conn);
		conn = read_iface(inner + proc->net.tls_inner);
	}
	state->peer_len = copy_peer(proc, conn, ip, &port);
	__builtin_memcpy(state->peer, ip, sizeof(ip));
	__builtin_memcpy(state->peer + sizeof(ip), &port, sizeof(port));
	return 0;
}

/*
 * In (*Server).serveConn, before the handler is called with a *RequestCtx from a stack slot; with
 * fiber in (*App).handler(app, ctx *fasthttp.RequestCtx). Gives whether a request begins.
 */
static __noinline int accept_fast(const struct gt_process *proc, struct server_state *state)
{
	struct gt_key key = key_of(proc, state->g);
	struct fast_request *request =
		state_of(&fast_requests, &key, &new_fast_request, GT_DROP_SERVER_MAP_FULL);

	if (!request || !read_fast_request(proc, state, request))
		return 0;
	if (!state->peer_len || state->peer_len == GT_ADDRESS_UNREAD)
		read_fast_peer(proc, state);
	state->headers = state->req + proc->instruments.fasthttp.headers;
	state->context = state->req;
	state->context_mark = mark_of_request(proc, state->req);
	state->http2 = 0;
	state->rpc = RPC_NONE;
	state->alone = 0;
	return 1;
}

static __always_inline u64 fast_context(struct pt_regs *ctx, const struct gt_process *proc)
{
	u64 slot = proc->instruments.fasthttp.ctx_slot;

	return slot == GT_NONE ? GO_ARG1(ctx) : read_u64(ctx->sp + slot);
}

/* Whether it is the request that is served already: fiber in fiber, or within net/http. */
static __always_inline bool is_nested(struct pt_regs *ctx, const struct gt_process *proc,
				      const struct server_state *state)
{
	u64 request = fast_context(ctx, proc);

	return !state->fast || (state->req == request &&
				state->context_mark == mark_of_request(proc, request));
}

#endif
