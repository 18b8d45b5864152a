/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Requests that fasthttp serves. */
#ifndef GOTAP_FASTHTTP_STATE_H
#define GOTAP_FASTHTTP_STATE_H

/* What fasthttp's request said at its start: it uses the memory again, also for what it sends on. */
struct fast_request {
	s64 size;
	u8 proto_major;
	u8 proto_minor;
	u16 flags; /* GT_HTTP_* */
	u16 method_len;
	u16 target_len;
	u16 host_len;
	u16 user_agent_len;
	u32 pad;
	char method[16] GT_WORDS;
	char host[112] GT_WORDS;
	char user_agent[128] GT_WORDS;
	char target[256] GT_WORDS;
};

/* As `servers`, by the address of the goroutine's structure. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct gt_key);
	__type(value, struct fast_request);
} fast_requests SEC(".maps");

#endif
