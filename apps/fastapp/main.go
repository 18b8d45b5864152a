// Command fastapp serves HTTP with fasthttp, which has an implementation of its own.
//
//	fastapp [-addr HOST:PORT]    answers every request; the first line is "listening HOST:PORT"
package main

import (
	"flag"
	"fmt"
	"log"
	"net"

	"github.com/valyala/fasthttp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "serve HTTP here")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	log.Fatal(fasthttp.Serve(listener, func(c *fasthttp.RequestCtx) {
		_, _ = fmt.Fprintf(c, "hello from %s\n", c.Path())
	}))
}
