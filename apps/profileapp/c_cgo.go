//go:build cgo

package main

/*
#include <stdint.h>

uint64_t goSpin(int n);

static __attribute__((noinline)) uint64_t c_spin(int n) {
	uint64_t x = 88172645463325252ULL;
	for (int i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

static __attribute__((noinline)) uint64_t c_calls(int n) {
	return c_spin(2 * n) + goSpin(n);
}
*/
import "C"

func init() {
	callc = func() {
		for {
			callsC()
		}
	}
}

//go:noinline
func callsC() {
	sink += uint64(C.c_calls(100_000))
}

//export goSpin
func goSpin(n C.int) C.uint64_t {
	return C.uint64_t(spin(int(n)))
}
