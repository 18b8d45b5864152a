// Command movedapp serves with chi, behind middleware that says itself what chi looks up.
//
// Each router has a server of its own. The first lines are "NAME HOST:PORT", one for each, and the last
// "listening HOST:PORT", of the first. Every handler answers 200 and "ok".
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func ok(rw http.ResponseWriter, _ *http.Request) { rw.Write([]byte("ok")) }

func router(use func(http.Handler) http.Handler) http.Handler {
	router := chi.NewRouter()
	router.Use(use)
	router.Get("/users/{id}", ok)
	router.Get("/{version}/users/{id}", ok)
	return router
}

// moves is a middleware itself.
func moves(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = strings.TrimPrefix(r.URL.Path, "/v1")
		next.ServeHTTP(rw, r)
	})
}

// mover has a middleware as a method, which leaves the work to a function.
type mover struct{ prefix string }

func (m *mover) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		move(chi.RouteContext(r.Context()), strings.TrimPrefix(r.URL.Path, m.prefix))
		next.ServeHTTP(rw, r)
	})
}

//go:noinline
func move(route *chi.Context, path string) { route.RoutePath = path }

func main() {
	first := ""
	for _, server := range []struct {
		name    string
		handler http.Handler
	}{
		{"moved", router(moves)},
		{"movedclosure", router(func(next http.Handler) http.Handler { return moves(next) })},
		{"movedmethod", router((&mover{"/v1"}).middleware)},
		{"unmoved", router(middleware.NoCache)},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", server.name, listener.Addr())
		if first == "" {
			first = listener.Addr().String()
		}
		go http.Serve(listener, server.handler)
	}
	fmt.Printf("listening %s\n", first)
	select {}
}
