/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What the search for headers finds. The search is in headers.h. */
#ifndef GOTAP_FOUND_HEADERS_H
#define GOTAP_FOUND_HEADERS_H

/*
 * Where the headers are that are looked for, 0 while not found: their map elements, and the values of
 * User-Agent where known. When all was looked at, the fields themselves, and how many there are: Go
 * strings, or of tracestate fasthttp's entries, which have others between them.
 */
struct found_headers {
	u64 traceparent, tracestate;
	union {
		u64 user_agent;
		u64 parents;
	};
	union {
		u64 agent_values;
		u64 states;
	};
	/* Where the search is: the array's next group, and how many follow; and the array that comes after it. */
	u64 next, left, older, older_left;
	u64 group_size;
};

#endif
