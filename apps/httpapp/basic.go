// The handlers that only answer.

package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// registerBasic adds the routes that need no backend.
func registerBasic(mux *http.ServeMux) {
	mux.HandleFunc("/", backend)
	mux.HandleFunc("/id/", backend)
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/status/", status)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/chunked", chunked)
	mux.HandleFunc("/crowd", crowd)
	mux.HandleFunc("/panic", panicBefore)
	mux.HandleFunc("/panic-after-write", panicAfter)
	mux.HandleFunc("/abort", abort)
	mux.HandleFunc("/slow", slow)
}

// backend is what the handlers below /call/ call when the backend is another httpapp: "/" and
// "/id/ANYTHING" read the body and answer "ok", after ?ms= milliseconds if given.
func backend(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && !strings.HasPrefix(r.URL.Path, "/id/") {
		http.NotFound(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	pause(r)
	_, _ = io.WriteString(w, "ok\n")
}

// hello answers three bytes and never calls WriteHeader.
func hello(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "hi\n")
}

// status answers with the code of its path, as in /status/404.
func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/"))
	if err != nil || code < 100 || code > 999 {
		http.Error(w, "want /status/CODE", http.StatusBadRequest)
		return
	}
	w.WriteHeader(code)
}

// echo reads the whole body and writes it back.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write(body)
}

// chunked flushes three chunks, one at a time.
func chunked(w http.ResponseWriter, _ *http.Request) {
	for i := 1; i <= 3; i++ {
		fmt.Fprintf(w, "chunk %d\n", i)
		w.(http.Flusher).Flush()
	}
}

// panicBefore panics with nothing written: the client sees the connection closed.
func panicBefore(http.ResponseWriter, *http.Request) {
	panic("panic before the first write")
}

// panicAfter panics when status 200 and a part of the body are sent.
func panicAfter(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "partial\n")
	w.(http.Flusher).Flush()
	panic("panic after the first write")
}

// abort panics with the value that net/http does not log.
func abort(http.ResponseWriter, *http.Request) {
	panic(http.ErrAbortHandler)
}

// slow answers after ?ms= milliseconds.
func slow(w http.ResponseWriter, r *http.Request) {
	pause(r)
	_, _ = io.WriteString(w, "slow\n")
}

// pause sleeps for the request's ?ms= milliseconds, or until a moment after its client is gone: HTTP/2
// cancels a request's context before it notes why, and a handler that is quicker has answered as far as
// anybody can tell.
func pause(r *http.Request) {
	ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
	if err != nil || ms <= 0 {
		return
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
	case <-r.Context().Done():
		time.Sleep(20 * time.Millisecond)
	}
}
