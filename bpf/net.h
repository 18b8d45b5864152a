/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Addresses of package net. */
#ifndef GOTAP_NET_H
#define GOTAP_NET_H

/* Copies the address and port of the net.TCPAddr at `addr`; gives the address's length, or GT_ADDRESS_UNREAD. */
static __always_inline u8 copy_tcp_address(const struct gt_process *proc, u64 addr, u8 *ip, u16 *port)
{
	/* IP's pointer, length and capacity, and the port. */
	u64 fields[4] = {}, address[2] = {};
	u8 len;

	if (read_object(fields, sizeof(fields), addr + proc->net.tcp_ip))
		return GT_ADDRESS_UNREAD;
	*port = fields[3];
	/* By way of the stack, see copy_small. */
	if (fields[1] == 4)
		len = bpf_probe_read_user(address, 4, (void *)fields[0]) ? GT_ADDRESS_UNREAD : 4;
	else if (fields[1] == 16)
		len = bpf_probe_read_user(address, 16, (void *)fields[0]) ? GT_ADDRESS_UNREAD : 16;
	else
		return 0;
	__builtin_memcpy(ip, address, sizeof(address));
	return len;
}

/* The same of a net.Addr, which may be no *net.TCPAddr. */
static __always_inline u8 copy_address(const struct gt_process *proc, struct go_iface addr, u8 *ip,
				       u16 *port)
{
	struct gt_learned *learned = learned_of(proc);

	if (!addr.tab)
		return 0;
	if (addr.tab != learned->tcp_addr) {
		u64 type = dynamic_type(addr.tab);

		if (!type)
			return GT_ADDRESS_UNREAD;
		if (type != proc->net.tcp_addr)
			return 0;
		learned->tcp_addr = addr.tab;
	}
	return copy_tcp_address(proc, addr.data, ip, port);
}

/* The same of the other side of a net.Conn, also below TLS. */
static __always_inline u8 copy_peer(const struct gt_process *proc, struct go_iface conn, u8 *ip,
				    u16 *port)
{
	const struct gt_net *net = &proc->net;
	u64 type = dynamic_type(conn.tab), file;
	u32 unread = !type;
	struct go_iface remote;

	if (net->tls_conn && type == net->tls_conn) {
		conn = read_iface(conn.data + net->tls_inner);
		type = dynamic_type(conn.tab);
		unread = !type;
	}
	if (!net->tcp_conn || type != net->tcp_conn)
		return unread ? GT_ADDRESS_UNREAD : 0;
	file = read_noted(conn.data + net->conn_fd, 1, &unread);
	remote = read_iface_noted(file + net->fd_remote, 1, &unread);
	return unread ? GT_ADDRESS_UNREAD : copy_address(proc, remote, ip, port);
}

#endif
