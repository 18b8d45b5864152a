/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * A part of the contract: headers of served requests that the user asks for by name, and the event that
 * tells a value of one. How they are found is in wanted.h.
 */
#ifndef GOTAP_WANTED_HEADERS_H
#define GOTAP_WANTED_HEADERS_H

#define GT_WANTED_HEADERS 8
#define GT_WANTED_WORDS 4

/* A name in lower case, with spaces behind it: at most 31 bytes. */
struct gt_wanted_name {
	__u64 len;
	__u64 text[GT_WANTED_WORDS];
};
_Static_assert(sizeof(struct gt_wanted_name) == 40, "wire");

/* The user's choice, the only entry of the map `wanted_headers`. */
struct gt_wanted {
	__u32 count;
	__u32 pad;
	struct gt_wanted_name names[GT_WANTED_HEADERS];
};
_Static_assert(sizeof(struct gt_wanted) == 328, "wire");

/* GT_EVENT_HEADER: one value of a header of the request with this span id, whose event follows. */
struct gt_header_event {
	struct gt_event_header header;
	__u8 span_id[8] GT_WORDS;
	__u16 len;
	__u16 name; /* index of its name */
	__u8 pad[4];
	char text[256] GT_WORDS;
};
_Static_assert(sizeof(struct gt_header_event) == 280, "wire");

#endif
