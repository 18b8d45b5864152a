// Package calls captures stacks inside all the kinds of functions that Go has.
package calls

import (
	"errors"
	"reflect"
	"sort"
	"sync"

	"gotap/apps/oracle/capture"
)

// Run captures every case of this package.
func Run() {
	outer("inlined three deep")
	twice("inlined twice in one function")
	recurse(3)
	closures()
	methods()
	generics()
	goroutines()
	deferred()
	throughLibrary()
}

// leaf, mid and outer are small enough to be inlined into one another; Run's call of outer makes a
// fourth level.
func leaf(label string) { capture.Here(label) }

func mid(label string) { leaf(label) }

func outer(label string) { mid(label) }

// twice has two inlined copies of the same chain.
//
//go:noinline
func twice(label string) {
	outer(label)
	if label != "" {
		mid(label)
	}
}

// recurse has equal physical frames in a row.
//
//go:noinline
func recurse(n int) {
	if n == 0 {
		leaf("recursion")
		return
	}
	recurse(n - 1)
}

func closures() {
	captured := "closure"
	inner := func(suffix string) func() {
		return func() { capture.Here(captured + suffix) }
	}
	call(inner(" in closure"))
	func() { leaf("closure called at once") }()
	call(func() { outer("inlined into a closure") })
}

// call hides from the compiler which function it calls.
//
//go:noinline
func call(f func()) { f() }

// counter has methods with both kinds of receivers.
type counter struct{ n int }

func (c counter) value()    { capture.Here("method of a value") }
func (c *counter) pointer() { c.n++; leaf("method of a pointer") }

// valuer is implemented by counter.
type valuer interface{ value() }

func methods() {
	c := &counter{}
	c.value()
	c.pointer()
	call(c.pointer)
	call(c.value)
	var v valuer = *c
	v.value()
	call(func() { (*counter).pointer(c) })
}

func goroutines() {
	var wait sync.WaitGroup
	wait.Add(3)
	go func() {
		defer wait.Done()
		leaf("goroutine closure")
	}()
	go inGoroutine(&wait)
	go func() {
		inner := make(chan struct{})
		go func() { outer("goroutine of a goroutine"); close(inner) }()
		<-inner
		wait.Done()
	}()
	wait.Wait()
}

func inGoroutine(wait *sync.WaitGroup) {
	defer wait.Done()
	capture.Here("goroutine function")
}

func deferred() {
	func() {
		defer leaf("deferred")
	}()
	func() {
		defer func() {
			if recover() != nil {
				capture.Here("deferred in a panic")
			}
		}()
		panic(errors.New("expected"))
	}()
	func() {
		defer func() {
			if recover() != nil {
				capture.Here("deferred after a fault")
			}
		}()
		fault(nil)
	}()
}

// fault makes the processor raise a signal: its frame is not at a call.
//
//go:noinline
func fault(c *counter) { c.n++ }

// throughLibrary has functions of the standard library between ours.
func throughLibrary() {
	values := []int{3, 1, 2}
	sort.Slice(values, func(i, j int) bool {
		capture.Here("sort.Slice")
		return values[i] < values[j]
	})
	var once sync.Once
	once.Do(func() { capture.Here("sync.Once") })
	reflect.ValueOf(outer).Call([]reflect.Value{reflect.ValueOf("reflect call")})
}
