// A server of HTTP/1 and, beside it, of HTTP/3, which has no certificate: it only shows that gotap says
// that HTTP/3 is not traced.
package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/quic-go/quic-go/http3"
)

func main() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.Proto) })
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { fmt.Println((&http3.Server{Handler: handler}).Serve(packets)) }()
	fmt.Println(http.Serve(listener, handler))
}
