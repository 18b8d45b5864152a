/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which goroutines a request has started: ids are given out in order, in batches by processor, so
 * that those not given out when it started are of younger goroutines. Marks of that are taken once
 * for all requests that start soon after.
 */
#ifndef GOTAP_GOIDS_H
#define GOTAP_GOIDS_H

/* Where the processors' structures are. They are never freed, so they are read once. */
static __noinline int find_processors(const struct gt_process *proc, struct goid_marks *marks)
{
	struct go_string allp = read_string(proc->allp, 0);
	u32 n = 0;

	for (; n < GT_MAX_P && n < allp.len; n++)
		marks->processors[n] = read_u64(allp.ptr + 8 * (u64)n);
	/* On more processors it is not known which goroutines of some are younger, which costs their parents. */
	if (allp.len > GT_MAX_P)
		count_drop(GT_DROP_PROCESSORS_UNSEEN);
	marks->processor_count = n;
	return 0;
}

static const struct goid_marks new_marks;

static __always_inline struct goid_marks *marks_of(const struct gt_process *proc)
{
	u32 instance = proc->instance;
	struct goid_marks *out = bpf_map_lookup_elem(&marks, &instance);

	if (out)
		return out;
	if (bpf_map_update_elem(&marks, &instance, &new_marks, BPF_ANY))
		return NULL;
	return bpf_map_lookup_elem(&marks, &instance);
}

/* Reads which ids are still to be given out. */
static __noinline int read_goids(const struct gt_process *proc, struct goid_marks *marks,
				 struct server_state *state)
{
	u32 i = 0;

	if (!marks->processor_count)
		find_processors(proc, marks);
	state->goidgen = read_u64(proc->goidgen);
	for (; i < GT_MAX_P; i++) {
		struct go_string pair;

		if (i >= marks->processor_count)
			break;
		/* goidcache and goidcacheend. */
		pair = read_string(marks->processors[i], proc->p_goidcache);
		state->caches[i] = pair.ptr << 8 | ((pair.len - pair.ptr) & 0xff);
	}
	state->processors = i;
	return 0;
}

/* Copies marks that were taken after the goroutine's last request; gives whether there are any. */
static __noinline int copy_marks(const struct goid_marks *marks, struct server_state *state)
{
	u64 taken = marks->time_ns;
	u32 i = 0;

	if (taken <= state->ended_ns)
		return 0;
	for (; i < GT_MAX_P; i++) {
		if (i >= marks->processor_count)
			break;
		state->caches[i] = marks->caches[i];
	}
	state->processors = i;
	state->goidgen = marks->goidgen;
	/* Somebody may have written others meanwhile. */
	return marks->time_ns == taken;
}

/*
 * Lets others use what was read for a request at `now`. Who finds that somebody else has begun to
 * write meanwhile leaves it to them.
 */
static __noinline int publish_marks(struct goid_marks *marks, const struct server_state *state,
				    u64 now)
{
	u64 owner = now ^ state->span_id;

	marks->time_ns = 0;
	marks->owner = owner;
	marks->goidgen = state->goidgen;
	for (u32 i = 0; i < GT_MAX_P; i++) {
		if (i >= state->processors)
			break;
		if (marks->owner != owner)
			return 0;
		marks->caches[i] = state->caches[i];
	}
	if (marks->owner == owner)
		marks->time_ns = now;
	return 0;
}

/*
 * Remembers for a request which ids were still to be given out, so that goroutines which it starts
 * are known as younger. Marks are good if they were taken after the goroutine's last request. A
 * goroutine that serves nothing else, as one of HTTP/2, needs none: all it starts is the request's.
 */
static __noinline int note_goids(const struct gt_process *proc, struct server_state *state)
{
	u64 now = state->start_ns;
	struct goid_marks *marks;

	state->goidgen = 0;
	state->processors = 0;
	/* A connection's earlier requests may have come before the probes were in. */
	if (!state->alone && !state->ended_ns)
		state->ended_ns = state->start_ns;
	if (!state->ended_ns || !proc->goidgen || !proc->allp)
		return 0;
	marks = marks_of(proc);
	if (!marks || copy_marks(marks, state))
		return 0;
	read_goids(proc, marks, state);
	return publish_marks(marks, state, now);
}

#endif
