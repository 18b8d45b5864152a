//go:build go1.25

package main

import (
	"net/http"

	"github.com/labstack/echo/v5"
)

func newEcho5() http.Handler {
	e := echo.New()
	answer := func(c *echo.Context) error { return c.String(http.StatusOK, "ok\n") }
	e.GET("/", answer)
	e.GET("/static", answer)
	e.GET("/users/:id", answer)
	e.GET("/users/new", answer)
	e.POST("/users/:id", answer)
	e.GET("/users/:id/posts/:post", answer)
	e.GET("/files/*", answer)
	e.Group("/api").Group("/v1").GET("/things/:thing", answer)
	for _, name := range many {
		e.Any("/many/"+name, answer)
	}
	return e
}
