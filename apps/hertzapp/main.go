// Command hertzapp serves HTTP with hertz, which has an implementation of its own.
//
//	hertzapp [-addr HOST:PORT]    answers every request; the first line is "listening HOST:PORT"
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"

	"github.com/cloudwego/hertz/pkg/app"
	"github.com/cloudwego/hertz/pkg/app/server"
	"github.com/cloudwego/hertz/pkg/network/standard"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "serve HTTP here")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	h := server.New(server.WithListener(listener), server.WithTransport(standard.NewTransporter))
	h.NoRoute(func(_ context.Context, c *app.RequestContext) {
		c.String(200, "hello from %s\n", c.Path())
	})
	h.Spin()
}
