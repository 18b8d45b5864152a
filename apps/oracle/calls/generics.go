// Generic functions and methods, called with type arguments of different shapes.

package calls

import "gotap/apps/oracle/capture"

// number is a constraint with a method-free type set.
type number interface{ ~int | ~float64 }

// stack is a generic type with methods.
type stack[T any] struct{ items []T }

//go:noinline
func (s *stack[T]) push(item T) {
	s.items = append(s.items, item)
	capture.Here("generic method")
}

// add is inlined where possible, sum is not.
func add[T number](a, b T) T {
	capture.Here("generic function inlined")
	return a + b
}

//go:noinline
func sum[T number](values ...T) T {
	var total T
	for _, value := range values {
		total = add(total, value)
	}
	return total
}

// apply calls a closure made in a generic function.
//
//go:noinline
func apply[T, U any](value T, f func(T) U) U {
	run := func() U {
		leaf("closure in a generic function")
		return f(value)
	}
	return run()
}

func generics() {
	sum(1, 2)
	sum(0.5, 1.5)
	(&stack[string]{}).push("a")
	(&stack[*counter]{}).push(nil)
	(&stack[struct{ a, b int }]{}).push(struct{ a, b int }{})
	apply("x", func(s string) int {
		capture.Here("closure given to a generic function")
		return len(s)
	})
	apply([]int{1}, func(s []int) *counter { return &counter{len(s)} })
}
