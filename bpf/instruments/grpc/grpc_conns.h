/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the calls on a connection of gRPC have in common: both ends, and what a client dialled. Read for
 * the first call and remembered, as it would be half of all reads of a call.
 */
#ifndef GOTAP_GRPC_CONNS_H
#define GOTAP_GRPC_CONNS_H

/* Texts up to here go by way of the stack, see copy_small. */
#define SHORT_TEXT 64
/* Copies a string into the slot `name` of `event`. */
#define FILL_RPC(event, name, from)                                                     \
	((event)->name##_len =                                                          \
		 (from).len <= SHORT_TEXT ? copy_short_text((event)->name, &(from)) :   \
					    copy_bytes((event)->name, sizeof((event)->name), from))

/* A function of its own, for the stack's sake. */
static __noinline u32 copy_short_text(char *to, const struct go_string *from)
{
	return copy_small(to, SHORT_TEXT, *from);
}

/* Both ends of a server's connection, whose addresses are of one type and mostly neighbours. */
static __always_inline void copy_ends(const struct gt_process *proc, u64 transport,
				      struct gt_rpc_event *event)
{
	struct go_iface ends[2] = {};

	if (read_object(ends, sizeof(ends), transport + proc->instruments.grpc.transport_peer)) {
		event->peer_len = GT_ADDRESS_UNREAD;
		return;
	}
	event->peer_len = copy_address(proc, ends[0], event->peer, &event->peer_port);
	if (!event->peer_len || proc->instruments.grpc.transport_local == GT_NONE)
		return;
	if (proc->instruments.grpc.transport_local != proc->instruments.grpc.transport_peer + sizeof(ends[0]))
		ends[1] = read_iface(transport + proc->instruments.grpc.transport_local);
	if (ends[1].tab == ends[0].tab)
		event->local_len = copy_tcp_address(proc, ends[1].data, event->local,
						    &event->local_port);
}

/* What a client's call dialled, and the other end. */
static __always_inline void copy_target(const struct gt_process *proc, u64 transport, u64 call,
					struct gt_rpc_event *event)
{
	struct go_string target = read_text(read_field(call, proc->instruments.grpc.call_cc),
					    proc->instruments.grpc.cc_target);
	struct go_iface peer;
	u32 unread = 0;

	FILL_RPC(event, target, target);
	if (!transport || proc->instruments.grpc.client_peer == GT_NONE)
		return;
	peer = read_iface_noted(transport + proc->instruments.grpc.client_peer, 1, &unread);
	event->peer_len = unread ? GT_ADDRESS_UNREAD :
				   copy_address(proc, peer, event->peer, &event->peer_port);
}

static __always_inline u64 mix(u64 sum, u64 word)
{
	return (sum << 7 | sum >> 57) ^ word;
}

/* Of all that an entry says of a connection. */
static __always_inline u64 conn_check(u64 number, u32 instance, bool client,
				      const struct gt_rpc_event *event)
{
	const u64 *peer = (const u64 *)event->peer, *local = (const u64 *)event->local;
	const u64 *target = (const u64 *)event->target;
	u64 sum = mix(number, instance) + 1;

	sum = mix(sum, (u64)event->peer_port << 16 | event->local_port);
	sum = mix(sum, (u64)event->peer_len << 32 | (u64)event->local_len << 24 | event->target_len);
	sum = mix(mix(mix(mix(sum, peer[0]), peer[1]), local[0]), local[1]);
	if (client) {
		for (u32 i = 0; i < sizeof(event->target) / 8; i++)
			sum = mix(sum, target[i]);
	}
	return sum;
}

static __always_inline struct rpc_conn *conn_slot(const struct gt_process *proc, u64 number, u8 client)
{
	u32 slot = (number * 2 + client + proc->instance * 0x9e3779b1U) & (RPC_CONNS - 1);

	return bpf_map_lookup_elem(&rpc_conns, &slot);
}

/* Takes over what is known of a connection; gives whether it is known. */
static __noinline int recall_conn(const struct gt_process *proc, u64 number, u8 client,
				  struct gt_rpc_event *event)
{
	struct rpc_conn *known = conn_slot(proc, number, client);

	if (!number || !known || known->number != number || known->instance != proc->instance ||
	    known->client != client)
		return 0;
	event->peer_port = known->peer_port;
	event->local_port = known->local_port;
	event->peer_len = known->peer_len;
	event->local_len = known->local_len;
	event->target_len = known->target_len;
	__builtin_memcpy(event->peer, known->peer, sizeof(event->peer));
	__builtin_memcpy(event->local, known->local, sizeof(event->local));
	if (client)
		__builtin_memcpy(event->target, known->target, sizeof(event->target));
	/* Whole, and not of two who wrote at a time. */
	return known->check == conn_check(number, proc->instance, client, event);
}

static __noinline int remember_conn(const struct gt_process *proc, u64 number, u8 client,
				    const struct gt_rpc_event *event)
{
	struct rpc_conn *slot = conn_slot(proc, number, client);

	if (!number || !slot || event->target_len == GT_TEXT_UNREAD ||
	    event->peer_len == GT_ADDRESS_UNREAD || event->local_len == GT_ADDRESS_UNREAD)
		return 0;
	slot->check = 0;
	slot->number = number;
	slot->instance = proc->instance;
	slot->client = client;
	slot->peer_port = event->peer_port;
	slot->local_port = event->local_port;
	slot->peer_len = event->peer_len;
	slot->local_len = event->local_len;
	slot->target_len = event->target_len;
	__builtin_memcpy(slot->peer, event->peer, sizeof(slot->peer));
	__builtin_memcpy(slot->local, event->local, sizeof(slot->local));
	if (client)
		__builtin_memcpy(slot->target, event->target, sizeof(slot->target));
	slot->check = conn_check(number, proc->instance, client, event);
	return 0;
}

/* Fills what the calls on a connection have in common; `transport` is the connection, 0 none. */
static __noinline int fill_conn(const struct gt_process *proc, u64 transport, u64 call,
				struct gt_rpc_event *event)
{
	u8 client = call != 0;
	u16 at = client ? proc->instruments.grpc.client_number : proc->instruments.grpc.server_number;
	u64 number = transport ? read_field(transport, at) : 0;

	if (recall_conn(proc, number, client, event))
		return 0;
	event->peer_len = 0;
	event->local_len = 0;
	event->target_len = 0;
	event->peer_port = 0;
	event->local_port = 0;
	if (client)
		copy_target(proc, transport, call, event);
	else if (proc->instruments.grpc.transport_peer != GT_NONE)
		copy_ends(proc, transport, event);
	return remember_conn(proc, number, client, event);
}

#endif
