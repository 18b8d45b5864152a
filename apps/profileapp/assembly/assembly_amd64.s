#include "textflag.h"

// func Leaf(n int) uint64
TEXT ·Leaf(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ n+0(FP), CX
	MOVQ $88172645463325252, AX
loop:
	MOVQ AX, DX
	SHLQ $13, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHRQ $7, DX
	XORQ DX, AX
	DECQ CX
	JNZ  loop
	MOVQ AX, ret+8(FP)
	RET

// func Borrows(n int) uint64
TEXT ·Borrows(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ n+0(FP), CX
	MOVQ BP, R12
	MOVQ $88172645463325252, AX
loop:
	MOVQ AX, BP
	SHLQ $13, BP
	XORQ BP, AX
	MOVQ AX, BP
	SHRQ $7, BP
	XORQ BP, AX
	DECQ CX
	JNZ  loop
	MOVQ R12, BP
	MOVQ AX, ret+8(FP)
	RET

// func Pushes(n int) uint64
TEXT ·Pushes(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ  n+0(FP), CX
	PUSHQ CX
	PUSHQ CX
	MOVQ $88172645463325252, AX
loop:
	MOVQ AX, DX
	SHLQ $13, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHRQ $7, DX
	XORQ DX, AX
	DECQ CX
	JNZ  loop
	POPQ  CX
	POPQ  CX
	MOVQ  AX, ret+8(FP)
	RET

// func Calls(n int) uint64
TEXT ·Calls(SB), 0, $32-16
	MOVQ n+0(FP), AX
	MOVQ AX, 0(SP)
	CALL ·spin(SB)
	MOVQ 8(SP), AX
	MOVQ AX, ret+8(FP)
	RET

// func Moves(n int) uint64
TEXT ·Moves(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ n+0(FP), CX
	MOVQ SP, R12
	SUBQ $64, SP
	ANDQ $~63, SP
	MOVQ $88172645463325252, AX
loop:
	MOVQ AX, DX
	SHLQ $13, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHRQ $7, DX
	XORQ DX, AX
	DECQ CX
	JNZ  loop
	MOVQ R12, SP
	MOVQ AX, ret+8(FP)
	RET

// func MovesAndCalls(n int) uint64
TEXT ·MovesAndCalls(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ n+0(FP), CX
	MOVQ SP, R12
	SUBQ $64, SP
	ANDQ $~63, SP
	CALL inner<>(SB)
	MOVQ R12, SP
	MOVQ AX, ret+8(FP)
	RET

// It takes CX, gives AX, and leaves R12.
TEXT inner<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ $88172645463325252, AX
loop:
	MOVQ AX, DX
	SHLQ $13, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHRQ $7, DX
	XORQ DX, AX
	DECQ CX
	JNZ  loop
	RET
