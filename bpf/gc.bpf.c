/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The observer of garbage collections: an event each time that the runtime lets goroutines run again, which
 * is twice a collection, with what the runtime has noted of it by then. An object of its own, which is loaded
 * when it is asked for. All that it does not tell, it counts.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "wire.h"
#include "go_abi.h"
#include "kernel_stack.h"
#include "gc.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_gc);
} collected SEC(".maps");

/* Indexes: enum gt_gc_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GT_GC_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} collected_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} collected_events SEC(".maps");

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&collected_counts, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* At the entry of runtime.startTheWorldWithSema, on the system stack. */
static __always_inline int starts_world(struct pt_regs *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	const struct gt_gc *proc = bpf_map_lookup_elem(&collected, &zero);
	struct gt_gc_event *event;

	if (!proc || proc->tgid != tgid) {
		keep_kernel_stack(ctx);
		return 0;
	}
	count(GT_GC_SEEN);
	event = bpf_ringbuf_reserve(&collected_events, sizeof(*event), 0);
	if (!event) {
		count(GT_GC_RING_FULL);
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->reason = GO_ARG1(ctx);
	event->stopped_at = GO_ARG2(ctx);
	event->unread = 0;
	event->pad = 0;
	for (u32 i = 0; i < GT_GC_WORDS; i++) {
		u64 value = 0;

		if (!proc->words[i] ||
		    bpf_probe_read_user(&value, sizeof(value), (void *)proc->words[i]))
			event->unread |= 1U << i;
		event->words[i] = value;
	}
	/* The reader looks by itself: to wake it would cost the target. */
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("uprobe.multi")
int world_starts(struct pt_regs *ctx)
{
	return starts_world(ctx);
}

/* The same where there is no uprobe_multi. */
SEC("uprobe")
int world_starts_single(struct pt_regs *ctx)
{
	return starts_world(ctx);
}
