/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which request a goroutine works for, as other objects than the tracing one find it in the maps of served.h.
 */
#ifndef GOTAP_SPAN_OF_H
#define GOTAP_SPAN_OF_H

/* What is known of the process: constants of its binary. GT_NONE stands for offsets that are not known. */
struct gt_descent {
	/* Where net/http starts what works for all users of a connection; size 0 if it does not. */
	u64 dial_conn;
	u64 dial_conn_size;
	u32 instance; /* of the process in the maps of served.h */
	u16 g_parent_goid;
	u16 g_gopc;
};

/* The same of the constants at `proc`, which each object has in a structure of its own. */
#define DESCENT_OF(proc)                                                            \
	((struct gt_descent){ .dial_conn = (proc)->dial_conn,                       \
			      .dial_conn_size = (proc)->dial_conn_size,             \
			      .instance = (proc)->instance,                         \
			      .g_parent_goid = (proc)->g_parent_goid,               \
			      .g_gopc = (proc)->g_gopc })

/* Whether the goroutine of `g` works for a client's connection, and so for all who use it. */
static __always_inline bool serves_connection(const struct gt_descent *of, u64 g)
{
	return read_field(g, of->g_gopc) - of->dial_conn < of->dial_conn_size;
}

/* The request that a remembered descent leads to, while it is being served. */
static __always_inline struct server_state *served_by_lineage(struct gt_key *key)
{
	struct lineage *known = bpf_map_lookup_elem(&lineages, key);
	struct server_state *state;

	if (!known || !known->root)
		return NULL;
	key->id = known->root;
	state = bpf_map_lookup_elem(&servers, key);
	return state && state->active && state->span_id == known->span_id ? state : NULL;
}

/*
 * The request that the goroutine of `g` serves, or that one serves which started it: what the tracing
 * object knows, and one step further. Further away it is not searched for.
 */
static __always_inline struct server_state *served_by(const struct gt_descent *of, u64 g, u64 goid)
{
	struct gt_key key = { .id = g, .instance = of->instance };
	struct server_state *state = bpf_map_lookup_elem(&servers, &key);
	struct goroutine *noted;
	u64 parent;
	u32 slot;

	if (state && state->goid == goid)
		return state->active ? state : NULL;
	key.id = goid;
	state = served_by_lineage(&key);
	if (state || serves_connection(of, g))
		return state;
	parent = read_field(g, of->g_parent_goid);
	if (!parent)
		return NULL;
	key.id = parent;
	state = served_by_lineage(&key);
	if (state)
		return state;
	slot = (parent + of->instance * 0x9e3779b1U) & (GOROUTINES - 1);
	noted = bpf_map_lookup_elem(&goroutines, &slot);
	if (!noted || noted->goid != parent)
		return NULL;
	key.id = noted->g;
	state = bpf_map_lookup_elem(&servers, &key);
	if (!state || state->goid != parent || !state->active || !is_younger(state, goid))
		return NULL;
	return state;
}

#endif
