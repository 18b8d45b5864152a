/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Calls of gRPC that are made, and its connections. */
#ifndef GOTAP_GRPC_STATE_H
#define GOTAP_GRPC_STATE_H

/* A call of gRPC that a client makes, with all its attempts, by the address of its clientStream. */
struct rpc_call {
	struct gt_span span;
	u8 attempts; /* before this one */
	u8 failed; /* an attempt has; another one may follow */
	u8 pad0[2];
	u32 code;
	u64 subject;
	u16 flags; /* GT_RPC_* */
	u16 message_len;
	u32 pad;
	char message[sizeof(((struct gt_rpc_event *)NULL)->message)] GT_WORDS;
};

/*
 * The part of each call that belongs to its connection. It is read for the first call. gRPC numbers
 * connections, and no number comes again.
 */
struct rpc_conn {
	u64 number; /* 0 none */
	u32 instance;
	u16 peer_port;
	u16 local_port;
	u8 peer_len;
	u8 local_len;
	u8 client;
	u8 pad[3];
	u16 target_len;
	u8 peer[16] GT_WORDS;
	u8 local[16] GT_WORDS;
	char target[sizeof(((struct gt_rpc_event *)NULL)->target)] GT_WORDS;
	u64 check; /* of all the rest: two may write here at a time */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct gt_key);
	__type(value, struct rpc_call);
} rpc_calls SEC(".maps");

/* Slots of rpc_conns, a power of two. Connections with the same slot replace each other. */
#define RPC_CONNS 1024

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RPC_CONNS);
	__type(key, u32);
	__type(value, struct rpc_conn);
} rpc_conns SEC(".maps");

#endif
