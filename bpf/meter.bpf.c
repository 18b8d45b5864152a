/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The meter: how often one process reaches places in its code, from where, and with what argument. It counts in
 * the kernel and sends nothing; user space reads the counts at the end. An object of its own, which is loaded
 * when it is asked for. All that it does not count, it counts as lost.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "wire.h"
#include "go_abi.h"
#include "kernel_stack.h"
#include "meter.h"

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

static __always_inline void add(const struct gt_meter_key *key, u64 amount)
{
	struct gt_meter_value one = { .count = 1, .amount = amount };
	struct gt_meter_value *value = bpf_map_lookup_elem(&meter_values, key);

	if (!value) {
		if (!bpf_map_update_elem(&meter_values, key, &one, BPF_NOEXIST))
			return;
		/* Another processor may have been first. */
		value = bpf_map_lookup_elem(&meter_values, key);
		if (!value) {
			count(GT_METER_KEYS_FULL);
			return;
		}
	}
	__sync_fetch_and_add(&value->count, 1);
	__sync_fetch_and_add(&value->amount, amount);
}

static __always_inline int meter(struct pt_regs *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	const u32 *proc = bpf_map_lookup_elem(&metered, &zero);
	struct gt_meter_key key = { .stack = -1 };
	const struct gt_meter_site *site;
	u64 ip = GO_IP(ctx), amount = 0;
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
	if (site->flags & GT_METER_STACK) {
		key.stack = bpf_get_stackid(ctx, &meter_stacks, BPF_F_USER_STACK);
		if (key.stack < 0) {
			key.stack = -1;
			count(GT_METER_STACKS_LOST);
		}
	}
	add(&key, amount);
	return 0;
}

SEC("uprobe.multi")
int metered_hit(struct pt_regs *ctx)
{
	return meter(ctx);
}

/* The same where there is no uprobe_multi. */
SEC("uprobe")
int metered_hit_single(struct pt_regs *ctx)
{
	return meter(ctx);
}
