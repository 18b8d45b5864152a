// Requests that help Go's garbage collector, and requests during which the world is stopped.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// node is what the collector has to follow.
type node struct {
	left, right *node
	rest        [4]uint64
}

var (
	live *node
	// served has nanoseconds of requests, and stopped those of them in which the world was stopped.
	served, stopped uint64
	text            = make([]byte, 4<<20)
)

func grow(levels int) *node {
	if levels == 0 {
		return nil
	}
	return &node{left: grow(levels - 1), right: grow(levels - 1)}
}

// assist allocates what the collector has to follow, while it follows a large heap: so it must help.
func assist(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	for i := 0; i < 40; i++ {
		sinks[4] = grow(10)
	}
	atomic.AddUint64(&served, uint64(time.Since(began)))
}

// stop has all goroutines written down, for which the world is stopped, and sleeps as long as that took; some times.
func stop(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	for i := 0; i < 6; i++ {
		before := time.Now()
		runtime.Stack(text, true)
		took := time.Since(before)
		time.Sleep(took)
		atomic.AddUint64(&stopped, uint64(took))
	}
	atomic.AddUint64(&served, uint64(time.Since(began)))
}

// assisted has the seconds that goroutines helped the collector, as the runtime counts it; -1 before Go 1.20.
func assisted() float64 {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/mark/assist:cpu-seconds"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64 {
		return -1
	}
	return sample[0].Value.Float64()
}

// startAssisting lets two clients ask for assist.
func startAssisting(base string) {
	live = grow(20)
	debug.SetGCPercent(20)
	runtime.GC()
	for i := 0; i < 2; i++ {
		go func() {
			for {
				get(base + "/assist")
			}
		}()
	}
}

// startStopping lets a client ask for stop. There are many goroutines.
func startStopping(base string) {
	for i := 0; i < 2000; i++ {
		go func() { select {} }()
	}
	go func() {
		for {
			get(base + "/stop")
		}
	}()
}

func sayCollected(before float64) {
	seconds := func(of *uint64) float64 { return float64(atomic.LoadUint64(of)) / 1e9 }
	said, _ := json.Marshal(map[string]float64{
		"served": seconds(&served), "stopped": seconds(&stopped), "assisted": assisted() - before,
	})
	fmt.Println("collected", string(said))
}
