/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Finding a goroutine's structure by its id, in the runtime's list of all. The list is in no order, and
 * only a part of a long one is looked at: its end, where new structures are; those that were used
 * lately, as the runtime uses such again first; and of the rest another part each time.
 */
#ifndef GOTAP_ALLGS_H
#define GOTAP_ALLGS_H

/* Structures that are looked at in one part of a search, and the parts that there are. */
#define GS_PART 128
#define GS_PARTS 32
/* Parts of those for the end of a long list. */
#define GS_END_PARTS 4
/* A goroutine is young if about so many others at most have been started since. */
#define YOUNG 256

static const struct young_gs no_young_gs;

/* Notes a structure that is used now: the runtime will use it again soon. Global for the same reason as g_of. */
__noinline int note_g(u32 instance, u64 g)
{
	struct young_gs *young = bpf_map_lookup_elem(&young_gs, &instance);

	/* Structures are far larger than 64 bytes. */
	if (young)
		young->gs[(g >> 6) * 0x9e3779b97f4a7c15ULL >> (64 - YOUNG_GS_BITS)] = g;
	return 0;
}

/*
 * The structure of goroutine `goid` of the process `tgid` in a part of its list of `len` ones, from number
 * `from` on: one that is over keeps its ids until it is used again. 0 when it is not there. A global
 * function, so that it is verified once.
 */
__noinline u64 g_of(u32 tgid, u64 from, u64 len, u64 goid)
{
	const struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);
	u64 at, end;

	if (!proc)
		return 0;
	at = read_u64(proc->allgptr);
	end = at + 8 * (len - from < GS_PART ? len : from + GS_PART);
	at += 8 * from;
	for (u32 i = 0; i < GS_PART && at < end; i++) {
		u64 g = read_u64(at), found = read_u64(g + proc->g_goid);

		if (found == goid)
			return g;
		if (found + YOUNG > goid)
			note_g(proc->instance, g);
		at += 8;
	}
	return 0;
}

/* The same among those that were noted. */
__noinline u64 young_g_of(u64 goid, u32 at_goid, u32 instance)
{
	struct young_gs *young = bpf_map_lookup_elem(&young_gs, &instance);

	if (!young) {
		bpf_map_update_elem(&young_gs, &instance, &no_young_gs, BPF_ANY);
		return 0;
	}
	for (u32 i = 0; i < YOUNG_GS; i++) {
		u64 g = young->gs[i];

		if (g && read_u64(g + at_goid) == goid)
			return g;
	}
	return 0;
}

/*
 * Where in a list of `len` structures part `i` of a search begins: in a long one, first its end, then what
 * was not looked at for the longest time.
 */
static __noinline u64 part_of(u32 instance, u64 len, u32 i)
{
	struct young_gs *young;
	u64 at;

	if (len <= GS_PARTS * GS_PART)
		return (u64)i * GS_PART;
	young = bpf_map_lookup_elem(&young_gs, &instance);
	if (i < GS_END_PARTS || !young)
		return len - (u64)(i + 1) * GS_PART;
	at = young->next < len ? young->next : 0;
	young->next = at + GS_PART;
	return at;
}

/* The structure of goroutine `goid` of the process `tgid`; 0 when it was not found. */
__noinline u64 find_g(u64 goid, u32 tgid)
{
	struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);
	u64 len, at, g = 0;

	if (!proc)
		return 0;
	len = read_u64(proc->allglen);
	if (len > GS_PARTS * GS_PART)
		g = young_g_of(goid, proc->g_goid, proc->instance);
	for (u32 i = 0; i < GS_PARTS && !g; i++) {
		at = part_of(proc->instance, len, i);
		if (at >= len)
			break;
		g = g_of(tgid, at, len, goid);
	}
	return g;
}

#endif
