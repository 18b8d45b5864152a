/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Whose child is an operation? First the request whose context it carries, then the request that
 * its goroutine serves, then the request that a goroutine serves which started this one at any
 * depth. A request that is over is nobody's parent but through its context.
 */
#ifndef GOTAP_CAUSALITY_H
#define GOTAP_CAUSALITY_H

/* Ancestors that are followed. */
#define MAX_ANCESTORS 20
/* A root that is none: the search found no end. */
#define LINEAGE_UNKNOWN (~0ULL)

static __always_inline u64 random_u64(void)
{
	u64 value = ((u64)bpf_get_prandom_u32() << 32) | bpf_get_prandom_u32();

	return value ? value : 1; /* ids of zero are invalid */
}

static __always_inline void new_trace(u8 *trace_id)
{
	u64 halves[2] = { random_u64(), random_u64() };

	__builtin_memcpy(trace_id, halves, 16);
}

static __always_inline void adopt_server(struct parent *out, const struct server_state *state,
					 u8 how)
{
	adopt(out, state->trace_id, state->span_id, state->trace_flags, how);
	out->inbound = mark_of_span(state->parent_span_id);
}

/*
 * Whether the goroutine of `g` reads from or writes to a client's connection. It was started for the
 * request that opened the connection and works for all that use it, so it has no parent.
 */
static __always_inline bool is_connection(const struct gt_process *proc, u64 g)
{
	return proc->dial_conn &&
	       read_field(g, proc->g_gopc) - proc->dial_conn < proc->dial_conn_size;
}

/* The goroutine that started the one of `g`, 0 when it does not matter which. */
static __always_inline u64 creator_of(const struct gt_process *proc, u64 g)
{
	return is_connection(proc, g) ? 0 : read_field(g, proc->g_parent_goid);
}

/* Whether the goroutine of `g` serves connections of fasthttp, one after the other. */
static __always_inline bool is_worker(const struct gt_process *proc, u64 g)
{
	return proc->instruments.fasthttp.workers && read_field(g, proc->g_gopc) - proc->instruments.fasthttp.workers <
						 proc->instruments.fasthttp.workers_size;
}

/*
 * The oldest memories make room for new ones, and that is not counted, as it costs no parent where
 * goroutines know their creators: the search is done again, from what it was done from before, and if
 * a structure on the way was used again since, it fails and is counted there. An ancestor's memory
 * that is gone is like none. Programs built with Go before 1.21 have no search: there a goroutine
 * whose memory made room looks like one that no request started, so that to count it would be
 * to count all of those. It takes as many goroutines as the map has room for, started by requests
 * while the one's request is served; docs/causality.md says so.
 */
static __always_inline void remember_lineage(const struct gt_process *proc, u64 goid, u64 root,
					     u64 span_id)
{
	struct gt_key key = key_of(proc, goid);
	struct lineage value = { .root = root, .span_id = span_id };

	bpf_map_update_elem(&lineages, &key, &value, BPF_ANY);
}

/* The request that a remembered descent leads to, while it is being served. */
static __always_inline struct server_state *living_root(const struct gt_process *proc,
							const struct lineage *known)
{
	struct gt_key key = key_of(proc, known->root);
	struct server_state *state;

	if (!known->root)
		return NULL;
	state = bpf_map_lookup_elem(&servers, &key);
	return state && state->active && state->span_id == known->span_id ? state : NULL;
}

static __noinline int parent_by_ancestor(const struct gt_process *proc, u64 goid, u64 g,
					 struct parent *out)
{
	u64 child = goid, creator = creator_of(proc, g), root = 0;
	bool lost = true;
	struct gt_key key = key_of(proc, goid);
	struct lineage *known = bpf_map_lookup_elem(&lineages, &key);

	if (!known)
		note_g(proc->instance, g);
	for (int i = 0; i < MAX_ANCESTORS; i++) {
		struct server_state *state;

		if (known) {
			state = living_root(proc, known);
			if (state)
				adopt_server(out, state, GT_PARENT_ANCESTOR);
			return state != NULL;
		}
		lost = creator > 1 && proc->allgptr && proc->g_parent_goid != GT_NONE;
		if (!lost)
			break;
		state = server_of(proc, creator);
		if (!state) {
			key.id = creator;
			known = bpf_map_lookup_elem(&lineages, &key);
			if (known)
				continue;
			g = find_g(creator, bpf_get_current_pid_tgid() >> 32);
			if (!g)
				break;
			state = server_at(proc, g, creator);
		}
		if (state) {
			root = state->g;
			if (!state->active || !is_younger(state, child)) {
				lost = false;
				break;
			}
			adopt_server(out, state, GT_PARENT_ANCESTOR);
			remember_lineage(proc, goid, root, state->span_id);
			return 1;
		}
		child = creator;
		if (is_worker(proc, g)) {
			root = g;
			lost = false;
			break;
		}
		creator = creator_of(proc, g);
	}
	/* Too far away, or on the way there is one whose structure is not found. */
	if (lost && creator > 1) {
		count_drop(GT_DROP_LINEAGE_LOST);
		root = LINEAGE_UNKNOWN;
	}
	remember_lineage(proc, goid, root, 0);
	/* Nor do those that the same goroutine starts next have to be searched for. */
	if (child != goid && !root)
		remember_lineage(proc, child, 0, 0);
	return 0;
}

/*
 * Fills `out` and gives whether there is a parent. Who keeps a context that serves one request after
 * the other for longer than its own holds that of a later one: it is believed only if the goroutine
 * descends from that request, or from none.
 */
static __always_inline int find_parent(const struct gt_process *proc, u64 goid, u64 g,
				       struct go_iface context, struct parent *out)
{
	u32 carried = unrelated(parent_by_context(proc, context.tab, context.data, out)), sure;
	struct gt_key key = key_of(proc, goid);
	struct server_state *state;
	struct lineage *known;
	u64 span_id;

	if (carried == WALKED_ON)
		carried = unrelated(walk_on(out));
	sure = unrelated(carried & ~out->reused);
	span_id = out->span_id;
	asm volatile("" : "+r"(span_id));
	out->reused = 0;
	if (sure)
		return 1;
	state = server_at(proc, g, goid);
	if (state && state->active) {
		adopt_server(out, state, GT_PARENT_GOROUTINE);
	} else if (!parent_by_ancestor(proc, goid, g, out)) {
		if (!carried)
			return 0;
		known = bpf_map_lookup_elem(&lineages, &key);
		return !known || !known->root || known->span_id == span_id;
	}
	if (carried && out->span_id == span_id)
		out->how = GT_PARENT_CONTEXT;
	return 1;
}

/* The same, or a new trace. A function of its own, for the stack's sake. */
static __noinline int join_trace(const struct gt_process *proc, u64 goid, u64 g,
				 const struct go_iface *context, struct parent *out)
{
	if (find_parent(proc, goid, g, *context, out))
		return 1;
	if (out->lost)
		count_drop(out->lost);
	new_trace(out->trace_id);
	out->span_id = 0;
	out->trace_flags = begin_flags(proc, *(u64 *)(out->trace_id + 8));
	out->how = GT_PARENT_NONE;
	return 0;
}

/* Begins the span of a call that is made. */
static __always_inline void begin_span(struct gt_span *span, u64 goid, const struct parent *parent)
{
	u64 span_id = random_u64();

	span->start_ns = bpf_ktime_get_ns();
	span->goid = goid;
	__builtin_memcpy(span->trace_id, parent->trace_id, 16);
	__builtin_memcpy(span->span_id, &span_id, 8);
	__builtin_memcpy(span->parent_span_id, &parent->span_id, 8);
	span->trace_flags = parent->trace_flags;
	span->parent = parent->how;
}

/* What begin_span began, with everything but when and how it ended. */
static __always_inline void carry_span(struct gt_span *to, const struct gt_span *from)
{
	to->start_ns = from->start_ns;
	to->goid = from->goid;
	__builtin_memcpy(to->trace_id, from->trace_id, 16);
	__builtin_memcpy(to->span_id, from->span_id, 8);
	__builtin_memcpy(to->parent_span_id, from->parent_span_id, 8);
	to->trace_flags = from->trace_flags;
	to->parent = from->parent;
	to->unread = from->unread;
}

/* The same call again, as a span of its own. */
static __always_inline void renew_span(struct gt_span *span)
{
	u64 span_id = random_u64();

	__builtin_memcpy(span->span_id, &span_id, 8);
}

/* In runtime.newproc1, after the new goroutine's id is stored (exact lineage). */
static __noinline int new_goroutine(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	u64 child_g = x86_register(ctx, proc->new_g_register), child = goid_of(proc, child_g);
	/* It runs on the system stack: the creator is the thread's current goroutine. */
	u64 creator_g = read_field(read_field(GO_G(ctx), proc->g_m), proc->m_curg);
	struct gt_key key = key_of(proc, goid_of(proc, creator_g));
	struct server_state *state = server_at(proc, creator_g, key.id);
	struct lineage *known;

	if (is_connection(proc, child_g))
		return 0;
	if (state && state->active) {
		remember_lineage(proc, child, creator_g, state->span_id);
		return 0;
	}
	known = bpf_map_lookup_elem(&lineages, &key);
	if (known && living_root(proc, known))
		remember_lineage(proc, child, known->root, known->span_id);
	return 0;
}

#endif
