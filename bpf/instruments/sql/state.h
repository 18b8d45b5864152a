/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Operations on databases that are under way. */
#ifndef GOTAP_SQL_STATE_H
#define GOTAP_SQL_STATE_H

/* A goroutine's operation on a database, under way or ended, written anew in place for the next. */
struct sql_call {
	u8 active;
	u8 again; /* an attempt failed for want of a connection, and the statement may try another */
	u8 pad[6];
	u64 text; /* where it could not be read at the start, and how long it is */
	u64 text_len;
	struct gt_sql_event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct gt_key);
	__type(value, struct sql_call);
} sql_calls SEC(".maps");

#endif
