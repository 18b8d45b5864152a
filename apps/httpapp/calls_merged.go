// The handlers below /call/ that call with contexts that hold several others or hide theirs, and one
// that fills the runtime's list of goroutines.

package main

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

func init() {
	contextCases["ctx-second"] = func(ctx context.Context) (context.Context, func()) {
		return merged{context.Background(), ctx}, func() {}
	}
	contextCases["ctx-second-pointer"] = func(ctx context.Context) (context.Context, func()) {
		return context.WithTimeout(&merged{context.TODO(), ctx}, time.Minute)
	}
	contextCases["ctx-third"] = func(ctx context.Context) (context.Context, func()) {
		inner := merged{context.Background(), context.WithValue(ctx, contextKey("a"), 1)}
		return merged{merged{context.TODO(), context.Background()}, inner}, func() {}
	}
	contextCases["ctx-same"] = func(ctx context.Context) (context.Context, func()) {
		return merged{ctx, context.WithValue(ctx, contextKey("a"), 1)}, func() {}
	}
	contextCases["ctx-inside"] = func(ctx context.Context) (context.Context, func()) {
		return &inside{inner: state{id: 1, ctx: ctx}}, func() {}
	}
	contextCases["ctx-deep"] = func(ctx context.Context) (context.Context, func()) {
		for i := 0; i < 200; i++ {
			ctx = context.WithValue(ctx, contextKey("a"), i)
		}
		return ctx, func() {}
	}
	contextCases["ctx-deep-mixed"] = func(ctx context.Context) (context.Context, func()) {
		for i := 0; i < 40; i++ {
			ctx = embedded{Context: context.WithValue(ctx, contextKey("a"), i), user: "ada"}
		}
		return ctx, func() {}
	}
	contextCases["ctx-too-deep"] = func(ctx context.Context) (context.Context, func()) {
		for i := 0; i < 1000; i++ {
			ctx = context.WithValue(ctx, contextKey("a"), i)
		}
		return ctx, func() {}
	}
	contextCases["ctx-function"] = func(ctx context.Context) (context.Context, func()) {
		return function(func() context.Context { return ctx }), func() {}
	}
	contextCases["ctx-list"] = func(ctx context.Context) (context.Context, func()) {
		return &list{all: []context.Context{context.Background(), ctx}}, func() {}
	}
	contextCases["ctx-root"] = func(context.Context) (context.Context, func()) {
		return plain{"none"}, func() {}
	}
	contextCases["ctx-both"] = func(ctx context.Context) (context.Context, func()) {
		keptMu.Lock()
		defer keptMu.Unlock()
		both := merged{kept, ctx}
		kept = ctx
		return both, func() {}
	}
}

// kept is the context of the last request of the case ctx-both.
var (
	keptMu sync.Mutex
	kept   = context.Background()
)

// merged is what libraries make of two contexts.
type merged struct{ a, b context.Context }

func (m merged) Deadline() (time.Time, bool) { return m.a.Deadline() }
func (m merged) Done() <-chan struct{}       { return m.b.Done() }
func (m merged) Err() error                  { return m.b.Err() }
func (m merged) Value(key any) any           { return m.b.Value(key) }

// inside has its context in a struct that it holds by value, and that is not embedded.
type inside struct {
	user  string
	inner state
}

func (i *inside) Deadline() (time.Time, bool) { return i.inner.ctx.Deadline() }
func (i *inside) Done() <-chan struct{}       { return i.inner.ctx.Done() }
func (i *inside) Err() error                  { return i.inner.ctx.Err() }
func (i *inside) Value(key any) any           { return i.inner.ctx.Value(key) }

// function hides its context among the variables of a closure.
type function func() context.Context

func (f function) Deadline() (time.Time, bool) { return f().Deadline() }
func (f function) Done() <-chan struct{}       { return f().Done() }
func (f function) Err() error                  { return f().Err() }
func (f function) Value(key any) any           { return f().Value(key) }

// list has any number of them.
type list struct{ all []context.Context }

func (l *list) Deadline() (time.Time, bool) { return l.all[1].Deadline() }
func (l *list) Done() <-chan struct{}       { return l.all[1].Done() }
func (l *list) Err() error                  { return l.all[1].Err() }
func (l *list) Value(key any) any           { return l.all[1].Value(key) }

// plain has no other context.
type plain struct{ name string }

func (plain) Deadline() (time.Time, bool) { return time.Time{}, false }
func (plain) Done() <-chan struct{}       { return nil }
func (plain) Err() error                  { return nil }
func (plain) Value(any) any               { return nil }

// crowd answers when there are ?n= more goroutines that wait for ever, among the structures of half as
// many that are over, which the runtime uses again.
func crowd(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	leave := make(chan struct{})
	var started, left sync.WaitGroup
	for i := 0; i < n+n/2; i++ {
		started.Add(1)
		if i%3 == 0 {
			left.Add(1)
			go func() { started.Done(); <-leave; left.Done() }()
		} else {
			go func() { started.Done(); select {} }()
		}
	}
	started.Wait()
	close(leave)
	left.Wait()
	w.WriteHeader(http.StatusNoContent)
}
