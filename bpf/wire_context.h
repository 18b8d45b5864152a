/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A part of wire.h: events of trace contexts beside spans. */
#ifndef GOTAP_WIRE_CONTEXT_H
#define GOTAP_WIRE_CONTEXT_H

/* A field of a tracestate: a request may have several, which are one list. */
struct gt_tracestate_event {
	struct gt_event_header header;
	__u8 span_id[8];
	__u16 len;
	__u8 pad[2];
	__u16 field; /* its number, from 0 on */
	__u16 fields; /* how many there are: the first 32 are sent, and 33 says more */
	char text[512];
};
_Static_assert(sizeof(struct gt_tracestate_event) == 536, "wire");

/* All of the trace `from`, which a served request began, belongs to the trace `to`. */
struct gt_moved_event {
	struct gt_event_header header;
	__u8 from[16] GT_WORDS;
	__u8 to[16] GT_WORDS;
	__u8 trace_flags; /* of `to` */
	__u8 pad[7];
};
_Static_assert(sizeof(struct gt_moved_event) == 48, "wire");

#endif
