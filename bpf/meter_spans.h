/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How many objects a span has served since a processor took it. Source: refill in runtime/mcache.go, and mspan in
 * runtime/mheap.go.
 */
#ifndef GOTAP_METER_SPANS_H
#define GOTAP_METER_SPANS_H

/* Objects of a span: those of eight bytes in a page of the runtime. */
#define MAX_OBJECTS 1024

static __always_inline u64 ones(u64 x)
{
	x -= (x >> 1) & 0x5555555555555555ULL;
	x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (x * 0x0101010101010101ULL) >> 56;
}

/*
 * Of the span of a class that `cache` has to give up, as it is full. Its allocBits are those that lived when it was
 * swept, all others were taken since. Zero of the placeholder that stands where there is no span; negative if it can't
 * be read.
 */
static __always_inline s64 objects_served(const struct gt_meter_spans *at, u64 cache, u64 class)
{
	u64 live[MAX_OBJECTS / 64] = {}, objects = 0, span = 0, bits = 0, bytes;
	s64 served;

	if (bpf_probe_read_user(&span, sizeof(span), (void *)(cache + at->alloc + 8 * class)) || !span)
		return -1;
	if (bpf_probe_read_user(&objects, at->nelems_size == 2 ? 2 : 8, (void *)(span + at->nelems)))
		return -1;
	if (!objects)
		return 0;
	bytes = (objects + 7) / 8;
	/* Else clang reads it again after the check. */
	asm volatile("" : "+r"(bytes));
	if (bytes > sizeof(live))
		return -1;
	if (bpf_probe_read_user(&bits, sizeof(bits), (void *)(span + at->alloc_bits)) || !bits)
		return -1;
	if (bpf_probe_read_user(live, bytes, (void *)bits))
		return -1;
	served = objects;
#pragma unroll
	for (int i = 0; i < MAX_OBJECTS / 64; i++)
		served -= ones(live[i]);
	return served < 0 ? -1 : served;
}

#endif
