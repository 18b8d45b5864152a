/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * B3, the trace context of Zipkin, in one header or in several, of requests that came without a traceparent. It
 * is looked for only where the user asks for it. Not of fasthttp's requests.
 */
#ifndef GOTAP_B3_H
#define GOTAP_B3_H

/* What a context says of sampling. */
enum b3_sampling { B3_DENY = 0, B3_ACCEPT = 1, B3_DEFER = 2 };

/* Eight bytes of sixteen hexadecimal digits. */
static __always_inline u64 parse_half(const u64 *text, u64 *bad)
{
	return parse_hex(text[0], bad) | parse_hex(text[1], bad) << 32;
}

/*
 * The trace's id of 16 or 32 digits at `trace`, and the span's at `span`, to where parse_traceparent puts them.
 * Gives whether they are valid.
 */
static __noinline u32 parse_b3_ids(u64 trace, u64 trace_len, u64 span, u64 *out)
{
	u64 text[4] = {}, span_text[2] = {}, bad = 0, ids[3];
	u32 len = trace_len == 32 ? 32 : 16;

	if ((trace_len != 16 && trace_len != 32) || bpf_probe_read_user(text, len, (void *)trace) ||
	    bpf_probe_read_user(span_text, sizeof(span_text), (void *)span))
		return 0;
	if (len == 16) {
		/* The upper half is zero. */
		ids[0] = 0;
		ids[1] = parse_half(text, &bad);
	} else {
		ids[0] = parse_half(text, &bad);
		ids[1] = parse_half(text + 2, &bad);
	}
	ids[2] = parse_half(span_text, &bad);
	if (bad || !(ids[0] | ids[1]) || !ids[2])
		return 0;
	out[0] = ids[0];
	out[1] = ids[1];
	out[3] = ids[2];
	return 1;
}

/* What a letter says of sampling; `d` is for debugging. */
static __always_inline u32 sampling_of(u8 letter)
{
	if (letter == '0' || letter == 'f')
		return B3_DENY;
	return letter == '1' || letter == 'd' || letter == 't' ? B3_ACCEPT : B3_DEFER;
}

static __always_inline u8 first_letter(struct go_string text)
{
	u8 letter = 0;

	if (text.len)
		bpf_probe_read_user(&letter, 1, (void *)text.ptr);
	return letter;
}

/*
 * {trace}-{span}-{sampling}-{parent}. The last two may be missing, and the sampling may stand alone. Gives
 * whether there are ids, as 256, and enum b3_sampling.
 */
static __noinline u32 parse_b3_single(u64 at, u64 *out)
{
	struct go_string value = read_string(at, 0);
	u64 digits = value.len >= 49 ? 32 : 16;
	u8 dashes[2] = {}, letter = 0;

	if (value.len == 1)
		return sampling_of(first_letter(value));
	/* With 64 bits the text has 33 letters at least; a parent adds 17 to either. */
	if (value.len >= 33)
		bpf_probe_read_user(dashes, 1, (void *)(value.ptr + 16));
	if (dashes[0] == '-')
		digits = 16;
	if (value.len < digits + 17 || bpf_probe_read_user(dashes, 1, (void *)(value.ptr + digits)) ||
	    dashes[0] != '-' || !parse_b3_ids(value.ptr, digits, value.ptr + digits + 1, out))
		return B3_DEFER;
	if (value.len > digits + 18)
		bpf_probe_read_user(&letter, 1, (void *)(value.ptr + digits + 18));
	return 256 | sampling_of(letter);
}

/* The value of a header, as the address of a Go string; 0 where there is none. */
static __always_inline u64 b3_of(const struct gt_process *proc, const struct server_state *state,
				 u32 which)
{
	u64 elem = header_elem(state->headers, proc->map_slots, proc->map_group_size, which);

	return elem ? values_of(elem).ptr : 0;
}

/* Parts of read_b3, for the room that they take: the ids of two headers, and the first letter of one. */
static __noinline u32 parse_b3_pair(u64 trace, u64 span, u64 *out)
{
	struct go_string text = read_string(trace, 0), span_text = read_string(span, 0);

	return span_text.len == 16 && parse_b3_ids(text.ptr, text.len, span_text.ptr, out) ? 256 : 0;
}

static __noinline u32 first_letter_at(u64 at)
{
	return first_letter(read_string(at, 0));
}

/*
 * Takes the trace context of B3 over, where the request that the goroutine of `g` serves has one. Gives whether
 * the caller wants nothing sampled. A global function, so that it is verified once.
 */
__noinline u32 read_b3(u64 g)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, parsed = B3_DEFER;
	struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);
	struct gt_key key = { .id = g };
	u64 single, trace, span, letter;
	struct server_state *state;

	if (!proc)
		return 0;
	key.instance = proc->instance;
	state = bpf_map_lookup_elem(&servers, &key);
	if (!state)
		return 0;
	single = b3_of(proc, state, B3_SINGLE);
	if (single) {
		parsed = parse_b3_single(single, (u64 *)state->trace_id);
	} else {
		trace = b3_of(proc, state, B3_TRACE);
		span = b3_of(proc, state, B3_SPAN);
		if (trace && span)
			parsed |= parse_b3_pair(trace, span, (u64 *)state->trace_id);
		letter = b3_of(proc, state, B3_SAMPLED);
		if (letter)
			parsed = (parsed & 256) | sampling_of(first_letter_at(letter));
		letter = b3_of(proc, state, B3_FLAGS);
		if (letter && first_letter_at(letter) == '1')
			parsed = (parsed & 256) | B3_ACCEPT;
		if ((trace || span) && !(parsed & 256))
			count_drop(GT_DROP_TRACEPARENT_INVALID);
	}
	if (parsed & 256)
		state->parent = GT_PARENT_REMOTE;
	/* Without ids it may still say that nothing is to be sampled. */
	if ((parsed & 255) == B3_DENY)
		state->trace_flags = 0;
	else if (parsed & 256)
		state->trace_flags = (parsed & 255) == B3_ACCEPT ?
					     1 :
					     begin_flags(proc, *(u64 *)(state->trace_id + 8));
	return (parsed & 255) == B3_DENY;
}

#endif
