//go:build go1.21

package main

import (
	"context"
	"errors"
	"net/http"
	"time"
)

func init() {
	contextCases["ctx-without-cancel"] = func(ctx context.Context) (context.Context, func()) {
		return context.WithoutCancel(ctx), func() {}
	}
	contextCases["ctx-cause"] = func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(ctx)
		ctx, stop := context.WithTimeoutCause(ctx, time.Minute, errors.New("late"))
		return ctx, func() { stop(); cancel(nil) }
	}
}

// afterFuncCases are those of context.AfterFunc: the handler cancels, and the function runs in a
// goroutine that the cancelling starts.
func (c *caller) afterFuncCases() map[string]func(name string, r *http.Request) string {
	after := func(r *http.Request, request func(context.Context) *http.Request) string {
		ctx, cancel := context.WithCancel(r.Context())
		done := make(chan string, 1)
		context.AfterFunc(ctx, func() { done <- send(c.client, request(context.WithoutCancel(ctx))) })
		cancel()
		return <-done
	}
	return map[string]func(name string, r *http.Request) string{
		"after-func": func(name string, r *http.Request) string {
			return after(r, func(ctx context.Context) *http.Request { return c.request(ctx, name, r, nil) })
		},
		"after-func-noctx": func(name string, r *http.Request) string {
			return after(r, func(context.Context) *http.Request {
				return c.request(context.Background(), name, r, nil)
			})
		},
	}
}
