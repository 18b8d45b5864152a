/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel's sockets, moved by CO-RE: addresses, counts, and the socket of a file descriptor.
 */
#ifndef GOTAP_HOST_SOCKETS_H
#define GOTAP_HOST_SOCKETS_H

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define SOCK_DONE 1

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common___h {
	unsigned int inum;
};

struct net___h {
	struct ns_common___h ns;
};

typedef struct {
	struct net___h *net;
} possible_net_t___h;

struct in6_addr___h {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common___h {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__u16 skc_dport;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t___h skc_net;
	struct in6_addr___h skc_v6_daddr;
	struct in6_addr___h skc_v6_rcv_saddr;
};

struct sock___h {
	struct sock_common___h __sk_common;
	struct socket___h *sk_socket;
	u16 sk_protocol;
	int sk_err;
	u8 sk_shutdown;
};

struct inet_sock___h {
	struct sock___h sk;
	__u16 inet_sport;
};

struct tcp_sock___h {
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 srtt_us;
	u32 total_retrans;
};

struct socket___h {
	struct sock___h *sk;
};

struct file___s {
	void *private_data;
};

struct fdtable___h {
	unsigned int max_fds;
	struct file___s **fd;
};

struct files_struct___h {
	struct fdtable___h *fdt;
};

struct task_struct___s {
	struct files_struct___h *files;
};

#pragma clang attribute pop

static __always_inline u16 swapped(u16 port)
{
	return __builtin_bswap16(port);
}

static __always_inline bool is_tcp(struct sock___h *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP &&
	       (family == AF_INET || family == AF_INET6);
}

/* ::ffff:a.b.c.d */
static __always_inline void mapped(u8 *to, u32 address)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

/* Both ends of a connection. A closed socket has its port in one place alone. */
static __always_inline void tell_ends(struct gt_tcp_event *event, struct sock___h *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&event->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&event->peer, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		mapped(event->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		mapped(event->peer, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	}
	event->local_port = swapped(BPF_CORE_READ((struct inet_sock___h *)sk, inet_sport));
	event->peer_port = swapped(BPF_CORE_READ(sk, __sk_common.skc_dport));
	event->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void tell_counts(struct gt_tcp_event *event, struct sock___h *sk)
{
	struct tcp_sock___h *tcp = (void *)sk;
	u64 received = BPF_CORE_READ(tcp, bytes_received);

	event->bytes_sent = BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
	/* The peer's FIN counts as a byte. */
	if (received && BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1)
		received--;
	event->bytes_received = received;
	event->rtt_us = BPF_CORE_READ(tcp, srtt_us) >> 3;
	event->retransmits = BPF_CORE_READ(tcp, total_retrans);
	event->flags |= GT_TCP_HAS_COUNTS;
}

/* The socket of a file descriptor of the current process, if it is one. */
static __always_inline struct sock___h *socket_of(u64 fd)
{
	struct task_struct___s *task = (void *)bpf_get_current_task();
	struct fdtable___h *table = BPF_CORE_READ(task, files, fdt);
	struct file___s **files = BPF_CORE_READ(table, fd), *file = NULL;
	struct socket___h *socket;
	struct sock___h *sk;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	/* Files of other kinds have other things there. */
	return sk && BPF_CORE_READ(sk, sk_socket) == socket ? sk : NULL;
}

#endif
