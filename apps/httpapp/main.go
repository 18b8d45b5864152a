// Command httpapp is the ordinary Go web service that the end-to-end tests observe.
//
// It has no dependencies and builds with every Go from 1.18 on. Files for 1.22 and newer (ServeMux
// patterns) and plain fallbacks for older ones are chosen by build tags; libc_cgo.go makes a build
// with CGO_ENABLED=1 really link libc.
//
//	httpapp [-addr HOST:PORT] [-backend URL]     serves; the first line is "listening HOST:PORT"
//	httpapp -tls [-h2] …                         the same over TLS, with a certificate of its own
//	httpapp -h2c …                               HTTP/2 without TLS, from Go 1.24 on
//	httpapp -client N [-until FILE] URL          sends N sequential GETs from the main goroutine
//	httpapp -hold                                does nothing at all until a signal ends it
//
// It calls http:// and https:// URLs alike. All is HTTP/1.1 but for -h2, which enables HTTP/2 over
// TLS for what is served and for what is called, and -h2c, which does without TLS; -h2c-calls does so
// for what is called only.
//
// What each path does is described where it is registered: basic.go and hard.go have the handlers
// that only answer, calls.go and its neighbours the ones below /call/ that call the backend in turn.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags as given.
type options struct {
	addr     string
	backend  string
	client   int
	until    string
	hold     bool
	reuse    bool
	tls      bool
	h2       bool
	h2c      bool
	h2cCalls bool
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&o.backend, "backend", "", "base URL that the handlers below /call/ call")
	flag.IntVar(&o.client, "client", 0, "send this many GETs to the URL argument, then exit")
	flag.StringVar(&o.until, "until", "", "wait until there is such a file before the first GET of -client")
	flag.BoolVar(&o.hold, "hold", false, "serve nothing and wait for a signal")
	flag.BoolVar(&o.reuse, "reuse", true, "keep outgoing connections alive and reuse them")
	flag.BoolVar(&o.tls, "tls", false, "serve TLS, with a certificate made at the start")
	flag.BoolVar(&o.h2, "h2", false, "serve and call in HTTP/2 where there is TLS")
	flag.BoolVar(&o.h2c, "h2c", false, "serve and call in HTTP/2 without TLS")
	flag.BoolVar(&o.h2cCalls, "h2c-calls", false, "call in HTTP/2 without TLS")
	flag.Parse()

	setUpClient(o)
	touchLibc()
	switch {
	case o.hold:
		hold()
	case o.client > 0:
		runClient(o.client, o.until, flag.Arg(0))
	default:
		serve(o)
	}
}

// serve listens, prints where, and answers requests until the program is killed.
func serve(o options) {
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	registerBasic(mux)
	registerUsers(mux)
	registerHard(mux)
	registerStreams(mux)
	registerLeft(mux)
	registerExec(mux)
	caller := newCaller(o.backend)
	caller.register(mux)
	caller.registerProxies(mux)
	log.Fatal(serveOn(listener, mux, o))
}

// runClient prints "client ready", and "status CODE" or "error TEXT" for each of its requests.
func runClient(count int, until string, url string) {
	fmt.Println("client ready")
	for until != "" {
		if _, err := os.Stat(until); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for i := 0; i < count; i++ {
		response, err := http.Get(url)
		if err != nil {
			fmt.Printf("error %v\n", err)
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		fmt.Printf("status %d\n", response.StatusCode)
	}
}

// hold keeps the process, which links all of net/http, idle.
func hold() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	fmt.Println("holding")
	<-signals
}
