package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// startCrowd starts goroutines that wait at several places, as those of a large server do.
func startCrowd(n int) {
	shared := make(chan item)
	for i := 0; i < n; i++ {
		switch i % 4 {
		case 0:
			go crowdReceive(shared)
		case 1:
			go crowdReceive(make(chan item))
		case 2:
			go crowdSelect(make(chan item), shared)
		default:
			go crowdNested(8, shared)
		}
	}
}

//go:noinline
func crowdReceive(c chan item) { <-c }

//go:noinline
func crowdSelect(one, other chan item) {
	select {
	case <-one:
	case <-other:
	}
}

//go:noinline
func crowdNested(n int, c chan item) int {
	if n == 0 {
		return (<-c).a
	}
	return crowdNested(n-1, c) + 1
}

// serve answers requests with a little text.
func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("listening", listener.Addr())
	hello := func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") }
	go http.Serve(listener, http.HandlerFunc(hello))
}

// workAllTheTime has goroutines that come and go, grow their stacks, and hand things to each other.
func workAllTheTime() {
	for i := 0; i < 4; i++ {
		there, back := make(chan int), make(chan int, i)
		go answer(there, back)
		go func() {
			for n := 0; ; n++ {
				there <- n % 30
				go crowdCompute(<-back, nil)
			}
		}()
	}
}

func answer(questions <-chan int, answers chan<- int) {
	for n := range questions {
		answers <- crowdCompute(n, nil)
	}
}

//go:noinline
func crowdCompute(n int, before *[64]int) int {
	var room [64]int
	if before != nil {
		room[n%64] = before[0]
	}
	if n <= 0 {
		return room[0]
	}
	return crowdCompute(n-1, &room) + room[1]
}

// contendAllTheTime has two goroutines that wait for each other's lock.
func contendAllTheTime() {
	var lock sync.Mutex
	for i := 0; i < 2; i++ {
		go contend(&lock)
	}
}

//go:noinline
func contend(lock *sync.Mutex) {
	for {
		lock.Lock()
		time.Sleep(time.Millisecond)
		lock.Unlock()
	}
}
