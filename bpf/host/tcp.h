/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract of the host's instruments with user space: TCP connections. Its Rust twin is
 * crates/host/src/raw.rs.
 */
#ifndef GOTAP_HOST_TCP_H
#define GOTAP_HOST_TCP_H

enum gt_tcp_kind {
	GT_TCP_CONNECTED = 0,
	GT_TCP_ACCEPTED = 1,
	GT_TCP_CLOSED = 2,
	GT_TCP_FAILED = 3,
	GT_TCP_RETRANSMITTED = 4,
};

enum gt_tcp_role {
	GT_TCP_UNKNOWN = 0,
	GT_TCP_CLIENT = 1,
	GT_TCP_SERVER = 2,
};

/* What there was, and what no event tells. */
enum gt_tcp_counter {
	GT_TCP_EVENTS = 0,
	GT_TCP_EVENTS_LOST = 1, /* the ring buffer was full */
	GT_TCP_NOT_REMEMBERED = 2, /* connections that did not fit into the map */
	GT_TCP_COUNTERS = 3,
};

/* Bits of gt_tcp_event.flags. */
#define GT_TCP_HAS_DURATION 1
#define GT_TCP_GAVE_UP 2 /* the program closed the socket before it was connected */
#define GT_TCP_RESET_RECEIVED 4
#define GT_TCP_RESET_SENT 8
#define GT_TCP_HAS_COUNTS 16 /* bytes, rtt and retransmits are known */
#define GT_TCP_HAS_ERROR 32 /* the error is known, where there is one */

struct gt_tcp_event {
	u32 kind; /* enum gt_tcp_kind */
	u32 flags;
	u64 time_ns; /* CLOCK_MONOTONIC */
	u64 duration_ns;
	u64 bytes_sent; /* data, without retransmissions */
	u64 bytes_received;
	u32 pid; /* 0: not known */
	u32 rtt_us; /* 0: not measured */
	u32 retransmits;
	u32 error; /* errno, 0: none */
	u32 netns; /* the inode of the network namespace */
	u32 role; /* enum gt_tcp_role */
	u16 local_port;
	u16 peer_port;
	u32 pad;
	u8 local[16]; /* of IPv6; of IPv4 as ::ffff:a.b.c.d */
	u8 peer[16];
	u8 comm[16]; /* the process's name, if its id is known */
};

_Static_assert(sizeof(struct gt_tcp_event) == 120, "gt_tcp_event");

#endif
