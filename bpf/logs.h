/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The contract of `logs.bpf.c` with user space. Its Rust twin is crates/wire/src/logged.rs. */
#ifndef GOTAP_LOGS_H
#define GOTAP_LOGS_H

/* Bytes of a text that are kept: most lines are short, and a record's size must be known to the verifier. */
#define GT_LOG_SHORT 512
#define GT_LOG_LONG 4096
/* Processes that are looked at. */
#define GT_LOG_PROCESSES 4096

/* Where a line is written. */
enum gt_log_stream {
	GT_LOG_STDOUT = 1,
	GT_LOG_STDERR = 2,
	GT_LOG_FILE = 3, /* a file that was opened for appending */
};

enum gt_log_counter {
	GT_LOG_WRITES = 0, /* to where lines are wanted from, by observed processes */
	GT_LOG_NO_SPAN = 1, /* by a goroutine that works for no request */
	GT_LOG_RING_FULL = 2,
	GT_LOG_TEXT_UNREAD = 3, /* what was written could not be read */
	GT_LOG_G_UNREAD = 4, /* nor which goroutine wrote */
	GT_LOG_COUNTERS = 5,
};

/* The constants of a process. GT_NONE stands for offsets that are not known. */
struct gt_logging {
	s64 tls_g; /* of the current g, from the thread pointer */
	u64 dial_conn; /* as in struct gt_descent */
	u64 dial_conn_size;
	u32 instance;
	u16 g_m;
	u16 m_curg;
	u16 g_goid;
	u16 g_parent_goid;
	u16 g_gopc;
	u16 pad;
};

/* A write, and what of its text was read behind it. */
struct gt_log {
	u64 time_ns; /* by the monotonic clock */
	u64 goid;
	u64 length; /* bytes that were written */
	u64 span_id;
	u8 trace_id[16];
	u32 instance;
	u32 text_len;
	u16 stream; /* enum gt_log_stream */
	u8 trace_flags;
	u8 unread; /* the text could not be read */
	u32 pad;
};

_Static_assert(sizeof(struct gt_logging) == 40, "gt_logging");
_Static_assert(sizeof(struct gt_log) == 64, "gt_log");

#endif
