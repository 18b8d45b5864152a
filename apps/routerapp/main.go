// Command routerapp serves the same routes with each of the routers that many programs use. It is
// built with several versions of them: go.mod and go.old.mod name them.
//
//	routerapp [-addr HOST] [-random SEED]
//
// With a seed the routers have routes by chance: see random.go.
//
// Each router has a server of its own. The first lines are "NAME HOST:PORT", one for each, and the
// last "listening HOST:PORT", of gin. A router that this Go can't build is left out. Every handler answers 200 and "ok".
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

// wrapped is a middleware as many programs have it: a structure with the next handler in it.
type wrapped struct {
	name string
	next http.Handler
}

func (w *wrapped) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Middleware", w.name)
	w.next.ServeHTTP(rw, r)
}

// service holds its router by value of a structure within, and is no pointer itself.
type service struct {
	routing struct{ inner *wrapped }
}

func (s service) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.routing.inner.ServeHTTP(rw, r)
}

// either chooses between two routers, which nobody can know from outside.
type either struct {
	one, other http.Handler
}

func (e *either) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Other") != "" {
		e.other.ServeHTTP(rw, r)
		return
	}
	e.one.ServeHTTP(rw, r)
}

func main() {
	host := flag.String("addr", "127.0.0.1", "address to listen on")
	seed := flag.Int64("random", 0, "make routes by chance, by this seed")
	flag.Parse()
	if *seed != 0 {
		serve(*host, random(*seed))
	}

	// As gorilla's documentation has it, for servers without a handler.
	http.Handle("/", newGorilla())
	var deep service
	deep.routing.inner = &wrapped{name: "outer", next: &wrapped{name: "inner", next: newChi()}}
	for _, server := range []struct {
		name    string
		handler http.Handler
	}{
		{"chi", newChi()},
		{"gorilla", newGorilla()},
		{"echo", newEcho()},
		{"echo5", newEcho5()},
		{"httprouter", newHTTPRouter()},
		{"wrapped", deep},
		{"mounted", &wrapped{name: "outer", next: mount(newGorilla())}},
		{"default", nil},
		{"either", &either{newChi(), newGorilla()}},
		{"copied", &copied{newServeMux()}},
		{"closure", closed(newChi())},
		{"gin", newGin()},
	} {
		if server.handler == nil && server.name != "default" {
			continue
		}
		listener, err := net.Listen("tcp", *host+":0")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", server.name, listener.Addr())
		if server.name == "gin" {
			fmt.Printf("listening %s\n", listener.Addr())
			log.Fatal(http.Serve(listener, server.handler))
		}
		go http.Serve(listener, server.handler)
	}
}

// serve serves each of the handlers, for ever.
func serve(host string, servers []named) {
	for i, server := range servers {
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", server.name, listener.Addr())
		if i == len(servers)-1 {
			fmt.Printf("listening %s\n", listener.Addr())
			log.Fatal(http.Serve(listener, server.handler))
		}
		go http.Serve(listener, server.handler)
	}
}

// mount puts a router below a pattern of a ServeMux, beside others.
func mount(router http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health/", ok)
	mux.Handle("/", router)
	return mux
}

// newServeMux has patterns that every Go knows.
func newServeMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/static", ok)
	mux.HandleFunc("/files/", ok)
	return mux
}

// closed is the other way to write a middleware: the next handler is a variable of a closure.
func closed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(rw, r)
	})
}

// ok answers.
func ok(rw http.ResponseWriter, _ *http.Request) {
	io.WriteString(rw, "ok\n")
}
