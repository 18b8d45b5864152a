package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

func newEcho() http.Handler {
	e := echo.New()
	answer := func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }
	e.GET("/", answer)
	e.GET("/static", answer)
	e.GET("/users/:id", answer)
	e.GET("/users/new", answer)
	e.POST("/users/:id", answer)
	e.GET("/users/:id/posts/:post", answer)
	e.GET("/files/*", answer)
	api := e.Group("/api")
	v1 := api.Group("/v1")
	v1.GET("/things/:thing", answer)
	for _, name := range many {
		e.Any("/many/"+name, answer)
	}
	return e
}
