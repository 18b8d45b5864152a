/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The meter: how often one process reaches places in its code, from where, and with what argument. It counts in
 * the kernel and sends nothing; user space reads the counts at the end, and those of single requests all the
 * while. An object of its own, which is loaded when it is asked for. All that it does not count, it counts as lost.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "wire.h"
#include "go_abi.h"
#include "kernel_stack.h"
#include "found_headers.h"
#include "served.h"
#include "span_of.h"
#include "meter.h"
#include "meter_spans.h"

char LICENSE[] SEC("license") = "GPL";

/* The process that is metered. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} metered SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GT_METER_SITES);
	__type(key, u64);
	__type(value, struct gt_meter_site);
} meter_sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GT_METER_KEYS);
	__type(key, struct gt_meter_key);
	__type(value, struct gt_meter_value);
} meter_values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, GT_METER_STACKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, GT_METER_FRAMES * sizeof(u64));
} meter_stacks SEC(".maps");

/* What programs that tell requests apart know of the process. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_meter_served);
} metered_served SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GT_METER_REQUESTS);
	__type(key, struct gt_meter_request);
	__type(value, struct gt_meter_value);
} meter_requests SEC(".maps");

/* Indexes: enum gt_meter_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_METER_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} meter_counts SEC(".maps");

/* linux/bpf.h */
#define BPF_F_USER_STACK (1ULL << 8)
#define BPF_NOEXIST 1

/* What is needed to read spans. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_meter_spans);
} metered_spans SEC(".maps");

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&meter_counts, &counter);

	/* Programs of uprobes can be preempted. */
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Sizes in steps, so that those which Go takes for one class differ little. */
static __always_inline u64 in_steps(u64 size)
{
	if (size <= 1024)
		return (size + 7) & ~7ULL;
	if (size <= 32768)
		return (size + 127) & ~127ULL;
	return 32769;
}

static __always_inline void add(void *values, const void *key, u64 amount, u32 full)
{
	struct gt_meter_value one = { .count = 1, .amount = amount };
	struct gt_meter_value *value = bpf_map_lookup_elem(values, key);

	if (!value) {
		if (!bpf_map_update_elem(values, key, &one, BPF_NOEXIST))
			return;
		/* Another processor may have been first. */
		value = bpf_map_lookup_elem(values, key);
		if (!value) {
			count(full);
			return;
		}
	}
	__sync_fetch_and_add(&value->count, 1);
	__sync_fetch_and_add(&value->amount, amount);
}

/* For which request the goroutine of `g` does something. */
static __always_inline void own(const struct gt_meter_served *proc, struct gt_meter_request *key, u64 g)
{
	const struct gt_descent of = DESCENT_OF(proc);
	struct server_state *state;
	u32 unread = 0;
	u64 goid = 0;

	/* On a thread's own stack, g is not the goroutine that it works for. */
	g = read_field_noted(g, proc->g_m, 1, &unread);
	g = read_field_noted(g, proc->m_curg, 1, &unread);
	if (g)
		goid = read_field_noted(g, proc->g_goid, 1, &unread);
	if (unread) {
		key->owner = GT_OWNER_UNREAD;
		return;
	}
	state = g ? served_by(&of, g, goid) : NULL;
	if (state) {
		key->owner = GT_OWNER_REQUEST;
		key->span_id = state->span_id;
	}
}

static __always_inline void meter_request(const struct gt_meter_key *counted, u64 amount, u64 g)
{
	u32 zero = 0;
	const struct gt_meter_served *proc = bpf_map_lookup_elem(&metered_served, &zero);
	struct gt_meter_request key = { .value = counted->value, .operation = counted->operation };

	if (!proc || counted->caller - proc->inner < proc->inner_size)
		return;
	key.epoch = proc->epoch & 1;
	own(proc, &key, g);
	add(&meter_requests, &key, amount, GT_METER_REQUESTS_FULL);
}

static __always_inline int meter(struct pt_regs *ctx, bool by_request)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	const u32 *proc = bpf_map_lookup_elem(&metered, &zero);
	struct gt_meter_key key = { .stack = -1 };
	const struct gt_meter_site *site;
	u64 ip = GO_IP(ctx), g = GO_G(ctx), amount = 0;
	u64 first = GO_ARG0(ctx), second = GO_ARG1(ctx);

	/* Else clang chooses between the two before it reads, which the verifier refuses for the context. */
	asm volatile("" : "+r"(first), "+r"(second));
	if (!proc || *proc != tgid) {
		keep_kernel_stack(ctx);
		return 0;
	}
	site = bpf_map_lookup_elem(&meter_sites, &ip);
	if (!site || (site->flags & GT_METER_GUARDED && GO_STACK_GROWS(ctx)))
		return 0;
	count(GT_METER_SEEN);
	key.operation = site->operation;
#if defined(__TARGET_ARCH_x86)
	{
		u64 inner = ctx->sp, outer = ctx->bp + 8;

		asm volatile("" : "+r"(inner), "+r"(outer));
		/* Before a function's frame is made, its caller's is the current one. */
		key.caller = read_u64(site->flags & GT_METER_OUTER ? outer : inner);
	}
#endif
	if (site->flags & (GT_METER_SIZE | GT_METER_SECOND_SIZE)) {
		amount = site->flags & GT_METER_SIZE ? first : second;
		key.value = in_steps(amount);
	} else if (site->flags & GT_METER_FIRST) {
		key.value = first;
	} else if (site->flags & GT_METER_SECOND_BYTE) {
		key.value = second & 0xff;
	}
	if (site->flags & GT_METER_SPAN) {
		const struct gt_meter_spans *at = bpf_map_lookup_elem(&metered_spans, &zero);
		s64 served = at ? objects_served(at, first, second & 0xff) : -1;

		if (served <= 0) {
			if (served < 0)
				count(GT_METER_SPANS_UNREAD);
			return 0;
		}
		amount = served;
	}
	if (by_request)
		meter_request(&key, amount, g);
	if (site->flags & GT_METER_STACK) {
		key.stack = bpf_get_stackid(ctx, &meter_stacks, BPF_F_USER_STACK);
		if (key.stack < 0) {
			key.stack = -1;
			count(GT_METER_STACKS_LOST);
		}
	}
	add(&meter_values, &key, amount, GT_METER_KEYS_FULL);
	return 0;
}

SEC("uprobe.multi")
int metered_hit(struct pt_regs *ctx)
{
	return meter(ctx, false);
}

/* The same, and for which request. */
SEC("uprobe.multi")
int metered_served_hit(struct pt_regs *ctx)
{
	return meter(ctx, true);
}

/* The same where there is no uprobe_multi. */
SEC("uprobe")
int metered_hit_single(struct pt_regs *ctx)
{
	return meter(ctx, false);
}

SEC("uprobe")
int metered_served_hit_single(struct pt_regs *ctx)
{
	return meter(ctx, true);
}
