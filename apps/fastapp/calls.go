package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// caller calls the backend with net/http's client. If the request has the header X-Id, the backend
// is called at /id/<X-Id>, so that a test can match the spans of both sides.
type caller struct {
	backend string
	pool    chan job
	waiting chan chan string
}

// job is work handed to a worker; the answer comes back over done.
type job struct {
	ctx  context.Context
	url  string
	done chan string
}

type key struct{}

func newCaller(backend string) *caller {
	c := &caller{
		backend: strings.TrimSuffix(backend, "/"),
		pool:    make(chan job),
		waiting: make(chan chan string, 1),
	}
	go func() {
		for job := range c.pool {
			job.done <- get(job.ctx, job.url)
		}
	}()
	return c
}

func (c *caller) call(name string, ctx *fasthttp.RequestCtx) string {
	url := c.backend + "/" + name
	if id := ctx.Request.Header.Peek("X-Id"); len(id) > 0 {
		url = c.backend + "/id/" + string(id)
	}
	done := make(chan string)
	switch name {
	case "context":
		return get(ctx, url)
	case "none":
		return get(context.Background(), url)
	case "derived":
		// In another goroutine, so that only the context can tell.
		derived, cancel := context.WithTimeout(context.WithValue(ctx, key{}, name), time.Minute)
		defer cancel()
		c.pool <- job{derived, url, done}
		return <-done
	case "pool":
		c.pool <- job{ctx, url, done}
		return <-done
	case "pool-none":
		c.pool <- job{context.Background(), url, done}
		return <-done
	case "go":
		go func() { done <- get(context.Background(), url) }()
		return <-done
	case "later":
		// Keeps the context for longer than it may, until "release" comes.
		kept := context.WithValue(ctx, key{}, name)
		go func() {
			answer := <-c.waiting
			answer <- get(kept, url)
		}()
		return "later"
	case "release":
		c.waiting <- done
		return <-done
	}
	return "no such call"
}

func get(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return fmt.Sprint("status=", response.StatusCode)
}
