package main

import (
	"context"
	"fmt"
	"math/rand"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimw "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
	"github.com/labstack/echo/v4"
)

// tables is how many routers of each kind there are with routes by chance.
const tables = 8

// named is a server's handler and how the test calls it.
type named struct {
	name    string
	handler http.Handler
}

// random makes routers of each kind with routes and settings that the seed chooses. Each handler says in
// the header Took which route its router took.
func random(seed int64) []named {
	kinds := []struct {
		name string
		make func(*rand.Rand) http.Handler
	}{
		{"servemux", randomServeMux},
		{"gin", randomGin},
		{"chi", randomChi},
		{"gorilla", randomGorilla},
		{"echo", randomEcho},
		{"httprouter", randomHTTPRouter},
	}
	var out []named
	for i, kind := range kinds {
		for n := 0; n < tables; n++ {
			r := rand.New(rand.NewSource(seed*1000 + int64(i*tables+n)))
			out = append(out, named{fmt.Sprintf("%s-%d", kind.name, n), around(r, kind.make(r))})
		}
	}
	return out
}

// copied passes a copy of the request on, as all do that put something into its context.
type copied struct{ next http.Handler }

func (c *copied) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	c.next.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), copied{}, "x")))
}

// prefixed takes a prefix off, in place.
type prefixed struct{ next http.Handler }

func (p *prefixed) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	r.URL.Path = strings.TrimPrefix(r.URL.Path, "/users")
	p.next.ServeHTTP(rw, r)
}

// overridden makes GET of some other method, in place.
type overridden struct{ next http.Handler }

func (o *overridden) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == "PUT" {
		r.Method = "GET"
	}
	o.next.ServeHTTP(rw, r)
}

func around(r *rand.Rand, handler http.Handler) http.Handler {
	switch r.Intn(6) {
	case 0:
		return &wrapped{"outer", handler}
	case 1:
		return &copied{handler}
	case 2:
		return &prefixed{handler}
	case 3:
		return &overridden{handler}
	}
	return handler
}

func took(rw http.ResponseWriter, route string) {
	rw.Header().Set("Took", route)
}

// words are the texts that routes consist of, and requests' paths in the test.
var words = []string{"a", "b", "ab", "users"}

// route makes a route of segments; parameter gives one of the router's sort, rest what ends it.
func route(r *rand.Rand, parameter func(n int) string, rest string) string {
	out := ""
	for n := 1 + r.Intn(3); n > 0; n-- {
		if r.Intn(5) < 2 {
			out += "/" + parameter(n)
		} else {
			out += "/" + words[r.Intn(len(words))]
		}
	}
	switch r.Intn(6) {
	case 0:
		out += rest
	case 1:
		out += "/"
	}
	return out
}

func method(r *rand.Rand) string {
	return []string{"GET", "GET", "GET", "GET", "POST", "PUT", "HEAD"}[r.Intn(7)]
}

// try adds a route, unless the router refuses it beside those that it has.
func try(add func()) {
	defer func() { _ = recover() }()
	add()
}

func colon(n int) string { return fmt.Sprintf(":p%d", n) }

func randomServeMux(r *rand.Rand) http.Handler {
	router := http.NewServeMux()
	brace := func(n int) string { return fmt.Sprintf("{p%d}", n) }
	for i := 0; i < 24; i++ {
		pattern := route(r, brace, "/{rest...}")
		if r.Intn(8) == 0 {
			pattern = strings.TrimSuffix(pattern, "/") + "/{$}"
		}
		if r.Intn(3) == 0 {
			pattern = "GET " + pattern
		}
		text := pattern[strings.Index(pattern, "/"):]
		try(func() {
			router.HandleFunc(pattern, func(rw http.ResponseWriter, _ *http.Request) { took(rw, text) })
		})
	}
	return router
}

func randomGin(r *rand.Rand) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	for _, name := range []string{"UseRawPath", "UseEscapedPath", "UnescapePathValues",
		"RemoveExtraSlash", "RedirectTrailingSlash", "RedirectFixedPath", "HandleMethodNotAllowed"} {
		// Older versions do not have all of them.
		if field := reflect.ValueOf(engine).Elem().FieldByName(name); field.IsValid() {
			field.SetBool(r.Intn(3) == 0)
		}
	}
	for i := 0; i < 24; i++ {
		method, path := method(r), route(r, colon, "/*rest")
		try(func() { engine.Handle(method, path, func(c *gin.Context) { took(c.Writer, c.FullPath()) }) })
	}
	return engine
}

// reads is a middleware that looks at the route afterwards, as those that log or measure do.
func reads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(rw, r)
		lastRoute.Store(chi.RouteContext(r.Context()).RoutePattern())
	})
}

var lastRoute atomic.Value

func randomChi(r *rand.Rand) http.Handler {
	router := chi.NewRouter()
	for _, middleware := range []func(http.Handler) http.Handler{
		chimw.StripSlashes, chimw.GetHead, chimw.CleanPath, chimw.URLFormat, chimw.NoCache, reads,
	} {
		if r.Intn(4) == 0 {
			router.Use(middleware)
		}
	}
	brace := func(n int) string {
		forms := []string{"{p%d}", "{p%d}", "{p%d:[0-9]+}", "{p%d}-{q%d}", "x{p%d}"}
		return strings.ReplaceAll(forms[r.Intn(len(forms))], "%d", fmt.Sprint(n))
	}
	answer := func(rw http.ResponseWriter, r *http.Request) {
		took(rw, chi.RouteContext(r.Context()).RoutePattern())
	}
	fill := func(router chi.Router, n int) {
		for i := 0; i < n; i++ {
			method, path := method(r), route(r, brace, "/*")
			if r.Intn(4) == 0 {
				try(func() { router.HandleFunc(path, answer) })
			} else {
				try(func() { router.MethodFunc(method, path, answer) })
			}
		}
	}
	fill(router, 16)
	sub := chi.NewRouter()
	fill(sub, 4)
	try(func() { router.Mount("/ab", sub) })
	return router
}

func randomGorilla(r *rand.Rand) http.Handler {
	router := mux.NewRouter().StrictSlash(r.Intn(3) == 0).SkipClean(r.Intn(3) == 0)
	if r.Intn(3) == 0 {
		router = router.UseEncodedPath()
	}
	brace := func(n int) string {
		forms := []string{"{p%d}", "{p%d}", "{p%d:[0-9]+}", "{p%d:.*}"}
		return strings.ReplaceAll(forms[r.Intn(len(forms))], "%d", fmt.Sprint(n))
	}
	answer := func(rw http.ResponseWriter, r *http.Request) {
		template, _ := mux.CurrentRoute(r).GetPathTemplate()
		took(rw, template)
	}
	add := func(router *mux.Router) {
		path := route(r, brace, "/")
		switch r.Intn(6) {
		case 0:
			router.PathPrefix(path).HandlerFunc(answer)
		case 1:
			router.HandleFunc(path, answer)
		default:
			router.HandleFunc(path, answer).Methods(method(r))
		}
	}
	for i := 0; i < 8; i++ {
		try(func() { add(router) })
	}
	sub := router.PathPrefix("/ab").Subrouter()
	for i := 0; i < 4; i++ {
		try(func() { add(sub) })
	}
	router.PathPrefix("/").Methods("GET").HandlerFunc(answer)
	return router
}

func randomEcho(r *rand.Rand) http.Handler {
	e := echo.New()
	if r.Intn(3) == 0 {
		// As middleware.RemoveTrailingSlash does it.
		e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				url := c.Request().URL
				if len(url.Path) > 1 {
					url.Path = strings.TrimSuffix(url.Path, "/")
				}
				return next(c)
			}
		})
	}
	for i := 0; i < 24; i++ {
		method, path := method(r), route(r, colon, "/*")
		try(func() {
			e.Add(method, path, func(c echo.Context) error {
				took(c.Response(), c.Path())
				return nil
			})
		})
	}
	return e
}

func randomHTTPRouter(r *rand.Rand) http.Handler {
	router := httprouter.New()
	router.RedirectTrailingSlash = r.Intn(2) == 0
	router.RedirectFixedPath = r.Intn(2) == 0
	for i := 0; i < 40; i++ {
		method, path := method(r), route(r, colon, "/*rest")
		try(func() {
			router.Handle(method, path, func(rw http.ResponseWriter, _ *http.Request, _ httprouter.Params) {
				took(rw, path)
			})
		})
	}
	return router
}
