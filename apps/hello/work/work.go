// Package work is the hello service of the benchmarks: the same handler and the same server for the
// program without any SDK (cmd/plain) and for the one that has it linked (cmd/sdk).
package work

import (
	"crypto/sha256"
	"crypto/tls"
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

// Options are the flags that both programs have.
type Options struct {
	Addr string
	Work time.Duration
	Hash int
	Call string
	TLS  bool
	H2   bool
}

// Flags registers the flags; the caller runs flag.Parse.
func Flags() *Options {
	o := &Options{}
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.DurationVar(&o.Work, "work", 0, "how long each request sleeps")
	flag.IntVar(&o.Hash, "hash", 0, "how many bytes each request hashes")
	flag.StringVar(&o.Call, "call", "", "URL that each request GETs before it answers")
	flag.BoolVar(&o.TLS, "tls", false, "serve TLS, with a certificate made at the start")
	flag.BoolVar(&o.H2, "h2", false, "serve HTTP/2 without TLS, to clients that know beforehand")
	return o
}

// Handler answers "ok\n" at / after the sleep, the work and the call that the options ask for.
func (o *Options) Handler(client *http.Client) http.Handler {
	mux := http.NewServeMux()
	text := make([]byte, o.Hash)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if o.Work > 0 {
			time.Sleep(o.Work)
		}
		if o.Hash > 0 {
			sha256.Sum256(text)
		}
		if o.Call != "" {
			if err := call(client, r, o.Call); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

// call sends one GET with the context of the request being served.
func call(client *http.Client, r *http.Request, url string) error {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// Transport returns the transport of the outgoing calls: with as many idle connections as a load
// generator opens, so that no benchmark measures connection setup.
func Transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	return transport
}

// Serve prints "listening HOST:PORT" and serves until a SIGTERM or SIGINT.
func (o *Options) Serve(handler http.Handler) {
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	fmt.Printf("listening %s\n", listener.Addr())
	go func() { log.Fatal(o.serve(listener, handler)) }()
	<-stop
}

func (o *Options) serve(listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler}
	if o.H2 {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	if !o.TLS {
		return server.Serve(listener)
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	return server.ServeTLS(listener, "", "")
}
