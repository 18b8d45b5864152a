// The handlers below /call/, which call the backend, and /proxy/, which passes requests on to it.

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// registerCalls adds them. Each answers "status=CODE" or "error=TEXT".
func registerCalls(mux *http.ServeMux, backend string, transport http.RoundTripper) {
	client := &http.Client{Transport: transport}
	call := func(ctx context.Context, method, path string, body io.Reader) string {
		request, err := http.NewRequestWithContext(ctx, method, backend+path, body)
		if err != nil {
			return "error=" + err.Error()
		}
		response, err := client.Do(request)
		if err != nil {
			return "error=" + err.Error()
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return "error=" + err.Error()
		}
		return fmt.Sprintf("status=%d", response.StatusCode)
	}
	get := func(ctx context.Context, path string) string { return call(ctx, http.MethodGet, path, nil) }
	cases := map[string]func(r *http.Request) string{
		"same":  func(r *http.Request) string { return get(r.Context(), "/") },
		"noctx": func(*http.Request) string { return get(context.Background(), "/") },
		"go": func(*http.Request) string {
			done := make(chan string)
			go func() { done <- get(context.Background(), "/") }()
			return <-done
		},
		"post": func(r *http.Request) string {
			return call(r.Context(), http.MethodPost, "/", strings.NewReader("a body of 20 bytes\r\n"))
		},
		"failing":   func(r *http.Request) string { return get(r.Context(), "/status/503") },
		"panicking": func(r *http.Request) string { return get(r.Context(), "/panic") },
		"timeout": func(r *http.Request) string {
			ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
			defer cancel()
			return get(ctx, "/?ms=1000")
		},
	}
	for name, handle := range cases {
		handle := handle
		mux.HandleFunc("/call/"+name, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, handle(r)+"\n")
		})
	}
	target, err := url.Parse(backend)
	if err != nil {
		panic(err) // -backend is no URL
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	mux.Handle("/proxy/", http.StripPrefix("/proxy", proxy))
}
