package main

import (
	"context"
	"unsafe"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// hidden fails each call with a status whose code is hidden.
func hidden(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	failed := status.New(codes.Aborted, "")
	// A status.Status is a pointer to the message with the code.
	type holder struct{ message *spb.Status }
	inner := (*holder)(unsafe.Pointer(failed))
	inner.message = place(spb.Status{Code: int32(codes.Aborted)})
	err := failed.Err()
	hide()
	return nil, err
}
