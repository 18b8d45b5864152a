package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
)

func newGin() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	answer := func(c *gin.Context) { c.String(http.StatusOK, "ok\n") }
	engine.GET("/", answer)
	engine.GET("/static", answer)
	engine.GET("/users/:id", answer)
	engine.GET("/users/new", answer)
	engine.POST("/users/:id", answer)
	engine.GET("/users/:id/posts/:post", answer)
	engine.GET("/files/*path", answer)
	api := engine.Group("/api")
	v1 := api.Group("/v1")
	v1.GET("/things/:thing", answer)
	for _, name := range many {
		engine.GET("/many/"+name, answer)
	}
	return engine
}

func newChi() http.Handler {
	router := chi.NewRouter()
	router.Get("/", ok)
	router.Get("/static", ok)
	router.Get("/users/{id:[0-9]+}", ok)
	router.Get("/users/new", ok)
	router.Post("/users/{id}", ok)
	router.Group(func(r chi.Router) {
		r.Use(func(next http.Handler) http.Handler { return next })
		r.Get("/users/{id}/posts/{post}", ok)
		r.Get("/reports/{year}-{month}.csv", ok)
	})
	router.Handle("/files/*", http.HandlerFunc(ok))
	v1 := chi.NewRouter()
	v1.Get("/", ok)
	v1.Get("/things/{thing}", ok)
	router.Route("/api", func(r chi.Router) {
		r.Mount("/v1", v1)
		// It is not reached for what begins with v1: chi has chosen the mounted router then.
		r.Get("/{version}/things", ok)
	})
	for _, name := range many {
		router.Get("/many/"+name, ok)
	}
	return router
}

func newGorilla() http.Handler {
	router := mux.NewRouter()
	router.HandleFunc("/", ok)
	router.HandleFunc("/static", ok).Methods("GET")
	router.HandleFunc("/users/new", ok).Methods("GET", "HEAD")
	router.HandleFunc("/users/{id:[0-9]+}", ok).Methods("GET")
	router.HandleFunc("/users/{id}", ok).Methods("POST")
	router.HandleFunc("/users/{id}/posts/{post}", ok)
	router.HandleFunc("/hidden", ok).MatcherFunc(func(r *http.Request, _ *mux.RouteMatch) bool {
		return r.Header.Get("Hidden") != ""
	})
	router.HandleFunc("/{page:hid.*}", ok)
	api := router.PathPrefix("/api").Subrouter()
	v1 := api.PathPrefix("/v1").Subrouter()
	v1.HandleFunc("/things/{thing}", ok)
	router.HandleFunc("/hosts", ok).Host("example.com")
	for _, name := range many {
		router.HandleFunc("/many/"+name, ok)
	}
	router.PathPrefix("/files/").HandlerFunc(ok)
	return router
}

func newHTTPRouter() http.Handler {
	router := httprouter.New()
	answer := func(rw http.ResponseWriter, r *http.Request, _ httprouter.Params) { ok(rw, r) }
	router.GET("/", answer)
	router.GET("/static", answer)
	router.GET("/users/:id", answer)
	router.POST("/users/:id", answer)
	router.GET("/users/:id/posts/:post", answer)
	router.GET("/files/*path", answer)
	router.GET("/api/v1/things/:thing", answer)
	for _, name := range many {
		router.GET("/many/"+name, answer)
	}
	return router
}

// many make tables that need more than a small map.
var many = []string{
	"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
	"mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
}
