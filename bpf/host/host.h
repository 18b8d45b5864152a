/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract of the host's instruments with user space: events of processes. Its Rust twin is
 * crates/host/src/raw.rs. It shares nothing with wire.h.
 */
#ifndef GOTAP_HOST_H
#define GOTAP_HOST_H

enum gt_exec_kind {
	GT_EXEC_FORKED = 0,
	GT_EXEC_REPLACED = 1,
	GT_EXEC_ENDED = 2,
};

/* What is lost, or not seen. */
enum gt_exec_counter {
	GT_EXEC_FORKS = 0,
	GT_EXEC_EXECS = 1,
	GT_EXEC_EXITS = 2,
	GT_EXEC_FORKS_LOST = 3, /* the ring buffer was full */
	GT_EXEC_EXECS_LOST = 4,
	GT_EXEC_EXITS_LOST = 5,
	GT_EXEC_COUNTERS = 6,
};

/* Bits of gt_exec_event.flags. */
#define GT_EXEC_ARGV_CUT 1 /* there are more arguments than are here */
#define GT_EXEC_ARGV_UNREAD 2
#define GT_EXEC_PATH_CUT 4 /* the front of the path is missing */
#define GT_EXEC_PATH_UNREAD 8
#define GT_EXEC_CGROUP_CUT 16
#define GT_EXEC_CGROUP_UNREAD 32
#define GT_EXEC_CODE_UNREAD 64 /* how the process ended is not known */
#define GT_EXEC_NO_MOUNT 128 /* the file has no place in a file system, as a memfd */

/* Sizes of the parts behind the head of an event of kind GT_EXEC_REPLACED. */
#define GT_EXEC_PATH 768
#define GT_EXEC_CGROUP 512
#define GT_EXEC_ARGV_SMALL 256
#define GT_EXEC_ARGV_MIDDLE 1024
#define GT_EXEC_ARGV_LARGE 8192

/* The whole event of a fork or an exit; the head of the other kind. */
struct gt_exec_event {
	u32 kind; /* enum gt_exec_kind */
	u32 flags;
	u64 time_ns; /* CLOCK_MONOTONIC, as all times here */
	u64 start_ns; /* when the process was forked */
	u32 pid;
	u32 ppid;
	u32 uid;
	u32 exit_code; /* as wait(2) gives it */
	u16 path_len; /* names, each with a NUL behind it, the last component first */
	u16 cgroup_len; /* the same */
	u16 argv_len; /* arguments, each with a NUL behind it */
	u16 pad;
	u8 comm[16];
};

_Static_assert(sizeof(struct gt_exec_event) == 64, "gt_exec_event");

#endif
