/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Finding a few headers in a map[string][]string, of either kind that Go has had. What costs is the
 * number of reads, so that eight neighbouring entries are fetched in one.
 */
#ifndef GOTAP_HEADERS_H
#define GOTAP_HEADERS_H

/* Groups or buckets of a header map that are looked at: 8 headers each. */
#define MAX_GROUPS 128

/* How eight entries lie together. */
enum slots {
	SLOTS_PAIRS = 0, /* control word, then key and element by turns: Go 1.24 to 1.26 */
	SLOTS_SPLIT = 1, /* control word, eight keys, eight elements: Go 1.27 */
	SLOTS_BUCKET = 2, /* the same with eight top hashes ahead: before Go 1.24 */
	SLOTS_UNKNOWN = 3, /* no entry can be found */
};

/* 1 where a is b, else 0. Without a branch, as the verifier goes each way of each. */
static __always_inline u32 is_equal(u64 a, u64 b)
{
	a ^= b;
	return ((a - 1) & ~a) >> 63;
}

/*
 * Whether a key of `len` bytes is one that is looked for: bits 0-3 hold the slot plus one of User-Agent, 4-7
 * that of Traceparent, 8-11 that of Tracestate. net/http's keys are canonical, gRPC's are lower-case: the bit
 * that tells letters apart is set in all bytes, which nothing else in those words collides with. A global
 * function, so that the verifier goes through it once and not for each key.
 */
__noinline u32 match_key(u64 ptr, u64 len, u32 slot)
{
	u64 text[2] = {};

	/* Keeps clang from leaving out the mask: it knows more of the length than 5.10 does. */
	asm volatile("" : "+r"(len));
	bpf_probe_read_user(text, len & 15, (void *)ptr);
	text[0] |= 0x2020202020202020ULL;
	if (text[0] == 0x6567612d72657375ULL && text[1] == 0x746eULL)
		return slot + 1; /* "user-age", "nt" */
	if (text[0] == 0x7261706563617274ULL && text[1] == 0x746e65ULL)
		return (slot + 1) << 4; /* "tracepar", "ent" */
	if (text[0] == 0x6174736563617274ULL && text[1] == 0x6574ULL)
		return (slot + 1) << 8; /* "tracesta", "te" */
	return 0;
}

/* The slot plus one, if a key of 12 bytes is Content-Type. */
__noinline u32 match_content_type(u64 ptr, u32 slot)
{
	u64 text[2] = {};

	bpf_probe_read_user(text, 12, (void *)ptr);
	text[0] |= 0x2020202020202020ULL;
	return text[0] == 0x2d746e65746e6f63ULL && text[1] == 0x65707954ULL ? /* "content-", "Type" */
		       slot + 1 :
		       0;
}

/* What those two say of one of eight entries; 0 where `used` says that there is none. */
static __always_inline u32 match_slot(u64 ptr, u64 len, u32 slot, u32 used, const bool type)
{
	u32 fits = type ? is_equal(len, 12) : is_equal(len, 10) | is_equal(len, 11);

	if (!(fits & used >> slot))
		return 0;
	return type ? match_content_type(ptr, slot) : match_key(ptr, len, slot);
}

/* One bit for each of eight control bytes or top hashes that stand for an entry. */
static __always_inline u32 used_slots(u64 control, u32 layout)
{
	const u64 high = 0x8080808080808080ULL;

	/* runtime/map.go: a top hash up to 4 says that the slot is empty or moved. More than that, with 0x7b
	 * added to the lower bits, reaches the high one.
	 * internal/runtime/maps/group.go: the high bit says that it is empty or deleted. */
	if (layout == SLOTS_BUCKET)
		control |= (control & ~high) + 0x7b7b7b7b7b7b7b7bULL;
	else
		control = ~control;
	/* The multiplication gathers the eight high bits into one byte. */
	return ((control & high) >> 7) * 0x0102040810204080ULL >> 56;
}

/*
 * Looks through the eight entries at `group`. Gives what match_slot does, and from bit 12 on where the
 * values of User-Agent are if they came along: addresses have 52 bits at most. Constant indexes, as
 * 5.10 refuses others on the stack. Pairs are read four at a time: functions that call each other
 * have 512 bytes of stack in all, in steps of 32.
 */
static __always_inline u64 look_at_slots(u64 group, u32 layout, const bool type)
{
	u64 words[18], found = 0;
	u32 used;

	if (read_object(words, sizeof(words), group))
		return 0;
	used = used_slots(words[0], layout);
	if (layout != SLOTS_PAIRS) {
#pragma unroll
		for (u32 i = 0; i < 8; i++)
			found |= match_slot(words[1 + 2 * i], words[2 + 2 * i], i, used, type);
		return found;
	}
#pragma unroll
	for (u32 i = 0; i < 4; i++) {
		found |= match_slot(words[1 + 5 * i], words[2 + 5 * i], i, used, type);
		/* The fourth element lies behind what was read. */
		if (!type && i < 3)
			found |= (words[3 + 5 * i] << 12) & -(u64)is_equal(found & 15, i + 1);
	}
	if (!(used >> 4) || read_object(words, sizeof(words), group + 160))
		return found;
#pragma unroll
	for (u32 i = 0; i < 4; i++)
		found |= match_slot(words[1 + 5 * i], words[2 + 5 * i], i + 4, used, type);
	return found;
}

/* Global functions of scalars, which the verifier checks once and not at each of their many calls. */
__noinline u64 match_slots(u64 group, u32 layout)
{
	return look_at_slots(group, layout, false);
}

__noinline u64 match_type(u64 group, u32 layout)
{
	return look_at_slots(group, layout, true);
}

/* Whether one of the eight keys at `group` is as long as Traceparent, which few are: reads no key. */
__noinline u64 may_have_parent(u64 group, u32 layout)
{
	u32 found = 0, used;
	u64 words[18];

	if (read_object(words, sizeof(words), group))
		return 0;
	used = used_slots(words[0], layout);
	if (layout != SLOTS_PAIRS) {
#pragma unroll
		for (u32 i = 0; i < 8; i++)
			found |= is_equal(words[2 + 2 * i], 11) << i;
		return found & used;
	}
#pragma unroll
	for (u32 i = 0; i < 4; i++)
		found |= is_equal(words[2 + 5 * i], 11) << i;
	if (!(used >> 4) || read_object(words, sizeof(words), group + 160))
		return found & used & 15;
#pragma unroll
	for (u32 i = 0; i < 4; i++)
		found |= is_equal(words[2 + 5 * i], 11) << (i + 4);
	return found & used;
}

/* `place` is where the element of `slot` is, if that is not 0. Without a branch, as the verifier goes each way. */
static __always_inline void note_elem(u64 *place, u64 elems, u64 stride, u64 slot)
{
	u64 is_one = ((slot | -slot) >> 63) * ~0ULL;

	*place = (*place & ~is_one) | ((elems + stride * (slot - 1)) & is_one);
}

static __always_inline void scan_slots(u64 group, u32 layout, struct found_headers *out)
{
	u64 found = match_slots(group, layout), agent = found & 15;
	u64 elems = group + (layout == SLOTS_PAIRS ? 24 : 136);
	u64 stride = layout == SLOTS_PAIRS ? 40 : 24;
	u64 is_agent = ((agent | -agent) >> 63) * ~0ULL;

	note_elem(&out->user_agent, elems, stride, agent);
	out->agent_values = (out->agent_values & ~is_agent) | (found >> 12 & is_agent);
	note_elem(&out->traceparent, elems, stride, found >> 4 & 15);
	note_elem(&out->tracestate, elems, stride, found >> 8 & 15);
}

/*
 * Looks through a map of headers, which begins with `head`. Swiss tables, internal/runtime/maps/map.go:
 * Map{used, seed, dirPtr, dirLen}, table{…, groups at 16, mask}; a map has more than one table only from about
 * 900 headers on: the first one is looked at. Before, runtime/map.go: hmap{count, flags and B, buckets,
 * oldbuckets}; a bucket is 8 top hashes, 8 keys, 8 elements and a pointer to an overflow. A map that has grown
 * moves its entries later, a few at each write: those not moved yet are in the old array, half as large unless
 * it grew only to get rid of overflow buckets (flag 8).
 */
static __noinline int scan_groups(const struct gt_process *proc, const u64 *head,
				  struct found_headers *out)
{
	u64 group = head[2], table[2] = {};
	u32 layout = proc->map_slots;

	out->group_size = proc->map_group_size;
	out->older = 0;
	if (layout == SLOTS_BUCKET) {
		out->group_size = 336;
		table[1] = (1ULL << ((head[1] >> 8) & 31)) - 1;
		out->older = head[3];
		out->older_left = head[1] & 8 ? table[1] : table[1] >> 1;
	} else if (head[3]) {
		if (bpf_probe_read_user(table, sizeof(table), (void *)(read_u64(group) + 16)) ||
		    head[3] != 1)
			count_drop(GT_DROP_HEADERS_UNSEEN);
		group = table[0];
	} else {
		scan_slots(group, layout, out);
		return 1;
	}
	out->left = table[1];
	out->next = group + out->group_size;
	for (u32 i = 0; i < MAX_GROUPS; i++) {
		scan_slots(group, layout, out);
		group = read_field(group, layout == SLOTS_BUCKET ? 328 : GT_NONE);
		/* What is in the map is read again: the verifier goes on with what it does not know. */
		asm volatile("" ::: "memory");
		if (group)
			continue;
		if (!out->left) {
			if (!out->older)
				return 1;
			out->next = out->older;
			out->left = out->older_left + 1;
			out->older = 0;
		}
		out->left--;
		group = out->next;
		out->next += out->group_size;
	}
	count_drop(GT_DROP_HEADERS_UNSEEN);
	return 0;
}

/* The values of a header, which has one for each of its fields: an array of strings, and how many. */
static __always_inline struct go_string values_of(u64 elem)
{
	return elem ? read_string(elem, 0) : (struct go_string){};
}

static __always_inline struct go_string first_value(u64 elem)
{
	struct go_string values = values_of(elem);

	return values.ptr && values.len ? read_text(values.ptr, 0) : (struct go_string){};
}

/* From where headers are to their fields. A function of its own, for the stack's sake. */
static __noinline int read_found(struct server_state *state)
{
	struct found_headers *found = &state->found;
	struct go_string values = found->agent_values ? read_text(found->agent_values, 0) :
							first_value(found->user_agent);

	state->user_agent = values.ptr;
	state->user_agent_len = values.len;
	values = values_of(found->traceparent);
	if (found->traceparent && !values.ptr)
		count_drop(GT_DROP_HEADERS_UNSEEN);
	found->traceparent = values.ptr;
	found->parents = values.len;
	values = values_of(found->tracestate);
	found->tracestate = values.ptr;
	found->states = values.len;
	return 0;
}

/*
 * Finds the headers that matter in those of the request in `state`, an http.Header, or gRPC's metadata,
 * whose user agent is not sent; notes the user agent in the state. Large maps are looked at in part.
 */
static __always_inline void scan_headers(const struct gt_process *proc, struct server_state *state)
{
	struct found_headers *out = &state->found;
	bool is_swiss = proc->map_slots != SLOTS_BUCKET;
	bool metadata = state->rpc != RPC_NONE;
	u64 map = state->headers;
	/* Both kinds of map start with their number of entries and have four words that matter. */
	u64 head[4] = {};

	if (!map)
		return;
	if (read_object(head, sizeof(head), map)) {
		count_drop(GT_DROP_HEADERS_UNSEEN);
		return;
	}
	if (!head[0])
		return;
	if (proc->map_slots == SLOTS_UNKNOWN) {
		count_drop(GT_DROP_MAP_LAYOUT_UNKNOWN);
		return;
	}
	/* Where there is but one group, a state would be found beside the parent. */
	if (metadata && !head[3] && (is_swiss || !(head[1] >> 8 & 31)) &&
	    !may_have_parent(head[2], proc->map_slots))
		return;
	scan_groups(proc, head, out);
	read_found(state);
}

/* Whether a media type ends where its lower-case text goes on with this: zero is a space then. */
static __always_inline bool is_type_end(u64 text)
{
	return (text & 0xff) == ' ' || (text & 0xff) == ';';
}

/*
 * What a Content-Type says of the protocol of a call, as bits of gt_http_head.flags. Upper-case
 * letters are as good as lower-case ones.
 */
static __noinline u32 content_bits(u64 ptr, u64 len)
{
	u64 words[3] = {};
	u32 content = GT_CONTENT_OTHER;
	u64 last;

	if (len > sizeof(words))
		len = sizeof(words);
	asm volatile("" : "+r"(len));
	if (len > sizeof(words) || bpf_probe_read_user(words, len, (void *)ptr))
		return 0;
	for (u32 i = 0; i < 3; i++)
		words[i] |= 0x2020202020202020ULL;
	last = words[2];
	if (words[0] != 0x746163696c707061ULL || (u32)words[1] != 0x2f6e6f69) /* "application/" */
		return 0;
	if (words[1] == 0x637072672f6e6f69ULL) /* "ion/grpc", "-web" */
		content = (u32)last == 0x6265772d ? GT_CONTENT_GRPC_WEB : GT_CONTENT_GRPC;
	else if (words[1] == 0x6e6e6f632f6e6f69ULL && (u32)last == 0x2b746365) /* "ion/conn", "ect+" */
		content = GT_CONTENT_CONNECT;
	else if (words[1] == 0x6e6f736a2f6e6f69ULL && is_type_end(last)) /* "ion/json" */
		content = GT_CONTENT_JSON;
	else if (words[1] == 0x72702d782f6e6f69ULL && (last & 0xffffffffffffULL) == 0x6675626f746fULL &&
		 is_type_end(last >> 48)) /* "ion/x-pr", "otobuf" */
		content = GT_CONTENT_PROTOBUF;
	else
		content = GT_CONTENT_MESSAGE;
	return content * GT_HTTP_CONTENT;
}

#endif
