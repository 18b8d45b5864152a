// Command http2app serves and calls with golang.org/x/net/http2, in all the ways that programs use
// it. It is built with several versions of that module: go.old.mod and its neighbours name them.
//
//	http2app [-server MODE] [-client MODE] [-backend URL]
//
// serves; the first line is "listening HOST:PORT". The modes of the server are
//
//	h2c        h2c.NewHandler around the handler: prior knowledge, and an upgrade from HTTP/1.1
//	both       the same after http2.ConfigureServer, as its documentation asks for
//	configure  http2.ConfigureServer and TLS
//	conn       (*http2.Server).ServeConn on each connection, without net/http's server
//
// and those of the client, which the handlers below /call/ use for the backend,
//
//	direct     http2.Transport over TCP without TLS
//	tls        http2.Transport over TLS
//	configure  http.Transport after http2.ConfigureTransport, over TLS
//	http1      http.Transport as it is
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func main() {
	server := flag.String("server", "h2c", "how to serve: h2c, both, configure or conn")
	client := flag.String("client", "direct", "how to call: direct, tls, configure or http1")
	backend := flag.String("backend", "", "base URL that the handlers below /call/ call")
	flag.Parse()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	register(mux)
	registerCalls(mux, *backend, newTransport(*client))
	log.Fatal(serve(listener, mux, *server))
}

// serve answers requests on the listener until the program is killed.
func serve(listener net.Listener, mux http.Handler, mode string) error {
	own := &http2.Server{}
	server := &http.Server{Handler: mux}
	switch mode {
	case "h2c", "both":
		if mode == "both" {
			if err := http2.ConfigureServer(server, own); err != nil {
				return err
			}
		}
		server.Handler = h2c.NewHandler(mux, own)
		return server.Serve(listener)
	case "configure":
		server.TLSConfig = serverTLS()
		if err := http2.ConfigureServer(server, own); err != nil {
			return err
		}
		return server.ServeTLS(listener, "", "")
	case "conn":
		for {
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			go own.ServeConn(conn, &http2.ServeConnOpts{Handler: mux})
		}
	}
	return fmt.Errorf("unknown mode %q", mode)
}

// register adds the routes that only answer.
func register(mux *http.ServeMux) {
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		pause(r)
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hi\n")
	})
	mux.HandleFunc("/status/503", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	})
}

// pause sleeps for the request's ?ms= milliseconds, or until its client is gone.
func pause(r *http.Request) {
	ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
	if err != nil || ms <= 0 {
		return
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
	case <-r.Context().Done():
	}
}
