//go:build go1.22

// The module says go 1.18, for which newer toolchains switch the patterns off; this line puts them
// on again.
//go:debug httpmuxgo121=0

package main

import (
	"fmt"
	"net/http"
)

// registerUsers adds a route with a method and a wildcard: the span's route is "/users/{id}".
func registerUsers(mux *http.ServeMux) {
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user %s\n", r.PathValue("id"))
	})
}
