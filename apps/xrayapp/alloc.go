// Requests that allocate known amounts, for `gotap alloc --by-route`.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// unit is what one part of a request allocates, in objects of two sizes.
const unit = 64 << 10

var (
	sinks [8]any
	// allocated has bytes by route; what no request allocates is the last.
	allocated = map[string]*uint64{
		"/ten": new(uint64), "/three": new(uint64), "/one": new(uint64), "/big": new(uint64), "": new(uint64),
	}
)

//go:noinline
func allocate(sink *any, units int) {
	for i := 0; i < units*unit/4096; i++ {
		*sink = make([]byte, 1024)
		*sink = make([]byte, 1024)
		*sink = make([]byte, 2048)
	}
}

func noteAllocated(route string, units int) {
	atomic.AddUint64(allocated[route], uint64(units*unit))
}

func ten(w http.ResponseWriter, r *http.Request) {
	allocate(&sinks[0], 10)
	noteAllocated("/ten", 10)
}

// three lets a goroutine of its own do it.
func three(w http.ResponseWriter, r *http.Request) {
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		allocate(&sinks[1], 3)
		done.Done()
	}()
	done.Wait()
	noteAllocated("/three", 3)
}

func one(w http.ResponseWriter, r *http.Request) {
	allocate(&sinks[2], 1)
	noteAllocated("/one", 1)
}

// big allocates objects that are too large for any size class.
func big(w http.ResponseWriter, r *http.Request) {
	for i := 0; i < 4; i++ {
		sinks[4] = make([]byte, unit)
	}
	noteAllocated("/big", 4)
}

// startAllocating asks for these in turn, and allocates for nobody in between: however slow the one is, there are
// as many of the others.
func startAllocating(base string) {
	go func() {
		for {
			for route := range allocated {
				if route != "" {
					get(base + route)
				}
			}
			allocate(&sinks[3], 4)
			noteAllocated("", 4)
			time.Sleep(2 * time.Millisecond)
		}
	}()
}

func sayAllocated() {
	out := map[string]uint64{}
	for route, bytes := range allocated {
		out[route] = atomic.LoadUint64(bytes)
	}
	said, _ := json.Marshal(out)
	fmt.Println("allocated", string(said))
}
