/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Flows through interfaces: packets and bytes by both ends and direction. The same is done at tcx, and
 * by a socket's filter where the kernel has no tcx. Packets are counted, and go on as they are.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "host/flows.h"

char LICENSE[] SEC("license") = "GPL";

/* Parts of the kernel's interface to programs; fixed. */
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
	u32 napi_id;
	u32 family;
	u32 remote_ip4;
	u32 local_ip4;
	u32 remote_ip6[4];
	u32 local_ip6[4];
	u32 remote_port;
	u32 local_port;
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	u64 sk;
	u32 gso_size;
};

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
};

#define BPF_MAP_TYPE_HASH_ 1
#define BPF_MAP_TYPE_PERCPU_HASH_ 5
#define BPF_MAP_TYPE_LRU_PERCPU_HASH_ 10
#define BPF_NOEXIST 1
#define PACKET_OUTGOING 4
#define TCX_NEXT -1
#define XDP_PASS 2
#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021AD 0x88a8
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH_);
	__uint(max_entries, 65536);
	__type(key, struct gt_flow_key);
	__type(value, struct gt_flow_count);
} flows SEC(".maps");

/* All of an interface and direction: what the flows have less of was in flows that had to go. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH_);
	__uint(max_entries, 512);
	__type(key, struct gt_flow_total_key);
	__type(value, struct gt_flow_count);
} flow_totals SEC(".maps");

/* The length of the link's header, by interface. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u32);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH_);
	__uint(max_entries, 4096);
	__type(key, struct gt_xdp_key);
	__type(value, struct gt_flow_count);
} xdp_counts SEC(".maps");

/* Frames that had no room in xdp_counts. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} xdp_lost SEC(".maps");

/*
 * Adds to counts of this processor. No atomic operation: packets are handled with softirqs off, so that nobody else
 * adds to them meanwhile.
 */
static __always_inline int add(void *map, const void *key, const struct gt_flow_count *more)
{
	struct gt_flow_count *count = bpf_map_lookup_elem(map, key);

	if (!count) {
		if (!bpf_map_update_elem(map, key, more, BPF_NOEXIST))
			return 0;
		/* Another processor was quicker. */
		count = bpf_map_lookup_elem(map, key);
		if (!count)
			return -1;
	}
	count->packets += more->packets;
	count->bytes += more->bytes;
	count->payload += more->payload;
	return 0;
}

struct ipv4 {
	u8 version_length;
	u8 tos;
	u16 total;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 sum;
	u32 source;
	u32 destination;
};

struct ipv6 {
	u32 version;
	u16 payload;
	u8 next;
	u8 hops;
	u8 source[16];
	u8 destination[16];
};

/* IPv4 without options, with what of TCP is looked at: most packets. */
struct tcp_ipv4 {
	struct ipv4 ip;
	u16 ports[2];
	u8 numbers[8];
	u8 offset;
	u8 pad[3];
};

/* What is known of a packet. */
struct packet {
	u32 length; /* from IP's header on */
	u32 headers; /* of it: the headers of IP and of what is in it */
	u32 next; /* where what is in IP begins */
	u32 transport; /* the length of the header that is there, and the ports are known; 0: they are not */
	bool whole; /* it begins in this fragment */
	bool known; /* the headers are */
};

static __always_inline void mapped(u8 *to, u32 address)
{
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

static __always_inline int read_ipv4(struct __sk_buff *skb, u32 at, struct gt_flow_key *key,
				     struct packet *packet)
{
	struct tcp_ipv4 read;
	struct ipv4 ip;

	/* Most packets take one read; shorter ones than that are no TCP. */
	if (!bpf_skb_load_bytes(skb, at, &read, sizeof(read)))
		ip = read.ip;
	else if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
		return -1;
	else
		read.ip.version_length = 0;
	key->version = 4;
	key->protocol = ip.protocol;
	mapped(key->source, ip.source);
	mapped(key->destination, ip.destination);
	packet->next = at + (ip.version_length & 15) * 4;
	packet->whole = !(ip.fragment & bpf_htons(0x1fff));
	if (read.ip.version_length == 0x45 && ip.protocol == IPPROTO_TCP && packet->whole) {
		packet->transport = (read.offset >> 4) * 4;
		key->source_port = bpf_ntohs(read.ports[0]);
		key->destination_port = bpf_ntohs(read.ports[1]);
	}
	/* A short frame is filled up behind the packet; a very long one has no length. */
	if (!skb->gso_size && ip.total)
		packet->length = bpf_ntohs(ip.total);
	return 0;
}

static __always_inline int read_ipv6(struct __sk_buff *skb, u32 at, struct gt_flow_key *key,
				     struct packet *packet)
{
	struct ipv6 ip;
	struct {
		u8 next;
		u8 length;
		u16 fragment;
	} extension;
	u8 next;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
		return -1;
	key->version = 6;
	__builtin_memcpy(key->source, ip.source, 16);
	__builtin_memcpy(key->destination, ip.destination, 16);
	if (!skb->gso_size && ip.payload)
		packet->length = bpf_ntohs(ip.payload) + sizeof(ip);
	packet->whole = true;
	next = ip.next;
	at += sizeof(ip);
	for (u32 i = 0; i < 6; i++) {
		/* Hop by hop, routing, fragment, destination options. */
		if (next != 0 && next != 43 && next != 44 && next != 60)
			break;
		if (bpf_skb_load_bytes(skb, at, &extension, sizeof(extension)))
			return -1;
		if (next == 44 && extension.fragment & bpf_htons(0xfff8))
			packet->whole = false;
		at += next == 44 ? 8 : (extension.length + 1) * 8;
		next = extension.next;
	}
	key->protocol = next;
	packet->next = at;
	return 0;
}

/* Ports, and how long the headers are in all. */
static __always_inline void read_transport(struct __sk_buff *skb, u32 start,
					   struct gt_flow_key *key, struct packet *packet)
{
	u32 length = 8;
	u16 ports[2];
	u8 offset;

	if (!packet->whole)
		return;
	if (packet->transport) {
		packet->known = true;
		packet->headers = packet->next - start + packet->transport;
		return;
	}
	switch (key->protocol) {
	case IPPROTO_TCP:
		if (bpf_skb_load_bytes(skb, packet->next + 12, &offset, 1))
			return;
		length = (offset >> 4) * 4;
		break;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		break;
	default:
		return;
	}
	packet->known = true;
	packet->headers = packet->next - start + length;
	if (key->protocol == IPPROTO_TCP || key->protocol == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, packet->next, ports, sizeof(ports)))
			return;
		key->source_port = bpf_ntohs(ports[0]);
		key->destination_port = bpf_ntohs(ports[1]);
	}
}

/* The protocol of a frame, and where it begins. */
static __always_inline u16 ethertype(struct __sk_buff *skb, u32 *at)
{
	u16 type = 0;
	u8 first = 0;

	if (*at < 14) {
		/* There is no link's header. */
		bpf_skb_load_bytes(skb, *at, &first, 1);
		return first >> 4 == 4 ? ETH_P_IP : first >> 4 == 6 ? ETH_P_IPV6 : 0;
	}
	bpf_skb_load_bytes(skb, *at - 2, &type, 2);
	for (u32 i = 0; i < 2; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		*at += 4;
		bpf_skb_load_bytes(skb, *at - 2, &type, 2);
	}
	return bpf_ntohs(type);
}

static __always_inline void account(struct __sk_buff *skb, u8 direction)
{
	struct gt_flow_key key = { .ifindex = skb->ifindex, .direction = direction };
	struct gt_flow_total_key total = { .ifindex = skb->ifindex, .direction = direction };
	struct gt_flow_count count = { .packets = 1, .bytes = skb->len };
	u32 *link = bpf_map_lookup_elem(&interfaces, &key.ifindex);
	struct packet packet = {};
	int unread = -1;
	u32 at;
	u16 type;

	if (!link)
		return;
	at = *link;
	type = ethertype(skb, &at);
	packet.length = skb->len - at;
	if (type == ETH_P_IP)
		unread = read_ipv4(skb, at, &key, &packet);
	else if (type == ETH_P_IPV6)
		unread = read_ipv6(skb, at, &key, &packet);
	if (!unread) {
		read_transport(skb, at, &key, &packet);
		count.bytes = packet.length;
		if (packet.known && packet.length >= packet.headers) {
			u32 size = skb->gso_size;

			count.payload = packet.length - packet.headers;
			/* One that the card cuts into many, or has put together. */
			if (size && count.payload > size) {
				count.packets = (count.payload + size - 1) / size;
				count.bytes += (count.packets - 1) * packet.headers;
			}
		}
	}
	add(&flow_totals, &total, &count);
	add(&flows, &key, &count);
}

SEC("tc")
int flow_ingress(struct __sk_buff *skb)
{
	account(skb, GT_FLOW_INGRESS);
	return TCX_NEXT;
}

SEC("tc")
int flow_egress(struct __sk_buff *skb)
{
	account(skb, GT_FLOW_EGRESS);
	return TCX_NEXT;
}

/* Of a packet socket, which gets nothing. */
SEC("socket")
int flow_filter(struct __sk_buff *skb)
{
	account(skb, skb->pkt_type == PACKET_OUTGOING ? GT_FLOW_EGRESS : GT_FLOW_INGRESS);
	return 0;
}

static __always_inline u8 size_class(u64 length)
{
	return length <= 64 ? 0 : length < 128 ? 1 : length < 256 ? 2 : length < 512 ? 3 :
	       length < 1024 ? 4 : length <= 1518 ? 5 : 6;
}

SEC("xdp")
int flow_xdp(struct xdp_md *ctx)
{
	u8 *data = (void *)(u64)ctx->data, *end = (void *)(u64)ctx->data_end;
	struct gt_xdp_key key = { .ifindex = ctx->ingress_ifindex };
	struct gt_flow_count count = { .packets = 1, .bytes = end - data };
	u32 zero = 0;
	u64 *lost;

	if (data + 14 <= end) {
		key.ethertype = (u16)data[12] << 8 | data[13];
		if (key.ethertype == ETH_P_IP && data + 34 <= end)
			key.protocol = data[23];
		else if (key.ethertype == ETH_P_IPV6 && data + 54 <= end)
			key.protocol = data[20];
	}
	key.size = size_class(count.bytes);
	if (add(&xdp_counts, &key, &count)) {
		lost = bpf_map_lookup_elem(&xdp_lost, &zero);
		if (lost)
			__sync_fetch_and_add(lost, 1);
	}
	return XDP_PASS;
}
