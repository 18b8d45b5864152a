// Command poolapp is a pool of workers that come and go, and counts them itself. On SIGUSR1 it starts
// them at a steady rate; when all have ended, or on SIGTERM, it prints "counts " and, as JSON in the same
// line, how many of each function it started and saw end.
//
//	-workers N   how many to start in all
//	-rate N      how many a second
//	-life D      how long the shortest lives; others up to four times as long
//	-old N       workers that are started before and end with the rest
//	-now         start at once
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// counts is the truth.
type counts struct {
	Workers  int64 `json:"workers"`
	Ended    int64 `json:"ended"`
	Children int64 `json:"children"`
	Exits    int64 `json:"exits"`
	Old      int64 `json:"old"`
}

var (
	started, ended, children, exits int64
	running                         sync.WaitGroup
)

func main() {
	workers := flag.Int("workers", 1000, "how many workers to start")
	rate := flag.Int("rate", 1000, "workers a second")
	life := flag.Duration("life", time.Millisecond, "how long the shortest lives")
	old := flag.Int("old", 3, "workers that are there before")
	now := flag.Bool("now", false, "start at once")
	flag.Parse()

	asked := make(chan os.Signal, 4)
	signal.Notify(asked, syscall.SIGUSR1, syscall.SIGTERM)
	quit := make(chan bool)
	for i := 0; i < *old; i++ {
		running.Add(1)
		go veteran(quit)
	}
	fmt.Println("ready")
	if !*now {
		<-asked
	}
	spawn(*workers, *rate, *life, asked)
	close(quit)
	running.Wait()
	// Those who said that they are done may still be on their way out.
	for i := 0; i < 1000 && runtime.NumGoroutine() > 2; i++ {
		time.Sleep(time.Millisecond)
	}
	text, _ := json.Marshal(counts{
		atomic.LoadInt64(&started), atomic.LoadInt64(&ended),
		atomic.LoadInt64(&children), atomic.LoadInt64(&exits), int64(*old),
	})
	fmt.Println("counts " + string(text))
	<-asked
}

// spawn starts workers, as many as are due by the clock every time that it wakes.
func spawn(workers, rate int, life time.Duration, asked chan os.Signal) {
	begin := time.Now()
	for n := 0; n < workers; {
		due := int(time.Since(begin).Seconds() * float64(rate))
		for ; n < due && n < workers; n++ {
			running.Add(1)
			atomic.AddInt64(&started, 1)
			go worker(n, life)
		}
		select {
		case <-asked:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// worker lives for a while. Every tenth one starts a child, and every seventh ends by Goexit.
func worker(n int, life time.Duration) {
	defer running.Done()
	defer atomic.AddInt64(&ended, 1)
	time.Sleep(life * time.Duration(1+n%4))
	if n%10 == 0 {
		running.Add(1)
		atomic.AddInt64(&children, 1)
		go child()
	}
	if n%7 == 0 {
		atomic.AddInt64(&exits, 1)
		runtime.Goexit()
	}
}

// child ends at once.
func child() {
	running.Done()
}

// veteran is there from the beginning.
func veteran(quit chan bool) {
	<-quit
	running.Done()
}
