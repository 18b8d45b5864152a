/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What goroutines serve, by the addresses of their structures: the runtime uses one again for the next
 * goroutine, and so does this with its entry, as to make and to remove one for each request would cost
 * as much as all that is read for it. Whose entry it is at the time its goroutine id tells.
 */
#ifndef GOTAP_GOROUTINES_H
#define GOTAP_GOROUTINES_H

/* Entries that may stay behind for later goroutines; beyond, they go with their requests. */
#define KEPT_ENTRIES 8192

static const struct server_state new_state;

/* Counts entries that are made or, with -1, removed. */
static __always_inline void count_entries(s64 change)
{
	u32 index = GT_ENTRIES_MADE;
	s64 *made = bpf_map_lookup_elem(&server_entries, &index);

	if (made)
		__sync_fetch_and_add(made, change);
}

/* Whether an entry may stay for later goroutines: user space removes some, and counts for itself. */
static __always_inline bool may_keep(void)
{
	u32 index = GT_ENTRIES_MADE;
	s64 *made = bpf_map_lookup_elem(&server_entries, &index), *swept;

	index = GT_ENTRIES_SWEPT;
	swept = bpf_map_lookup_elem(&server_entries, &index);
	return made && swept && *made - *swept < KEPT_ENTRIES;
}

/* What goroutine `goid`, whose structure is at `g`, serves. */
static __always_inline struct server_state *server_at(const struct gt_process *proc, u64 g, u64 goid)
{
	struct gt_key key = key_of(proc, g);
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);

	return state && state->goid == goid ? state : NULL;
}

static __always_inline struct goroutine *goroutine_slot(const struct gt_process *proc, u64 goid)
{
	u32 slot = (goid + proc->instance * 0x9e3779b1U) & (GOROUTINES - 1);

	return bpf_map_lookup_elem(&goroutines, &slot);
}

/*
 * The same of a goroutine whose id alone is known. NULL also where a later one has taken the
 * place in which its structure was noted: who searches for that asks server_at.
 */
static __always_inline struct server_state *server_of(const struct gt_process *proc, u64 goid)
{
	struct goroutine *noted = goroutine_slot(proc, goid);

	if (!noted || noted->goid != goid)
		return NULL;
	return server_at(proc, noted->g, goid);
}

/*
 * The entry of a goroutine that begins to serve: its own where it has served before, else what another
 * one has left, cleared of all that is carried from one request to the next.
 */
static __always_inline struct server_state *serve(const struct gt_process *proc, u64 g, u64 goid)
{
	struct gt_key key = key_of(proc, g);
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);
	struct goroutine *noted = goroutine_slot(proc, goid);

	if (!goid) {
		count_drop(GT_DROP_READ_FAULT);
		return NULL;
	}
	if (!state) {
		if (bpf_map_update_elem(&servers, &key, &new_state, BPF_ANY)) {
			count_drop(GT_DROP_SERVER_MAP_FULL);
			return NULL;
		}
		count_entries(1);
		state = bpf_map_lookup_elem(&servers, &key);
		if (!state)
			return NULL;
	}
	if (noted && noted->goid != goid) {
		noted->goid = goid;
		noted->g = g;
	}
	if (state->goid == goid)
		return state;
	/* Its goroutine is gone without an end that was seen. */
	if (state->active)
		count_drop(GT_DROP_SERVER_UNFINISHED);
	state->g = g;
	state->goid = goid;
	state->active = 0;
	state->rws = 0;
	state->server = 0;
	state->conn = 0;
	state->context = 0;
	state->context_mark = 0;
	state->peer_len = 0;
	state->http2 = 0;
	state->fast = 0;
	state->rpc = 0;
	state->ended_ns = 0;
	return state;
}

/* The goroutine serves no more. */
static __always_inline void leave(const struct gt_process *proc, struct server_state *state)
{
	struct gt_key key = key_of(proc, state->g);

	state->goid = 0;
	state->active = 0;
	if (!may_keep() && !bpf_map_delete_elem(&servers, &key))
		count_entries(-1);
}

#endif
