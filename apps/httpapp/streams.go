// What is of interest in HTTP/2: handlers that send trailers, push, ask clients to leave or send
// much, and the cases below /call/ that make many calls at once or do not read.

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// registerStreams adds the routes of this file.
func registerStreams(mux *http.ServeMux) {
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/push", push)
	mux.HandleFunc("/goaway", goAway)
	mux.HandleFunc("/flood", flood)
	mux.HandleFunc("/early-hints", earlyHints)
	mux.HandleFunc("/forgotten", forgotten)
}

// streamCases are the cases of this file, by name.
func (c *caller) streamCases() map[string]func(name string, r *http.Request) string {
	return map[string]func(name string, r *http.Request) string{
		"burst":     c.burst,
		"burst-ctx": c.burstCtx,
		"stall":     c.stall,
		"break-off": c.breakOff,
	}
}

// number is the value of a parameter that is a number, or what it is without one.
func number(r *http.Request, name string, without int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
		return n
	}
	return without
}

// trailers sends one that it announced and one that it did not, after twelve bytes.
func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	_, _ = io.WriteString(w, "with trailer")
	w.Header().Set("X-Sum", "12")
	w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
}

// push offers the client /hello ahead, which clients written in Go do not take.
func push(w http.ResponseWriter, _ *http.Request) {
	pusher, ok := w.(http.Pusher)
	if !ok {
		_, _ = io.WriteString(w, "can't push\n")
		return
	}
	fmt.Fprintf(w, "pushed: %v\n", pusher.Push("/hello", nil))
}

// goAway asks the client to use another connection from now on.
func goAway(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	pause(r)
	_, _ = io.WriteString(w, "bye\n")
}

// flood sends ?n= bytes.
func flood(w http.ResponseWriter, r *http.Request) {
	chunk := make([]byte, 4096)
	for left := number(r, "n", 0); left > 0; left -= len(chunk) {
		if left < len(chunk) {
			chunk = chunk[:left]
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// earlyHints sends 103 ahead of its answer.
func earlyHints(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusEarlyHints)
	_, _ = io.WriteString(w, "hints\n")
}

// burst makes ?n= calls at once, each from a goroutine of its own and without the context.
func (c *caller) burst(name string, r *http.Request) string {
	return c.many(context.Background(), name, r)
}

// burstCtx does so with the context.
func (c *caller) burstCtx(name string, r *http.Request) string {
	return c.many(r.Context(), name, r)
}

// many says what became of most calls.
func (c *caller) many(ctx context.Context, name string, r *http.Request) string {
	n := number(r, "n", 10)
	outcomes := make(chan string, n)
	for i := 0; i < n; i++ {
		go func() { outcomes <- send(c.client, c.request(ctx, name, r, nil)) }()
	}
	counts := map[string]int{}
	for i := 0; i < n; i++ {
		counts[<-outcomes]++
	}
	return fmt.Sprint(counts)
}

// stall calls /flood?n= and reads nothing of the answer for ?ms= milliseconds, then all.
func (c *caller) stall(name string, r *http.Request) string {
	path := fmt.Sprintf("/flood?n=%d", number(r, "n", 0))
	response, err := c.client.Do(c.at(http.MethodGet, path, name, r, nil))
	if err != nil {
		return "error=" + err.Error()
	}
	defer response.Body.Close()
	pause(r)
	n, err := io.Copy(io.Discard, response.Body)
	return fmt.Sprintf("status=%d n=%d err=%v", response.StatusCode, n, err)
}

// slowly is a body that never ends by itself.
type slowly struct {
	once sync.Once
	done <-chan struct{}
}

func (s *slowly) Read(p []byte) (n int, err error) {
	s.once.Do(func() { n = copy(p, "some") })
	if n > 0 {
		return n, nil
	}
	<-s.done
	return 0, io.ErrUnexpectedEOF
}

// breakOff posts a body that fails in the middle.
func (c *caller) breakOff(name string, r *http.Request) string {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	return send(c.client, c.at(http.MethodPost, "/echo", name, r, &slowly{done: ctx.Done()}))
}

// others are requests of forgotten, which nobody serves.
var others []*http.Request

// forgotten lets GC free its own request, where nothing else keeps it, and fills the memory with others.
func forgotten(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	made := make([]*http.Request, 20000)
	for i := range made {
		made[i] = &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/of-another"}}
		// Since Go 1.23.
		if pattern := reflect.ValueOf(made[i]).Elem().FieldByName("Pattern"); pattern.IsValid() {
			pattern.SetString("/of-another")
		}
	}
	others = made
	_, _ = io.WriteString(w, "forgotten\n")
}
