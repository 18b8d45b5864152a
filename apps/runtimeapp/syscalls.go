package main

import (
	"sync/atomic"
	"syscall"
	"time"
)

// calls is how many system calls callEvery has made: each second one blocks.
var calls int64

// callEvery writes to a pipe so many times a second, and reads from it, for which it waits in the kernel.
func callEvery(perSecond int) {
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	go func() {
		bytes := make([]byte, 1)
		for {
			call(syscall.Read(pipe[0], bytes))
		}
	}()
	go func() {
		bytes := make([]byte, 1)
		for {
			time.Sleep(time.Second / time.Duration(perSecond))
			call(syscall.Write(pipe[1], bytes))
		}
	}()
}

func call(n int, err error) {
	if n != 1 || err != nil {
		panic(err)
	}
	atomic.AddInt64(&calls, 1)
}
