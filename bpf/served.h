/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which requests goroutines serve, as other objects than the tracing one may look it up: the maps that both
 * share. Only the tracing object writes them.
 */
#ifndef GOTAP_SERVED_H
#define GOTAP_SERVED_H

/* Bytes of an http.Request that are read at once; every known version is smaller. */
#define REQUEST_BYTES 320

/* The strings of a request, still in the target. */
struct request_strings {
	struct go_string method, target, host, user_agent, route;
	u32 unread; /* bits of enum gt_unread, of what was looked for meanwhile */
	bool line; /* `target` starts with the method */
};

/* What a goroutine serves, written anew for each of its requests: see goroutines.h. */
struct server_state {
	u64 g; /* the goroutine's structure */
	u64 goid; /* 0: nobody's */
	u64 active; /* whether a request is being handled */
	u64 start_ns;
	u64 req;
	u64 resp;
	u64 rws; /* HTTP/2: the responseWriterState */
	u64 method; /* gRPC: what is called, still in the target */
	u64 method_len;
	u64 server; /* net/http: the http.Server, 0 unknown */
	u64 conn; /* HTTP/1: the key of the connection, see join.h; 0 not known yet */
	u64 user_agent;
	u32 user_agent_len;
	u16 flags; /* GT_HTTP_* */
	u8 parent; /* enum gt_parent */
	u8 trace_flags;
	u32 unread; /* bits of enum gt_unread, of what the start reads */
	u32 pad;
	u8 trace_id[16] GT_WORDS;
	u64 span_id;
	u64 parent_span_id;
	u64 headers; /* the map of what came along */
	u64 context; /* made for this request, 0 unknown */
	u64 context_mark; /* with net/http of the connection, the same for all its requests */
	u16 peer_len;
	u8 request_kind; /* enum gt_request_kind */
	u8 http2; /* enum gt_http2_kind plus one, 0 for HTTP/1 */
	u8 processors; /* how many of `caches` are set */
	u8 alone; /* the goroutine serves nothing else */
	u8 rpc; /* enum rpc_kind */
	u8 fast; /* fasthttp's: `req` is the RequestCtx, and the strings are in fast_requests */
	u64 ended_ns; /* when the goroutine's last request ended, 0: it serves one only */
	/* Goroutine ids that were not yet given out when the request started: with `caches`. */
	u64 goidgen;
	/* HTTP: the request as it was at the start, to be read field by field without a fault each. */
	u64 request[REQUEST_BYTES / 8];
	char peer[48] GT_WORDS;
	/* While the start looks for them. In a map, so that the verifier takes no value for a known one. */
	struct found_headers found;
	/* The same of the end, and the error that HTTP/2 closed the stream with. */
	struct request_strings strings;
	struct go_iface closed;
	u64 caches[GT_MAX_P];
};

/* Where a goroutine's structure is that has served. */
struct goroutine {
	u64 goid;
	u64 g;
};

/* What is known of a goroutine's descent; root 0 means that no request began it. */
struct lineage {
	u64 root; /* the structure of the goroutine that serves the request */
	u64 span_id;
};

/* By the address of the goroutine's structure. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct gt_key);
	__type(value, struct server_state);
} servers SEC(".maps");

/* By goroutine ids, which are given out in order: one takes the place of another one far behind. */
#define GOROUTINES 65536
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GOROUTINES);
	__type(key, u32);
	__type(value, struct goroutine);
} goroutines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct gt_key);
	__type(value, struct lineage);
} lineages SEC(".maps");

/* Whether goroutine `goid`, which the state's goroutine has started, belongs to its request. */
static __always_inline bool is_younger(const struct server_state *state, u64 goid)
{
	if (!state->ended_ns)
		return true;
	if (!state->goidgen)
		return false;
	if (goid > state->goidgen)
		return true;
	for (u32 i = 0; i < GT_MAX_P; i++) {
		u64 next = state->caches[i] >> 8;

		if (i >= state->processors)
			break;
		if (goid >= next && goid < next + (state->caches[i] & 0xff))
			return true;
	}
	return false;
}

#endif
