// The calls of the backend, for the texts "call:HOW".

package main

import (
	"context"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// call says "hello" to the backend in the way that is asked for:
//
//	same         with the call's context, in the same goroutine
//	noctx        with no context
//	go           with no context, in a new goroutine
//	deep         with no context, in the fifth of goroutines that start one another
//	ctx-pool     with the call's context, in the worker that main started
//	noctx-pool   with no context, in that worker
//	numbered     by a method that no other call of these has, where the backend has -methods
func (e *echo) call(ctx context.Context, how string) (string, error) {
	if e.backend == nil {
		return "", status.Error(codes.FailedPrecondition, "no -backend")
	}
	var text string
	var err error
	hello := func(ctx context.Context) func() {
		return func() { text, err = say(ctx, e.backend, "hello") }
	}
	switch how {
	case "same":
		hello(ctx)()
	case "noctx":
		hello(context.Background())()
	case "go":
		inGoroutines(1, hello(context.Background()))
	case "deep":
		inGoroutines(5, hello(context.Background()))
	case "ctx-pool":
		e.inWorker(hello(ctx))
	case "numbered":
		method := "M" + strconv.FormatInt(atomic.AddInt64(&e.calls, 1), 10)
		reply := new(wrapperspb.StringValue)
		err = e.backend.Invoke(ctx, "/"+serviceName+"/"+method, wrapperspb.String("hello"), reply)
		text = reply.GetValue()
	case "noctx-pool":
		e.inWorker(hello(context.Background()))
	default:
		return "", status.Errorf(codes.InvalidArgument, "no way %q to call", how)
	}
	return text, err
}

// inGoroutines runs the function in a goroutine, that many deep, and waits for it.
func inGoroutines(depth int, run func()) {
	if depth == 0 {
		run()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		inGoroutines(depth-1, run)
	}()
	<-done
}

// inWorker has main's worker run the function, and waits for it.
func (e *echo) inWorker(run func()) {
	done := make(chan struct{})
	e.jobs <- func() {
		defer close(done)
		run()
	}
	<-done
}

// say calls Say.
func say(ctx context.Context, conn *grpc.ClientConn, text string) (string, error) {
	reply := new(wrapperspb.StringValue)
	err := conn.Invoke(ctx, "/"+serviceName+"/Say", wrapperspb.String(text), reply)
	return reply.GetValue(), err
}
