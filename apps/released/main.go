// Command released has goroutines that wait in deferred calls, some after they have given their lock back, some
// before. It prints each case: its name, the lock's address, and the function that holds the lock and says so on its
// stack, or "-".
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

var (
	reached = make(chan struct{})
	never   = make(chan struct{})
)

func main() {
	// Who comes first still has the lock when the next one wants it.
	for _, one := range []struct {
		name, holder string
		goes         []func(*account)
	}{
		{"after", "-", []func(*account){(*account).settle, (*account).hold}},
		{"before", "main.(*account).keep", []func(*account){(*account).keep}},
		{"plainly", "-", []func(*account){(*account).settlePlainly, (*account).hold}},
		{"beforePlainly", "main.(*account).keepPlainly", []func(*account){(*account).keepPlainly}},
		{"closure", "main.(*account).keepInClosure.func1", []func(*account){(*account).keepInClosure}},
		{"never", "-", []func(*account){(*account).passBy, (*account).hold}},
		{"loop", "main.(*account).keepInLoop", []func(*account){(*account).keepInLoop}},
		{"afterLoop", "-", []func(*account){(*account).settleInLoop, (*account).hold}},
		{"panics", "main.(*account).keepInPanic", []func(*account){(*account).keepInPanic}},
		{"afterPanic", "-", []func(*account){(*account).settleInPanic, (*account).hold}},
	} {
		a := &account{}
		for _, do := range one.goes {
			go do(a)
			<-reached
		}
		go a.add()
		fmt.Printf("%s %p %s\n", one.name, &a.lock, one.holder)
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// await has an argument, so that the compiler makes a function that calls it.
//
//go:noinline
func await(never <-chan struct{}) {
	reached <- struct{}{}
	<-never
}

// pause is deferred as it is.
//
//go:noinline
func pause() {
	reached <- struct{}{}
	<-never
}

// settle awaits what it deferred first, and so runs last.
//
//go:noinline
func (a *account) settle() {
	defer await(never)
	a.lock.Lock()
	defer a.lock.Unlock()
	a.balance++
}

//go:noinline
func (a *account) settlePlainly() {
	defer pause()
	a.lock.Lock()
	defer a.lock.Unlock()
	a.balance++
}

// hold does not say on its stack that it has the lock.
//
//go:noinline
func (a *account) hold() {
	a.lock.Lock()
	reached <- struct{}{}
	<-never
	a.lock.Unlock()
}

// keep awaits with the lock what it deferred last, and so runs first.
//
//go:noinline
func (a *account) keep() {
	a.lock.Lock()
	defer a.lock.Unlock()
	defer await(never)
	a.balance++
}

//go:noinline
func (a *account) keepPlainly() {
	a.lock.Lock()
	defer a.lock.Unlock()
	defer pause()
	a.balance++
}

// keepInClosure has a closure that locks, waits and unlocks.
//
//go:noinline
func (a *account) keepInClosure() {
	func() {
		a.lock.Lock()
		defer a.lock.Unlock()
		await(never)
	}()
}

// passBy goes past the statement that would defer, which is above the line where it waits.
//
//go:noinline
func (a *account) passBy() {
	if a.balance != 0 {
		a.lock.Lock()
		defer a.lock.Unlock()
	}
	await(never)
}

// keepInLoop defers as often as a loop says, which the runtime keeps account of.
//
//go:noinline
func (a *account) keepInLoop() {
	others := []*account{{}, {}, a}
	for _, one := range others {
		one.lock.Lock()
		defer one.lock.Unlock()
	}
	await(never)
}

//go:noinline
func (a *account) settleInLoop() {
	for i := 0; i < 2; i++ {
		if i == 0 {
			defer pause()
		} else {
			a.lock.Lock()
			defer a.lock.Unlock()
		}
	}
	a.balance++
}

//go:noinline
func (a *account) keepInPanic() {
	a.lock.Lock()
	defer a.lock.Unlock()
	defer await(never)
	panic("an account")
}

//go:noinline
func (a *account) settleInPanic() {
	defer await(never)
	a.lock.Lock()
	defer a.lock.Unlock()
	panic("an account")
}

//go:noinline
func (a *account) add() {
	a.lock.Lock()
	a.balance++
	a.lock.Unlock()
}
