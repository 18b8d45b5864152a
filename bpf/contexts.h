/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contexts of requests: remembered when one starts, and found again by who carries one or what is
 * derived from it.
 */
#ifndef GOTAP_CONTEXTS_H
#define GOTAP_CONTEXTS_H

/* Contexts that a chain is followed through. */
#define MAX_CONTEXTS 32

struct parent {
	u8 trace_id[16];
	u64 span_id;
	u8 trace_flags;
	u8 how; /* enum gt_parent */
	u8 reused; /* found by a context that serves one request after the other */
	u8 pad[5];
};

static __always_inline void adopt(struct parent *out, const u8 *trace_id, u64 span_id,
				  u8 trace_flags, u8 how)
{
	__builtin_memcpy(out->trace_id, trace_id, 16);
	out->span_id = span_id;
	out->trace_flags = trace_flags;
	out->how = how;
}

/*
 * Which set a context belongs to. Go allocates the contexts of one type side by side in pages of 8
 * kB, so sets that are used after each other lie beside each other, too: what costs here is to miss
 * the caches. Each page begins at a set of its own, as all processors fill theirs from the front.
 */
static __always_inline u32 context_index(u64 context)
{
	u64 hash = (context >> 13) * 0x9e3779b97f4a7c15ULL;
	u32 page = hash >> (64 - CONTEXT_PAGE_BITS), first = hash >> 32;

	return page << 6 | (((context >> 7) + first) & 63);
}

static __always_inline u64 context_check(const struct context_state *entry)
{
	return entry->context ^ entry->mark ^ entry->span_id ^ entry->trace_id[0] ^
	       entry->trace_id[1] ^ entry->instance ^ ((u64)entry->trace_flags << 32) ^ 1;
}

/*
 * The way to write a context in: the one where an earlier context lay at the same address, or the
 * one that was written the longest time ago.
 */
static __always_inline u32 way_to_write(struct context_tags *tags, u64 context)
{
	u32 order = tags->order ^ CONTEXT_ORDER, way = order & 0xff, at = 0;
	u64 younger;

	for (u32 i = 0; i < CONTEXT_WAYS; i++) {
		if (tags->contexts[i] == (u32)(context >> 4))
			way = i;
	}
	way &= CONTEXT_WAYS - 1;
	for (u32 i = 0; i < CONTEXT_WAYS; i++) {
		if ((u8)(order >> 8 * i) == way)
			at = 8 * i;
	}
	younger = (u64)order >> (at + 8) << at;
	tags->order = ((order & ((1U << at) - 1)) | younger | way << 8 * (CONTEXT_WAYS - 1)) ^
		      CONTEXT_ORDER;
	return way;
}

/* Remembers the context of a request that starts. */
static __always_inline void remember_context(const struct gt_process *proc, u64 context, u64 mark,
					     const struct server_state *state)
{
	u32 index = context_index(context), way;
	struct context_tags *tags = bpf_map_lookup_elem(&context_tags, &index);
	struct context_set *set = bpf_map_lookup_elem(&contexts, &index);
	struct context_state *entry;

	if (!tags || !set)
		return;
	way = way_to_write(tags, context);
	tags->contexts[way] = context >> 4;
	entry = &set->ways[way];
	entry->check = 0;
	entry->context = context;
	entry->mark = mark;
	entry->span_id = state->span_id;
	__builtin_memcpy(entry->trace_id, state->trace_id, 16);
	entry->instance = proc->instance;
	entry->trace_flags = state->trace_flags;
	entry->check = context_check(entry);
}

/*
 * What tells a request's context from another one that lies at its address later: the connection's,
 * which it is derived from and is at `up`, and what that is derived from. The latter as a program that
 * derives one from the other may make two that lie as those did, but of other descent.
 */
static __always_inline u64 mark_of_context(u64 up)
{
	u64 above = read_u64(up + 8);

	/* What could not be read is read again for the next request. */
	return above ? up + above * 0x9e3779b97f4a7c15ULL : 0;
}

/*
 * The way in which `context` with `mark` is remembered as a request's, plus one; 0 when it is not.
 * Without a mark, that of one which is derived from the context at `up`: few are asked for it, as few
 * lie where a request's did. A global function, so that it is verified once.
 */
__noinline u32 way_of_context(u64 context, u64 up, u64 mark, u32 instance)
{
	u32 index = context_index(context), way = 0;
	struct context_tags *tags = bpf_map_lookup_elem(&context_tags, &index);
	struct context_set *set = bpf_map_lookup_elem(&contexts, &index);

	if (!tags || !set)
		return 0;
	for (u32 i = 0; i < CONTEXT_WAYS; i++) {
		const struct context_state *entry = &set->ways[i];

		if (tags->contexts[i] == (u32)(context >> 4) && entry->context == context &&
		    entry->instance == instance)
			way = i + 1;
	}
	if (!way)
		return 0;
	if (!mark)
		mark = mark_of_context(up);
	return mark && set->ways[(way - 1) & (CONTEXT_WAYS - 1)].mark == mark ? way : 0;
}

/* Takes the request whose context is remembered there as the parent; gives whether it could. */
static __always_inline int adopt_context(u64 context, u32 way, struct parent *out)
{
	u32 index = context_index(context);
	struct context_set *set = bpf_map_lookup_elem(&contexts, &index);
	struct context_state *entry;

	if (!set)
		return 0;
	entry = &set->ways[(way - 1) & (CONTEXT_WAYS - 1)];
	adopt(out, (const u8 *)entry->trace_id, entry->span_id, entry->trace_flags,
	      GT_PARENT_CONTEXT);
	/* Torn by a writer on another processor: no parent rather than a wrong one. */
	if (entry->context == context && entry->check == context_check(entry) &&
	    out->span_id == entry->span_id)
		return 1;
	out->how = GT_PARENT_NONE;
	return 0;
}

/* The type of a context, by its table where that was met before. */
static __always_inline u64 context_type(const struct gt_process *proc, u64 tab)
{
	struct gt_learned *learned = learned_of(proc);
	u64 type_at;

	if (tab == learned->cancel_ctx)
		return proc->cancel_ctx;
	if (tab == learned->value_ctx)
		return proc->value_ctx;
	type_at = dynamic_type(tab);
	if (type_at && type_at == proc->cancel_ctx)
		learned->cancel_ctx = tab;
	if (type_at && type_at == proc->value_ctx)
		learned->value_ctx = tab;
	return type_at;
}

/*
 * The context that one of type `type_at` is derived from; no context has none. What stands for a
 * RequestCtx of fasthttp has no table, and that as its data.
 */
static __always_inline struct go_iface context_above(const struct gt_process *proc, u64 type_at,
						     u64 data)
{
	struct gt_key key = key_of(proc, type_at);
	struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);

	if (type && type->role == GT_TYPE_REQUEST_CONTEXT)
		return (struct go_iface){
			0, type->first == GT_NONE ? data : read_u64(data + type->first)
		};
	if (!type || (type->role != GT_TYPE_CONTEXT && type->role != GT_TYPE_CONTEXT_VIA))
		return (struct go_iface){};
	if (type->role == GT_TYPE_CONTEXT_VIA)
		return read_iface(read_u64(data + type->first) + type->second);
	return read_iface(data + type->first);
}

/* What a context is derived from, and whether it may be a request's. */
struct incoming {
	struct go_iface up;
	u64 headers; /* gRPC's, whose mark is the map of what came along */
	u8 cancels; /* net/http's, whose mark is mark_of_context */
};

/* The same of a context.valueCtx. */
static __always_inline struct incoming read_incoming(const struct gt_process *proc, u64 data)
{
	/* valueCtx{Context; key, val any}: the data of a value that is a map is the pointer to it. */
	u64 words[6] = {};
	struct incoming out = {};

	if (read_object(words, sizeof(words), data))
		return out;
	out.up.tab = words[0];
	out.up.data = words[1];
	if (words[2] && words[2] == proc->grpc.incoming_key)
		out.headers = words[5];
	return out;
}

/* What tells a RequestCtx of fasthttp from itself with a later request; 0 while it has none. */
static __always_inline u64 mark_of_request(const struct gt_process *proc, u64 request)
{
	return read_field(request, proc->fasthttp.conn_id) * 0x9e3779b97f4a7c15ULL +
	       read_field(request, proc->fasthttp.conn_requests);
}

/*
 * The context that one is derived from, and whether it may be a request's: a cancelCtx net/http's, a
 * valueCtx with a map of what the client sent along gRPC's.
 */
static __always_inline struct incoming read_context(const struct gt_process *proc, u64 tab, u64 data)
{
	u64 type_at = context_type(proc, tab);
	struct incoming out = {};

	if (!type_at)
		return out;
	if (type_at == proc->value_ctx)
		return read_incoming(proc, data);
	if (type_at != proc->cancel_ctx) {
		out.up = context_above(proc, type_at, data);
		return out;
	}
	/* It embeds its parent first. */
	out.up = read_iface(data);
	out.cancels = 1;
	return out;
}

/* Walks from a context to its parents until one is that of a request. */
static __noinline int parent_by_context(const struct gt_process *proc, u64 tab, u64 data,
					struct parent *out)
{
	u32 way = 0;
	u64 mark;

	for (int i = 0; i < MAX_CONTEXTS && tab && data; i++) {
		struct incoming read = read_context(proc, tab, data);

		if (read.cancels || read.headers)
			way = way_of_context(data, read.up.data, read.headers, proc->instance);
		if (way)
			break;
		tab = read.up.tab;
		data = read.up.data;
	}
	if (!way && !tab && data) {
		/* It ended in a RequestCtx. */
		mark = mark_of_request(proc, data);
		if (mark)
			way = way_of_context(data, 0, mark, proc->instance);
		out->reused = 1;
	}
	return way ? adopt_context(data, way, out) : 0;
}

#endif
