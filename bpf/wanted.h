/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Sends the headers that the user asks for by name when a request starts: later its handler may have
 * changed them. Nothing here runs where none is asked for. Functions are global, so that each is
 * verified once, and find without branches what the verifier would follow each way.
 */
#ifndef GOTAP_WANTED_H
#define GOTAP_WANTED_H

/* Groups or buckets of a map, values of a header, and headers of fasthttp's that are looked at. */
#define MAX_WANTED_GROUPS 16
#define MAX_WANTED_VALUES 8
#define MAX_WANTED_PAIRS 64
/* In place of an address or beside a number: not all could be looked at. */
#define WANTED_UNSEEN 0x100

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_wanted);
} wanted_headers SEC(".maps");

/* The name that is asked for under this number. */
static __always_inline const struct gt_wanted_name *wanted_name(u32 which)
{
	u32 only = 0;
	struct gt_wanted *wanted = bpf_map_lookup_elem(&wanted_headers, &only);

	if (!wanted)
		return NULL;
	/* Keeps clang from computing the address before it is known to be one, which 5.10 refuses. */
	asm volatile("" : "+r"(which));
	return &wanted->names[which & (GT_WANTED_HEADERS - 1)];
}

/* 1 where the Go string at `at` is that name, WANTED_UNSEEN where it can't be read, else 0. */
static __always_inline u32 match_wanted(u64 at, const struct gt_wanted_name *name)
{
	const u64 spaces = 0x2020202020202020ULL;
	u64 text[GT_WANTED_WORDS] = {}, differs, len;
	struct go_string key = {};
	u32 unseen;

	unseen = if_failed(bpf_probe_read_user(&key, sizeof(key), (void *)at), WANTED_UNSEEN);
	differs = key.len ^ name->len;
	/* Nothing is read of a key of another length. */
	len = key.len & (((differs | -differs) >> 63) - 1);
	asm volatile("" : "+r"(len));
	unseen |= if_failed(bpf_probe_read_user(text, len & 31, (void *)key.ptr), WANTED_UNSEEN);
	for (u32 i = 0; i < GT_WANTED_WORDS; i++)
		differs |= (text[i] | spaces) ^ name->text[i];
	return unseen | (u32)(1 ^ ((differs | -differs) >> 63));
}

/*
 * Which of the eight entries at `group` has the header, plus one; 0 for none. Where a key can't be read it may
 * be that one: then with WANTED_UNSEEN.
 */
__noinline u32 match_wanted_slots(u64 group, u32 layout, u32 which)
{
	u32 stride = layout == SLOTS_PAIRS ? 40 : 16, used, found = 0;
	const struct gt_wanted_name *name = wanted_name(which);
	u64 control = 0;

	if (!name || bpf_probe_read_user(&control, sizeof(control), (void *)group))
		return WANTED_UNSEEN;
	used = used_slots(control, layout);
	for (u32 i = 0; i < 8; i++) {
		u32 match = match_wanted(group + 8 + (u64)stride * i, name), is_used = -(used >> i & 1);

		found |= ((i + 1) * (match & 1) | (match & WANTED_UNSEEN)) & is_used;
	}
	return found;
}

/*
 * Finds the header in the groups or buckets that begin at `group`; `last` is the number of the last one.
 * Gives the address of its element, 0 for none, WANTED_UNSEEN where not all could be looked at.
 */
__noinline u64 find_wanted(u64 group, u64 last, u32 layout, u32 group_size, u32 which)
{
	bool swiss = layout != SLOTS_BUCKET;
	u64 next = group + group_size;

	for (u32 i = 0; i < MAX_WANTED_GROUPS; i++) {
		u32 found = match_wanted_slots(group, layout, which), slot = (found & 15) - 1;

		if (found & 15)
			return group + (layout == SLOTS_PAIRS ? 24 + 40 * (u64)slot : 136 + 24 * (u64)slot);
		if (found)
			return WANTED_UNSEEN;
		group = swiss ? 0 : read_u64(group + 328);
		if (group)
			continue;
		if (!last--)
			return 0;
		group = next;
		next += group_size;
	}
	return WANTED_UNSEEN;
}

/* The same in a map of headers, of either kind, as in scan_headers. */
static __always_inline u64 wanted_elem(u64 map, u32 layout, u32 group_size, u32 which)
{
	u64 head[4] = {}, table[2] = {}, found, buckets;

	if (!map)
		return 0;
	if (read_object(head, sizeof(head), map) || layout == SLOTS_UNKNOWN)
		return WANTED_UNSEEN;
	if (!head[0])
		return 0;
	if (layout != SLOTS_BUCKET) {
		if (!head[3])
			return find_wanted(head[2], 0, layout, group_size, which);
		/* More than one table: about 900 headers. */
		if (head[3] != 1 ||
		    bpf_probe_read_user(table, sizeof(table), (void *)(read_u64(head[2]) + 16)))
			return WANTED_UNSEEN;
		return find_wanted(table[0], table[1], layout, group_size, which);
	}
	buckets = 1ULL << ((head[1] >> 8) & 31);
	found = find_wanted(head[2], buckets - 1, layout, 336, which);
	/* What has not moved yet since the map grew. */
	if (found || !head[3])
		return found;
	return find_wanted(head[3], (head[1] & 8 ? buckets : buckets / 2) - 1, layout, 336, which);
}

/* Sends a value, the Go string at `at`. Gives whether that was not possible. */
__noinline u32 send_wanted_value(u64 span_id, u64 at, u32 which)
{
	struct gt_header_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 1;
	}
	event->header.kind = GT_EVENT_HEADER;
	event->header.size = sizeof(*event);
	event->header.process = 0;
	__builtin_memcpy(event->span_id, &span_id, 8);
	event->name = which;
	__builtin_memset(event->pad, 0, sizeof(event->pad));
	event->len = copy_bytes(event->text, sizeof(event->text), read_text(at, 0));
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/* Sends the values of a header in a map. Gives whether one may be missing. */
__noinline u32 send_wanted_of(u64 span_id, u64 map, u32 layout, u32 group_size, u32 which)
{
	u64 elem = wanted_elem(map, layout, group_size, which);
	struct go_string values;
	u32 missing;

	if (elem <= WANTED_UNSEEN)
		return elem == WANTED_UNSEEN;
	values = values_of(elem);
	missing = !values.ptr || values.len > MAX_WANTED_VALUES;
	for (u32 i = 0; i < MAX_WANTED_VALUES && i < values.len; i++)
		missing |= send_wanted_value(span_id, values.ptr + 16 * i, which);
	return missing;
}

/*
 * Sends the value at `pair`, an argsKV of fasthttp, if its key is the header's name. `sent` values of that
 * header were sent before. Gives 1 if it was sent, WANTED_UNSEEN where one may be missing, else 0.
 */
__noinline u32 send_wanted_pair(u64 span_id, u64 pair, u32 pair_value, u32 which, u32 sent)
{
	const struct gt_wanted_name *name = wanted_name(which);
	u32 match = name ? match_wanted(pair, name) : WANTED_UNSEEN;

	if (!(match & 1))
		return match;
	if (sent >= MAX_WANTED_VALUES || send_wanted_value(span_id, pair + pair_value, which))
		return WANTED_UNSEEN;
	return match;
}

/* The same as send_wanted_of, of a header among fasthttp's, an array of argsKV at `pairs`. */
__noinline u32 send_wanted_pairs(u64 span_id, u64 pairs, u32 pair_size, u32 pair_value, u32 which)
{
	struct go_string all = read_text(pairs, 0);
	u32 missing = all.len > MAX_WANTED_PAIRS, sent = 0;

	for (u32 i = 0; i < MAX_WANTED_PAIRS && i < all.len; i++) {
		u32 found = send_wanted_pair(span_id, all.ptr, pair_value, which, sent);

		sent += found & 1;
		missing |= found & WANTED_UNSEEN;
		all.ptr += pair_size;
	}
	return missing;
}

/* Sends the headers that are asked for, of the request that the goroutine of `g` serves. */
__noinline u32 send_wanted(u64 g)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, only = 0, missing = 0;
	struct gt_wanted *wanted = bpf_map_lookup_elem(&wanted_headers, &only);
	struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);
	struct gt_key key = { .id = g };
	struct server_state *state;

	if (!proc || !wanted)
		return 0;
	key.instance = proc->instance;
	state = bpf_map_lookup_elem(&servers, &key);
	if (!state)
		return 0;
	for (u32 i = 0; i < GT_WANTED_HEADERS && i < wanted->count; i++) {
		if (state->fast)
			missing |= send_wanted_pairs(state->span_id, state->headers,
						     proc->instruments.fasthttp.pair_size,
						     proc->instruments.fasthttp.pair_value, i);
		else
			missing |= send_wanted_of(state->span_id, state->headers, proc->map_slots,
						  proc->map_group_size, i);
	}
	state->unread |= missing ? UNREAD(HEADERS) : 0;
	return 0;
}

#endif
