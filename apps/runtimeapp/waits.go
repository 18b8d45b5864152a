package main

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// item is an element that has a name of its own.
type item struct{ a, b int }

// Kept so that nothing here is ever collected or ends.
var (
	full       = make(chan item, 2)
	empty      = make(chan *item)
	closing    = make(chan struct{})
	texts      = make(chan string, 3)
	nothing    chan int
	lock       sync.Mutex
	readWrite  sync.RWMutex
	group      sync.WaitGroup
	condition  = sync.NewCond(&sync.Mutex{})
	keepAlive  []interface{}
	inlineGate = make(chan bool)
)

func note(facts map[string]string, name string, address interface{}) {
	facts[name] = fmt.Sprintf("%p", address)
}

// waitInEveryWay starts goroutines that wait, each in another way, and is back when all do.
func waitInEveryWay(facts map[string]string) {
	note(facts, "full", full)
	note(facts, "empty", empty)
	note(facts, "texts", texts)
	note(facts, "mutex", &lock)
	note(facts, "rwmutex", &readWrite)
	note(facts, "waitgroup", &group)

	full <- item{1, 2}
	full <- item{3, 4}
	texts <- "one"
	for i := 0; i < 3; i++ {
		go sendTo(full, i)
	}
	go receiveFrom(empty, "twice", 2.5)
	go func() { <-empty }()
	go selectOf()
	go selectNothing()
	go func() { nothing <- 1 }()
	go func() { <-nothing }()
	lock.Lock()
	for i := 0; i < 4; i++ {
		go takeLock(&lock, i)
	}
	readWrite.Lock()
	for i := 0; i < 2; i++ {
		go func() { readWrite.RLock() }()
	}
	go func() { readWrite.Lock() }()
	group.Add(1)
	go group.Wait()
	go waitForCondition()
	go time.Sleep(time.Hour)
	go sleeper{time.Hour}.sleep("named", nil)
	startIO()
	go inlined(1)
	go deep(40, nil)
	go embedded{&inner{}}.start()
	go generic[item](make(chan item))
	go panicsAndWaits()
	go faultsAndWaits()
	go lockedToThread()
	go nested()
	settle()
}

// settle waits until all have come to where they wait.
func settle() {
	for i := 0; i < 20; i++ {
		time.Sleep(10 * time.Millisecond)
		runtime.Gosched()
	}
}

//go:noinline
func sendTo(to chan<- item, n int) { to <- item{n, n} }

//go:noinline
func receiveFrom(from <-chan *item, name string, factor float64) {
	got := <-from
	fmt.Println(got, name, factor)
}

func selectOf() {
	select {
	case <-empty:
	case <-closing:
	case full <- item{}:
	}
}

func selectNothing() { select {} }

//go:noinline
func takeLock(l *sync.Mutex, n int) {
	l.Lock()
	fmt.Println(n)
}

func waitForCondition() {
	condition.L.Lock()
	condition.Wait()
}

type sleeper struct{ time time.Duration }

func (s sleeper) sleep(name string, more []int) {
	time.Sleep(s.time)
	fmt.Println(name, more)
}

// startIO waits for a connection, for bytes of one, and in a system call.
func startIO() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	server, err := listener.Accept()
	if err != nil {
		panic(err)
	}
	keepAlive = append(keepAlive, listener, client, server)
	go listener.Accept()
	go server.Read(make([]byte, 16))
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	go syscall.Read(pipe[0], make([]byte, 1))
}

// inlined is four functions deep in the source and one in the machine code.
func inlined(n int) { first(n) }
func first(n int)   { second(n + 1) }
func second(n int)  { third(n + 1) }
func third(n int) {
	<-inlineGate
}

// deep has large frames, so that its stack is much larger than what is read at once.
//
//go:noinline
func deep(n int, before *[256]byte) byte {
	var room [256]byte
	room[n] = 1
	if before != nil {
		room[0] = before[1]
	}
	if n == 0 {
		<-closing
		return room[0]
	}
	return deep(n-1, &room) + room[n]
}

// waiter is called through a method that the compiler makes.
type waiter interface{ wait() }

type inner struct{ n int }

//go:noinline
func (i *inner) wait() {
	<-closing
	i.n++
}

type embedded struct{ *inner }

//go:noinline
func (e embedded) start() {
	var w waiter = e
	keepAlive = append(keepAlive[:len(keepAlive):len(keepAlive)], w)
	w.wait()
}

//go:noinline
func generic[T any](c chan T) T { return <-c }

func panicsAndWaits() {
	defer func() {
		<-closing
		recover()
	}()
	panic("waits in a deferred function")
}

func faultsAndWaits() {
	defer func() {
		<-closing
		recover()
	}()
	var nobody *item
	nobody.a = 1
}

func lockedToThread() {
	runtime.LockOSThread()
	<-closing
}

// nested starts a goroutine, so that it has a parent other than the first one.
func nested() {
	done := make(chan int)
	go func(n int) { <-closing; done <- n }(7)
	<-done
}
