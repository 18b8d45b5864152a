/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract of the meter with user space, beside that of wire.h. Its Rust twin is
 * crates/wire/src/metered.rs.
 */
#ifndef GOTAP_METER_H
#define GOTAP_METER_H

/* Places in the code. */
#define GT_METER_SITES 256
/* Different keys that are counted. */
#define GT_METER_KEYS 32768
/* Different requests, with what is counted of each, that user space has not read yet. */
#define GT_METER_REQUESTS 16384
/* Different stacks that are kept, and frames of one. */
#define GT_METER_STACKS 16384
#define GT_METER_FRAMES 48

/* Bits of gt_meter_site.flags. */
enum gt_meter_flag {
	/* The branch of the stack check: it does not count where the stack grows. */
	GT_METER_GUARDED = 1,
	/* The caller's caller counts as the caller. */
	GT_METER_OUTER = 2,
	/* Stacks are kept apart. */
	GT_METER_STACK = 4,
	/* The first argument is a size in bytes: it is added up, and keeps keys apart in steps. */
	GT_METER_SIZE = 8,
	/* The same of the second argument. */
	GT_METER_SECOND_SIZE = 16,
	/* The first argument keeps keys apart. */
	GT_METER_FIRST = 32,
	/* The lowest byte of the second argument does. */
	GT_METER_SECOND_BYTE = 64,
	/*
	 * The first argument is a runtime.mcache, and that byte a class of spans. How many objects its span has
	 * served is added up; who takes the place of one that served none does not count: each garbage collection
	 * takes the spans away, and who allocates first after it is no sample of those who allocate.
	 */
	GT_METER_SPAN = 128,
};

/* What is counted at a place, by its address in the process. */
struct gt_meter_site {
	u32 operation; /* a number that user space gave */
	u32 flags;     /* enum gt_meter_flag */
};

struct gt_meter_key {
	u64 value;  /* the argument */
	u64 caller; /* the address behind the call */
	s32 stack;  /* its number among the stacks; negative for none */
	u32 operation;
};

struct gt_meter_value {
	u64 count;
	u64 amount; /* of sizes: bytes */
};

/* Offsets in runtime.mcache and runtime.mspan. */
struct gt_meter_spans {
	u32 alloc;  /* mcache.alloc */
	u32 nelems; /* mspan.nelems, of two bytes or eight */
	u32 nelems_size;
	u32 alloc_bits; /* mspan.allocBits */
};

/* Constants of a process whose hits are counted by request. GT_NONE stands for an unknown offset. */
struct gt_meter_served {
	u64 dial_conn; /* as in struct gt_descent */
	u64 dial_conn_size;
	/* A function whose calls of other places are counted where it begins already. */
	u64 inner;
	u64 inner_size;
	u32 instance; /* of the process in the maps of served.h */
	u32 epoch; /* user space reads what was counted in the one before */
	u16 g_m;
	u16 m_curg;
	u16 g_goid;
	u16 g_parent_goid;
	u16 g_gopc;
	u16 pad;
	u32 pad2;
};

/* For whom a goroutine reached a place. */
enum gt_meter_owner {
	GT_OWNER_NONE = 0, /* no request */
	GT_OWNER_REQUEST = 1,
	GT_OWNER_UNREAD = 2, /* it could not be read which goroutine it was */
};

struct gt_meter_request {
	u64 span_id; /* of a request, else 0 */
	u64 value;   /* the argument, as in gt_meter_key */
	u32 operation;
	u16 owner; /* enum gt_meter_owner */
	u16 epoch; /* the lowest bit of gt_meter_served.epoch */
};

enum gt_meter_counter {
	GT_METER_SEEN = 0,
	/* There were GT_METER_KEYS different ones already. */
	GT_METER_KEYS_FULL = 1,
	/* A stack found no room, or could not be read; its caller is known. */
	GT_METER_STACKS_LOST = 2,
	/* There were GT_METER_REQUESTS different requests already: it is not known whose the hit was. */
	GT_METER_REQUESTS_FULL = 3,
	/* It could not be read what a span has served. */
	GT_METER_SPANS_UNREAD = 4,
	GT_METER_COUNTERS = 5,
};

_Static_assert(sizeof(struct gt_meter_site) == 8, "gt_meter_site");
_Static_assert(sizeof(struct gt_meter_key) == 24, "gt_meter_key");
_Static_assert(sizeof(struct gt_meter_value) == 16, "gt_meter_value");
_Static_assert(sizeof(struct gt_meter_spans) == 16, "gt_meter_spans");
_Static_assert(sizeof(struct gt_meter_served) == 56, "gt_meter_served");
_Static_assert(sizeof(struct gt_meter_request) == 24, "gt_meter_request");

#endif
