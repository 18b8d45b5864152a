// Command runtimeapp has goroutines that wait in every way there is, and tells the truth about them:
// on SIGUSR1 it prints "report-N " and, as JSON in the same line, what runtime.Stack,
// runtime.NumGoroutine and runtime/metrics say.
//
//	-goroutines N   N more goroutines that wait for channels (crowd.go)
//	-leak N         N goroutines a second that never end (leaks.go)
//	-syscalls N     N system calls a second that block, and as many that don't (syscalls.go)
//	-work           answers HTTP requests on a port that it prints, for benchmarks
//	-busy           goroutines that work and change all the time
//	-allocate N     allocates in known shares, and is ready after N megabytes (alloc.go)
//	-collect        allocates little and much after each collection (alloc.go)
//	-grain N        a thousandth of what is allocated in one go, in kilobytes
//	-rate N         runtime.MemProfileRate
//	-blocking       all waits are sampled, and some wait for a lock (crowd.go)
//	-flight FILE    runs a flight recorder (flight.go), which writes its window into a file; "-" for none
//	-channels       uses channels and locks at known rates (channels.go)
//	-churn          starts goroutines that end as fast as it can (churn.go)
//	-fault KIND     has a fault, or looks like it: deadlock, stuck, leak or healthy (faults.go)
//	-quiet          none of the goroutines that wait in every way
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// report is what the runtime says of this program.
type report struct {
	Stack      string              `json:"stack"`
	Goroutines int                 `json:"goroutines"`
	Numbers    map[string]uint64   `json:"numbers"`
	Histograms map[string]buckets  `json:"histograms"`
	Memory     memory              `json:"memory"`
	Facts      map[string]string   `json:"facts"`
	Profile    map[string][2]int64 `json:"profile"`
	Counted    counted             `json:"counted"`
}

// counted is what this program counts itself, and when.
type counted struct {
	Leaked   int64 `json:"leaked"`
	Calls    int64 `json:"calls"`
	UnixNano int64 `json:"unixNano"`
}

// buckets has the counts of a histogram's buckets that are not empty, by their lower end.
type buckets map[string]uint64

// memory is a part of runtime.MemStats.
type memory struct {
	NumGC        uint32
	NumForcedGC  uint32
	PauseTotalNs uint64
	TotalAlloc   uint64
	Mallocs      uint64
	LastGC       uint64
	NextGC       uint64
	Pauses       []uint64
}

func main() {
	crowd := flag.Int("goroutines", 0, "further goroutines that wait")
	leak := flag.Int("leak", 0, "goroutines a second that never end")
	syscalls := flag.Int("syscalls", 0, "system calls a second that block")
	work := flag.Bool("work", false, "answer HTTP requests")
	busy := flag.Bool("busy", false, "work all the time")
	allocate := flag.Int("allocate", 0, "megabytes to allocate in known shares")
	collect := flag.Bool("collect", false, "collect garbage all the time")
	flag.IntVar(&grain, "grain", grain, "a thousandth of a round of allocations, in kilobytes")
	rate := flag.Int("rate", 0, "runtime.MemProfileRate")
	blocking := flag.Bool("blocking", false, "sample all waits")
	flight := flag.String("flight", "", "run a flight recorder")
	channels := flag.Bool("channels", false, "use channels at known rates")
	churn := flag.Bool("churn", false, "start goroutines all the time")
	fault := flag.String("fault", "", "the kind of a fault")
	quiet := flag.Bool("quiet", false, "only what the other flags ask for")
	flag.Parse()

	if *blocking {
		runtime.SetBlockProfileRate(1)
		runtime.SetMutexProfileFraction(1)
		contendAllTheTime()
	}
	if *rate > 0 {
		runtime.MemProfileRate = *rate
	}
	asked := make(chan os.Signal, 8)
	signal.Notify(asked, syscall.SIGUSR1)
	facts := map[string]string{}
	if !*quiet {
		waitInEveryWay(facts)
	}
	startCrowd(*crowd)
	if *leak > 0 {
		go leakEvery(*leak)
	}
	if *syscalls > 0 {
		callEvery(*syscalls)
	}
	if *work {
		serve()
	}
	if *fault != "" {
		fail(*fault, facts)
	}
	if *channels {
		useChannels(facts)
	}
	if *churn {
		churnAllTheTime()
	}
	if *busy {
		workAllTheTime()
	}
	if *collect {
		go allocateAroundCollections()
	}
	if *allocate > 0 {
		enough := make(chan bool)
		go allocateForEver(*allocate, enough)
		<-enough
	}
	if *flight != "" {
		recordFlight(strings.TrimPrefix(*flight, "-"))
	}
	// So that the runtime has seen all that wait, and notes since when.
	runtime.GC()
	runtime.GC()
	close(collected)
	fmt.Println("collected", time.Now().UnixNano())
	fmt.Println("ready")
	for n := 1; ; n++ {
		<-asked
		if *channels {
			sendBurst()
		}
		text, err := json.Marshal(tell(facts))
		if err != nil {
			panic(err)
		}
		fmt.Printf("report-%d %s\n", n, text)
	}
}

func tell(facts map[string]string) report {
	stack := make([]byte, 16<<20)
	stack = stack[:runtime.Stack(stack, true)]
	out := report{
		Stack:      string(stack),
		Goroutines: runtime.NumGoroutine(),
		Numbers:    map[string]uint64{},
		Histograms: map[string]buckets{},
		Facts:      facts,
		Profile:    profile(),
		Counted: counted{
			Leaked:   atomic.LoadInt64(&leaked),
			Calls:    atomic.LoadInt64(&calls),
			UnixNano: time.Now().UnixNano(),
		},
	}
	var samples []metrics.Sample
	for _, description := range metrics.All() {
		samples = append(samples, metrics.Sample{Name: description.Name})
	}
	metrics.Read(samples)
	for _, sample := range samples {
		switch sample.Value.Kind() {
		case metrics.KindUint64:
			out.Numbers[sample.Name] = sample.Value.Uint64()
		case metrics.KindFloat64Histogram:
			histogram := sample.Value.Float64Histogram()
			filled := buckets{}
			for i, count := range histogram.Counts {
				if count > 0 {
					filled[fmt.Sprint(histogram.Buckets[i])] = count
				}
			}
			out.Histograms[sample.Name] = filled
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	out.Memory = memory{
		NumGC:        stats.NumGC,
		NumForcedGC:  stats.NumForcedGC,
		PauseTotalNs: stats.PauseTotalNs,
		TotalAlloc:   stats.TotalAlloc,
		Mallocs:      stats.Mallocs,
		LastGC:       stats.LastGC,
		NextGC:       stats.NextGC,
	}
	for i := uint32(0); i < stats.NumGC && i < 256; i++ {
		out.Memory.Pauses = append(out.Memory.Pauses, stats.PauseNs[(stats.NumGC-1-i)%256])
	}
	return out
}
