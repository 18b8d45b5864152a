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
#include "registers.h"
#include "kernel_stack.h"
#include "net.h"
#include "sampling.h"
#include "headers.h"
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
#include "grpc_start.h"
#include "fasthttp_start.h"
#include "paths.h"
#include "join.h"
#include "join_served.h"
#include "http_server.bpf.c"
#include "http_server_end.bpf.c"
#include "fasthttp.bpf.c"
#include "http_client.bpf.c"
#include "join_calls.bpf.c"
#include "grpc_conns.h"
#include "grpc_sent.h"
#include "grpc.bpf.c"
#include "sql.bpf.c"
#include "connect.bpf.c"
#include "redigo.h"
#include "redis.bpf.c"
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
	if (!(proc->guards & GT_WAS_HIT))
		proc->guards |= GT_WAS_HIT;
	if ((proc->guards & (1ULL << probe)) && GO_STACK_GROWS(ctx))
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
	case GT_PROBE_HTTP_SERVER_START:
	case GT_PROBE_HTTP2_STREAM_START:
	case GT_PROBE_XNET_SERVER_START:
	case GT_PROBE_GRPC_SERVER_START:
	case GT_PROBE_FASTHTTP_SERVER_START:
		return server_start(ctx, proc, which);
	case GT_PROBE_HTTP_SERVER_FINISH:
	case GT_PROBE_HTTP_SERVER_HIJACK:
	case GT_PROBE_HTTP_CONN_CLOSE:
	case GT_PROBE_HTTP2_SERVER_FINISH:
	case GT_PROBE_HTTP2_SERVER_PANIC:
	case GT_PROBE_XNET_SERVER_FINISH:
	case GT_PROBE_XNET_SERVER_PANIC:
		return server_end(ctx, proc, which);
	case GT_PROBE_FASTHTTP_SERVER_FINISH:
	case GT_PROBE_FASTHTTP_SERVER_HIJACK:
	case GT_PROBE_FASTHTTP_CONN_CLOSE:
		return fasthttp_end(ctx, proc, which);
	case GT_PROBE_HTTP_CLIENT_START:
	case GT_PROBE_XNET_CLIENT_START:
	case GT_PROBE_GRPC_CLIENT_START:
	case GT_PROBE_SQL_START:
	case GT_PROBE_REDIS_START:
		return with_calls ? call_start(ctx, proc, which) : 0;
	case GT_PROBE_HTTP_CLIENT_DONE:
	case GT_PROBE_HTTP_CLIENT_ALTERNATE:
	case GT_PROBE_HTTP_CLIENT_NO_CONN:
	case GT_PROBE_HTTP_CLIENT_CTX_DONE:
	case GT_PROBE_HTTP_CLIENT_REFUSED:
	case GT_PROBE_XNET_CLIENT_DONE:
		return client_end(ctx, proc, which);
	case GT_PROBE_GRPC_SERVER_STATUS:
	case GT_PROBE_GRPC_HANDLER_STATUS:
		return grpc_server_end(ctx, proc, which);
	case GT_PROBE_CONNECT_SERVER_END:
		return connect_server_end(ctx, proc);
	case GT_PROBE_CONNECT_CLIENT_END:
		return connect_client_end(ctx, proc);
	case GT_PROBE_GRPC_CLIENT_FINISH:
		return grpc_client_end(ctx, proc);
	case GT_PROBE_SQL_END:
		return sql_end(ctx, proc);
	case GT_PROBE_REDIS_END:
		return redis_end(ctx, proc);
	case GT_PROBE_HTTP_CLIENT_JOIN:
	case GT_PROBE_HTTP2_CLIENT_JOIN:
	case GT_PROBE_XNET_CLIENT_JOIN:
	case GT_PROBE_GRPC_CLIENT_JOIN:
		return with_calls ? join_call(ctx, proc, which) : 0;
	case GT_PROBE_NEW_GOROUTINE:
		return new_goroutine(ctx, proc);
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

#define PROGRAM(name, probe)                    \
	SEC("uprobe")                           \
	int name(struct pt_regs *ctx)           \
	{                                       \
		return dispatch(ctx, probe, true); \
	}

PROGRAM(probe_server_start, GT_PROBE_HTTP_SERVER_START)
PROGRAM(probe_server_finish, GT_PROBE_HTTP_SERVER_FINISH)
PROGRAM(probe_server_hijack, GT_PROBE_HTTP_SERVER_HIJACK)
PROGRAM(probe_conn_close, GT_PROBE_HTTP_CONN_CLOSE)
PROGRAM(probe_client_start, GT_PROBE_HTTP_CLIENT_START)
PROGRAM(probe_client_done, GT_PROBE_HTTP_CLIENT_DONE)
PROGRAM(probe_client_no_conn, GT_PROBE_HTTP_CLIENT_NO_CONN)
PROGRAM(probe_client_ctx_done, GT_PROBE_HTTP_CLIENT_CTX_DONE)
PROGRAM(probe_new_goroutine, GT_PROBE_NEW_GOROUTINE)
PROGRAM(probe_client_alternate, GT_PROBE_HTTP_CLIENT_ALTERNATE)
PROGRAM(probe_http2_finish, GT_PROBE_HTTP2_SERVER_FINISH)
PROGRAM(probe_http2_panic, GT_PROBE_HTTP2_SERVER_PANIC)
PROGRAM(probe_http2_stream, GT_PROBE_HTTP2_STREAM_START)
PROGRAM(probe_xnet_start, GT_PROBE_XNET_SERVER_START)
PROGRAM(probe_xnet_finish, GT_PROBE_XNET_SERVER_FINISH)
PROGRAM(probe_xnet_panic, GT_PROBE_XNET_SERVER_PANIC)
PROGRAM(probe_xnet_client, GT_PROBE_XNET_CLIENT_START)
PROGRAM(probe_xnet_done, GT_PROBE_XNET_CLIENT_DONE)
PROGRAM(probe_grpc_start, GT_PROBE_GRPC_SERVER_START)
PROGRAM(probe_grpc_status, GT_PROBE_GRPC_SERVER_STATUS)
PROGRAM(probe_grpc_handler, GT_PROBE_GRPC_HANDLER_STATUS)
PROGRAM(probe_grpc_client, GT_PROBE_GRPC_CLIENT_START)
PROGRAM(probe_grpc_finish, GT_PROBE_GRPC_CLIENT_FINISH)
PROGRAM(probe_sql_start, GT_PROBE_SQL_START)
PROGRAM(probe_sql_end, GT_PROBE_SQL_END)
PROGRAM(probe_redis_start, GT_PROBE_REDIS_START)
PROGRAM(probe_redis_end, GT_PROBE_REDIS_END)
PROGRAM(probe_fasthttp_start, GT_PROBE_FASTHTTP_SERVER_START)
PROGRAM(probe_fasthttp_finish, GT_PROBE_FASTHTTP_SERVER_FINISH)
PROGRAM(probe_fasthttp_hijack, GT_PROBE_FASTHTTP_SERVER_HIJACK)
PROGRAM(probe_fasthttp_close, GT_PROBE_FASTHTTP_CONN_CLOSE)
PROGRAM(probe_connect_end, GT_PROBE_CONNECT_SERVER_END)
PROGRAM(probe_connect_client, GT_PROBE_CONNECT_CLIENT_END)
PROGRAM(probe_client_refused, GT_PROBE_HTTP_CLIENT_REFUSED)
PROGRAM(probe_client_join, GT_PROBE_HTTP_CLIENT_JOIN)
PROGRAM(probe_http2_join, GT_PROBE_HTTP2_CLIENT_JOIN)
PROGRAM(probe_xnet_join, GT_PROBE_XNET_CLIENT_JOIN)
PROGRAM(probe_grpc_join, GT_PROBE_GRPC_CLIENT_JOIN)

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
