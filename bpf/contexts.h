/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contexts of requests: remembered when one starts, and found again by who carries one or what is
 * derived from it. Walks that are long, or fork, are in context_walk.h.
 */
#ifndef GOTAP_CONTEXTS_H
#define GOTAP_CONTEXTS_H

/* Contexts that a chain is followed through before context_walk.h goes on. */
#define NEAR_CONTEXTS 16

/* Three bytes that stand for a span: all bytes of its id count, as ids of some clients are small numbers. */
static __always_inline u32 mark_of_span(u64 span_id)
{
	return (span_id ^ span_id >> 24 ^ span_id >> 48) & 0xffffff;
}

/* The trace flags of a request, and above them the mark of the span that it is a child of. */
static __always_inline u32 flags_of(const struct server_state *state)
{
	return state->trace_flags | mark_of_span(state->parent_span_id) << 8;
}

static __always_inline void adopt(struct parent *out, const u8 *trace_id, u64 span_id,
				  u32 trace_flags, u8 how)
{
	__builtin_memcpy(out->trace_id, trace_id, 16);
	out->span_id = span_id;
	out->trace_flags = trace_flags;
	out->inbound = trace_flags >> 8;
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
	entry->trace_flags = flags_of(state);
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

/* What a context is derived from, and whether it may be a request's. */
struct incoming {
	struct go_iface up;
	u64 headers; /* gRPC's, whose mark is the map of what came along */
	u8 cancels; /* net/http's, whose mark is mark_of_context */
	u8 unusual; /* it is not followed here, but in context_walk.h */
};

/*
 * Where the context stands that one of type `type_at` is derived from, 0: it is none. What stands for a
 * RequestCtx of fasthttp has no table, and that as its data.
 */
static __always_inline u64 place_above(const struct gt_process *proc, u64 type_at, u64 data,
				       struct incoming *out)
{
	struct gt_key key = key_of(proc, type_at);
	struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);
	u16 role = type ? type->role : 0;

	if (type && role == GT_TYPE_REQUEST_CONTEXT)
		out->up.data = type->first == GT_NONE ? data : read_u64(data + type->first);
	else if (type && role == GT_TYPE_CONTEXT_VIA)
		return read_u64(data + type->first) + type->second;
	else if (type && role == GT_TYPE_CONTEXT)
		return data + type->first;
	else
		out->unusual = role != GT_TYPE_CONTEXT_ROOT;
	return 0;
}

/* The same of a context.valueCtx. */
static __always_inline struct incoming read_incoming(const struct gt_process *proc, u64 data,
						     u64 *words)
{
	/* valueCtx{Context; key, val any}: the data of a value that is a map is the pointer to it. */
	struct incoming out = {};

	__builtin_memset(words, 0, 8 * VALUE_WORDS);
	if (read_object(words, 8 * VALUE_WORDS, data))
		return out;
	out.up.tab = words[0];
	out.up.data = words[1];
	if (words[2] && words[2] == proc->instruments.grpc.incoming_key)
		out.headers = words[5];
	return out;
}

/* What tells a RequestCtx of fasthttp from itself with a later request; 0 while it has none. */
static __always_inline u64 mark_of_request(const struct gt_process *proc, u64 request)
{
	return read_field(request, proc->instruments.fasthttp.conn_id) * 0x9e3779b97f4a7c15ULL +
	       read_field(request, proc->instruments.fasthttp.conn_requests);
}

/*
 * The context that one is derived from, and whether it may be a request's: a cancelCtx net/http's, a
 * valueCtx with a map of what the client sent along gRPC's. `words` is where a valueCtx is copied to.
 */
static __always_inline struct incoming read_context(const struct gt_process *proc, u64 tab,
						    u64 data, u64 *words)
{
	u64 type_at = context_type(proc, tab), place = data;
	struct incoming out = {};

	/* Without a type it could not be read, as that of one which is over. */
	if (!type_at)
		return out;
	if (type_at == proc->value_ctx)
		return read_incoming(proc, data, words);
	/* A cancelCtx embeds its parent first. */
	if (type_at == proc->cancel_ctx)
		out.cancels = 1;
	else
		place = place_above(proc, type_at, data, &out);
	if (place)
		out.up = read_iface(place);
	return out;
}

/* The same as way_of_context of what a walk has come to. */
static __always_inline u32 way_of_incoming(const struct gt_process *proc, u64 data,
					   const struct incoming *read)
{
	if (!read->cancels && !read->headers)
		return 0;
	return way_of_context(data, read->up.data, read->headers, proc->instance);
}

/* The same of a RequestCtx, in which a walk has ended. */
static __always_inline u32 way_of_request(const struct gt_process *proc, u64 data)
{
	u64 mark = data ? mark_of_request(proc, data) : 0;

	return mark ? way_of_context(data, 0, mark, proc->instance) : 0;
}

static const struct context_walk new_walk;

/* Notes where a walk is that context_walk.h shall go on with. */
static __always_inline void leave_walk(u64 tab, u64 data)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct context_walk *walk = bpf_map_lookup_elem(&context_walks, &thread);

	if (!walk) {
		bpf_map_update_elem(&context_walks, &thread, &new_walk, BPF_ANY);
		walk = bpf_map_lookup_elem(&context_walks, &thread);
	}
	if (!walk) {
		count_drop(GT_DROP_CONTEXT_UNFOLLOWED);
		return;
	}
	walk->tab = tab;
	walk->data = data;
	walk->waits = 0;
	walk->parent.span_id = 0;
	walk->parent.reused = 0;
	walk->parent.lost = 0;
}

/* What a walk has come to. */
enum walked {
	WALKED_TO_NONE = 0,
	WALKED_TO_REQUEST = 1,
	WALKED_ON = 2, /* walk_on() goes on */
};

/* Walks from a context to its parents until one is that of a request. */
static __noinline int parent_by_context(const struct gt_process *proc, u64 tab, u64 data,
					struct parent *out)
{
	u64 words[VALUE_WORDS];
	u32 way = 0;
	int i = 0;

	for (; i < NEAR_CONTEXTS && tab && data; i++) {
		struct incoming read = read_context(proc, tab, data, words);

		way = way_of_incoming(proc, data, &read);
		if (way)
			break;
		if (read.unusual) {
			i = NEAR_CONTEXTS;
			break;
		}
		tab = read.up.tab;
		data = read.up.data;
	}
	if (!way && tab && data && i == NEAR_CONTEXTS) {
		leave_walk(tab, data);
		return WALKED_ON;
	}
	if (!way && !tab && data) {
		way = way_of_request(proc, data);
		out->reused = 1;
	}
	return way && adopt_context(data, way, out) ? WALKED_TO_REQUEST : WALKED_TO_NONE;
}

#endif
