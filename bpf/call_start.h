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
	u32 which = unrelated(probe);
	u64 goid = goid_of(proc, GO_G(ctx));
	struct go_iface context = {};
	struct parent parent = {};
	int starts;

	if (probe == GT_PROBE_SQL_START)
		starts = sql_call_start(ctx, proc, goid, &context);
	else if (probe == GT_PROBE_REDIS_START)
		starts = redis_call_start(ctx, proc, goid, &context);
	else if (probe == GT_PROBE_GRPC_CLIENT_START)
		starts = grpc_call_start(ctx, proc, &context);
	else
		starts = http_call_start(ctx, proc, probe, goid, &context);
	if (!starts)
		return 0;
	starts = unrelated(starts);
	join_trace(proc, goid, GO_G(ctx), &context, &parent);
	if (which == GT_PROBE_SQL_START)
		return sql_call_join(ctx, proc, goid, &parent);
	if (which == GT_PROBE_REDIS_START)
		return redis_call_join(ctx, proc, goid, starts, &parent);
	if (which == GT_PROBE_GRPC_CLIENT_START) {
		grpc_call_join(ctx, proc, goid, &parent);
		return proc->tells & GT_SENDS_TRACE ? grpc_call_sent(ctx, proc, &parent) : 0;
	}
	return http_call_join(proc, goid, &parent);
}

#endif
