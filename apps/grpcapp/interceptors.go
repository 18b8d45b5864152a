// The interceptors: one that answers for panics, and those of -spawn, which start goroutines.

package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// recoverPanic is the interceptor that answers Internal where a handler panics.
func recoverPanic(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (reply any, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = status.Errorf(codes.Internal, "panic: %v", reason)
		}
	}()
	return handler(ctx, request)
}

// spawnHandler runs the handler of a unary call, as one that watches over its time would.
func spawnHandler(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (reply any, err error) {
	inGoroutines(1, func() {
		reply, err = recoverPanic(ctx, request, info, handler)
	})
	return reply, err
}

// spawnStream runs the handler of a stream.
func spawnStream(
	service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) (err error) {
	inGoroutines(1, func() {
		err = handler(service, stream)
	})
	return err
}

// spawnCall makes a unary call.
func spawnCall(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) (err error) {
	inGoroutines(1, func() {
		err = invoke(ctx, method, request, reply, conn, options...)
	})
	return err
}
