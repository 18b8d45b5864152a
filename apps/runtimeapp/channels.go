package main

import (
	"sync"
	"time"
)

// burst is how many values go through bursts before each report.
const burst = 1000

var bursts = make(chan item, 16)

// useChannels has goroutines that wait for a tenth of a second, again and again, each in another way.
func useChannels(facts map[string]string) {
	note(facts, "bursts", bursts)
	slow, other := make(chan int), make(chan int)
	go sendSlowly(slow)
	go waitSlowly(slow)
	go sendSlowly(other)
	go selectSlowly(other)
	go waitForGroup()
	var lock sync.Mutex
	go holdSlowly(&lock)
	go lockSlowly(&lock)
}

// sendBurst sends and receives a known number of values, and takes one lock that is held.
func sendBurst() {
	done := make(chan bool)
	go func() {
		for i := 0; i < burst; i++ {
			receiveBurst()
		}
		done <- true
	}()
	for i := 0; i < burst; i++ {
		bursts <- item{i, i}
	}
	<-done
}

//go:noinline
func receiveBurst() { <-bursts }

func sendSlowly(to chan<- int) {
	for i := 0; ; i++ {
		time.Sleep(100 * time.Millisecond)
		to <- i
	}
}

func waitSlowly(from <-chan int) {
	for {
		<-from
	}
}

func selectSlowly(from <-chan int) {
	never := make(chan int)
	for {
		select {
		case <-from:
		case <-never:
		}
	}
}

func waitForGroup() {
	for {
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			time.Sleep(100 * time.Millisecond)
			group.Done()
		}()
		group.Wait()
	}
}

func holdSlowly(lock *sync.Mutex) {
	for {
		lock.Lock()
		time.Sleep(100 * time.Millisecond)
		lock.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

func lockSlowly(lock *sync.Mutex) {
	for {
		lock.Lock()
		lock.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}
