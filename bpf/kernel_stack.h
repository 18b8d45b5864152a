/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* On which stack the programs of uprobes run. */
#ifndef GOTAP_KERNEL_STACK_H
#define GOTAP_KERNEL_STACK_H

/*
 * Since 6.13 the kernel gives programs of this type a stack of their own for each processor, on the
 * belief that they can't be preempted. Those of uprobes can, and then two tasks share one stack,
 * which ends in a panic. A program that contains a tail call keeps the kernel's stack: here is one,
 * to nowhere. It must stand where compilers can't tell that it is never reached, as they remove it
 * else. Copying to that stack is checked faster, too.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} nowhere SEC(".maps");

static __always_inline void keep_kernel_stack(struct pt_regs *ctx)
{
	bpf_tail_call(ctx, &nowhere, 0);
}

#endif
