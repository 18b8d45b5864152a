/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Both ends of a call between observed processes of this host. The caller's side notes its span under the
 * connection, and in HTTP/2 the stream, before the request is written; the side that serves finds it there
 * and goes on with its trace. Nothing is written into a process or onto the wire.
 *
 * A connection is known by the initial sequence numbers of both ends, which NAT, namespaces and TLS leave
 * alone; whatever ends TCP in between has connections of its own, so that nothing is joined through it.
 * docs/causality.md says more.
 */
#ifndef GOTAP_JOIN_H
#define GOTAP_JOIN_H

/* A key of no connection: it can't be joined. 0 is one that is not known yet. */
#define JOIN_NONE 1
/* Structures around a connection that are looked through: TLS, counters, limits. */
#define CONN_LAYERS 4
/* Slots of a connection with streams: one may take the place of another that is so many ahead. */
#define JOIN_SLOTS 256
/* Tries to read a pair of numbers that the kernel is changing. */
#define PAIR_TRIES 3

#define KERNEL_READ(to, from) bpf_probe_read_kernel(&(to), sizeof(to), &(from))

/* The span that makes a call. */
struct join {
	u64 conn; /* the key's: LRU maps give an entry to another key while somebody writes to it */
	u32 stream;
	u8 used;
	u8 trace_flags;
	u8 pad[2];
	u64 span_id;
	u64 trace_id[2];
};

struct join_key {
	u64 conn;
	u32 slot; /* 0 HTTP/1, else by stream */
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct join_key);
	__type(value, struct join);
} joins SEC(".maps");

/* Whether any call was noted: until then nothing is looked for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} joining SEC(".maps");

/* Keys of gRPC's connections, by the number that gRPC gives each, which never comes again. */
struct join_conn {
	u64 number;
	u64 key;
	u64 check; /* of all: two may write here at a time */
};

#define JOIN_CONNS 1024
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, JOIN_CONNS);
	__type(key, u32);
	__type(value, struct join_conn);
} join_conns SEC(".maps");

/* The attempt of a gRPC call that a goroutine is about to make. */
struct rpc_starting {
	u64 goid;
	u64 call;
	u64 attempt;
	u64 check;
};

#define RPC_STARTING 4096
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RPC_STARTING);
	__type(key, u32);
	__type(value, struct rpc_starting);
} rpc_starting SEC(".maps");

/*
 * The initial sequence numbers of `tcp`: those of its own end and of the other one. On the side that connected
 * the SYN is among the bytes that were acknowledged. Gives whether they could be read.
 */
static __always_inline bool sequences(struct tcp_sock *tcp, u32 *own, u32 *other)
{
	u64 acked, received, acked_again, received_again;
	u32 sent, next;

	for (int i = 0; i < PAIR_TRIES; i++) {
		if (KERNEL_READ(acked, tcp->bytes_acked) || KERNEL_READ(sent, tcp->snd_una) ||
		    KERNEL_READ(acked_again, tcp->bytes_acked) ||
		    KERNEL_READ(received, tcp->bytes_received) || KERNEL_READ(next, tcp->rcv_nxt) ||
		    KERNEL_READ(received_again, tcp->bytes_received))
			return false;
		if (acked == acked_again && received == received_again) {
			*own = sent - (u32)acked;
			*other = next - (u32)received;
			return true;
		}
	}
	return false;
}

/*
 * The key of the TCP connection that is file descriptor `fd` of the current process: the same at both ends.
 * `serves` says which one this is. JOIN_NONE for other files, 0 where it can't be read.
 */
static __always_inline u64 socket_key(u32 fd, u32 serves)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct files_struct *files = NULL;
	struct fdtable *table = NULL;
	struct file **slots = NULL, *file = NULL;
	struct socket *socket = NULL, *back = NULL;
	struct sock *sock = NULL;
	u32 count = 0, own, other;
	u16 protocol = 0;

	if (KERNEL_READ(files, task->files) || !files || KERNEL_READ(table, files->fdt) ||
	    KERNEL_READ(count, table->max_fds) || KERNEL_READ(slots, table->fd))
		return 0;
	/* -1: it is closed. */
	if (fd >= count)
		return JOIN_NONE;
	if (bpf_probe_read_kernel(&file, sizeof(file), slots + fd) || !file ||
	    KERNEL_READ(socket, file->private_data) || !socket || KERNEL_READ(sock, socket->sk) || !sock ||
	    KERNEL_READ(back, sock->sk_socket))
		return 0;
	/* A socket, and it speaks TCP. */
	if (back != socket || KERNEL_READ(protocol, sock->sk_protocol) || protocol != 6)
		return JOIN_NONE;
	if (!sequences((struct tcp_sock *)sock, &own, &other))
		return 0;
	return serves ? (u64)other << 32 | own : (u64)(own + 1) << 32 | other;
}

/* The same of a net.Conn, also one within others. A global function, so that it is verified once. */
__noinline u64 connection_key(u64 tab, u64 data, u32 serves)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, unread = 0;
	struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);

	for (u32 i = 0; proc && i < CONN_LAYERS; i++) {
		struct gt_key key = key_of(proc, dynamic_type(tab));
		struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);
		struct go_iface inner;
		u64 file, fd;

		if (!type)
			return key.id ? JOIN_NONE : 0;
		if (type->role == GT_TYPE_CONN) {
			file = read_noted(data + type->first, 1, &unread);
			fd = read_noted(file + type->second, 1, &unread);
			return unread ? 0 : socket_key(fd, serves);
		}
		if (type->role != GT_TYPE_CONN_VIA)
			return JOIN_NONE;
		inner = read_iface_noted(data + type->first, 1, &unread);
		if (unread)
			return 0;
		tab = inner.tab;
		data = inner.data;
	}
	return JOIN_NONE;
}

static __always_inline u64 join_conn_check(u64 number, u64 key, u32 owner)
{
	return (number * 0x9e3779b97f4a7c15ULL ^ key) + owner;
}

/*
 * The key of a connection of gRPC, whose transport is at `transport`. `serves` as above, and `conn` and `number`
 * are offsets in the transport.
 */
static __noinline u64 grpc_connection_key(const struct gt_process *proc, u64 transport, u32 serves)
{
	u16 conn_at = serves ? proc->join.grpc_server_conn : proc->join.grpc_client_conn;
	u64 number = read_field(transport, serves ? proc->instruments.grpc.server_number : proc->instruments.grpc.client_number);
	u32 owner = proc->instance * 2 + serves, slot = (number + owner * 0x9e3779b1U) & (JOIN_CONNS - 1);
	struct join_conn *known = bpf_map_lookup_elem(&join_conns, &slot);
	struct go_iface conn;
	u64 key;

	if (!known || conn_at == GT_NONE)
		return JOIN_NONE;
	key = known->key;
	if (number && known->number == number && known->check == join_conn_check(number, key, owner))
		return key;
	conn = read_iface(transport + conn_at);
	key = connection_key(conn.tab, conn.data, serves);
	if (!number || !key)
		return key;
	known->check = 0;
	known->number = number;
	known->key = key;
	known->check = join_conn_check(number, key, owner);
	return key;
}

static __always_inline struct join_key join_key_of(u64 conn, u32 stream)
{
	return (struct join_key){
		.conn = conn,
		.slot = stream ? 1 + (stream >> 1 & (JOIN_SLOTS - 1)) : 0,
	};
}

#endif
