// The route by which the process becomes another program.

package main

import (
	"net/http"
	"os"
	"runtime"
	"syscall"
	"time"
)

// registerExec adds /exec?arg=PATH&arg=..., which answers and a moment later calls execve with these
// arguments, on a thread that is not the process's first one: that one is busy until then.
func registerExec(mux *http.ServeMux) {
	mux.HandleFunc("/exec", func(w http.ResponseWriter, r *http.Request) {
		arguments := r.URL.Query()["arg"]
		if len(arguments) == 0 {
			http.Error(w, "arg is missing", http.StatusBadRequest)
			return
		}
		go become(arguments)
	})
}

// become replaces the program. Goroutines are moved until one runs on another thread than the first.
func become(arguments []string) {
	time.Sleep(20 * time.Millisecond)
	runtime.LockOSThread()
	if syscall.Gettid() == os.Getpid() {
		// This thread is kept by this goroutine, so the next one gets another.
		go become(arguments)
		select {}
	}
	if err := syscall.Exec(arguments[0], arguments, os.Environ()); err != nil {
		panic(err)
	}
}
