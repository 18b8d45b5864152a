/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What both sides of HTTP need. */
#ifndef GOTAP_HTTP_H
#define GOTAP_HTTP_H

static __always_inline void new_trace(u8 *trace_id)
{
	u64 halves[2] = { random_u64(), random_u64() };

	__builtin_memcpy(trace_id, halves, 16);
}

static __always_inline void fill_span(const struct gt_process *proc, u16 kind, u16 size,
				      struct gt_http_head *head)
{
	head->header.kind = kind;
	head->header.size = size;
	head->header.process = proc->instance;
	head->span.end_ns = bpf_ktime_get_ns();
	head->span.resend = 0;
	head->span.pad = 0;
}

#endif
