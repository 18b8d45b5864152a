package main

import (
	"fmt"
	"runtime"
	"time"
)

// sink keeps what was allocated last, so that nothing is on a stack.
var sink [16][]byte

// A round allocates in the functions below in known shares: 200, 150, 130, 110, 90, 80, 70, 60, 50, 40, 10 and
// 10 of 1000. A grain is one of these, in kilobytes.
var grain = 64

// allocateForEver allocates in known shares, and says when that has been so much.
func allocateForEver(megabytes int, enough chan<- bool) {
	for done, said := 0, false; ; done += 1000 * grain {
		if !said && done+1000*grain > megabytes*1024 {
			said = true
			close(enough)
		}
		allocateRound()
		time.Sleep(10 * time.Millisecond)
	}
}

// allocateAroundCollections has one function allocate first after each collection, and another one a thousand times as
// much of the same size.
func allocateAroundCollections() {
	for {
		runtime.GC()
		allocateFew()
		allocateMany()
	}
}

//go:noinline
func allocateFew() {
	for i := 0; i < 3; i++ {
		sink[14] = make([]byte, 48)
	}
}

//go:noinline
func allocateMany() {
	for i := 0; i < 3000; i++ {
		sink[15] = make([]byte, 48)
	}
}

func allocateRound() {
	alloc01(200)
	alloc02(150)
	alloc03(130)
	alloc04(110)
	alloc05(90)
	alloc06(80)
	alloc07(70)
	alloc08(60)
	alloc09(50)
	alloc10(40)
	alloc11(10)
	alloc12(10)
}

//go:noinline
func alloc01(n int) {
	for i := 0; i < n*grain; i++ {
		sink[0] = make([]byte, 1024)
	}
}

//go:noinline
func alloc02(n int) {
	for i := 0; i < n*grain*4; i++ {
		sink[1] = make([]byte, 256)
	}
}

// alloc03 has objects that are no small ones.
//
//go:noinline
func alloc03(n int) {
	for i := 0; i < n*grain/64; i++ {
		sink[2] = make([]byte, 64<<10)
	}
}

//go:noinline
func alloc04(n int) {
	for i := 0; i < n*grain/4; i++ {
		sink[3] = make([]byte, 4096)
	}
}

//go:noinline
func alloc05(n int) {
	for i := 0; i < n*grain*2; i++ {
		sink[4] = make([]byte, 512)
	}
}

// alloc06 allocates in a function that is inlined.
//
//go:noinline
func alloc06(n int) {
	for i := 0; i < n*grain/2; i++ {
		sink[5] = inlinedAlloc()
	}
}

func inlinedAlloc() []byte { return make([]byte, 2048) }

//go:noinline
func alloc07(n int) {
	for i := 0; i < n*grain*8; i++ {
		sink[6] = make([]byte, 128)
	}
}

//go:noinline
func alloc08(n int) {
	for i := 0; i < n*grain/8; i++ {
		sink[7] = make([]byte, 8192)
	}
}

type worker struct{ n int }

//go:noinline
func (w worker) alloc09() {
	for i := 0; i < w.n*grain; i++ {
		sink[8] = make([]byte, 1024)
	}
}

func alloc09(n int) { worker{n}.alloc09() }

//go:noinline
func alloc10(n int) {
	func() {
		for i := 0; i < n*grain; i++ {
			sink[9] = make([]byte, 1024)
		}
	}()
}

//go:noinline
func alloc11(n int) {
	for i := 0; i < n*grain; i++ {
		sink[10] = make([]byte, 1024)
	}
}

//go:noinline
func alloc12(n int) {
	for i := 0; i < n*grain; i++ {
		sink[11] = make([]byte, 1024)
	}
}

// profile is what runtime.MemProfile says: sampled objects and bytes, and frees, by function, line and size.
func profile() map[string][2]int64 {
	n, _ := runtime.MemProfile(nil, true)
	records := make([]runtime.MemProfileRecord, n+1000)
	n, ok := runtime.MemProfile(records, true)
	if !ok {
		panic("too many records")
	}
	out := map[string][2]int64{}
	for _, record := range records[:n] {
		if record.AllocObjects == 0 {
			continue
		}
		key := fmt.Sprint(record.AllocBytes / record.AllocObjects)
		frames := runtime.CallersFrames(record.Stack())
		for {
			frame, more := frames.Next()
			key += fmt.Sprintf(" %s:%d", frame.Function, frame.Line)
			if !more {
				break
			}
		}
		sum := out[key]
		out[key] = [2]int64{sum[0] + record.AllocObjects, sum[1] + record.FreeObjects}
	}
	return out
}
