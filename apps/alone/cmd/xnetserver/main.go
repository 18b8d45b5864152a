// Command xnetserver serves HTTP/2 without TLS with golang.org/x/net/http2 and without net/http's server,
// and links nothing else that gotap traces.
package main

import (
	"io"
	"log"
	"net/http"

	"gotap/apps/alone/ask"

	"golang.org/x/net/http2"
)

func main() {
	listener := ask.Listen()
	server := &http2.Server{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hi\n")
	})
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go server.ServeConn(conn, &http2.ServeConnOpts{Handler: handler})
	}
}
