//go:build !go1.22

package main

import (
	"fmt"
	"net/http"
	"strings"
)

// registerUsers answers like the wildcard route of newer Go: the span's route is "/users/".
func registerUsers(mux *http.ServeMux) {
	mux.HandleFunc("/users/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user %s\n", strings.TrimPrefix(r.URL.Path, "/users/"))
	})
}
