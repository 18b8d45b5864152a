/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * W3C trace context: traceparent and tracestate that a served request brings, and the traceparent that
 * the program itself gives a call. Whether a tracestate is valid, user space checks.
 */
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
 * W3C trace context: version-traceid-parentid-flags, as the Go string at `at`. Gives whether it is
 * valid, as 256 with the flags. `out` gets the trace's id as its first two words and the parent's as its
 * fourth, as they lie in server_state. A function of its own, whose stack is not that of the search for
 * the header.
 */
static __noinline u32 parse_traceparent(u64 at, u64 *out)
{
	struct go_string value = read_string(at, 0);
	u64 text[7] = {}, bad = 0, ids[3], ends;
	u32 more = value.len > 55;

	if (value.len < 55 || bpf_probe_read_user(text, 55 + (more & 1), (void *)value.ptr))
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
	/* Versions to come may say more, behind another dash. */
	if ((ends & 0xff) == 0xff || (more && (!(ends & 0xff) || text[6] >> 56 != '-')))
		return 0;
	out[0] = ids[0];
	out[1] = ids[1];
	out[3] = ids[2];
	/* Sampled, and of the version that is known that the trace id is random. */
	return 256 | (ends >> 8 & (ends & 0xff ? 1 : 3));
}

/* As many fields as there may be members; what has more is no list that is valid. */
#define MAX_STATE_FIELDS 32

/*
 * Sends a field of a tracestate ahead of its span: the Go string at `at`, which is the field of that
 * number among so many. A global function, so that it is verified once.
 */
__noinline int send_tracestate(u64 span_id, u64 at, u32 field, u32 fields)
{
	struct go_string text = read_string(at, 0);
	struct gt_tracestate_event *event;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	event->header.kind = GT_EVENT_TRACESTATE;
	event->header.size = sizeof(*event);
	event->header.process = 0;
	__builtin_memcpy(event->span_id, &span_id, 8);
	event->field = field;
	event->fields = fields > MAX_STATE_FIELDS ? MAX_STATE_FIELDS + 1 : fields;
	event->len = copy_bytes(event->text, sizeof(event->text), text);
	if (event->len == GT_TEXT_UNREAD)
		count_drop(GT_DROP_READ_FAULT);
	bpf_ringbuf_submit(event, wakeup_flags());
	return 1;
}

/* Sends all fields of a tracestate, an array of Go strings. Global for the same reason. */
__noinline int send_tracestates(u64 span_id, u64 values, u32 fields)
{
	for (u32 i = 0; i < MAX_STATE_FIELDS && i < fields; i++)
		send_tracestate(span_id, values + 16 * i, i, fields);
	return 0;
}

/* Tells that the trace which a request began is another one's, by what it asks others for. */
static __noinline int send_moved(const struct gt_process *proc, const struct parent *parent,
				 const u64 *trace_id, u8 flags)
{
	struct gt_moved_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_drop(GT_DROP_RING_FULL);
		return 0;
	}
	event->header.kind = GT_EVENT_MOVED;
	event->header.size = sizeof(*event);
	event->header.process = proc->instance;
	__builtin_memcpy(event->from, parent->trace_id, 16);
	__builtin_memcpy(event->to, trace_id, 16);
	event->trace_flags = flags;
	bpf_ringbuf_submit(event, wakeup_flags());
	return 0;
}

/* Where the value of a header is that has one field, whose values are at `elem`; else 0. */
static __always_inline u64 only_value(u64 elem)
{
	struct go_string values = values_of(elem);

	return values.len == 1 ? values.ptr : 0;
}

/*
 * Puts a call into the trace that the Go string at `value` names, as a child of the span that it names, since so does
 * who gets it. A proxy that passes on what came with its own request says nothing by it. If the request
 * that makes the call began a trace of its own, that one moves to the same.
 */
static __noinline int join_sent(const struct gt_process *proc, u64 value,
				const struct parent *parent, struct gt_span *span)
{
	u64 trace_id[4] = {}, span_id;
	u8 flags;
	u32 parsed = value ? parse_traceparent(value, trace_id) : 0;
	bool same;

	if (!parsed)
		return 0;
	flags = parsed;
	span_id = trace_id[3];
	same = trace_id[0] == *(u64 *)span->trace_id && trace_id[1] == *(u64 *)(span->trace_id + 8);
	if (same && parent->inbound && parent->inbound == mark_of_span(span_id))
		return 0;
	if (!same && parent->trace_flags & GT_TRACE_OWN)
		send_moved(proc, parent, trace_id, flags);
	__builtin_memcpy(span->trace_id, trace_id, 16);
	__builtin_memcpy(span->parent_span_id, &span_id, 8);
	span->trace_flags = flags | (span->trace_flags & GT_TRACE_TELEMETRY);
	span->parent = GT_PARENT_SENT;
	return 0;
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
