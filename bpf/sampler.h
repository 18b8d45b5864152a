/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract of the sampler with user space, beside that of wire.h. Its Rust twin is
 * crates/wire/src/sampled.rs.
 */
#ifndef GOTAP_SAMPLER_H
#define GOTAP_SAMPLER_H

/* Frames that a sample keeps. */
#define GT_USER_FRAMES 256
#define GT_KERNEL_FRAMES 64
/* Words of a stack: a power of two, so that an index can be kept in bounds by a mask. */
#define GT_STACK_WORDS 512
/* Different stacks that are counted. */
#define GT_STACKS 65536
/* Threads that can be off their processors at once. */
#define GT_THREADS 16384
/* Processes that are sampled at once, and files whose tables are known. */
#define GT_TARGETS 1024
#define GT_TABLES 128
/* Bytes of code that one entry of the index stands for, as a shift; a row can start at each. */
#define GT_INDEX_SHIFT 8

/* What the walker does at an address: gt_row.step has it in its highest byte, and below it how far the
 * return address is from the stack pointer. */
enum gt_step {
	GT_STEP_UNKNOWN = 0,
	GT_STEP_DELTA = 1,
	GT_STEP_OUTERMOST = 2,
	GT_STEP_STOPS = 3,
	GT_STEP_SYSTEM_STACK = 4,
	GT_STEP_MORE_STACK = 5,
};

/* From `start` on, an offset from the start of the code, up to the next row. */
struct gt_row {
	u32 start;
	u32 step;
};

/* The constants of a process that is sampled. GT_NONE stands for offsets that are not known. */
struct gt_sampled {
	u32 target; /* which one it is among all that were ever sampled */
	u32 with_goids; /* samples of different goroutines are kept apart */
	u32 with_spans; /* send each sample by itself, with its request */
	u32 instance; /* of the process in the maps of served.h */
	u64 text;
	u64 etext;
	u64 tls_g; /* of the current g, from the thread pointer; 0 if it is not known */
	/* Where net/http starts what works for all users of a connection; size 0 if it does not. */
	u64 dial_conn;
	u64 dial_conn_size;
	u16 g_m;
	u16 g_goid;
	u16 g_stack_lo;
	u16 g_stack_hi;
	u16 g_sched_sp;
	u16 g_sched_pc;
	u16 g_syscallsp;
	u16 g_syscallpc;
	u16 m_curg;
	u16 m_vdso_sp;
	u16 m_vdso_pc;
	u16 g_parent_goid;
	u16 g_gopc;
	u16 m_g0;
	u32 table; /* where the tables of its file are */
	u64 mm; /* the program's address space; 0 until its first sample, which tells it */
};

enum gt_sampled_counter {
	GT_SAMPLED_SEEN = 0,
	/* No room in the ring buffer for a stack that is new. */
	GT_SAMPLED_RING_FULL = 1,
	/* There were GT_STACKS different ones already. */
	GT_SAMPLED_STACKS_FULL = 2,
	/* Two stacks have the same hash. */
	GT_SAMPLED_COLLIDED = 3,
	/* The process runs another program by now. */
	GT_SAMPLED_OTHER_PROGRAM = 4,
	/* More than GT_THREADS threads were off their processors. */
	GT_SAMPLED_THREADS_FULL = 5,
	/* No room in the ring buffer for which request a sample belongs to. */
	GT_SAMPLED_UNTOLD = 6,
	GT_SAMPLED_COUNTERS = 7,
};

/* Bits of gt_stack.flags. */
enum gt_stack_flag {
	/* There are more frames than are kept. */
	GT_STACK_DEEP = 1,
	/* The callers of the last frame are not known. */
	GT_STACK_BROKEN = 2,
	/* The first frame is C code, whose callers up to the next frame are not known. */
	GT_STACK_FROM_C = 4,
	/* The thread was in the kernel. */
	GT_STACK_KERNEL = 8,
	/* The kernel has more frames than are kept, or does not tell them. */
	GT_STACK_KERNEL_CUT = 16,
	/* The thread wanted to go on and had to leave its processor. */
	GT_STACK_PREEMPTED = 32,
};

/* A stack that is seen first. The kernel's frames come first, then those of the program, each from the
 * innermost on. */
struct gt_stack {
	u64 hash;
	u64 goid; /* 0 for none, or if it is not asked for */
	u32 check; /* of a second hash */
	u32 flags; /* enum gt_stack_flag */
	u32 kernel;
	u32 user;
	u32 target; /* that of its process */
	u32 pad;
	u64 frames[GT_STACK_WORDS];
};

/* How often a stack was seen, by its hash. */
struct gt_stack_count {
	u64 samples;
	u64 nanoseconds;
	u32 check;
	u32 pad;
};

/* A sample that is sent by itself. */
struct gt_told {
	u64 hash; /* of its stack */
	u64 span_id; /* of the request that it belongs to, 0 none */
	u64 goid; /* 0 for none */
	u64 time_ns; /* by the monotonic clock */
};

/* A thread that is off its processor. */
struct gt_off {
	u64 since;
	u64 hash;
	u32 check;
	u32 pad;
};

_Static_assert(sizeof(struct gt_row) == 8, "gt_row");
_Static_assert(sizeof(struct gt_sampled) == 96, "gt_sampled");
_Static_assert(sizeof(struct gt_told) == 32, "gt_told");
_Static_assert(sizeof(struct gt_stack) == 40 + 8 * GT_STACK_WORDS, "gt_stack");
_Static_assert(sizeof(struct gt_stack_count) == 24, "gt_stack_count");
_Static_assert(sizeof(struct gt_off) == 24, "gt_off");

#endif
