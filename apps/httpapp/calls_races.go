package main

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
)

// What rewritten writes: paths of other lengths than that of the request.
var (
	shortPath = "/" + strings.Repeat("s", 3)
	longPath  = "/" + strings.Repeat("l", 200)
)

// rewritten makes a call of /slow whose URL gets other paths, one after the other and without pause,
// from the moment in which it was sent until it is answered. Nobody of the program reads them; who
// does from outside finds the pointer of one with the length of another.
func (c *caller) rewritten(name string, r *http.Request) string {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, c.backend+"/slow?ms=3", nil)
	if err != nil {
		panic(err) // -backend is no URL
	}
	sent, answered, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }}
	go func() {
		defer close(over)
		<-sent
		for {
			select {
			case <-answered:
				return
			default:
				rewrite(request.URL)
			}
		}
	}()
	response, err := http.DefaultTransport.RoundTrip(
		request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	close(answered)
	<-over
	if err != nil {
		return "error=" + err.Error()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return "status=" + response.Status[:3]
}

func rewrite(target *url.URL) {
	for i := 0; i < 1000; i++ {
		setPath(target, longPath)
		setPath(target, shortPath)
	}
}

// setPath is a call, so that each path is written.
//
//go:noinline
func setPath(target *url.URL, path string) {
	target.Path = path
}
