/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The sampler: which stacks a process is found in, by a clock of each processor, or how long its threads are
 * off their processors. It counts by stack, and sends a stack to user space when it meets it first. An object of
 * its own, which is loaded when it is asked for. All that it does not tell, it counts.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "wire.h"
#include "go_abi.h"
#include "found_headers.h"
#include "served.h"
#include "span_of.h"
#include "sampler.h"
#include "unwind.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GT_STACKS);
	__type(key, u64);
	__type(value, struct gt_stack_count);
} stack_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} new_stacks SEC(".maps");

/* Samples that are sent one by one. User space sets the size. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} told_samples SEC(".maps");

/* By thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GT_THREADS);
	__type(key, u32);
	__type(value, struct gt_off);
} off_threads SEC(".maps");

/* What is used of the kernel's structures beyond vmlinux.h. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct thread_struct___sampler {
	unsigned long fsbase;
};

struct task_struct___sampler {
	int pid;
	int tgid;
	unsigned int flags;
	void *stack;
	void *mm;
	struct thread_struct___sampler thread;
};
#pragma clang attribute pop

/* Of asm/perf_event.h and linux/bpf_perf_event.h: fixed by the kernel's interface. */
struct bpf_perf_event_data {
	struct pt_regs regs;
	u64 sample_period;
	u64 addr;
};

enum bpf_func_id___sampler {
	BPF_FUNC_task_pt_regs___sampler = 175,
};

/* linux/sched.h */
#define PF_EXITING 4
/* Of x86-64 without KASAN; where the kernel tells the place itself, these are not used. */
#define KERNEL_STACK_BYTES 16384
#define BPF_NOEXIST 1

static const u32 zero;

/* What is known of a process, if it is sampled. */
static __always_inline struct gt_sampled *sampled_process(u32 tgid)
{
	return bpf_map_lookup_elem(&sampled, &tgid);
}

/* Whether the task runs the program that is sampled, and not another one since. */
static __always_inline bool runs_program(struct gt_sampled *proc, struct task_struct___sampler *task)
{
	u64 mm = (u64)BPF_CORE_READ(task, mm);

	/* At its end a task has no memory any more. */
	if (!mm)
		return false;
	if (!proc->mm)
		proc->mm = mm;
	return proc->mm == mm;
}

/* The registers of a task that is in the kernel, as they were when it entered it. */
static __always_inline void user_registers(struct gt_walk *walk)
{
#if defined(__TARGET_ARCH_x86)
	if (bpf_core_enum_value_exists(enum bpf_func_id___sampler,
				       BPF_FUNC_task_pt_regs___sampler)) {
		struct task_struct *task = bpf_get_current_task_btf();
		struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

		walk->pc = regs->ip;
		walk->sp = regs->sp;
	} else {
		struct task_struct___sampler *task = (void *)bpf_get_current_task();
		struct pt_regs *regs = BPF_CORE_READ(task, stack) + KERNEL_STACK_BYTES;

		bpf_probe_read_kernel(&walk->pc, sizeof(u64), &regs[-1].ip);
		bpf_probe_read_kernel(&walk->sp, sizeof(u64), &regs[-1].sp);
	}
#endif
}

static __always_inline struct gt_stack *begin_stack(const struct gt_sampled *proc)
{
	struct gt_stack *stack = bpf_map_lookup_elem(&stack_scratch, &zero);

	if (stack) {
		stack->hash = 0xcbf29ce484222325ULL ^ (u64)proc->target << 32;
		stack->target = proc->target;
		stack->pad = 0;
		stack->goid = 0;
		stack->check = proc->target;
		stack->flags = 0;
		stack->kernel = 0;
		stack->user = 0;
	}
	return stack;
}

static __always_inline void kernel_stack(void *ctx, struct gt_stack *stack)
{
	long bytes = bpf_get_stack(ctx, stack->frames, GT_KERNEL_FRAMES * sizeof(u64), 0);
	u32 count = bytes > 0 ? bytes / sizeof(u64) : 0;

	stack->flags |= GT_STACK_KERNEL;
	if (!count || count >= GT_KERNEL_FRAMES)
		stack->flags |= GT_STACK_KERNEL_CUT;
	stack->kernel = count;
	for (u32 i = 0; i < GT_KERNEL_FRAMES; i++) {
		if (i >= count)
			break;
		mix(stack, stack->frames[i]);
	}
}

static __always_inline void program_stack(const struct gt_sampled *proc, struct gt_stack *stack,
					  struct gt_walk *walk)
{
	struct task_struct___sampler *task = (void *)bpf_get_current_task();

	find_g(proc, walk, BPF_CORE_READ(task, thread.fsbase));
	if (proc->with_goids && walk->curg) {
		stack->goid = read_field(walk->curg, proc->g_goid);
		mix(stack, stack->goid);
	}
	walk_stack(proc, stack, walk);
	mix(stack, stack->flags);
}

/* Tells of a stack that is new, and adds to what is counted of it. Gives whether it is counted. */
static __always_inline bool add_stack(struct gt_stack *stack, u64 samples)
{
	struct gt_stack_count first = { .samples = samples, .check = stack->check };
	u64 hash = stack->hash;
	struct gt_stack_count *known = bpf_map_lookup_elem(&stack_counts, &hash);
	u32 frames = stack->kernel + stack->user;

	if (!known) {
		if (frames > GT_STACK_WORDS)
			frames = GT_STACK_WORDS;
		if (bpf_ringbuf_output(&new_stacks, stack,
				       __builtin_offsetof(struct gt_stack, frames) + 8 * frames,
				       BPF_RB_NO_WAKEUP)) {
			count_sampled(GT_SAMPLED_RING_FULL);
			return false;
		}
		if (!bpf_map_update_elem(&stack_counts, &hash, &first, BPF_NOEXIST))
			return true;
		/* Another processor was quicker, or there is no room. */
		known = bpf_map_lookup_elem(&stack_counts, &hash);
		if (!known) {
			count_sampled(GT_SAMPLED_STACKS_FULL);
			return false;
		}
	}
	if (known->check != stack->check) {
		count_sampled(GT_SAMPLED_COLLIDED);
		return false;
	}
	/* Of an addition of nothing clang makes an instruction that 5.10 does not know. */
	if (samples)
		__sync_fetch_and_add(&known->samples, samples);
	return true;
}

/* Tells of a sample whose stack is counted. */
static __always_inline void tell_sample(const struct gt_sampled *proc, struct gt_stack *stack, u64 g)
{
	struct gt_told told = { .hash = stack->hash, .time_ns = bpf_ktime_get_ns() };

	if (g) {
		const struct gt_descent of = DESCENT_OF(proc);
		struct server_state *state;

		told.goid = read_field(g, proc->g_goid);
		state = served_by(&of, g, told.goid);
		told.span_id = state ? state->span_id : 0;
	}
	if (bpf_ringbuf_output(&told_samples, &told, sizeof(told), BPF_RB_NO_WAKEUP))
		count_sampled(GT_SAMPLED_UNTOLD);
}

/* By the clock of a processor. */
SEC("perf_event")
int sample_cpu(struct bpf_perf_event_data *ctx)
{
	struct gt_sampled *proc = sampled_process(bpf_get_current_pid_tgid() >> 32);
	struct task_struct___sampler *task;
	struct gt_walk walk = {};
	struct gt_stack *stack;

	if (!proc)
		return 0;
	count_sampled(GT_SAMPLED_SEEN);
	task = (void *)bpf_get_current_task();
	if (!runs_program(proc, task)) {
		count_sampled(GT_SAMPLED_OTHER_PROGRAM);
		return 0;
	}
	stack = begin_stack(proc);
	if (!stack)
		return 0;
#if defined(__TARGET_ARCH_x86)
	if ((ctx->regs.cs & 3) == 3) {
		walk.pc = ctx->regs.ip;
		walk.sp = ctx->regs.sp;
	} else {
		kernel_stack(ctx, stack);
		user_registers(&walk);
	}
#endif
	program_stack(proc, stack, &walk);
	if (add_stack(stack, 1) && proc->with_spans)
		tell_sample(proc, stack, walk.curg);
	return 0;
}

/* The thread that runs leaves its processor. */
static __always_inline void goes_off(void *ctx, const struct gt_sampled *proc, u32 pid, bool preempted)
{
	struct gt_off off = { .since = bpf_ktime_get_ns() };
	struct gt_stack *stack = begin_stack(proc);
	struct gt_walk walk = {};

	if (!stack)
		return;
	kernel_stack(ctx, stack);
	user_registers(&walk);
	if (preempted)
		stack->flags |= GT_STACK_PREEMPTED;
	program_stack(proc, stack, &walk);
	if (!add_stack(stack, 0))
		return;
	off.hash = stack->hash;
	off.check = stack->check;
	if (bpf_map_update_elem(&off_threads, &pid, &off, BPF_ANY))
		count_sampled(GT_SAMPLED_THREADS_FULL);
}

static __always_inline void comes_back(u32 pid)
{
	struct gt_off *off = bpf_map_lookup_elem(&off_threads, &pid);
	struct gt_stack_count *known;
	u64 hash, now = bpf_ktime_get_ns();

	if (!off)
		return;
	hash = off->hash;
	known = bpf_map_lookup_elem(&stack_counts, &hash);
	if (known && now > off->since) {
		__sync_fetch_and_add(&known->samples, 1);
		__sync_fetch_and_add(&known->nanoseconds, now - off->since);
	}
	bpf_map_delete_elem(&off_threads, &pid);
}

/* sched_switch(preempt, previous task, next task, ...) */
SEC("raw_tp/sched_switch")
int sample_off_cpu(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct___sampler *previous = (void *)ctx->args[1], *next = (void *)ctx->args[2];
	struct gt_sampled *proc;

	if (sampled_process(BPF_CORE_READ(next, tgid)))
		comes_back(BPF_CORE_READ(next, pid));
	proc = sampled_process(BPF_CORE_READ(previous, tgid));
	if (!proc)
		return 0;
	if (BPF_CORE_READ(previous, flags) & PF_EXITING)
		return 0;
	count_sampled(GT_SAMPLED_SEEN);
	if (!runs_program(proc, previous)) {
		count_sampled(GT_SAMPLED_OTHER_PROGRAM);
		return 0;
	}
	goes_off(ctx, proc, BPF_CORE_READ(previous, pid), ctx->args[0] & 1);
	return 0;
}
