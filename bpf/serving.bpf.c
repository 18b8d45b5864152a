/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which requests are being served: an iterator over the tracing object's map, so that user space gets only
 * those that have taken long already, and not all that the map holds. An object of its own, which is loaded
 * when it is asked for. It attaches to no program and traps nothing.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "wire.h"
#include "go_abi.h"
#include "found_headers.h"
#include "served.h"
#include "serving.h"

char LICENSE[] SEC("license") = "GPL";

/* What is used of the kernel's structures beyond vmlinux.h. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};
#pragma clang attribute pop

/* Fixed by the kernel's interface. */
struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_serving_asked);
} serving_asked SEC(".maps");

SEC("iter/bpf_map_elem")
int tell_serving(struct bpf_iter__bpf_map_elem *ctx)
{
	const struct gt_key *key = ctx->key;
	const struct server_state *state = ctx->value;
	const struct gt_serving_asked *asked;
	struct gt_serving_head {
		u64 g, goid, start_ns, span_id;
		u32 instance, processors;
		u64 ended_ns, goidgen;
	} out = {};
	u32 zero = 0;

	if (!key || !state)
		return 0;
	asked = bpf_map_lookup_elem(&serving_asked, &zero);
	if (!asked || !state->active || !state->goid)
		return 0;
	out.start_ns = state->start_ns;
	if (out.start_ns + asked->younger_ns > bpf_ktime_get_ns())
		return 0;
	out.g = state->g;
	out.goid = state->goid;
	out.span_id = state->span_id;
	out.instance = key->instance;
	out.processors = state->processors;
	out.ended_ns = state->ended_ns;
	out.goidgen = state->goidgen;
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	bpf_seq_write(ctx->meta->seq, state->caches, sizeof(state->caches));
	return 0;
}

/* The same for counting: all of them, and what each was asked for. */
SEC("iter/bpf_map_elem")
int tell_active(struct bpf_iter__bpf_map_elem *ctx)
{
	const struct gt_key *key = ctx->key;
	const struct server_state *state = ctx->value;
	struct {
		u64 req;
		u32 instance;
		u8 request_kind, rpc, fast, pad;
	} out = {};

	_Static_assert(sizeof(state->request) == 8 * GT_REQUEST_WORDS, "request");
	if (!key || !state || !state->active || !state->goid)
		return 0;
	out.req = state->req;
	out.instance = key->instance;
	out.request_kind = state->request_kind;
	out.rpc = state->rpc;
	out.fast = state->fast;
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	bpf_seq_write(ctx->meta->seq, state->request, sizeof(state->request));
	return 0;
}
