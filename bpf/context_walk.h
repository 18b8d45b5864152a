/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Walks through contexts that are long, or that fork, as a type may hold several contexts. Each is gone
 * through; what is found counts if it is one request. Where such a walk is stands in a map, so that
 * the verifier goes once through a part of it, which is then repeated. Short walks are in contexts.h.
 */
#ifndef GOTAP_CONTEXT_WALK_H
#define GOTAP_CONTEXT_WALK_H

/* Contexts that are gone through in one part of a walk, and the parts that there are at most. */
#define WALK_PART 16
#define WALK_PARTS 32

/* The walk goes on with what waited last; gives whether there was anything. */
static __always_inline bool take_waiting(struct context_walk *walk)
{
	u32 last = walk->waits - 1;

	if (!walk->waits)
		return false;
	walk->waits = last;
	walk->tab = walk->waiting[last & (WALK_WAITING - 1)][0];
	walk->data = walk->waiting[last & (WALK_WAITING - 1)][1];
	return true;
}

/* The context in a field of what is at `data` has to wait. */
static __always_inline void let_wait(struct context_walk *walk, u64 data, u16 field)
{
	u32 place = walk->waits;
	u64 *context = walk->waiting[place & (WALK_WAITING - 1)];

	if (field == GT_NONE)
		return;
	if (place >= WALK_WAITING) {
		walk->parent.lost = GT_DROP_CONTEXT_UNFOLLOWED;
		return;
	}
	if (bpf_probe_read_user(context, 16, (void *)(data + field)) || !context[0] || !context[1])
		return;
	walk->waits = place + 1;
}

/* What is not followed otherwise: a type with several contexts, or one that hides what it holds. */
static __always_inline void walk_unusual(const struct gt_process *proc, struct context_walk *walk)
{
	struct gt_key key = key_of(proc, context_type(proc, walk->tab));
	struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);
	u64 data = walk->data;

	walk->tab = 0;
	walk->data = 0;
	if (!type || type->role != GT_TYPE_CONTEXT_FORK)
		walk->parent.lost = GT_DROP_CONTEXT_UNFOLLOWED;
	if (!type ||
	    (type->role != GT_TYPE_CONTEXT_FORK && type->role != GT_TYPE_CONTEXT_FORK_MORE))
		return;
	let_wait(walk, data, type->third);
	let_wait(walk, data, type->second);
	let_wait(walk, data, type->first);
}

/* A request was found. Another one than before makes both unsure. */
static __always_inline void note_request(struct context_walk *walk, u64 context, u32 way)
{
	struct parent *next = &walk->next;

	if (!adopt_context(context, way, next))
		return;
	if (walk->parent.span_id && walk->parent.span_id != next->span_id) {
		walk->parent.lost = GT_DROP_CONTEXT_AMBIGUOUS;
		return;
	}
	next->lost = walk->parent.lost;
	next->reused = walk->parent.reused;
	walk->parent = *next;
}

/* One step of a walk; gives whether there are more. */
static __always_inline bool step(const struct gt_process *proc, struct context_walk *walk)
{
	u64 data = walk->data;
	struct incoming read = {};
	u32 way;

	if (!walk->tab || !data) {
		way = walk->tab ? 0 : way_of_request(proc, data);
		if (way) {
			note_request(walk, data, way);
			walk->parent.reused = 1;
		}
		return take_waiting(walk);
	}
	read = read_context(proc, walk->tab, data, walk->words);
	way = way_of_incoming(proc, data, &read);
	if (way) {
		note_request(walk, data, way);
		return take_waiting(walk);
	}
	if (read.unusual) {
		walk_unusual(proc, walk);
	} else {
		walk->tab = read.up.tab;
		walk->data = read.up.data;
	}
	return true;
}

/* A part of a walk; gives whether there are more. A global function, so that it is verified once. */
__noinline int walk_part(u64 thread)
{
	u32 tgid = thread >> 32;
	struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);
	struct context_walk *walk = bpf_map_lookup_elem(&context_walks, &thread);

	if (!proc || !walk)
		return 0;
	for (u32 i = 0; i < WALK_PART; i++) {
		if (!step(proc, walk))
			return 0;
	}
	return 1;
}

/* Ends what parent_by_context has begun. */
static __noinline int walk_on(struct parent *out)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct context_walk *walk;
	int more = 1;

	for (u32 i = 0; i < WALK_PARTS && more; i++)
		more = walk_part(thread);
	walk = bpf_map_lookup_elem(&context_walks, &thread);
	if (!walk)
		return 0;
	/* Deeper than that nothing is followed. */
	out->lost = more ? GT_DROP_CONTEXT_UNFOLLOWED : walk->parent.lost;
	if (!walk->parent.span_id || out->lost == GT_DROP_CONTEXT_AMBIGUOUS)
		return 0;
	*out = walk->parent;
	return 1;
}

#endif
