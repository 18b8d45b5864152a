// The handlers that give their answers up, or go on until their client has left.

package main

import (
	"fmt"
	"net/http"
	"time"
)

// registerLeft adds the routes of this file.
func registerLeft(mux *http.ServeMux) {
	mux.HandleFunc("/abort-after-write", abortAfterWrite)
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/stream-abort", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/stream-panic", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r)
		panic("the client has left")
	})
}

// abortAfterWrite sends status 200 and a part of the body, and gives the rest up.
func abortAfterWrite(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "a part")
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// stream sends line after line until the client has left.
func stream(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		fmt.Fprintln(w, "data: x")
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}
