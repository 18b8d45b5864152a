// Command xnetclient sends a request of HTTP/2 without TLS for each line "HOST:PORT TRACEPARENT" with
// golang.org/x/net/http2 and without net/http's client, and links nothing else that gotap traces.
package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"

	"gotap/apps/alone/ask"

	"golang.org/x/net/http2"
)

func main() {
	transport := &http2.Transport{
		AllowHTTP: true,
		DialTLS: func(network, addr string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, addr)
		},
	}
	ask.Serve(func(words []string) error {
		request, err := http.NewRequest(http.MethodGet, "http://"+words[0]+"/hello", nil)
		if err != nil {
			return err
		}
		request.Header.Set("traceparent", words[1])
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err
	})
}
