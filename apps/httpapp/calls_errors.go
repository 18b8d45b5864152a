// The handlers below /call/ whose calls fail, or carry something special.

package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// slowBackend asks the backend to take a second, far longer than any caller here waits.
var slowBackend = url.Values{"ms": {"1000"}}

// timeout calls a slow backend with a client that gives up after 50 ms.
func (c *caller) timeout(name string, r *http.Request) string {
	client := &http.Client{Timeout: 50 * time.Millisecond}
	return send(client, c.request(r.Context(), name, r, slowBackend))
}

// refused calls a port that nothing listens on.
func (c *caller) refused(name string, r *http.Request) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "error=" + err.Error()
	}
	base := "http://" + listener.Addr().String()
	_ = listener.Close()
	return send(c.client, newRequest(r.Context(), http.MethodGet, base, name, r, nil, nil))
}

// canceled cancels the context while the slow backend has the call.
func (c *caller) canceled(name string, r *http.Request) string {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	time.AfterFunc(30*time.Millisecond, cancel)
	return send(c.client, c.request(ctx, name, r, slowBackend))
}

// precanceled calls with a context that is cancelled already: nothing reaches the network.
func (c *caller) precanceled(name string, r *http.Request) string {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	return send(c.client, c.request(ctx, name, r, nil))
}

// post sends a body of known length.
func (c *caller) post(name string, r *http.Request) string {
	body := strings.NewReader("a body of 20 bytes\r\n")
	return send(c.client, newRequest(r.Context(), http.MethodPost, c.backend, name, r, nil, body))
}

// userinfo calls a URL with a password and a query that no tracer may record.
func (c *caller) userinfo(name string, r *http.Request) string {
	base := strings.Replace(c.backend, "://", "://user:pass@", 1)
	secret := url.Values{"query": {"secret"}}
	return send(c.client, newRequest(r.Context(), http.MethodGet, base, name, r, secret, nil))
}

// nothing makes calls with a part that is nil, and then one as it should be.
func (c *caller) nothing(name string, r *http.Request) string {
	var transport *http.Transport
	whole := c.request(r.Context(), name, r, nil)
	for _, call := range []func() (*http.Response, error){
		func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(&http.Request{}) },
		func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(&http.Request{URL: whole.URL}) },
		func() (*http.Response, error) { return transport.RoundTrip(whole) },
		func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(nil) },
	} {
		if !fails(call) {
			return "error=a part is nil"
		}
	}
	return send(c.client, whole)
}

// fails tells whether a call gives an error or panics.
func fails(call func() (*http.Response, error)) (failed bool) {
	defer func() {
		if recover() != nil {
			failed = true
		}
	}()
	_, err := call()
	return err != nil
}
