/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The goroutine tracker: an event for each goroutine that is created or exits in one process. It is
 * an object of its own, which is loaded when it is asked for, and shares nothing with the
 * instruments that trace operations. All that it does not tell, it counts.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "wire.h"
#include "go_abi.h"
#include "registers.h"
#include "kernel_stack.h"
#include "tracker.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_tracked);
} tracked SEC(".maps");

/* Indexes: enum gt_tracked_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_TRACKED_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} tracked_counts SEC(".maps");

/* One for both kinds, so that a goroutine's creation is read before its exit. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} tracked_events SEC(".maps");

static __always_inline void count_tracked(u32 counter, u32 kind)
{
	u32 index = counter + kind;
	u64 *value = bpf_map_lookup_elem(&tracked_counts, &index);

	/* Programs of uprobes can be preempted. */
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* The constants, if the hit is in the process that is tracked. Old kernels let in others' hits. */
static __always_inline const struct gt_tracked *tracked_process(struct pt_regs *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	const struct gt_tracked *proc = bpf_map_lookup_elem(&tracked, &zero);

	if (!proc || proc->tgid != tgid) {
		keep_kernel_stack(ctx);
		return NULL;
	}
	return proc;
}

static __always_inline int tell(const struct gt_tracked *proc, u32 kind, u64 g, u64 creator)
{
	struct gt_tracked_event event = { .kind = kind, .time_ns = bpf_ktime_get_ns() };
	u32 no_goid = 0;

	count_tracked(GT_TRACKED_SEEN, kind);
	event.goid = read_field_noted(g, proc->g_goid, 1, &no_goid);
	if (no_goid || !event.goid) {
		count_tracked(GT_TRACKED_UNREAD, kind);
		return 0;
	}
	event.created_at = read_field_noted(g, proc->g_gopc, GT_TRACKED_NO_CREATOR, &event.unread);
	event.start = read_field_noted(g, proc->g_startpc, GT_TRACKED_NO_START, &event.unread);
	if (proc->g_parent_goid != GT_NONE)
		event.parent_goid = read_field_noted(g, proc->g_parent_goid, GT_TRACKED_NO_PARENT,
						     &event.unread);
	else if (creator)
		event.parent_goid = read_field_noted(creator, proc->g_goid, GT_TRACKED_NO_PARENT,
						     &event.unread);
	else
		event.unread |= GT_TRACKED_NO_PARENT;
	/* The reader looks by itself: to wake it would cost the target. */
	if (bpf_ringbuf_output(&tracked_events, &event, sizeof(event), BPF_RB_NO_WAKEUP))
		count_tracked(GT_TRACKED_RING_FULL, kind);
	return 0;
}

/* In runtime.newproc1, after the new goroutine's id is stored. It runs on the system stack. */
static __always_inline int created(struct pt_regs *ctx)
{
	const struct gt_tracked *proc = tracked_process(ctx);
	u64 creator = 0;

	if (!proc)
		return 0;
	if (proc->g_parent_goid == GT_NONE)
		creator = read_field(read_field(GO_G(ctx), proc->g_m), proc->m_curg);
	return tell(proc, GT_TRACKED_CREATED, x86_register(ctx, proc->new_g_register), creator);
}

/* At the entry of the function that takes a goroutine's structure out of use. */
static __always_inline int exited(struct pt_regs *ctx)
{
	const struct gt_tracked *proc = tracked_process(ctx);

	if (!proc || (proc->exit_guarded && GO_STACK_GROWS(ctx)))
		return 0;
	return tell(proc, GT_TRACKED_EXITED, GO_ARG0(ctx), 0);
}

SEC("uprobe.multi")
int tracked_created(struct pt_regs *ctx)
{
	return created(ctx);
}

SEC("uprobe.multi")
int tracked_exited(struct pt_regs *ctx)
{
	return exited(ctx);
}

/* The same where there is no uprobe_multi. */
SEC("uprobe")
int tracked_created_single(struct pt_regs *ctx)
{
	return created(ctx);
}

SEC("uprobe")
int tracked_exited_single(struct pt_regs *ctx)
{
	return exited(ctx);
}
