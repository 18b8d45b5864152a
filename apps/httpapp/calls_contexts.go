// The handlers below /call/ that call from a worker of no request, so that only the context tells
// whose work it is, with contexts of all sorts that are derived from the request's.

package main

import (
	"context"
	"net/http"
	"time"
)

// contextCases are the cases of this file, by name. Files for newer Go add to them.
var contextCases = map[string]func(context.Context) (context.Context, func()){
	"ctx-value": func(ctx context.Context) (context.Context, func()) {
		return context.WithValue(ctx, contextKey("a"), 1), func() {}
	},
	"ctx-cancel": func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel
	},
	"ctx-timeout": func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		return ctx, cancel
	},
	"ctx-long": func(ctx context.Context) (context.Context, func()) {
		for i := 0; i < 20; i++ {
			ctx = context.WithValue(ctx, contextKey("a"), i)
		}
		return ctx, func() {}
	},
	"ctx-embedded": func(ctx context.Context) (context.Context, func()) {
		return &embedded{Context: ctx, user: "ada"}, func() {}
	},
	"ctx-embedded-value": func(ctx context.Context) (context.Context, func()) {
		return embedded{Context: ctx, user: "ada"}, func() {}
	},
	"ctx-field": func(ctx context.Context) (context.Context, func()) {
		return &field{user: "ada", parent: ctx}, func() {}
	},
	"ctx-pointer": func(ctx context.Context) (context.Context, func()) {
		return &pointer{user: "ada", state: &state{id: 1, ctx: ctx}}, func() {}
	},
	"ctx-pointer-value": func(ctx context.Context) (context.Context, func()) {
		return thin{&state{id: 1, ctx: ctx}}, func() {}
	},
	"ctx-request": func(ctx context.Context) (context.Context, func()) {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
		return &requestHolder{user: "ada", request: request}, func() {}
	},
}

// embedded is the usual way to add to a context.
type embedded struct {
	user string
	context.Context
}

// field keeps the context in a field and passes each call on.
type field struct {
	user   string
	parent context.Context
}

func (f *field) Deadline() (time.Time, bool) { return f.parent.Deadline() }
func (f *field) Done() <-chan struct{}       { return f.parent.Done() }
func (f *field) Err() error                  { return f.parent.Err() }
func (f *field) Value(key any) any           { return f.parent.Value(key) }

// state is what frameworks hang a context into.
type state struct {
	id  int
	ctx context.Context
}

// pointer holds a pointer to a struct with a context.
type pointer struct {
	user  string
	state *state
}

func (p *pointer) Deadline() (time.Time, bool) { return p.state.ctx.Deadline() }
func (p *pointer) Done() <-chan struct{}       { return p.state.ctx.Done() }
func (p *pointer) Err() error                  { return p.state.ctx.Err() }
func (p *pointer) Value(key any) any           { return p.state.ctx.Value(key) }

// thin is nothing but such a pointer, which an interface holds without a pointer to it.
type thin struct{ state *state }

func (t thin) Deadline() (time.Time, bool) { return t.state.ctx.Deadline() }
func (t thin) Done() <-chan struct{}       { return t.state.ctx.Done() }
func (t thin) Err() error                  { return t.state.ctx.Err() }
func (t thin) Value(key any) any           { return t.state.ctx.Value(key) }

// requestHolder has the context of a request that it holds, as the context of gin.
type requestHolder struct {
	user    string
	request *http.Request
}

func (h *requestHolder) Deadline() (time.Time, bool) { return h.request.Context().Deadline() }
func (h *requestHolder) Done() <-chan struct{}       { return h.request.Context().Done() }
func (h *requestHolder) Err() error                  { return h.request.Context().Err() }
func (h *requestHolder) Value(key any) any           { return h.request.Context().Value(key) }

// withContexts makes a case of each derivation.
func (c *caller) withContexts() map[string]func(name string, r *http.Request) string {
	cases := map[string]func(name string, r *http.Request) string{}
	for name, derive := range contextCases {
		derive := derive
		cases[name] = func(name string, r *http.Request) string {
			ctx, cancel := derive(r.Context())
			defer cancel()
			return hand(c.pool, c.request(ctx, name, r, nil))
		}
	}
	return cases
}
