/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* All maps and the counters. Every map is bounded, and what does not fit is counted. */
#ifndef GOTAP_MAPS_H
#define GOTAP_MAPS_H

#include "served.h"

/* Bytes of a url.URL that are read at once and, up to where ContentLength ends, of an http.Response. */
#define URL_BYTES 128
#define RESPONSE_BYTES 96

/* What of gRPC a goroutine serves. */
enum rpc_kind {
	RPC_NONE = 0,
	RPC_STREAM = 1,
	RPC_IN_HTTP = 2, /* a stream that net/http serves: its request has the span */
};

/*
 * Which goroutine ids a process has not given out yet: the scheduler's counter, and what is left of
 * the batch of each processor, as its next id << 8 and how many. Taken when a request needs it and
 * used by all that start soon after.
 */
struct goid_marks {
	u64 time_ns; /* when taking them began, 0 while they are written */
	u64 owner; /* who wrote last */
	u64 goidgen;
	u32 processor_count; /* 0 until they are looked up */
	u32 pad;
	u64 processors[GT_MAX_P]; /* addresses of the runtime.p */
	u64 caches[GT_MAX_P];
};

/*
 * The client call of a goroutine, under way or ended. The entry is written anew in place for the
 * goroutine's next call; the oldest make room.
 */
struct client_state {
	struct gt_span span;
	u64 req;
	u8 resend;
	u8 phase; /* enum client_phase */
	u8 direct; /* begun in golang.org/x/net/http2, not in net/http */
	u8 pad[3];
	u16 flags; /* GT_HTTP_* */
	u64 request[REQUEST_BYTES / 8];
	u64 url[URL_BYTES / 8];
	u64 response[RESPONSE_BYTES / 8];
};

enum client_phase {
	CLIENT_IDLE = 0,
	CLIENT_ACTIVE = 1,
	CLIENT_FAILED = 2, /* the transport may try again */
};

/*
 * The context of a request, found again by whoever holds a context derived from it, also after the
 * request. Written without a lock: `check` tells a reader that the entry is whole.
 */
struct context_state {
	u64 context;
	u64 mark; /* tells the context from another one later at the same address */
	u64 span_id;
	u64 trace_id[2];
	u32 instance;
	u32 trace_flags; /* and above them what `inbound` of struct parent is */
	u64 check;
};

/* A set of the context table; and apart, since it is searched at each request, what lies where. */
#define CONTEXT_PAGE_BITS 7
#define CONTEXT_SETS (64 << CONTEXT_PAGE_BITS)
#define CONTEXT_WAYS 4
#define CONTEXT_ORDER 0x03020100

struct context_set {
	struct context_state ways[CONTEXT_WAYS];
};

struct context_tags {
	u32 contexts[CONTEXT_WAYS]; /* the address in units of 16 bytes, shortened */
	u32 order; /* a byte for each way, in the order of writing; zero stands for CONTEXT_ORDER */
	u32 pad;
};

/* Who a call's parent is, as far as it is known. */
struct parent {
	u8 trace_id[16] GT_WORDS;
	u64 span_id;
	u8 trace_flags;
	u8 how; /* enum gt_parent */
	u8 reused; /* found by a context that serves one request after the other */
	u8 lost; /* enum gt_drop of what may have cost the parent, 0 none */
	u32 inbound; /* mark_of_span of the span that the request itself is a child of, 0 none */
};

/* Words of a context.valueCtx. */
#define VALUE_WORDS 6

/* Contexts that wait until a walk has gone to the end of another one, a power of two. */
#define WALK_WAITING 4

/* A walk through contexts that is long, or forks: see context_walk.h. */
struct context_walk {
	struct parent parent; /* of the request that was found, by `span_id` */
	struct parent next; /* of one that is found now */
	u64 tab; /* the context that comes next */
	u64 data;
	u64 waiting[WALK_WAITING][2];
	u64 words[VALUE_WORDS]; /* a copy of a valueCtx */
	u32 waits; /* how many of those that wait */
	u32 pad;
};

/* Structures of goroutines that were used lately, in processes with many of them: see allgs.h. */
#define YOUNG_GS_BITS 8
#define YOUNG_GS (1 << YOUNG_GS_BITS)
struct young_gs {
	u64 gs[YOUNG_GS];
	u64 next; /* the index in the list of all at which a search goes on */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

/* Apart from the spans, so that a flood of them can't hide a process. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} lifecycle SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct gt_process);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct gt_key);
	__type(value, struct gt_type);
} go_types SEC(".maps");

/* By instance; user space removes an entry now and then, as GOMAXPROCS may change. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct goid_marks);
} marks SEC(".maps");

/* How many of those there are: the ones that were made, less the ones that user space removed. */
enum server_entries { GT_ENTRIES_MADE = 0, GT_ENTRIES_SWEPT = 1 };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, s64);
} server_entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct gt_key);
	__type(value, struct client_state);
} clients SEC(".maps");

/* By the address of the instruction. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct gt_key);
	__type(value, struct gt_site);
} sites SEC(".maps");

/* A set-associative table: an array is looked up in a tenth of the time of an LRU hash. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CONTEXT_SETS);
	__type(key, u32);
	__type(value, struct context_set);
} contexts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CONTEXT_SETS);
	__type(key, u32);
	__type(value, struct context_tags);
} context_tags SEC(".maps");

/* By instance. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, struct young_gs);
} young_gs SEC(".maps");

/* By thread, for as long as a program runs: the oldest make room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct context_walk);
} context_walks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_HIT_SLOTS * GT_PROBE_COUNT);
	__type(key, u32);
	__type(value, u64);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_DROP_COUNT);
	__type(key, u32);
	__type(value, u64);
} drops SEC(".maps");

/* Uprobe programs can be preempted, so even a per-CPU counter is added to atomically. */
static __always_inline void count(void *map, u32 index)
{
	u64 *value = bpf_map_lookup_elem(map, &index);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline void count_drop(enum gt_drop reason)
{
	count(&drops, reason);
}

/*
 * The value of `key`, made as a copy of `fresh` when there is none. NULL, and counted as `full`, when
 * there is no room for it.
 */
static __always_inline void *state_of(void *map, const struct gt_key *key, const void *fresh,
				      enum gt_drop full)
{
	void *state = bpf_map_lookup_elem(map, key);

	if (state)
		return state;
	if (bpf_map_update_elem(map, key, fresh, BPF_ANY)) {
		count_drop(full);
		return NULL;
	}
	return bpf_map_lookup_elem(map, key);
}

/*
 * A number that the verifier can't tell from `number`: where it has gone each way for one, it would
 * go on apart with each.
 */
static __always_inline u32 unrelated(u32 number)
{
	number <<= 1;
	asm volatile("" : "+r"(number));
	return number >> 1;
}

/* What the programs find out of a process: the one part of its constants that they write. */
static __always_inline struct gt_learned *learned_of(const struct gt_process *proc)
{
	return (struct gt_learned *)&proc->learned;
}

static __always_inline struct gt_key key_of(const struct gt_process *proc, u64 id)
{
	return (struct gt_key){ .id = id, .instance = proc->instance };
}

/*
 * Wake-ups are a main cost of a ring buffer. User space looks a few times a second anyway, so it is
 * woken only when so much waits that reading it would hold a processor for long.
 */
static __always_inline u64 wakeup_flags(void)
{
	u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

	return waiting > (256 << 10) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

#endif
