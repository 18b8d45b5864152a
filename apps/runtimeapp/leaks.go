package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// leaked is how many goroutines leakEvery has started.
var leaked int64

// collected is closed behind the last collection that this program asks for.
var collected = make(chan bool)

// leakEvery starts goroutines that wait for somebody who never comes.
func leakEvery(perSecond int) {
	for {
		time.Sleep(time.Second / time.Duration(perSecond))
		answer := make(chan item)
		atomic.AddInt64(&leaked, 1)
		go func() { answer <- item{1, 2} }()
	}
}

// leakAroundCollections leaks goroutines that collections have seen to wait, and others that none has. It
// prints when it began: "leaked " and nanoseconds since 1970.
func leakAroundCollections() {
	fmt.Println("leaked", time.Now().UnixNano())
	for i := 0; i < 20; i++ {
		abandon()
	}
	go func() {
		<-collected
		for {
			time.Sleep(50 * time.Millisecond)
			abandon()
			forget()
		}
	}()
}

//go:noinline
func abandon() { go abandoned(make(chan item)) }

func abandoned(answer chan<- item) { answer <- item{1, 2} }

//go:noinline
func forget() { go forgotten(make(chan item)) }

func forgotten(answer chan<- item) { answer <- item{3, 4} }
