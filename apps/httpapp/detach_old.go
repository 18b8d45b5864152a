//go:build !go1.21

package main

import (
	"context"
	"time"
)

// detached is what programs wrote by hand before context.WithoutCancel existed.
type detached struct{ context.Context }

func (detached) Deadline() (time.Time, bool) { return time.Time{}, false }
func (detached) Done() <-chan struct{}       { return nil }
func (detached) Err() error                  { return nil }

// detach keeps the values of ctx and drops its cancellation.
func detach(ctx context.Context) context.Context {
	return detached{ctx}
}
