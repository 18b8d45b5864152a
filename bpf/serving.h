/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The contract of `serving.bpf.c` with user space. Its Rust twin is crates/wire/src/serving.rs. */
#ifndef GOTAP_SERVING_H
#define GOTAP_SERVING_H

/* What user space asks for. */
struct gt_serving_asked {
	u64 younger_ns; /* requests that began less long ago are left out */
};

/* A request that is being served. */
struct gt_serving {
	u64 g; /* the structure of the goroutine that serves it */
	u64 goid;
	u64 start_ns;
	u64 span_id;
	u32 instance;
	u32 processors; /* how many of `caches` are set */
	/* As in struct server_state: which goroutine ids were not given out yet when it started. */
	u64 ended_ns;
	u64 goidgen;
	u64 caches[GT_MAX_P];
};

/* Words of a request: REQUEST_BYTES of served.h. */
#define GT_REQUEST_WORDS 40

/* A request that is being served, to be counted. */
struct gt_active {
	u64 req; /* net/http's Request or fasthttp's RequestCtx */
	u32 instance;
	u8 request_kind; /* enum gt_request_kind */
	u8 rpc; /* 0: no remote procedure */
	u8 fast; /* fasthttp's */
	u8 pad;
	u64 request[GT_REQUEST_WORDS]; /* with fasthttp its header: as it was at the start */
};

_Static_assert(sizeof(struct gt_active) == 16 + 8 * GT_REQUEST_WORDS, "gt_active");
_Static_assert(sizeof(struct gt_serving) == 56 + 8 * GT_MAX_P, "gt_serving");

#endif
