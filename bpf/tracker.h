/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract of the goroutine tracker with user space, beside that of wire.h. Its Rust twin is
 * crates/wire/src/tracked.rs.
 */
#ifndef GOTAP_TRACKER_H
#define GOTAP_TRACKER_H

/* The constants of the one process that is tracked. */
struct gt_tracked {
	u32 tgid;
	u16 g_goid;
	u16 g_parent_goid; /* GT_NONE before Go 1.21 */
	u16 g_gopc;
	u16 g_startpc;
	u16 g_m;
	u16 m_curg;
	u16 new_g_register; /* where the site of a creation has the new g, by its x86 number */
	u16 exit_guarded; /* the site of an exit is the branch of the stack check */
	u32 pad;
};

enum gt_tracked_kind {
	GT_TRACKED_CREATED = 0,
	GT_TRACKED_EXITED = 1,
};

/* Per kind, one after the other: what was seen, and what no event tells. */
enum gt_tracked_counter {
	GT_TRACKED_SEEN = 0,
	GT_TRACKED_RING_FULL = 2,
	GT_TRACKED_UNREAD = 4,
	GT_TRACKED_COUNTERS = 6,
};

/* Bits of gt_tracked_event.unread: what could not be read, or is not kept by this Go version. */
enum gt_tracked_unread {
	GT_TRACKED_NO_PARENT = 1,
	GT_TRACKED_NO_CREATOR = 2,
	GT_TRACKED_NO_START = 4,
};

struct gt_tracked_event {
	u32 kind; /* enum gt_tracked_kind */
	u32 unread; /* enum gt_tracked_unread */
	u64 time_ns;
	u64 goid;
	u64 parent_goid;
	u64 created_at; /* behind the call that the `go` statement became */
	u64 start; /* the function that the goroutine begins with */
};

_Static_assert(sizeof(struct gt_tracked) == 24, "gt_tracked");
_Static_assert(sizeof(struct gt_tracked_event) == 48, "gt_tracked_event");

#endif
