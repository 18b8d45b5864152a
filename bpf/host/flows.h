/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract of the host's instruments with user space: flows through interfaces. Its Rust twin is
 * crates/host/src/raw.rs.
 */
#ifndef GOTAP_HOST_FLOWS_H
#define GOTAP_HOST_FLOWS_H

enum gt_flow_direction {
	GT_FLOW_INGRESS = 0,
	GT_FLOW_EGRESS = 1,
};

/* What goes one way between two ends. */
struct gt_flow_key {
	u32 ifindex;
	u16 source_port; /* 0: none, or a later fragment */
	u16 destination_port;
	u8 direction; /* enum gt_flow_direction */
	u8 version; /* of IP; 0: something else */
	u8 protocol; /* of IP's; 0 with something else */
	u8 pad;
	u8 source[16]; /* of IPv4 as ::ffff:a.b.c.d */
	u8 destination[16];
};

struct gt_flow_count {
	u64 packets; /* as they are on the wire */
	u64 bytes; /* of IP, with its header; of others the whole frame */
	u64 payload; /* behind the headers of TCP, UDP or ICMP; 0 if those are unknown */
};

struct gt_flow_total_key {
	u32 ifindex;
	u32 direction; /* enum gt_flow_direction */
};

/* Frames that came in, by XDP. */
struct gt_xdp_key {
	u32 ifindex;
	u16 ethertype;
	u8 protocol; /* of IP's */
	u8 size; /* 0: up to 64 bytes, 1: to 127, 255, 511, 1023, 1518, 6: more */
};

_Static_assert(sizeof(struct gt_flow_key) == 44, "gt_flow_key");
_Static_assert(sizeof(struct gt_xdp_key) == 8, "gt_xdp_key");

#endif
