/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Events of connect: how its calls end. And its constants of a process. */
#ifndef GOTAP_CONNECT_CONTRACT_H
#define GOTAP_CONNECT_CONTRACT_H

/* Of the HTTP request that was answered by this response, after its event. */
#define GT_EVENT_CALL_END 13

/* How a call by connect ended that was made. */
struct gt_call_end_event {
	struct gt_event_header header;
	__u64 end_ns; /* CLOCK_MONOTONIC */
	__u64 response; /* address of its response's http.Header */
	__u64 subject; /* type descriptor of an error that has no code, else 0 */
	__u32 code;
	__u16 site; /* enum gt_call_site */
	__u16 message_len;
	__u32 unread, pad; /* bits of enum gt_unread */
	char message[128] GT_WORDS;
};
_Static_assert(sizeof(struct gt_call_end_event) == 176, "wire");

/* What a site of a client of connect stands for. */
enum gt_call_site {
	GT_CALL_ENDED = 0,
	GT_CALL_CLOSED = 1, /* the caller wants no more of a stream, whose end may have been seen */
};

/* connectrpc.com/connect */
struct gt_connect {
	__u64 error; /* type descriptor of *Error, 0 unknown */
	__u64 eof; /* address of io.EOF, 0 unknown */
};
_Static_assert(sizeof(struct gt_connect) == 16, "wire");

#endif
