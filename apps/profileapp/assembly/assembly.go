// Package assembly computes in functions written in assembly, which keep no frame pointer, or lose the stack.
package assembly

//go:noinline
func spin(n int) uint64 {
	var x uint64 = 88172645463325252
	for i := 0; i < n; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
