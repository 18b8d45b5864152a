// Command httpclient sends a request of HTTP/1 for each line "HOST:PORT TRACEPARENT" with net/http, and
// links nothing else that gotap traces.
package main

import (
	"io"
	"net/http"

	"gotap/apps/alone/ask"
)

func main() {
	transport := &http.Transport{}
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
