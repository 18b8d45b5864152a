/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Addresses of package net. */
#ifndef GOTAP_NET_H
#define GOTAP_NET_H

/* Copies the address and port of the net.TCPAddr at `addr`; gives the address's length. */
static __always_inline u8 copy_tcp_address(const struct gt_process *proc, u64 addr, u8 *ip, u16 *port)
{
	/* IP's pointer, length and capacity, and the port. */
	u64 fields[4] = {};

	if (bpf_probe_read_user(fields, sizeof(fields), (void *)(addr + proc->grpc.tcp_ip)))
		return 0;
	*port = fields[3];
	if (fields[1] == 4)
		return bpf_probe_read_user(ip, 4, (void *)fields[0]) ? 0 : 4;
	if (fields[1] == 16)
		return bpf_probe_read_user(ip, 16, (void *)fields[0]) ? 0 : 16;
	return 0;
}

/* The same of a net.Addr, which may be no *net.TCPAddr. */
static __always_inline u8 copy_address(const struct gt_process *proc, struct go_iface addr, u8 *ip,
				       u16 *port)
{
	if (!addr.tab || dynamic_type(addr.tab) != proc->grpc.tcp_addr)
		return 0;
	return copy_tcp_address(proc, addr.data, ip, port);
}

/* The same of the other side of a net.Conn, also below TLS. */
static __always_inline u8 copy_peer(const struct gt_process *proc, struct go_iface conn, u8 *ip,
				    u16 *port)
{
	const struct gt_redigo *net = &proc->redigo;
	u64 type = dynamic_type(conn.tab), file;

	if (net->tls_conn && type == net->tls_conn) {
		conn = read_iface(conn.data + net->tls_inner);
		type = dynamic_type(conn.tab);
	}
	if (!net->tcp_conn || type != net->tcp_conn)
		return 0;
	file = read_u64(conn.data + net->conn_fd);
	return copy_address(proc, read_iface(file + net->fd_remote), ip, port);
}

#endif
