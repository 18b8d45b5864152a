/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * TCP connections of the whole host: an event when one is made, accepted or closed, or could not be made.
 *
 * Most changes of a socket's state are made by whoever handles a packet, so that the current process is
 * anybody. Whose a connection is, is noted where that is certain: connect(2) sets SYN_SENT, accept(2)
 * returns, and close(2) and shutdown(2) end the sending side.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "host/kernel.h"
#include "host/tcp.h"
#include "host/sockets.h"

char LICENSE[] SEC("license") = "GPL";

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
};

#define BOTH_SHUT_DOWN 3
#define EINTR 4
#define EPIPE 32
#define ECONNRESET 104
#define EISCONN 106
#define EALREADY 114
#define EINPROGRESS 115
#define ERESTARTSYS 512

/* Whether system calls are looked at, too: set before loading. */
const volatile bool with_syscalls = true;

/* What is remembered of an open connection. */
struct conn {
	u64 began_ns; /* SYN_SENT, or when a served one was established */
	u64 established_ns;
	u32 pid;
	u32 role;
	u8 comm[16];
	u64 retransmits; /* at least: those that had an event */
};

/* By the address of the kernel's socket; an entry goes when the socket is closed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct conn);
} tcp_conns SEC(".maps");

/* Sockets whose failure to connect has had its event: connect(2) will report the same failure again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u8);
} tcp_failed SEC(".maps");

/* Indexes: enum gt_tcp_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_TCP_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} tcp_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} tcp_events SEC(".maps");

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&tcp_counts, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Makes the current process the owner, unless it is a thread of the kernel's. */
static __always_inline void own(struct conn *conn)
{
	struct task_struct___h *task = (void *)bpf_get_current_task();

	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return;
	conn->pid = bpf_get_current_pid_tgid() >> 32;
	BPF_CORE_READ_STR_INTO(&conn->comm, task, group_leader, comm);
}

static __always_inline void remember(u64 key, const struct conn *conn)
{
	if (bpf_map_update_elem(&tcp_conns, &key, conn, BPF_ANY))
		count(GT_TCP_NOT_REMEMBERED);
}

static __always_inline struct gt_tcp_event *begin(u32 kind, struct sock___h *sk,
						  const struct conn *conn)
{
	struct gt_tcp_event *event;

	count(GT_TCP_EVENTS);
	event = bpf_ringbuf_reserve(&tcp_events, sizeof(*event), 0);
	if (!event) {
		count(GT_TCP_EVENTS_LOST);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->time_ns = bpf_ktime_get_ns();
	tell_ends(event, sk);
	if (conn) {
		event->pid = conn->pid;
		event->role = conn->role;
		__builtin_memcpy(event->comm, conn->comm, sizeof(event->comm));
	}
	return event;
}

static __always_inline void send(struct gt_tcp_event *event)
{
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline void lasted(struct gt_tcp_event *event, u64 since)
{
	if (!since)
		return;
	event->duration_ns = event->time_ns - since;
	event->flags |= GT_TCP_HAS_DURATION;
}

/* In connect(2), or in a send that connects. */
static __always_inline void connecting(struct sock___h *sk)
{
	struct conn conn = { .began_ns = bpf_ktime_get_ns(), .role = GT_TCP_CLIENT };
	u64 key = (u64)sk;

	own(&conn);
	bpf_map_delete_elem(&tcp_failed, &key);
	remember(key, &conn);
}

static __always_inline void established(struct sock___h *sk, int old)
{
	u64 key = (u64)sk, now = bpf_ktime_get_ns();
	struct conn *conn = bpf_map_lookup_elem(&tcp_conns, &key);
	struct conn served = { .began_ns = now, .established_ns = now, .role = GT_TCP_SERVER };
	struct gt_tcp_event *event;

	/* Two that connect to each other at once come from SYN_RECV, too. */
	if (old == TCP_SYN_SENT || (conn && conn->role == GT_TCP_CLIENT)) {
		if (conn)
			conn->established_ns = now;
		event = begin(GT_TCP_CONNECTED, sk, conn);
		if (!event)
			return;
		event->role = GT_TCP_CLIENT;
		lasted(event, conn ? conn->began_ns : 0);
		send(event);
		return;
	}
	if (conn) {
		/* It was accepted before its handshake was over. */
		conn->established_ns = now;
		return;
	}
	remember(key, &served);
	if (with_syscalls)
		return;
	event = begin(GT_TCP_ACCEPTED, sk, &served);
	if (event)
		send(event);
}

/* A connection that could not be made. */
static __always_inline void failed(struct sock___h *sk, const struct conn *conn)
{
	bool gave_up = BPF_CORE_READ(sk, sk_shutdown) == BOTH_SHUT_DOWN;
	int error = BPF_CORE_READ(sk, sk_err);
	struct gt_tcp_event *event;
	u64 key = (u64)sk;
	u8 one = 1;

	/* The end of the system call tells why. */
	if (!error && !gave_up && with_syscalls)
		return;
	bpf_map_update_elem(&tcp_failed, &key, &one, BPF_ANY);
	event = begin(GT_TCP_FAILED, sk, conn);
	if (!event)
		return;
	event->role = GT_TCP_CLIENT;
	tell_counts(event, sk);
	lasted(event, conn ? conn->began_ns : 0);
	event->error = error;
	if (error)
		event->flags |= GT_TCP_HAS_ERROR;
	else if (gave_up)
		event->flags |= GT_TCP_GAVE_UP;
	send(event);
}

static __always_inline void closed(struct sock___h *sk, int old)
{
	u64 key = (u64)sk;
	struct conn *found = bpf_map_lookup_elem(&tcp_conns, &key), conn = {};
	bool open = old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT;
	int error = BPF_CORE_READ(sk, sk_err);
	struct gt_tcp_event *event;

	if (found)
		conn = *found;
	bpf_map_delete_elem(&tcp_conns, &key);
	if (old == TCP_SYN_SENT) {
		failed(sk, found ? &conn : NULL);
		return;
	}
	if (old == TCP_SYN_RECV || old == TCP_LISTEN || old == TCP_CLOSE)
		return;
	/* The process that closes it ends it with a reset: nobody else closes one that is open. */
	if (open && !error && !conn.pid)
		own(&conn);
	event = begin(GT_TCP_CLOSED, sk, &conn);
	if (!event)
		return;
	tell_counts(event, sk);
	lasted(event, conn.established_ns);
	event->error = error;
	event->flags |= GT_TCP_HAS_ERROR;
	if (open && !error)
		event->flags |= GT_TCP_RESET_SENT;
	/* With FIN_WAIT1 and FIN_WAIT2 this may have been sent: data came that nobody reads. */
	if ((error == ECONNRESET || error == EPIPE) &&
	    (open || old == TCP_LAST_ACK))
		event->flags |= GT_TCP_RESET_RECEIVED;
	send(event);
}

/* In close(2) or shutdown(2) of whoever has the connection. */
static __always_inline void closing(struct sock___h *sk)
{
	u64 key = (u64)sk;
	struct conn *conn = bpf_map_lookup_elem(&tcp_conns, &key);
	struct conn unknown = {};

	if (conn) {
		if (!conn->pid)
			own(conn);
		return;
	}
	/* It is older than gotap, or was not remembered, which has been counted. */
	own(&unknown);
	bpf_map_update_elem(&tcp_conns, &key, &unknown, BPF_ANY);
}

SEC("raw_tp/inet_sock_set_state")
int tcp_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock___h *sk = (void *)ctx->args[0];
	int old = ctx->args[1], new = ctx->args[2];

	if (!is_tcp(sk))
		return 0;
	if (new == TCP_SYN_SENT)
		connecting(sk);
	else if (new == TCP_ESTABLISHED)
		established(sk, old);
	else if (new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK)
		closing(sk);
	else if (new == TCP_CLOSE)
		closed(sk, old);
	return 0;
}

#include "host/tcp_calls.h"

/* Another socket may come to lie there. */
SEC("raw_tp/tcp_destroy_sock")
int tcp_destroyed(struct bpf_raw_tracepoint_args *ctx)
{
	u64 key = ctx->args[0];

	bpf_map_delete_elem(&tcp_failed, &key);
	return 0;
}

SEC("raw_tp/tcp_retransmit_skb")
int tcp_retransmit(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock___h *sk = (void *)ctx->args[0];
	u32 all = BPF_CORE_READ((struct tcp_sock___h *)sk, total_retrans);
	u64 key = (u64)sk;
	struct gt_tcp_event *event;
	struct conn *conn;

	if (!sk || !is_tcp(sk))
		return 0;
	conn = bpf_map_lookup_elem(&tcp_conns, &key);
	/* Newer kernels tell of attempts, too, while what was sent before still waits in the host's queue. */
	if (conn && conn->retransmits == all)
		return 0;
	if (conn)
		conn->retransmits = all;
	event = begin(GT_TCP_RETRANSMITTED, sk, conn);
	if (!event)
		return 0;
	tell_counts(event, sk);
	send(event);
	return 0;
}
