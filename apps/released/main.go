// Command released has goroutines that wait in deferred calls: one after it has given its lock back, one before.
// Which lock is which it prints.
package main

import (
	"fmt"
	"sync"
	"time"
)

type account struct {
	balance int
	lock    sync.Mutex
}

func main() {
	var after, before account
	reached, never := make(chan struct{}), make(chan struct{})
	go after.settle(reached, never)
	<-reached
	go after.hold(reached, never)
	<-reached
	go before.keep(reached, never)
	<-reached
	go after.add()
	go before.add()
	time.Sleep(100 * time.Millisecond)
	fmt.Printf("after %p\nbefore %p\n", &after.lock, &before.lock)
	time.Sleep(time.Hour)
}

//go:noinline
func await(reached chan<- struct{}, never <-chan struct{}) {
	reached <- struct{}{}
	<-never
}

// settle awaits what it deferred first, and so runs last.
//
//go:noinline
func (a *account) settle(reached chan<- struct{}, never <-chan struct{}) {
	defer await(reached, never)
	a.lock.Lock()
	defer a.lock.Unlock()
	a.balance++
}

// hold does not say on its stack that it has the lock.
//
//go:noinline
func (a *account) hold(reached chan<- struct{}, never <-chan struct{}) {
	a.lock.Lock()
	reached <- struct{}{}
	<-never
	a.lock.Unlock()
}

// keep awaits with the lock what it deferred last, and so runs first.
//
//go:noinline
func (a *account) keep(reached chan<- struct{}, never <-chan struct{}) {
	a.lock.Lock()
	defer a.lock.Unlock()
	defer await(reached, never)
	a.balance++
}

//go:noinline
func (a *account) add() {
	a.lock.Lock()
	a.balance++
	a.lock.Unlock()
}
