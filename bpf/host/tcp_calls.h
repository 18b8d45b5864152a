/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A part of tcp.bpf.c: what system calls say of connections, accept(2) whose they are and connect(2) why it failed. */

/* The result of accept(2). */
static __always_inline void accepted(u64 fd)
{
	struct sock___h *sk = socket_of(fd);
	u64 key = (u64)sk;
	struct conn *conn, served = { .role = GT_TCP_SERVER };
	struct gt_tcp_event *event;
	u64 since = 0;

	if (!sk || !is_tcp(sk))
		return;
	own(&served);
	conn = bpf_map_lookup_elem(&tcp_conns, &key);
	if (conn) {
		since = conn->established_ns;
		conn->pid = served.pid;
		conn->role = GT_TCP_SERVER;
		__builtin_memcpy(conn->comm, served.comm, sizeof(conn->comm));
	} else if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE) {
		bpf_map_update_elem(&tcp_conns, &key, &served, BPF_ANY);
	}
	event = begin(GT_TCP_ACCEPTED, sk, &served);
	if (!event)
		return;
	lasted(event, since);
	send(event);
}

/* connect(2) that failed before a packet was sent: no route, no port, forbidden. */
static __always_inline void refused(u64 fd, u64 address, u64 length, u32 error)
{
	struct sock___h *sk = socket_of(fd);
	struct conn conn = { .role = GT_TCP_CLIENT };
	struct gt_tcp_event *event;
	u64 key = (u64)sk;
	struct {
		u16 family;
		u16 port;
		u32 ipv4; /* flow information of IPv6 */
		u8 ipv6[16];
	} to = {};

	if (!sk || !is_tcp(sk) || bpf_map_lookup_elem(&tcp_failed, &key)) {
		bpf_map_delete_elem(&tcp_failed, &key);
		return;
	}
	own(&conn);
	event = begin(GT_TCP_FAILED, sk, &conn);
	if (!event)
		return;
	event->error = error;
	event->flags |= GT_TCP_HAS_ERROR;
	if (length >= sizeof(to))
		bpf_probe_read_user(&to, sizeof(to), (void *)address);
	else if (length >= 8)
		bpf_probe_read_user(&to, 8, (void *)address);
	if (to.family == AF_INET) {
		mapped(event->peer, to.ipv4);
		event->peer_port = swapped(to.port);
	} else if (to.family == AF_INET6) {
		__builtin_memcpy(event->peer, to.ipv6, sizeof(event->peer));
		event->peer_port = swapped(to.port);
	}
	send(event);
}

#if defined(__TARGET_ARCH_x86)
#define NR_CONNECT 42
#define NR_ACCEPT 43
#define NR_ACCEPT4 288
#define USER32_CS 0x23
#else
#define NR_CONNECT 203
#define NR_ACCEPT 202
#define NR_ACCEPT4 242
#endif

SEC("raw_tp/sys_exit")
int tcp_syscall(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (void *)ctx->args[0];
	long result = ctx->args[1];
	u64 number = 0, args[3];

#if defined(__TARGET_ARCH_x86)
	struct {
		u64 dx, si, di, orig_ax, ip, cs;
	} saved;

	bpf_probe_read_kernel(&number, sizeof(number), &regs->orig_ax);
	if (number != NR_CONNECT && number != NR_ACCEPT && number != NR_ACCEPT4)
		return 0;
	bpf_probe_read_kernel(&saved, sizeof(saved), &regs->dx);
	/* Programs of 32 bits have other numbers. */
	if (saved.cs == USER32_CS)
		return 0;
	args[0] = saved.di;
	args[1] = saved.si;
	args[2] = saved.dx;
#else
	bpf_probe_read_kernel(&number, sizeof(number), &regs->regs[8]);
	if (number != NR_CONNECT && number != NR_ACCEPT && number != NR_ACCEPT4)
		return 0;
	bpf_probe_read_kernel(args, sizeof(args), &regs->regs[0]);
	/* The result stands where the first argument stood: connect(2) has no event here. */
	if (number == NR_CONNECT)
		return 0;
#endif
	if (number != NR_CONNECT) {
		if (result >= 0)
			accepted(result);
	} else if (result < 0 && result != -EINPROGRESS && result != -EALREADY &&
		   result != -EISCONN && result != -EINTR && result > -ERESTARTSYS) {
		refused(args[0], args[1], args[2], -result);
	}
	return 0;
}
