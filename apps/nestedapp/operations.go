// What the handlers ask the databases for. A tag is n, the request's ID, _, and where it is asked from:
//
//	same    in the handler's goroutine, with its context
//	bare    in the handler's goroutine, with no context
//	group   in a goroutine of an errgroup, with its context
//	go      in a goroutine that the handler starts, with no context
//	deep    in a goroutine that such a one starts, with no context
//	worker  in one of main's goroutines, with the handler's context
//	lone    in one of main's goroutines, with no context
//
// and after it how. The sizes of pipelines and the command GET say where they are asked from.

package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// ask is what the gRPC handler does.
func (s *stores) ask(ctx context.Context, id string) error {
	tag := "n" + id + "_"
	none := context.Background()
	deep := func() error {
		return inGoroutines(func() error { return s.all(none, tag+"deep", 5) })
	}
	return errors.Join(
		s.all(ctx, tag+"same", 2),
		s.all(none, tag+"bare", 3),
		s.get(ctx),
		s.group(ctx, tag+"group"),
		inGoroutines(
			func() error { return s.sql(none, tag+"go_sql") },
			func() error { return s.pgx(none, tag+"go_pgx") },
			func() error { return s.command(none, tag+"go_redis") },
			func() error { return s.pipeline(none, 4) },
			deep,
		),
		s.inWorker(func() error { return s.all(ctx, tag+"worker", 6) }),
		s.inWorker(func() error { return s.all(none, tag+"lone", 7) }),
		// And its goroutine is still the one that it was.
		s.sql(none, tag+"last_sql"),
	)
}

// afterwards is what the HTTP handler does itself, when the gRPC service has answered.
func (s *stores) afterwards(ctx context.Context, id string) error {
	tag := "n" + id + "_http_"
	none := context.Background()
	return errors.Join(
		s.all(ctx, tag+"same", 8),
		s.all(none, tag+"bare", 9),
		inGoroutines(func() error { return s.all(none, tag+"go", 10) }),
	)
}

// all asks in each way, one after the other.
func (s *stores) all(ctx context.Context, tag string, size int) error {
	return errors.Join(
		s.sql(ctx, tag+"_sql"),
		s.pgx(ctx, tag+"_pgx"),
		s.command(ctx, tag+"_redis"),
		s.pipeline(ctx, size),
	)
}

// group asks in each way at once.
func (s *stores) group(ctx context.Context, tag string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.sql(ctx, tag+"_sql") })
	group.Go(func() error { return s.pgx(ctx, tag+"_pgx") })
	group.Go(func() error { return s.command(ctx, tag+"_redis") })
	group.Go(func() error { return s.pipeline(ctx, 11) })
	return group.Wait()
}

// inGoroutines runs each function in a goroutine of its own and waits for all.
func inGoroutines(functions ...func() error) error {
	failed := make(chan error)
	for _, run := range functions {
		go func() { failed <- run() }()
	}
	var all []error
	for range functions {
		all = append(all, <-failed)
	}
	return errors.Join(all...)
}

// inWorker has one of main's goroutines run the function, and waits for it.
func (s *stores) inWorker(run func() error) error {
	done := make(chan error)
	s.jobs <- func() { done <- run() }
	return <-done
}
