/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The sampler's walk over the stack of a Go program, by the same tables as Go's own unwinder: how far the
 * return address is from the stack pointer at each address of the code. Frame pointers are not needed. Where
 * the walk can't go on it says so; it never guesses.
 */
#ifndef GOTAP_UNWIND_H
#define GOTAP_UNWIND_H

/* Indexes: enum gt_sampled_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_SAMPLED_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} sampled_counts SEC(".maps");

/* By process; user space sets the size. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GT_TARGETS);
	__type(key, u32);
	__type(value, struct gt_sampled);
} sampled SEC(".maps");

/* linux/bpf.h; maps in a map may have different sizes. */
#define BPF_F_INNER_MAP (1U << 12)

/* Of one file: sorted rows, and for each 1 << GT_INDEX_SHIFT bytes of the code the row that holds at their start.
 * User space makes these with the sizes that they need. */
struct rows {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct gt_row));
};

struct row_index {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
};

/* By gt_sampled.table. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GT_TABLES);
	__type(key, u32);
	__array(values, struct rows);
} stack_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GT_TABLES);
	__type(key, u32);
	__array(values, struct row_index);
} stack_index SEC(".maps");

/* The stack in the making. Interrupts are off while it is used. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct gt_stack);
} stack_scratch SEC(".maps");

/* Where a walk is. */
struct gt_walk {
	u64 pc;
	u64 sp;
	u64 g;
	u64 curg;
	u64 left_sp; /* where the goroutine left its own stack for the system's; 0 if it did not */
	u64 left_pc;
};

static __always_inline void count_sampled(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&sampled_counts, &counter);

	if (value)
		*value += 1;
}

/* What to do at an offset of the code of a file. A function that the verifier checks once. */
__noinline u32 step_at(u32 table, u32 offset)
{
	u32 bucket = offset >> GT_INDEX_SHIFT, low, high;
	void *index = bpf_map_lookup_elem(&stack_index, &table);
	void *rows = bpf_map_lookup_elem(&stack_rows, &table);
	struct gt_row *row;
	u32 *found;

	if (!index || !rows)
		return GT_STEP_UNKNOWN;
	found = bpf_map_lookup_elem(index, &bucket);
	if (!found)
		return GT_STEP_UNKNOWN;
	low = *found;
	bucket++;
	found = bpf_map_lookup_elem(index, &bucket);
	if (!found)
		return GT_STEP_UNKNOWN;
	high = *found + 1;
	for (int i = 0; i <= GT_INDEX_SHIFT; i++) {
		u32 middle = low + ((high - low) >> 1);

		if (high - low < 2)
			break;
		row = bpf_map_lookup_elem(rows, &middle);
		if (!row)
			return GT_STEP_UNKNOWN;
		if (row->start <= offset)
			low = middle;
		else
			high = middle;
	}
	row = bpf_map_lookup_elem(rows, &low);
	return row ? row->step : GT_STEP_UNKNOWN;
}

static __always_inline void mix(struct gt_stack *stack, u64 word)
{
	u64 hash = (stack->hash ^ word) * 0x9e3779b97f4a7c15ULL;

	stack->hash = hash ^ (hash >> 29);
	stack->check = stack->check * 31 + (u32)word + (u32)(word >> 32);
}

/* Whether there was room. */
static __always_inline bool push_frame(struct gt_stack *stack, u64 pc)
{
	u32 user = stack->user, at = stack->kernel + user;

	if (user >= GT_USER_FRAMES) {
		stack->flags |= GT_STACK_DEEP;
		return false;
	}
	stack->frames[at & (GT_STACK_WORDS - 1)] = pc;
	stack->user = user + 1;
	mix(stack, pc);
	return true;
}

/* The current g of this thread, the goroutine that it runs, and where that left its own stack, if it did. */
static __always_inline void find_g(const struct gt_sampled *proc, struct gt_walk *walk, u64 fsbase)
{
	u64 sp, low, high;

	if (!proc->tls_g || !fsbase)
		return;
	walk->g = read_u64(fsbase + proc->tls_g);
	if (walk->g)
		walk->curg = read_field(read_field(walk->g, proc->g_m), proc->m_curg);
	if (!walk->curg || walk->g == walk->curg)
		return;
	sp = read_field(walk->curg, proc->g_sched_sp);
	low = read_field(walk->curg, proc->g_stack_lo);
	high = read_field(walk->curg, proc->g_stack_hi);
	if (sp <= low || sp >= high)
		return;
	walk->left_sp = sp;
	walk->left_pc = read_field(walk->curg, proc->g_sched_pc);
}

/* Whether Go's tables tell how to go on from an address. */
static __always_inline bool is_walkable(const struct gt_sampled *proc, u64 pc)
{
	u32 kind;

	if (pc < proc->text || pc >= proc->etext)
		return false;
	kind = step_at(proc->table, pc - proc->text) >> 24;
	return kind != GT_STEP_UNKNOWN && kind != GT_STEP_STOPS;
}

/* Whether a thread that is not in Go's code is where Go calls the vDSO: on the thread's own stack. */
static __always_inline bool is_on_g0(const struct gt_sampled *proc, u64 m, u64 sp)
{
	u64 g0 = read_field(m, proc->m_g0);

	return g0 && sp > read_field(g0, proc->g_stack_lo) &&
	       sp <= read_field(g0, proc->g_stack_hi);
}

/*
 * The innermost frame, and from where to walk on. Code that is not Go's has no table: Go notes where it
 * called it. Whether there is more to walk.
 */
static __always_inline bool begin_walk(const struct gt_sampled *proc, struct gt_stack *stack,
				       struct gt_walk *walk)
{
	u64 m = walk->g ? read_field(walk->g, proc->g_m) : 0;
	u64 vdso_sp = m ? read_field(m, proc->m_vdso_sp) : 0, sp;

	push_frame(stack, walk->pc);
	/* A signal's handler may run meanwhile, on a stack of its own. */
	if (vdso_sp && !is_walkable(proc, walk->pc)) {
		if (!is_on_g0(proc, m, walk->sp)) {
			stack->flags |= GT_STACK_BROKEN;
			return false;
		}
		walk->sp = vdso_sp;
		walk->pc = read_field(m, proc->m_vdso_pc);
		return walk->pc && push_frame(stack, walk->pc);
	}
	if (walk->pc >= proc->text && walk->pc < proc->etext)
		return true;
	sp = walk->curg ? read_field(walk->curg, proc->g_syscallsp) : 0;
	if (!sp || walk->g == walk->curg) {
		stack->flags |= GT_STACK_BROKEN;
		return false;
	}
	stack->flags |= GT_STACK_FROM_C;
	walk->sp = sp;
	walk->pc = read_field(walk->curg, proc->g_syscallpc);
	return walk->pc && push_frame(stack, walk->pc);
}

static __noinline int walk_stack(const struct gt_sampled *proc, struct gt_stack *stack,
				 struct gt_walk *walk)
{
	if (!begin_walk(proc, stack, walk))
		return 0;
	for (int i = 0; i < GT_USER_FRAMES; i++) {
		u64 pc = walk->pc, sp = walk->sp, next = 0;
		u32 step, kind;

		if (pc < proc->text || pc >= proc->etext)
			goto broken;
		step = step_at(proc->table, pc - proc->text);
		kind = step >> 24;
		if (kind == GT_STEP_OUTERMOST || (kind == GT_STEP_STOPS && i))
			return 0;
		if (kind == GT_STEP_SYSTEM_STACK || kind == GT_STEP_MORE_STACK)
			sp = i ? walk->left_sp : 0;
		else if (kind != GT_STEP_DELTA)
			sp = 0;
		if (!sp)
			goto broken;
		if (kind == GT_STEP_MORE_STACK) {
			next = walk->left_pc;
		} else {
			sp += step & 0xffffff;
			if (bpf_probe_read_user(&next, sizeof(next), (void *)sp))
				goto broken;
			sp += sizeof(next);
		}
		if (!next)
			return 0;
		walk->pc = next;
		walk->sp = sp;
		if (!push_frame(stack, next))
			return 0;
	}
	return 0;
broken:
	stack->flags |= GT_STACK_BROKEN;
	return 0;
}

#endif
