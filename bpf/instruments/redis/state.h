/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Operations of clients of Redis that are under way. */
#ifndef GOTAP_REDIS_STATE_H
#define GOTAP_REDIS_STATE_H

/*
 * What a goroutine asks of Redis, under way or ended. What a client does meanwhile to set up a
 * connection is no operation of its own: it is counted as `nested`.  What redigo is asked for by Send
 * belongs to the connection instead, as its answers may be awaited after those of another one.
 */
struct redis_call {
	u8 active;
	u8 joins; /* redigo's Do: the connection's pipeline has the event of what it awaits */
	u8 listens; /* a connection's: it subscribes, so what it receives answers nothing */
	u8 multi; /* a pipeline's: the first command is MULTI, the last one EXEC */
	u8 exec;
	u8 failed; /* a connection's, with a pipeline */
	u8 pad[2];
	u32 nested;
	u32 pad2;
	u64 depth; /* of the stack at the start */
	u64 client; /* redigo's conn */
	u64 arg; /* where the name is, as an interface; 0 redigo */
	u64 commands; /* of a pipeline, an array of interfaces */
	u64 replies; /* redigo: still to come */
	struct gt_redis_event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct gt_key);
	__type(value, struct redis_call);
} redis_calls SEC(".maps");

#endif
