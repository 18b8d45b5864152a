/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A register that the plan names by its number. */
#ifndef GOTAP_REGISTERS_H
#define GOTAP_REGISTERS_H

/* A register by its x86 number. The barrier keeps clang from computing the offset at run time,
 * which the verifier refuses for the context. */
#define REGISTER(number, field)                 \
	case number: {                          \
		u64 value = ctx->field;         \
		asm volatile("" : "+r"(value)); \
		return value;                   \
	}

static __noinline u64 x86_register(struct pt_regs *ctx, u32 number)
{
#if defined(__TARGET_ARCH_x86)
	switch (number) {
	REGISTER(0, ax)
	REGISTER(1, cx)
	REGISTER(2, dx)
	REGISTER(3, bx)
	REGISTER(4, sp)
	REGISTER(5, bp)
	REGISTER(6, si)
	REGISTER(7, di)
	REGISTER(8, r8)
	REGISTER(9, r9)
	REGISTER(10, r10)
	REGISTER(11, r11)
	REGISTER(12, r12)
	REGISTER(13, r13)
	}
#endif
	return 0;
}

#endif
