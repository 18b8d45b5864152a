// The handlers that end in an unusual way: taken over, timed out, panicking, or with a file.

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// registerHard adds the routes of this file.
func registerHard(mux *http.ServeMux) {
	mux.HandleFunc("/upgrade", upgrade)
	mux.HandleFunc("/upgrade-written", upgradeWritten)
	mux.Handle("/recovered", recovered(http.HandlerFunc(panicBefore)))
	mux.Handle("/recovered-silently", silently(http.HandlerFunc(panicBefore)))
	mux.HandleFunc("/goexit", goexit)
	mux.HandleFunc("/nothing", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/content", content)
	mux.HandleFunc("/not-modified", notModified)
	mux.HandleFunc("/unread", unread)
	mux.Handle("/too-slow", http.TimeoutHandler(http.HandlerFunc(slow), 50*time.Millisecond, "late\n"))
	mux.HandleFunc("/redirect", redirect)
	file := writeFile()
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, file)
	})
}

// upgrade takes over the connection and writes a response of its own, as libraries for WebSocket
// do; then it sends each byte back until the client is gone.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	echoBytes(conn, buffered)
}

// upgradeWritten sends the status in the ordinary way before it takes over the connection.
func upgradeWritten(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Upgrade", "echo")
	w.Header().Set("Connection", "Upgrade")
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err == nil {
		echoBytes(conn, buffered)
	}
}

func echoBytes(conn net.Conn, from io.Reader) {
	defer conn.Close()
	_, _ = io.Copy(conn, from)
}

// recovered answers 500 when the handler panics, as most frameworks do.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if reason := recover(); reason != nil {
				http.Error(w, fmt.Sprint(reason), http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// silently forgets that the handler panicked: the client gets an empty 200.
func silently(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		next.ServeHTTP(w, r)
	})
}

// goexit ends the connection's goroutine without a panic.
func goexit(http.ResponseWriter, *http.Request) {
	runtime.Goexit()
}

// contentSize is the length of what /content and /file serve.
const contentSize = 100_000

// content serves bytes of memory, whole or in the ranges that are asked for.
func content(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "content.bin", time.Unix(1_000_000_000, 0), bytes.NewReader(make([]byte, contentSize)))
}

// writeFile makes the file that /file serves, which the kernel copies to the socket.
func writeFile() string {
	name := filepath.Join(os.TempDir(), "httpapp-"+strconv.Itoa(contentSize)+".bin")
	if info, err := os.Stat(name); err == nil && info.Size() == contentSize {
		return name
	}
	fresh := name + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(fresh, make([]byte, contentSize), 0o644); err != nil {
		panic(err) // no folder for temporary files
	}
	if err := os.Rename(fresh, name); err != nil {
		panic(err)
	}
	return name
}

// notModified answers 304, which has no body.
func notModified(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("ETag", `"same"`)
	w.WriteHeader(http.StatusNotModified)
}

// unread answers without a look at the body: a client that expects a 100 first gets none.
func unread(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "too large", http.StatusRequestEntityTooLarge)
}

// redirect sends the client on ?n= times, then answers.
func redirect(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	if n <= 0 {
		_, _ = io.WriteString(w, "arrived\n")
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/redirect?n=%d", n-1), http.StatusFound)
}
