/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Reading Go values at a probe: argument registers of ABIInternal, the current g, strings,
 * interfaces and header maps. Every read can fail and then gives zero.
 */
#ifndef GOTAP_GO_ABI_H
#define GOTAP_GO_ABI_H

struct go_string {
	u64 ptr;
	u64 len;
};

struct go_iface {
	u64 tab;
	u64 data;
};

/* Registers that Go passes arguments and results in: cmd/compile/abi-internal.md. */
#if defined(__TARGET_ARCH_x86)
#define GO_ARG0(ctx) ((ctx)->ax)
#define GO_ARG1(ctx) ((ctx)->bx)
#define GO_ARG2(ctx) ((ctx)->cx)
#define GO_ARG3(ctx) ((ctx)->di)
#define GO_G(ctx) ((ctx)->r14)
/* `jbe` is taken when CF or ZF is set. */
#define GO_STACK_GROWS(ctx) ((ctx)->flags & 0x41)
#elif defined(__TARGET_ARCH_arm64)
#define GO_ARG0(ctx) ((ctx)->regs[0])
#define GO_ARG1(ctx) ((ctx)->regs[1])
#define GO_ARG2(ctx) ((ctx)->regs[2])
#define GO_ARG3(ctx) ((ctx)->regs[3])
#define GO_G(ctx) ((ctx)->regs[28])
/* `b.ls` is taken when C is clear or Z is set. */
#define GO_STACK_GROWS(ctx) (!((ctx)->pstate & (1 << 29)) || ((ctx)->pstate & (1 << 30)))
#endif

static __always_inline u64 read_u64(u64 address)
{
	u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline u64 read_field(u64 base, u16 offset)
{
	return offset == GT_NONE ? 0 : read_u64(base + offset);
}

static __always_inline struct go_iface read_iface(u64 address)
{
	struct go_iface value = {};

	bpf_probe_read_user(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline struct go_string read_string(u64 base, u16 offset)
{
	struct go_string value = {};

	if (offset != GT_NONE)
		bpf_probe_read_user(&value, sizeof(value), (void *)(base + offset));
	return value;
}

/*
 * Copies a string's bytes to `to`, an array of `size` bytes, at most that many. Gives the length
 * in the target, so that user space sees a cut.
 */
static __always_inline u16 copy_bytes(char *to, u32 size, struct go_string from)
{
	u64 len = from.len < size ? from.len : size;

	if (!from.ptr || !from.len || from.len > (1 << 24))
		return 0;
	asm volatile("" : "+r"(len));
	if (len > size || bpf_probe_read_user(to, len, (void *)from.ptr))
		return 0;
	return from.len > 0xfffe ? 0xfffe : from.len;
}

/*
 * The same for small arrays, of a whole number of words, by way of the stack: the kernel checks
 * where it may copy to, which is quick for the stack and slow for the ring buffer's memory.
 */
static __always_inline u16 copy_small(char *to, const u32 size, struct go_string from)
{
	u64 words[11] = {};
	u64 len = from.len < size ? from.len : size;

	if (!from.ptr || !from.len || from.len > (1 << 24))
		return 0;
	asm volatile("" : "+r"(len));
	if (len > size || bpf_probe_read_user(words, len, (void *)from.ptr))
		return 0;
	for (u32 i = 0; i < size / 8; i++)
		((u64 *)to)[i] = words[i];
	return from.len > 0xfffe ? 0xfffe : from.len;
}

static __always_inline u64 goid_of(const struct gt_process *proc, u64 g)
{
	return read_field(g, proc->g_goid);
}

/* The address of the type descriptor behind an interface with methods. */
static __always_inline u64 dynamic_type(u64 tab)
{
	return tab ? read_u64(tab + 8) : 0;
}

/* The headers that are looked for, as pointers into the target. */
struct found_headers {
	struct go_string user_agent;
	struct go_string traceparent;
	struct go_string tracestate;
};

/* Addresses of the map elements of those headers, 0 while not found. */
struct header_elems {
	u64 user_agent, traceparent, tracestate;
};

/* Groups or buckets of a header map that are looked at: 8 headers each. */
#define MAX_GROUPS 64

/*
 * Compares the keys of 8 neighbouring slots; gives the number of the slot plus one of User-Agent
 * in bits 0-3, Traceparent in 4-7, Tracestate in 8-11. Keys are canonical, so exact bytes suffice;
 * their first and last 8 bytes tell them. A global function of scalars, which the verifier checks
 * once and not at each of its many calls.
 */
__noinline u32 match_slots(u64 keys, u64 stride, u64 used)
{
	u32 found = 0;

	for (u32 i = 0; i < 8; i++) {
		struct go_string key = {};
		u64 head = 0, tail = 0;

		if (!((used >> i) & 1))
			continue;
		bpf_probe_read_user(&key, sizeof(key), (void *)(keys + stride * i));
		if (key.len != 10 && key.len != 11)
			continue;
		bpf_probe_read_user(&head, 8, (void *)key.ptr);
		bpf_probe_read_user(&tail, 8, (void *)(key.ptr + key.len - 8));
		if (head == 0x6567412d72657355ULL && tail == 0x746e6567412d7265ULL)
			found |= i + 1; /* "User-Age", "er-Agent" */
		else if (head == 0x7261706563617254ULL && tail == 0x746e657261706563ULL)
			found |= (i + 1) << 4; /* "Tracepar", "ceparent" */
		else if (head == 0x6174736563617254ULL && tail == 0x6574617473656361ULL)
			found |= (i + 1) << 8; /* "Tracesta", "acestate" */
	}
	return found;
}

static __always_inline void note_slots(u32 found, u64 elems, u64 stride, struct header_elems *out)
{
	if (found & 15)
		out->user_agent = elems + stride * ((found & 15) - 1);
	if (found >> 4 & 15)
		out->traceparent = elems + stride * ((found >> 4 & 15) - 1);
	if (found >> 8 & 15)
		out->tracestate = elems + stride * ((found >> 8 & 15) - 1);
}

/* internal/runtime/maps/group.go: a control byte with the high bit set is empty or deleted. */
static __always_inline void scan_group(const struct gt_process *proc, u64 group,
				       struct header_elems *out)
{
	u64 control = ~read_u64(group) & 0x8080808080808080ULL;
	/* Gathers the eight high bits into one byte. */
	u64 used = (control >> 7) * 0x0102040810204080ULL >> 56;

	note_slots(match_slots(group + proc->map_keys, proc->map_key_stride, used),
		   group + proc->map_elems, proc->map_elem_stride, out);
}

/*
 * internal/runtime/maps/map.go: Map{used, seed, dirPtr, dirLen}, table{…, groups at 16}. A map has
 * more than one table only from about 900 headers on; the first is looked at.
 */
static __always_inline void scan_swiss(const struct gt_process *proc, u64 map,
				       struct header_elems *out)
{
	u64 dir = read_u64(map + 16), dir_len = read_u64(map + 24);
	u64 table, groups, mask;

	if (!dir_len) {
		scan_group(proc, dir, out);
		return;
	}
	table = read_u64(dir);
	groups = read_u64(table + 16);
	mask = read_u64(table + 24);
	for (u32 i = 0; i < MAX_GROUPS; i++) {
		scan_group(proc, groups + (u64)i * proc->map_group_size, out);
		if (i >= mask)
			return;
	}
	count_drop(GT_DROP_HEADERS_UNSEEN);
}

/* runtime/map.go before Go 1.24: a top hash up to 4 says that the slot is empty or moved. */
static __always_inline void scan_bucket(u64 bucket, struct header_elems *out)
{
	u64 tops = read_u64(bucket), used = 0;

	for (u32 i = 0; i < 8; i++)
		used |= (u64)(((tops >> (8 * i)) & 0xff) > 4) << i;
	note_slots(match_slots(bucket + 8, 16, used), bucket + 8 + 128, 24, out);
}

/* Walks an array of `left` buckets: 8 top hashes, 8 keys, 8 elements, pointer to an overflow. */
static __noinline int scan_buckets(u64 bucket, u64 left, struct header_elems *out)
{
	u64 next = bucket + 336;

	for (u32 i = 0; i < 2 * MAX_GROUPS; i++) {
		scan_bucket(bucket, out);
		bucket = read_u64(bucket + 328);
		if (bucket)
			continue;
		if (--left == 0)
			return 1;
		bucket = next;
		next += 336;
	}
	count_drop(GT_DROP_HEADERS_UNSEEN);
	return 0;
}

/*
 * hmap{count, flags, B at 9, buckets at 16, oldbuckets at 24}. A map that has grown moves its
 * entries later, a few at each write: those not moved yet are in the old array, half as large
 * unless it grew only to get rid of overflow buckets (flag 8).
 */
static __always_inline void scan_hmap(u64 map, struct header_elems *out)
{
	u64 flags = read_u64(map + 8), old = read_u64(map + 24);
	u64 buckets = 1ULL << ((flags >> 8) & 31);

	scan_buckets(read_u64(map + 16), buckets, out);
	if (old)
		scan_buckets(old, flags & 8 ? buckets : buckets / 2, out);
}

static __always_inline struct go_string first_value(u64 elem)
{
	u64 values = elem ? read_u64(elem) : 0;

	return values ? read_string(values, 0) : (struct go_string){};
}

/* Finds the headers that matter in `map`, an http.Header. Large maps are looked at in part. */
static __always_inline void scan_headers(const struct gt_process *proc, u64 map,
					 struct found_headers *out)
{
	struct header_elems elems = {};

	/* Both kinds of map start with their number of entries. */
	if (!map || !read_u64(map))
		return;
	if (proc->is_swiss)
		scan_swiss(proc, map, &elems);
	else
		scan_hmap(map, &elems);
	out->user_agent = first_value(elems.user_agent);
	out->traceparent = first_value(elems.traceparent);
	out->tracestate = first_value(elems.tracestate);
}

#endif
