/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Finding one header in a map[string][]string: Content-Type, Traceparent, or one of B3's. Not here: finding
 * several at once (`headers.h`), those that users ask for (`wanted.h`), and what B3's say (`b3.h`).
 */
#ifndef GOTAP_HEADER_ELEM_H
#define GOTAP_HEADER_ELEM_H

/* Which header is looked for. */
enum one_header {
	HEADER_CONTENT_TYPE = 0,
	HEADER_TRACEPARENT = 1,
	/* B3's: the lower three bits are their place in b3_names. */
	B3_SINGLE = 8, /* b3 */
	B3_TRACE = 9, /* X-B3-TraceId */
	B3_SPAN = 10, /* X-B3-SpanId */
	B3_SAMPLED = 11, /* X-B3-Sampled */
	B3_FLAGS = 12, /* X-B3-Flags */
};

/* Length of each header's name, and the name in lower case with spaces behind it. */
static const struct b3_name {
	u64 len, first, last;
} b3_names[8] = {
	[B3_SINGLE & 7] = { 2, 0x2020202020203362ULL, 0x2020202020202020ULL }, /* "b3" */
	[B3_TRACE & 7] = { 12, 0x6172742d33622d78ULL, 0x2020202064696563ULL }, /* "x-b3-tra", "ceid" */
	[B3_SPAN & 7] = { 11, 0x6170732d33622d78ULL, 0x202020202064696eULL }, /* "x-b3-spa", "nid" */
	[B3_SAMPLED & 7] = { 12, 0x6d61732d33622d78ULL, 0x2020202064656c70ULL }, /* "x-b3-sam", "pled" */
	[B3_FLAGS & 7] = { 10, 0x616c662d33622d78ULL, 0x2020202020207367ULL }, /* "x-b3-fla", "gs" */
};

/*
 * Which of the eight entries at `group` has the header of B3, plus one; 0 for none. Without a branch, as the verifier
 * goes each way of each. A global function, so that it is verified once.
 */
__noinline u64 match_b3(u64 group, u32 layout, u32 which)
{
	u32 used = used_slots(read_u64(group), layout), stride = layout == SLOTS_PAIRS ? 40 : 16;
	const struct b3_name *name = &b3_names[which & 7];
	const u64 spaces = 0x2020202020202020ULL;
	u64 found = 0;

	for (u32 i = 0; i < 8; i++) {
		struct go_string key = read_string(group + 8 + (u64)stride * i, 0);
		u64 text[2] = {}, differs;

		bpf_probe_read_user(text, key.len & 15, (void *)key.ptr);
		differs = (key.len ^ name->len) | ((text[0] | spaces) ^ name->first) |
			  ((text[1] | spaces) ^ name->last) | (~(used >> i) & 1);
		found |= (i + 1) & ((differs | -differs) >> 63) - 1;
	}
	return found;
}

/* Groups or buckets that are looked at. */
#define MAX_ELEM_GROUPS 16

/* The slot of the header among the eight entries at `group`, plus one; 0 for none. */
static __always_inline u32 match_one(u64 group, u32 layout, u32 which)
{
	if (which >= B3_SINGLE)
		return match_b3(group, layout, which);
	return which == HEADER_TRACEPARENT ? match_slots(group, layout) >> 4 & 15 :
					     match_type(group, layout);
}

/*
 * Where the header, an enum one_header, has its element in a map; 0 when the map has none. Such maps are small,
 * and are not written to any more. A global function, so that it is verified once.
 */
__noinline u64 header_elem(u64 map, u32 layout, u32 group_size, u32 which)
{
	/* As in scan_headers; then the groups of a table, and how many there are less one. */
	u64 head[4] = {}, group, next, table[2] = {};
	bool swiss = layout != SLOTS_BUCKET;

	if (!map || read_object(head, sizeof(head), map) || !head[0])
		return 0;
	group = head[2];
	if (!swiss) {
		group_size = 336;
		table[1] = (1ULL << ((head[1] >> 8) & 31)) - 1;
	} else if (head[3]) {
		bpf_probe_read_user(table, sizeof(table), (void *)(read_u64(group) + 16));
		group = table[0];
	}
	next = group + group_size;
	for (u32 i = 0; i < MAX_ELEM_GROUPS; i++) {
		u32 slot = match_one(group, layout, which);

		if (slot)
			return group + (layout == SLOTS_PAIRS ? 24 + 40 * (slot - 1) :
								136 + 24 * (slot - 1));
		group = swiss ? 0 : read_u64(group + 328);
		if (group)
			continue;
		if (!table[1]--)
			break;
		group = next;
		next += group_size;
	}
	return 0;
}

/* What the Content-Type in a map of headers says. */
static __always_inline u32 content_of(u64 map, u32 layout, u32 group_size)
{
	struct go_string value = first_value(header_elem(map, layout, group_size, HEADER_CONTENT_TYPE));

	return value.ptr ? content_bits(value.ptr, value.len) : 0;
}

#endif
