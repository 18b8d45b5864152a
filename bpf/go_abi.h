/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Reading Go values at a probe: argument registers of ABIInternal, the current g, strings and
 * interfaces. Every read can fail and then gives zero: what is sent of an operation is read by the
 * functions that note a failure. Maps are in headers.h.
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
#define GO_CLOSURE(ctx) ((ctx)->dx)
#define GO_IP(ctx) ((ctx)->ip)
/* `jbe` is taken when CF or ZF is set. */
#define GO_STACK_GROWS(ctx) ((ctx)->flags & 0x41)
#elif defined(__TARGET_ARCH_arm64)
#define GO_ARG0(ctx) ((ctx)->regs[0])
#define GO_ARG1(ctx) ((ctx)->regs[1])
#define GO_ARG2(ctx) ((ctx)->regs[2])
#define GO_ARG3(ctx) ((ctx)->regs[3])
#define GO_G(ctx) ((ctx)->regs[28])
#define GO_CLOSURE(ctx) ((ctx)->regs[26])
#define GO_IP(ctx) ((ctx)->pc)
/* `b.ls` is taken when C is clear or Z is set. */
#define GO_STACK_GROWS(ctx) (!((ctx)->pstate & (1 << 29)) || ((ctx)->pstate & (1 << 30)))
#endif

static __always_inline u64 read_u64(u64 address)
{
	u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)address);
	return value;
}

/*
 * Eight bytes where a field is known, else none. Without a branch: the verifier goes each way of each, and on
 * apart where the value is known in one.
 */
static __always_inline u32 field_size(u16 offset)
{
	u64 is_known = ((u64)offset - GT_NONE) >> 63;

	asm volatile("" : "+r"(is_known));
	return is_known << 3 & 8;
}

/* A field's word; 0 where the field is not known. */
static __always_inline u64 read_field(u64 base, u16 offset)
{
	u64 value = 0;

	bpf_probe_read_user(&value, field_size(offset), (void *)(base + offset));
	return value;
}

/* A bit of gt_span.unread. */
#define UNREAD(what) (1U << GT_UNREAD_##what)

/* These bits where a read gave an error, which is negative. Without a branch. */
static __always_inline u32 if_failed(long error, u32 bits)
{
	return (u32)(error >> 63) & bits;
}

/* A word; sets `bits` in `unread` where it could not be read. */
static __always_inline u64 read_noted(u64 address, u32 bits, u32 *unread)
{
	u64 value = 0;

	*unread |= if_failed(bpf_probe_read_user(&value, sizeof(value), (void *)address), bits);
	return value;
}

/* The same of a field, which can't be read where it is not known either. */
static __always_inline u64 read_field_noted(u64 base, u16 offset, u32 bits, u32 *unread)
{
	u32 size = field_size(offset);
	u64 value = 0;
	long error = bpf_probe_read_user(&value, size, (void *)(base + offset));

	*unread |= if_failed(error | ((long)size - 1), bits);
	return value;
}

/* The smallest page there is. */
#define PAGE_BYTES 4096

/*
 * Go takes fresh memory from the kernel as it is, so that an object's end may lie in a page that the program has not
 * touched and that can't be read; its start has been written. Reads what comes before the next page, `head` bytes of
 * at most `capacity`; the rest stays 0, as nothing was written there. Pages that the kernel has taken away for a while
 * can't be distinguished from those. Gives 0, or an error.
 */
static __always_inline long read_first_page(void *to, u64 head, const u32 capacity, u64 from)
{
	if (!head)
		return -1;
	/* Keeps clang from making one comparison of two, which the verifier does not follow. */
	asm volatile("" : "+r"(head));
	return head < capacity ? bpf_probe_read_user(to, head, (void *)from) : -1;
}

/* Bytes from an address to the next page. */
static __always_inline u64 bytes_to_next_page(u64 from)
{
	return -from & (PAGE_BYTES - 1);
}

/* Reads `size` bytes of an object, less than a page. Gives 0, or an error. */
static __always_inline long read_object(void *to, const u32 size, u64 from)
{
	u64 head = bytes_to_next_page(from);

	if (!bpf_probe_read_user(to, size, (void *)from))
		return 0;
	return read_first_page(to, head, size, from);
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

/* An interface; sets `bits` in `unread` where it could not be read. */
static __always_inline struct go_iface read_iface_noted(u64 address, u32 bits, u32 *unread)
{
	struct go_iface value = {};

	*unread |= if_failed(bpf_probe_read_user(&value, sizeof(value), (void *)address), bits);
	return value;
}

/*
 * A string that is sent of an operation: one that can't be read has a length that no text has. A field that
 * there is not holds none.
 */
static __always_inline struct go_string read_text(u64 base, u16 offset)
{
	struct go_string value = {};

	long error;

	if (offset == GT_NONE)
		return value;
	error = bpf_probe_read_user(&value, sizeof(value), (void *)(base + offset));
	value.len |= (u64)(error >> 63);
	return value;
}

/*
 * Copies a string's bytes to `to`, an array of `size` bytes, at most that many. Gives the length
 * in the target, so that user space sees a cut, or GT_TEXT_UNREAD.
 */
static __always_inline u16 copy_bytes(char *to, u32 size, struct go_string from)
{
	u64 len = from.len < size ? from.len : size;

	if (!from.len)
		return 0;
	if (!from.ptr || from.len > (1 << 24))
		return GT_TEXT_UNREAD;
	asm volatile("" : "+r"(len));
	if (len > size || bpf_probe_read_user(to, len, (void *)from.ptr))
		return GT_TEXT_UNREAD;
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

	if (!from.len)
		return 0;
	if (!from.ptr || from.len > (1 << 24))
		return GT_TEXT_UNREAD;
	asm volatile("" : "+r"(len));
	if (len > size || bpf_probe_read_user(words, len, (void *)from.ptr))
		return GT_TEXT_UNREAD;
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

/*
 * A word of a copy of `size` bytes of the target's memory; 0 past its end. The barrier keeps clang
 * from checking another register than the one that it adds.
 */
static __always_inline u64 copied_u64(const u64 *copy, const u32 size, u32 offset)
{
	asm volatile("" : "+r"(offset));
	if (offset > size - 8)
		return 0;
	return *(const u64 *)((const u8 *)copy + offset);
}

static __always_inline struct go_string copied_string(const u64 *copy, const u32 size, u32 offset)
{
	return (struct go_string){ copied_u64(copy, size, offset),
				   copied_u64(copy, size, offset + 8) };
}

/* Copies the first `size` bytes of an object, at most those of `to`; gives whether it could. */
static __always_inline bool copy_struct(u64 *to, const u32 capacity, u64 from, u32 size)
{
	u64 head = bytes_to_next_page(from);

	/* Keeps clang from comparing a copy of the register that the verifier does not follow. */
	asm volatile("" : "+r"(size));
	if (size > capacity)
		size = capacity;
	if (!bpf_probe_read_user(to, size, (void *)from))
		return true;
	return head && head < size && !read_first_page(to, head, capacity, from);
}

#endif
