// The handlers below /call/ whose work reaches its goroutine by another road: groups, pools,
// timers, goroutines that outlive the request.

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// roadCases are the cases of this file, by name.
func (c *caller) roadCases() map[string]func(name string, r *http.Request) string {
	return map[string]func(name string, r *http.Request) string{
		"group":         c.group,
		"group-noctx":   c.groupNoctx,
		"late-ctx-pool": c.lateCtxPool,
		"once-pool":     c.oncePool,
		"timer":         c.timer,
		"timer-ctx":     c.timerCtx,
		"outlive-noctx": c.outliveNoctx,
		"linger":        c.linger,
		"writer":        c.writer,
		"writer-ctx":    c.writerCtx,
		"spawn":         c.spawn,
	}
}

// group runs functions in goroutines and waits for them; the first error cancels its context. It
// is what golang.org/x/sync/errgroup does.
type group struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	once   sync.Once
	err    error
}

func newGroup(ctx context.Context) (*group, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	return &group{cancel: cancel}, ctx
}

func (g *group) run(f func() error) {
	g.wait.Add(1)
	go func() {
		defer g.wait.Done()
		if err := f(); err != nil {
			g.once.Do(func() { g.err = err; g.cancel() })
		}
	}()
}

func (g *group) end() error {
	g.wait.Wait()
	g.cancel()
	return g.err
}

// group makes one call in a group of three, with the group's context.
func (c *caller) group(name string, r *http.Request) string {
	work, ctx := newGroup(r.Context())
	return inGroup(work, c.client, c.request(ctx, name, r, nil))
}

// groupNoctx does so without a context.
func (c *caller) groupNoctx(name string, r *http.Request) string {
	work, _ := newGroup(r.Context())
	return inGroup(work, c.client, c.request(context.Background(), name, r, nil))
}

func inGroup(work *group, client *http.Client, request *http.Request) string {
	var outcome string
	work.run(func() error { return nil })
	work.run(func() error { outcome = send(client, request); return nil })
	work.run(func() error { return nil })
	if err := work.end(); err != nil {
		return "error=" + err.Error()
	}
	return outcome
}

// lateCtxPool hands the work with its context to the worker that an earlier request started.
func (c *caller) lateCtxPool(name string, r *http.Request) string {
	c.lateOnce.Do(func() { go c.work(c.late) })
	return hand(c.late, c.request(r.Context(), name, r, nil))
}

// oncePool starts workers, lets them do the work and ends them, all for one request.
func (c *caller) oncePool(name string, r *http.Request) string {
	pool := make(chan job)
	defer close(pool)
	for i := 0; i < 4; i++ {
		go c.work(pool)
	}
	return hand(pool, c.request(context.Background(), name, r, nil))
}

// timer calls from a timer without the context: the runtime starts the goroutine, nothing connects
// it with the request.
func (c *caller) timer(name string, r *http.Request) string {
	return c.afterTimer(c.request(context.Background(), name, r, nil))
}

// timerCtx does so with the context.
func (c *caller) timerCtx(name string, r *http.Request) string {
	return c.afterTimer(c.request(r.Context(), name, r, nil))
}

func (c *caller) afterTimer(request *http.Request) string {
	done := make(chan string, 1)
	time.AfterFunc(time.Millisecond, func() { done <- send(c.client, request) })
	return <-done
}

// outliveNoctx answers at once; a goroutine that it left behind calls without a context ?ms=
// milliseconds later, 50 unless given, when the request is over.
func (c *caller) outliveNoctx(name string, r *http.Request) string {
	request := c.request(context.Background(), name, r, nil)
	wait, err := time.ParseDuration(r.URL.Query().Get("ms") + "ms")
	if err != nil {
		wait = 50 * time.Millisecond
	}
	go func() {
		time.Sleep(wait)
		send(c.client, request)
	}()
	return "started"
}

// linger calls at once and answers ?ms= milliseconds later.
func (c *caller) linger(name string, r *http.Request) string {
	outcome := send(c.client, c.request(r.Context(), name, r, nil))
	pause(r)
	return outcome
}

// callingBody makes a call when it is read first, which is done by the goroutine that writes to
// the connection.
type callingBody struct {
	io.Reader
	once sync.Once
	call func()
}

func (b *callingBody) Read(p []byte) (int, error) {
	b.once.Do(b.call)
	return b.Reader.Read(p)
}

// writer posts a body whose reading makes the call that counts, without a context. Its own call,
// to /echo, has the context.
func (c *caller) writer(name string, r *http.Request) string {
	return c.fromWriter(c.request(context.Background(), name, r, nil), name, r)
}

// writerCtx does so with the context.
func (c *caller) writerCtx(name string, r *http.Request) string {
	return c.fromWriter(c.request(r.Context(), name, r, nil), name, r)
}

func (c *caller) fromWriter(inner *http.Request, name string, r *http.Request) string {
	var outcome string
	body := &callingBody{Reader: strings.NewReader("body"), call: func() { outcome = send(c.client, inner) }}
	outer := send(c.client, c.at(http.MethodPost, "/echo", name, r, body))
	return outer + " " + outcome
}

// spawn starts ten thousand short goroutines, waits for them, and calls nobody.
func (c *caller) spawn(string, *http.Request) string {
	var wait sync.WaitGroup
	var mutex sync.Mutex
	var out bytes.Buffer
	for i := 0; i < 10_000; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			mutex.Lock()
			defer mutex.Unlock()
			out.WriteByte('x')
		}()
	}
	wait.Wait()
	return "spawned"
}
