/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which traces are sent: decided when the first span of one begins, and inherited by all others. What is left
 * out costs no event, unless it failed or took long. A caller's decision, in a traceparent, holds before that.
 */
#ifndef GOTAP_SAMPLING_H
#define GOTAP_SAMPLING_H

/* The user's choice, the only entry of the map `sampling`. */
struct gt_sampling {
	__u64 threshold; /* of 2^56: traces with a smaller random part are left out */
	__u64 slow_ns; /* what takes longer is sent all the same; 0: nothing */
	__u32 per_second; /* traces that each process may begin; 0: any number */
	__u8 keeps_errors; /* so is what failed */
	__u8 sends_all; /* user space wants all events, as it measures them */
	__u8 pad[2];
};
_Static_assert(sizeof(struct gt_sampling) == 24, "wire");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_sampling);
} sampling SEC(".maps");

static __always_inline const struct gt_sampling *sampling_choice(void)
{
	u32 only = 0;

	return bpf_map_lookup_elem(&sampling, &only);
}

/* Whether a process may begin one more trace in this second. Two may take the same place at a time. */
static __always_inline bool has_room(const struct gt_process *proc, u32 per_second)
{
	struct gt_learned *learned = learned_of(proc);
	u64 second = bpf_ktime_get_ns() / 1000000000;

	if (learned->second != second) {
		learned->second = second;
		learned->began = 0;
	}
	if (learned->began >= per_second)
		return false;
	learned->began++;
	return true;
}

/*
 * The flags of a trace that begins, whose id's second half is `half`. Its last seven bytes are random: a trace
 * is sampled where they are no less than the threshold, as OpenTelemetry's samplers decide, so that all who see
 * the trace decide alike.
 */
static __noinline u32 begin_flags(const struct gt_process *proc, u64 half)
{
	const struct gt_sampling *choice = sampling_choice();
	u64 random = __builtin_bswap64(half) & ((1ULL << 56) - 1);

	/* The SDK of a program decides of its own. */
	if (!choice || (proc->tells & GT_HAS_SDK))
		return 1;
	if (random < choice->threshold || (choice->per_second && !has_room(proc, choice->per_second)))
		return GT_TRACE_LEFT_OUT;
	return 1;
}

/* Whether user space wants the events of all, also of what is not sampled. */
static __always_inline bool sends_all(void)
{
	const struct gt_sampling *choice = sampling_choice();

	return !choice || choice->sends_all;
}

/* Whether the span that begins with these flags may go somewhere. */
static __always_inline bool may_be_sent(u32 trace_flags)
{
	const struct gt_sampling *choice = sampling_choice();

	return trace_flags & 1 || !choice ||
	       (trace_flags & GT_TRACE_LEFT_OUT &&
		(choice->sends_all || choice->keeps_errors || choice->slow_ns));
}

/* Whether the event of a span is sent that has ended now. Counts it if not. */
static __noinline int is_sent(u32 trace_flags, u64 duration_ns, u32 failed)
{
	const struct gt_sampling *choice;
	bool ours = trace_flags & GT_TRACE_LEFT_OUT;

	if (trace_flags & (1 | GT_TRACE_TELEMETRY))
		return 1;
	choice = sampling_choice();
	if (!choice || choice->sends_all)
		return 1;
	if (ours && ((failed && choice->keeps_errors) ||
		     (choice->slow_ns && duration_ns > choice->slow_ns)))
		return 1;
	count_drop(ours ? GT_DROP_SAMPLED_OUT : GT_DROP_UNSAMPLED);
	return 0;
}

#endif
