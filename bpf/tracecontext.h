/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* W3C trace context that a served request brings: traceparent and tracestate. */
#ifndef GOTAP_TRACECONTEXT_H
#define GOTAP_TRACECONTEXT_H

/*
 * Eight hexadecimal digits to four bytes, in the order of memory; `bad` tells whether one of them is
 * none, or upper-case. Without a branch: the verifier of 5.10 goes each way at each digit.
 */
static __always_inline u64 parse_hex(u64 text, u64 *bad)
{
	const u64 ones = 0x0101010101010101ULL;
	u64 digits = (text & 15 * ones) + 9 * (text >> 6 & ones);
	u64 again = digits + '0' * ones + ('a' - '9' - 1) * ((digits + 6 * ones) >> 4 & ones);
	u64 bytes = (digits << 4 | digits >> 8) & 0x00ff00ff00ff00ffULL;

	*bad |= (digits & 0xf0 * ones) | (again ^ text);
	bytes = (bytes | bytes >> 8) & 0x0000ffff0000ffffULL;
	return (bytes | bytes >> 16) & 0xffffffff;
}

/* Eight characters of `words`, from byte `at` on. */
#define TEXT_AT(words, at)                                                                       \
	((words)[(at) / 8] >> (at) % 8 * 8 | (words)[(at) / 8 + 1] << (64 - (at) % 8 * 8))

/*
 * W3C trace context: version-traceid-parentid-flags. Gives whether it is valid. A function of its
 * own, whose stack is not that of the search for the header.
 */
static __noinline int parse_traceparent(u64 ptr, u64 len, struct server_state *state)
{
	u64 text[7] = {}, bad = 0, ids[3], ends;

	if (len < 55 || bpf_probe_read_user(text, 55, (void *)ptr))
		return 0;
	/* The first two and the last two digits. */
	ends = parse_hex((text[0] & 0xffff) | (text[6] >> 40 & 0xffff) << 16 |
			 (u64)0x30303030 << 32, &bad);
	ids[0] = parse_hex(TEXT_AT(text, 3), &bad) | parse_hex(TEXT_AT(text, 11), &bad) << 32;
	ids[1] = parse_hex(TEXT_AT(text, 19), &bad) | parse_hex(TEXT_AT(text, 27), &bad) << 32;
	ids[2] = parse_hex(TEXT_AT(text, 36), &bad) | parse_hex(TEXT_AT(text, 44), &bad) << 32;
	bad |= ((text[0] >> 16 & 0xff) ^ '-') | ((text[4] >> 24 & 0xff) ^ '-') |
	       ((text[6] >> 32 & 0xff) ^ '-');
	if (bad || !(ids[0] | ids[1]) || !ids[2])
		return 0;
	if ((ends & 0xff) == 0xff || (!(ends & 0xff) && len != 55))
		return 0;
	__builtin_memcpy(state->trace_id, ids, 16);
	state->parent_span_id = ids[2];
	state->trace_flags = ends >> 8;
	state->parent = GT_PARENT_REMOTE;
	return 1;
}

/* Sends the tracestate ahead of its span. */
static __noinline int send_tracestate(u64 span_id, u64 ptr, u64 len)
{
	struct gt_tracestate_event *event;
	struct go_string text = { .ptr = ptr, .len = len };

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	event->header.kind = GT_EVENT_TRACESTATE;
	event->header.size = sizeof(*event);
	event->header.process = 0;
	__builtin_memcpy(event->span_id, &span_id, 8);
	event->len = copy_bytes(event->text, sizeof(event->text), text);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 1;
}

/* A word, or a string, of the request as it was at its start. */
static __always_inline u64 request_u64(const struct server_state *state, u32 offset)
{
	return copied_u64(state->request, sizeof(state->request), offset);
}

static __always_inline struct go_string request_string(const struct server_state *state, u32 offset)
{
	return copied_string(state->request, sizeof(state->request), offset);
}

#endif
