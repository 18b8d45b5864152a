// Command connectapp serves and makes calls by connect. It is built with several versions of that
// library, with Go before 1.21 under its earlier name: go.mod, go.mid.mod and go.old.mod name them.
//
//	connectapp [-addr HOST:PORT] [-backend URL]
//
// serves over HTTP/1 and HTTP/2 without TLS; the first line is "listening HOST:PORT". Its service is
// gotap.v1.Shop. A GET of /call/PROTOCOL/TRANSPORT/METHOD makes a call of the backend: PROTOCOL is
// connect, grpc or grpcweb, TRANSPORT h1, h2c or copied, which is h2c with responses that were copied,
// and METHOD buy, list, chat or, with the library's later name, look, which is sent by GET. With
// ?say=error:N a Buy, or a List after its messages, fails with the code of that number. A List with
// ?say=empty has no messages, with slow it takes a fifth of a second, with wait the client cancels it,
// with stop it closes it after the first message, and with leave it neither closes it nor reads on. It
// is answered with 200 and "ok" or "error: TEXT".
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// call is what a path asks for.
type call struct {
	protocol string
	client   *http.Client
	backend  string
	method   string
	say      string
}

func main() {
	var addr, backend string
	flag.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&backend, "backend", "", "base URL of the service that is called")
	flag.Parse()

	transport := &http2.Transport{
		AllowHTTP: true,
		DialTLS: func(network, addr string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, addr)
		},
	}
	clients := map[string]*http.Client{
		"h1":     {Transport: &http.Transport{}},
		"h2c":    {Transport: transport},
		"copied": {Transport: copying{transport}},
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle(service())
	mux.HandleFunc("/call/", func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/call/"), "/")
		c := call{parts[0], clients[parts[1]], backend, parts[2], r.URL.Query().Get("say")}
		if err := makeCall(r.Context(), c); err != nil {
			fmt.Fprintf(w, "error: %v\n", err)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	// No calls of connect's, though their paths look like some.
	mux.HandleFunc("/plain.v1.Thing/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "done")
	})
	server := &http.Server{Handler: h2c.NewHandler(mux, &http2.Server{})}
	log.Fatal(server.Serve(listener))
}

// copying gives copies of the responses that it gets.
type copying struct{ http.RoundTripper }

func (c copying) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	copied := *response
	return &copied, nil
}

// codeOf is the code of the error that a text asks for, 0 for none.
func codeOf(text string) uint32 {
	code, err := strconv.ParseUint(strings.TrimPrefix(text, "error:"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(code)
}

// linger does what a text asks of a stream before it ends.
func linger(ctx context.Context, text string) error {
	switch text {
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "slow":
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}
