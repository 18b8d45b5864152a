package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// churnAllTheTime starts goroutines that park and end as fast as it can, and prints how many there were.
func churnAllTheTime() {
	var done int64
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		go func() {
			for {
				answer := make(chan *item)
				go func() { answer <- &item{} }()
				<-answer
				atomic.AddInt64(&done, 1)
			}
		}()
	}
	go func() {
		for {
			time.Sleep(50 * time.Millisecond)
			fmt.Println("churned", atomic.LoadInt64(&done))
		}
	}()
}
