// Command globals has locks that are variables of its package, and no other ones. It prints of each that somebody waits
// for: its kind, its address, and the function that holds it and says so on its stack, or "-". With "busy" goroutines
// lock, sleep and unlock instead, without an end.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

var (
	one, other sync.Mutex
	read, both sync.RWMutex
	group      sync.WaitGroup
	never      chan struct{} = make(chan struct{})
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "busy" {
		for i := 0; i < 4; i++ {
			go lockAndSleep()
		}
		fmt.Println("ready")
		time.Sleep(time.Hour)
	}
	group.Add(1)
	go lockOneOther()
	go lockOtherOne()
	go holdToRead()
	go holdBoth()
	time.Sleep(100 * time.Millisecond)
	go func() { read.Lock() }()
	go func() { both.RLock() }()
	go func() { group.Wait() }()
	time.Sleep(100 * time.Millisecond)
	fmt.Printf("mutex %p main.lockOneOther\nmutex %p main.lockOtherOne\n", &one, &other)
	fmt.Printf("rwmutex %p main.holdToRead\nrwmutex %p main.holdBoth\n", &read, &both)
	fmt.Printf("waitgroup %p -\n", &group)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

//go:noinline
func lockAndSleep() {
	for {
		one.Lock()
		time.Sleep(time.Millisecond)
		one.Unlock()
	}
}

//go:noinline
func lockOneOther() {
	one.Lock()
	defer one.Unlock()
	time.Sleep(50 * time.Millisecond)
	other.Lock()
	defer other.Unlock()
}

//go:noinline
func lockOtherOne() {
	other.Lock()
	defer other.Unlock()
	time.Sleep(50 * time.Millisecond)
	one.Lock()
	defer one.Unlock()
}

//go:noinline
func holdToRead() {
	read.RLock()
	defer read.RUnlock()
	<-never
}

//go:noinline
func holdBoth() {
	both.Lock()
	defer both.Unlock()
	<-never
}
