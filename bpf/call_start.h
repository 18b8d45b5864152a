/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How a call of any sort starts: an instrument finds its context, then its parent is searched for,
 * and the instrument begins the span. The search stands here once, for all of them, so that the
 * verifier goes through it once; no pointer of an instrument is held meanwhile, as it would tell the
 * paths apart.
 */
#ifndef GOTAP_CALL_START_H
#define GOTAP_CALL_START_H

static __noinline int call_start(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	u32 kind = probe;
	u64 goid = goid_of(proc, GO_G(ctx));
	struct go_iface context = {};
	struct parent parent = {};
	int starts;

	/* clang-format off */
#define SITE(name, handler)
#define JOIN(name, handler)
#define PROBE(name, label, program, handler) program(name, handler)
	/* Each handler is called at one place: the verifier would go on apart from two. */
#define CALL(name, handler)
#define CALL_LIKE(name, other)           \
	if (kind == GT_PROBE_##name)     \
		kind = GT_PROBE_##other;
#include "probes.h"
#undef CALL
#undef CALL_LIKE
	kind = unrelated(kind);
#define CALL_LIKE(name, other)
#define CALL(name, handler)                                                    \
	case GT_PROBE_##name:                                                  \
		if (!is_loaded(GT_PROBE_##name))                               \
			return 0;                                              \
		starts = handler##_call_start(ctx, proc, probe, goid, &context); \
		break;
	switch (kind) {
#include "probes.h"
	default:
		return 0;
	}
#undef CALL
	if (!starts)
		return 0;
	starts = unrelated(starts);
	kind = unrelated(kind);
	join_trace(proc, goid, GO_G(ctx), &context, &parent);
#define CALL(name, handler)                    \
	case GT_PROBE_##name:                  \
		if (!is_loaded(GT_PROBE_##name)) \
			return 0;              \
		return handler##_call_join(ctx, proc, goid, starts, &parent);
	switch (kind) {
#include "probes.h"
	}
#undef CALL
#undef CALL_LIKE
#undef PROBE
#undef JOIN
#undef SITE
	/* clang-format on */
	return 0;
}

#endif
