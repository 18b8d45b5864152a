/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract of the observer of garbage collections with user space, beside that of wire.h. Its Rust
 * twin is crates/wire/src/collection.rs.
 */
#ifndef GOTAP_GC_H
#define GOTAP_GC_H

/* Words of the runtime that an event has: user space says where they are and what they mean. */
#define GT_GC_WORDS 20

/* The constants of the one process that is observed. */
struct gt_gc {
	u32 tgid;
	u32 pad;
	u64 words[GT_GC_WORDS]; /* their addresses; 0 for what this Go version lacks */
};

enum gt_gc_counter {
	GT_GC_SEEN = 0,
	GT_GC_RING_FULL = 1,
	GT_GC_COUNTERS = 2,
};

/* The runtime lets the goroutines run again. */
struct gt_gc_event {
	u64 time_ns;
	u64 reason;	/* the second argument: since Go 1.22 why they were stopped */
	u64 stopped_at; /* the third one: since when, by the monotonic clock */
	u32 unread;	/* a bit for each word that is not there */
	u32 pad;
	u64 words[GT_GC_WORDS];
};

_Static_assert(sizeof(struct gt_gc) == 8 + 8 * GT_GC_WORDS, "gt_gc");
_Static_assert(sizeof(struct gt_gc_event) == 32 + 8 * GT_GC_WORDS, "gt_gc_event");

#endif
