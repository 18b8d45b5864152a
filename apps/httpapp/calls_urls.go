// The handlers below /call/ whose calls have a query, an opaque URL, or cannot be sent at all.

package main

import (
	"net/http"
	"net/url"
)

// urlCases are the cases of this file, by name. Each changes a request to the backend.
var urlCases = map[string]func(*http.Request){
	"query": func(r *http.Request) { r.URL.RawQuery = "page=2&X-Goog-Signature=secret" },
	"opaque": func(r *http.Request) {
		r.URL = &url.URL{Scheme: "http", Host: r.URL.Host, Path: "/", Opaque: "//" + r.URL.Host + "/other%2fplace?x=1"}
	},
	"refused-header": func(r *http.Request) { r.Header["X"] = []string{"a\nb"} },
	"refused-scheme": func(r *http.Request) { r.URL.Scheme = "gopher" },
	"refused-host":   func(r *http.Request) { r.URL.Host = "" },
	"refused-method": func(r *http.Request) { r.Method = "B AD" },
}

func (c *caller) withURLs() map[string]func(name string, r *http.Request) string {
	cases := map[string]func(name string, r *http.Request) string{}
	for name, change := range urlCases {
		change := change
		cases[name] = func(name string, r *http.Request) string {
			request := c.request(r.Context(), name, r, nil)
			change(request)
			return send(c.client, request)
		}
	}
	return cases
}
