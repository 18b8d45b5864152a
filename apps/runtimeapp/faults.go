package main

import (
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// account is locked in the order that the caller chooses.
type account struct {
	balance int
	lock    sync.Mutex
}

// fail makes a server that has a fault, or looks as if it had one. It listens, as servers do.
func fail(kind string, facts map[string]string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	state := &account{}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		state.lock.Lock()
		defer state.lock.Unlock()
		state.balance++
		time.Sleep(time.Millisecond)
	})
	go http.Serve(listener, nil)
	switch kind {
	case "deadlock":
		crossed(facts, transfer)
		overload(facts)
		relock(facts)
		bothSend(facts)
		kept := &account{}
		note(facts, "kept", &kept.lock)
		go kept.keep()
		time.Sleep(100 * time.Millisecond)
		go kept.add()
		go gather()
		idleWorkers(facts)
		go collect()
	case "stuck":
		crossed(facts, transferPlainly)
	case "leak":
		leakAroundCollections()
	case "healthy":
		idleWorkers(facts)
		stayHealthy("http://"+listener.Addr().String(), facts)
		go collect()
	default:
		panic("no such fault: " + kind)
	}
	time.Sleep(300 * time.Millisecond)
}

// crossed lets two goroutines lock two accounts in opposite orders.
func crossed(facts map[string]string, transfer func(from, to *account, both *sync.WaitGroup)) {
	one, other := &account{}, &account{}
	note(facts, "one", &one.lock)
	note(facts, "other", &other.lock)
	var both sync.WaitGroup
	both.Add(2)
	go transfer(one, other, &both)
	go transfer(other, one, &both)
}

//go:noinline
func transfer(from, to *account, both *sync.WaitGroup) {
	from.lock.Lock()
	defer from.lock.Unlock()
	meet(both)
	to.lock.Lock()
	defer to.lock.Unlock()
	from.balance--
	to.balance++
}

//go:noinline
func transferPlainly(from, to *account, both *sync.WaitGroup) {
	from.lock.Lock()
	meet(both)
	to.lock.Lock()
	from.balance--
	to.balance++
	to.lock.Unlock()
	from.lock.Unlock()
}

func meet(both *sync.WaitGroup) {
	both.Done()
	both.Wait()
}

// relock has a goroutine that locks again what it has locked.
func relock(facts map[string]string) {
	twice := &account{}
	note(facts, "twice", &twice.lock)
	go twice.add()
}

//go:noinline
func (a *account) add() {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.addMore()
}

//go:noinline
func (a *account) addMore() {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.balance++
}

// bothSend has two goroutines that each send before they receive.
func bothSend(facts map[string]string) {
	left, right := make(chan item), make(chan item)
	note(facts, "left", left)
	note(facts, "right", right)
	go exchange(left, right)
	go exchange(right, left)
}

//go:noinline
func exchange(to chan<- item, from <-chan item) {
	for {
		to <- item{1, 1}
		<-from
	}
}

// gather waits for goroutines that send it something, before it receives any of it.
func gather() {
	results := make(chan int)
	var all sync.WaitGroup
	for i := 0; i < 3; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			results <- 1
		}()
	}
	all.Wait()
	close(results)
}

// keep does not give the lock back, as it waits for what never comes.
//
//go:noinline
func (a *account) keep() {
	a.lock.Lock()
	defer a.lock.Unlock()
	<-make(chan item)
}

// overload has many that send to one that takes its time.
func overload(facts map[string]string) {
	orders := make(chan item, 4)
	note(facts, "orders", orders)
	for i := 0; i < 40; i++ {
		go placeOrders(orders)
	}
	go func() {
		for range orders {
			time.Sleep(200 * time.Millisecond)
		}
	}()
}

//go:noinline
func placeOrders(orders chan<- item) {
	for i := 0; ; i++ {
		orders <- item{i, i}
	}
}

// idleWorkers wait for work, as they should.
func idleWorkers(facts map[string]string) {
	jobs := make(chan item)
	note(facts, "jobs", jobs)
	for i := 0; i < 50; i++ {
		go func() {
			for range jobs {
			}
		}()
	}
}

// stayHealthy has goroutines that wait for long, and none in vain.
func stayHealthy(url string, facts map[string]string) {
	// One waits for all of a server's parts, as main often does.
	var parts sync.WaitGroup
	parts.Add(2)
	go func() {
		go func() {
			defer parts.Done()
			for range time.Tick(50 * time.Millisecond) {
			}
		}()
		go func() {
			defer parts.Done()
			<-make(chan int)
		}()
		parts.Wait()
	}()
	// Clients whose requests wait for one lock.
	for i := 0; i < 4; i++ {
		go func() {
			for {
				if response, err := http.Get(url); err == nil {
					response.Body.Close()
				}
			}
		}()
	}
	// One that waits for a condition, with the lock's release deferred, and one that needs the lock now and then.
	var lock sync.Mutex
	ready := sync.NewCond(&lock)
	go func() {
		lock.Lock()
		defer lock.Unlock()
		for {
			ready.Wait()
		}
	}()
	go func() {
		for {
			lock.Lock()
			ready.Signal()
			time.Sleep(5 * time.Millisecond)
			lock.Unlock()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	go func() {
		for {
			lock.Lock()
			time.Sleep(time.Millisecond)
			lock.Unlock()
		}
	}()
	// A producer that waits for its consumer most of the time.
	items := make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			items <- i
		}
	}()
	go func() {
		for range items {
			time.Sleep(20 * time.Millisecond)
		}
	}()
}

// collect lets the runtime note since when goroutines wait.
func collect() {
	for {
		time.Sleep(time.Second)
		runtime.GC()
	}
}
