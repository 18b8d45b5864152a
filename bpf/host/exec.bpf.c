/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Processes of the whole host: an event for each that is forked, runs a program, or ends. All that it
 * does not tell, it counts.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "host/kernel.h"
#include "host/host.h"
#include "host/names.h"

char LICENSE[] SEC("license") = "GPL";

/* Indexes: enum gt_exec_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_EXEC_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} exec_counts SEC(".maps");

/* One for all kinds, so that they are read in the order in which they happened. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} exec_events SEC(".maps");

struct ended {
	u64 start_ns;
	u64 pid;
};

/* Processes that ended just now: two threads may both find that they were the last one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct ended);
	__type(value, u8);
} exec_ended SEC(".maps");

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&exec_counts, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline void tell_head(struct gt_exec_event *event, u32 kind,
				      struct task_struct___h *task)
{
	event->kind = kind;
	event->flags = 0;
	event->time_ns = bpf_ktime_get_ns();
	event->start_ns = BPF_CORE_READ(task, group_leader, start_time);
	event->pid = BPF_CORE_READ(task, tgid);
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->exit_code = 0;
	event->path_len = event->cgroup_len = event->argv_len = event->pad = 0;
}

SEC("raw_tp/sched_process_fork")
int exec_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct___h *parent = (void *)ctx->args[0], *child = (void *)ctx->args[1];
	struct gt_exec_event *event;

	/* A thread. */
	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid) ||
	    BPF_CORE_READ(child, flags) & PF_KTHREAD)
		return 0;
	count(GT_EXEC_FORKS);
	event = bpf_ringbuf_reserve(&exec_events, sizeof(*event), 0);
	if (!event) {
		count(GT_EXEC_FORKS_LOST);
		return 0;
	}
	tell_head(event, GT_EXEC_FORKED, child);
	/* Whose program it runs, which is not always its parent. */
	event->ppid = BPF_CORE_READ(parent, tgid);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void tell_argv(struct gt_exec_event *event, char *to, u64 size, u64 from,
				      u64 length)
{
	if (length > size) {
		length = size;
		event->flags |= GT_EXEC_ARGV_CUT;
	}
	if (length && bpf_probe_read_user(to, length, (void *)from)) {
		event->flags |= GT_EXEC_ARGV_UNREAD;
		return;
	}
	event->argv_len = length;
}

/* Most command lines are short, and a record's size must be known to the verifier. */
#define TELL_EXEC(argv_size)                                                             \
	({                                                                               \
		struct {                                                                 \
			struct gt_exec_event head;                                       \
			char path[GT_EXEC_PATH];                                         \
			char cgroup[GT_EXEC_CGROUP];                                     \
			char argv[argv_size];                                            \
		} *event = bpf_ringbuf_reserve(&exec_events, sizeof(*event), 0);         \
		if (event) {                                                             \
			tell_head(&event->head, GT_EXEC_REPLACED, task);                 \
			bpf_get_current_comm(event->head.comm, sizeof(event->head.comm)); \
			tell_path(&event->head, event->path, mm);                        \
			tell_cgroup(&event->head, event->cgroup, task);                  \
			tell_argv(&event->head, event->argv, argv_size, from, length);   \
			bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);                     \
		}                                                                        \
		event != NULL;                                                           \
	})

SEC("raw_tp/sched_process_exec")
int exec_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct___h *task = (void *)ctx->args[0];
	struct mm_struct___h *mm = BPF_CORE_READ(task, mm);
	u64 from = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
	u64 length = end > from ? end - from : 0;
	bool told;

	count(GT_EXEC_EXECS);
	if (length <= GT_EXEC_ARGV_SMALL)
		told = TELL_EXEC(GT_EXEC_ARGV_SMALL);
	else if (length <= GT_EXEC_ARGV_MIDDLE)
		told = TELL_EXEC(GT_EXEC_ARGV_MIDDLE);
	else
		told = TELL_EXEC(GT_EXEC_ARGV_LARGE);
	if (!told)
		count(GT_EXEC_EXECS_LOST);
	return 0;
}

/* What wait(2) gives the parent. */
static __always_inline void tell_code(struct gt_exec_event *event, struct task_struct___h *task,
				      struct signal_struct___h *signal)
{
	struct task_struct___h *leader = BPF_CORE_READ(task, group_leader);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT) {
		event->exit_code = BPF_CORE_READ(signal, group_exit_code);
		return;
	}
	event->exit_code = BPF_CORE_READ(leader, exit_code);
	/* It is about to end, too, and may not have noted its code yet. */
	if (leader != task && !BPF_CORE_READ(leader, exit_state) && !event->exit_code)
		event->flags |= GT_EXEC_CODE_UNREAD;
}

/*
 * Each thread exits; the process ends with the last one. The first thread's exit is no sign of it:
 * when another one calls execve, the kernel ends the first one and gives its id to the other.
 */
SEC("raw_tp/sched_process_exit")
int exec_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct___h *task = (void *)ctx->args[0];
	struct signal_struct___h *signal = BPF_CORE_READ(task, signal);
	struct gt_exec_event *event;
	struct ended ended;
	u8 one = 1;

	if (BPF_CORE_READ(signal, live.counter) > 0 || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return 0;
	ended.start_ns = BPF_CORE_READ(task, group_leader, start_time);
	ended.pid = BPF_CORE_READ(task, tgid);
	if (bpf_map_update_elem(&exec_ended, &ended, &one, BPF_NOEXIST) == -17 /* EEXIST */)
		return 0;
	count(GT_EXEC_EXITS);
	event = bpf_ringbuf_reserve(&exec_events, sizeof(*event), 0);
	if (!event) {
		count(GT_EXEC_EXITS_LOST);
		return 0;
	}
	tell_head(event, GT_EXEC_ENDED, task);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	tell_code(event, task, signal);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
