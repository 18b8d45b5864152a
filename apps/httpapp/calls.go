// The handlers below /call/: each calls the backend in another way, to show which span a tracer
// makes the parent of the call. Their answers are always 200, with the text "CASE status=CODE" or
// "CASE error=TEXT"; only /call/outlive and /call/outlive-noctx answer before they have called.
//
// Every outgoing request has the header X-Case with the last element of the handler's path. If the
// incoming request has the header X-Id, the backend is called at /id/<X-Id>?id=<X-Id>, so that a
// test can match the spans of both sides.

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// caller holds what the handlers below /call/ share.
type caller struct {
	backend string
	client  *http.Client
	pool    chan job // served by workers started in main, before any request

	lateOnce sync.Once
	late     chan job // served by one worker that the first request to need it started
}

// job is work handed to a pool; the answer comes back over done.
type job struct {
	request *http.Request
	done    chan string
}

// newCaller starts the pool of workers that belongs to no request.
func newCaller(backend string) *caller {
	c := &caller{
		backend: strings.TrimSuffix(backend, "/"),
		client:  &http.Client{},
		pool:    make(chan job),
		late:    make(chan job),
	}
	for i := 0; i < 2; i++ {
		go c.work(c.pool)
	}
	return c
}

// register adds all routes below /call/.
func (c *caller) register(mux *http.ServeMux) {
	cases := map[string]func(name string, r *http.Request) string{
		"same":        c.same,
		"noctx":       c.noctx,
		"go":          c.goroutine,
		"go-deep":     c.goroutineDeep,
		"ctx-pool":    c.ctxPool,
		"noctx-pool":  c.noctxPool,
		"late-pool":   c.latePool,
		"ctx-derived": c.ctxDerived,
		"outlive":     c.outlive,
		"timeout":     c.timeout,
		"refused":     c.refused,
		"canceled":    c.canceled,
		"precanceled": c.precanceled,
		"post":        c.post,
		"userinfo":    c.userinfo,
		"nil":         c.nothing,
		"rewritten":   c.rewritten,
		"numbered":    c.numbered,
	}
	for _, more := range []map[string]func(name string, r *http.Request) string{
		c.hardCases(), c.streamCases(), c.roadCases(), c.withContexts(), c.afterFuncCases(), c.withURLs(),
	} {
		for name, call := range more {
			cases[name] = call
		}
	}
	for name, call := range cases {
		name, call := name, call
		mux.HandleFunc("/call/"+name, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" "+call(name, r)+"\n")
		})
	}
}

// request builds the call to the backend; extra is added to its query.
func (c *caller) request(ctx context.Context, name string, r *http.Request, extra url.Values) *http.Request {
	return newRequest(ctx, http.MethodGet, c.backend, name, r, extra, nil)
}

func newRequest(ctx context.Context, method, base, name string, r *http.Request, extra url.Values, body io.Reader) *http.Request {
	target, query := base+"/", url.Values{}
	for key, values := range extra {
		query[key] = values
	}
	if id := r.Header.Get("X-Id"); id != "" {
		target = base + "/id/" + url.PathEscape(id)
		query.Set("id", id)
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		panic(err) // -backend is no URL
	}
	request.Header.Set("X-Case", name)
	return request
}

// send makes the call and describes its outcome.
func send(client *http.Client, request *http.Request) string {
	response, err := client.Do(request)
	if err != nil {
		return "error=" + err.Error()
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "error=" + err.Error()
	}
	return fmt.Sprintf("status=%d", response.StatusCode)
}

// work is a pool's worker.
func (c *caller) work(jobs <-chan job) {
	for j := range jobs {
		j.done <- send(c.client, j.request)
	}
}

// hand gives the request to a pool and waits for the outcome.
func hand(pool chan<- job, request *http.Request) string {
	done := make(chan string, 1)
	pool <- job{request, done}
	return <-done
}

// same calls from the handler's goroutine with the request's context.
func (c *caller) same(name string, r *http.Request) string {
	return send(c.client, c.request(r.Context(), name, r, nil))
}

// calls counts those of numbered.
var calls int64

// numbered calls with a path that no other call has.
func (c *caller) numbered(_ string, r *http.Request) string {
	target := c.backend + "/missing/" + strconv.FormatInt(atomic.AddInt64(&calls, 1), 10)
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, nil)
	if err != nil {
		return err.Error()
	}
	return send(c.client, request)
}

// noctx calls from the handler's goroutine with the background context, as http.Get does.
func (c *caller) noctx(name string, r *http.Request) string {
	return send(c.client, c.request(context.Background(), name, r, nil))
}

// goroutine calls from a new goroutine without the context; the handler waits for it.
func (c *caller) goroutine(name string, r *http.Request) string {
	request := c.request(context.Background(), name, r, nil)
	done := make(chan string, 1)
	go func() { done <- send(c.client, request) }()
	return <-done
}

// goroutineDeep calls from the innermost of ?n= nested goroutines, each waiting for its child.
func (c *caller) goroutineDeep(name string, r *http.Request) string {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 {
		n = 3
	}
	return c.nest(n, c.request(context.Background(), name, r, nil))
}

func (c *caller) nest(n int, request *http.Request) string {
	if n == 0 {
		return send(c.client, request)
	}
	done := make(chan string, 1)
	go func() { done <- c.nest(n-1, request) }()
	return <-done
}

// ctxPool hands the work with the request's context to a worker started in main.
func (c *caller) ctxPool(name string, r *http.Request) string {
	return hand(c.pool, c.request(r.Context(), name, r, nil))
}

// noctxPool hands the work without the context to a worker started in main: nothing but the
// channel connects the call with the request.
func (c *caller) noctxPool(name string, r *http.Request) string {
	return hand(c.pool, c.request(context.Background(), name, r, nil))
}

// latePool hands the work without the context to a worker that the first such request started and
// that lives on: a tracer that only asks which goroutine started the worker blames that request.
func (c *caller) latePool(name string, r *http.Request) string {
	c.lateOnce.Do(func() { go c.work(c.late) })
	return hand(c.late, c.request(context.Background(), name, r, nil))
}

// contextKey is the type of the keys ctxDerived uses.
type contextKey string

// ctxDerived calls from a new goroutine with a context derived from the request's in three steps.
func (c *caller) ctxDerived(name string, r *http.Request) string {
	ctx := context.WithValue(r.Context(), contextKey("user"), "alice")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, 10*time.Second)
	defer cancelTimeout()
	done := make(chan string, 1)
	go func() { done <- send(c.client, c.request(ctx, name, r, nil)) }()
	return <-done
}

// outlive answers at once; 50 ms later a goroutine it left behind calls the backend with a context
// that has the request's values and not its end.
func (c *caller) outlive(name string, r *http.Request) string {
	request := c.request(detach(r.Context()), name, r, nil)
	go func() {
		time.Sleep(50 * time.Millisecond)
		send(c.client, request)
	}()
	return "started"
}
