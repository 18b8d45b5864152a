/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The one object that is loaded: every instrument is included here, so that they share maps and
 * one program can serve all sites of a process (uprobe_multi tells them apart by cookie). Where
 * the kernel has no uprobe_multi, each kind of probe has a program of its own.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "wire.h"
#include "go_abi.h"
#include "found_headers.h"
#include "maps.h"
#define GT_PART GT_STATE
#include "instruments.h"
#undef GT_PART
#include "registers.h"
#include "loaded.h"
#include "kernel_stack.h"
#include "net.h"
#include "sampling.h"
#include "headers.h"
#include "header_elem.h"
#include "telemetry.h"
#include "goroutines.h"
#include "goids.h"
#include "contexts.h"
#include "context_walk.h"
#include "allgs.h"
#include "causality.h"
#include "errors.h"
#include "http.h"
#include "tracecontext.h"
#include "b3.h"
#include "wanted.h"
#define GT_PART GT_STARTS
#include "instruments.h"
#undef GT_PART
#include "paths.h"
#include "join.h"
#include "join_served.h"
#include "http_server.bpf.c"
#include "http_server_event.h"
#include "http_server_end.bpf.c"
#include "http_client.bpf.c"
#include "join_calls.bpf.c"
#include "site.h"
#define GT_PART GT_CODE
#include "instruments.h"
#undef GT_PART
#include "call_start.h"

char LICENSE[] SEC("license") = "GPL";

/* The constants of the current process, if it is observed and the hit is one that counts. */
static __always_inline struct gt_process *observed(struct pt_regs *ctx, u32 probe)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);

	if (!proc) {
		keep_kernel_stack(ctx);
		return NULL;
	}
	count(&hits, proc->hits + probe);
	if (!(proc->guards[1] & GT_WAS_HIT))
		proc->guards[1] |= GT_WAS_HIT;
	if ((proc->guards[probe >> 6 & 1] & (1ULL << (probe & 63))) && GO_STACK_GROWS(ctx))
		return NULL;
	return proc;
}

static __always_inline int dispatch(struct pt_regs *ctx, u32 probe, bool with_calls)
{
	struct gt_process *proc = observed(ctx, probe);
	u32 which;

	if (!proc)
		return 0;
	which = unrelated(probe);
	switch (probe) {
#define SITE(handler) handler(ctx, proc, which)
#define CALL(handler) (with_calls ? call_start(ctx, proc, which) : 0)
#define CALL_LIKE(other) CALL(other)
#define JOIN(handler) (with_calls ? handler(ctx, proc, which) : 0)
#define PROBE(name, label, program, handler) \
	case GT_PROBE_##name:                \
		return is_loaded(GT_PROBE_##name) ? program(handler) : 0;
#include "probes.h"
#undef PROBE
#undef SITE
#undef CALL
#undef CALL_LIKE
#undef JOIN
	}
	return 0;
}

SEC("uprobe.multi")
int go_site(struct pt_regs *ctx)
{
	u64 probe = bpf_get_attach_cookie(ctx);

	return probe < GT_PROBE_COUNT ? dispatch(ctx, probe, false) : 0;
}

/*
 * Starts of calls, which have a program of their own: in one with all the rest the verifier of some kernels
 * goes through too many instructions.
 */
SEC("uprobe.multi")
int go_call(struct pt_regs *ctx)
{
	u64 probe = bpf_get_attach_cookie(ctx);
	struct gt_process *proc = probe < GT_PROBE_COUNT ? observed(ctx, probe) : NULL;

	return proc ? call_start(ctx, proc, unrelated(probe)) : 0;
}

/* Calls that have got their connection, in a program of their own for the same reason. */
SEC("uprobe.multi")
int go_join(struct pt_regs *ctx)
{
	u64 probe = bpf_get_attach_cookie(ctx);
	struct gt_process *proc = probe < GT_PROBE_COUNT ? observed(ctx, probe) : NULL;

	return proc ? join_call(ctx, proc, unrelated(probe)) : 0;
}

/* What the traps cost without any work: for the benchmark. */
SEC("uprobe.multi")
int go_site_empty(struct pt_regs *ctx)
{
	return 0;
}

#define PROBE(name, label, program, handler)             \
	SEC("uprobe")                                    \
	int probe_##label(struct pt_regs *ctx)           \
	{                                                \
		return dispatch(ctx, GT_PROBE_##name, true); \
	}
#include "probes.h"
#undef PROBE

static __always_inline int send_lifecycle(u16 kind, u32 tgid)
{
	struct gt_lifecycle_event event = {
		.header = { .kind = kind, .size = sizeof(event), .process = tgid },
		.time_ns = bpf_ktime_get_ns(),
	};

	if (bpf_ringbuf_output(&lifecycle, &event, sizeof(event), 0))
		count_drop(GT_DROP_LIFECYCLE_FULL);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	/* What was known of the program before holds no longer. */
	bpf_map_delete_elem(&processes, &tgid);
	return send_lifecycle(GT_EVENT_EXEC, tgid);
}

/*
 * Each thread exits; the process ends with the last one. The first thread's exit is no sign of it:
 * when another one calls execve, the kernel ends the first one and gives its id to the other.
 */
SEC("raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct signal_struct *signal = NULL;
	int live = 0;

	bpf_probe_read_kernel(&signal, sizeof(signal), &task->signal);
	bpf_probe_read_kernel(&live, sizeof(live), &signal->live);
	if (live > 0)
		return 0;
	bpf_map_delete_elem(&processes, &tgid);
	return send_lifecycle(GT_EVENT_EXIT, tgid);
}
