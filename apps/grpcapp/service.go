// The service gotap.test.Echo and its unary method. Its description is what protoc would generate.

package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const serviceName = "gotap.test.Echo"

var description = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: handleSay}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Collect", Handler: handleCollect, ClientStreams: true},
		{StreamName: "Repeat", Handler: handleRepeat, ServerStreams: true},
		{StreamName: "Chat", Handler: handleChat, ClientStreams: true, ServerStreams: true},
	},
}

// echo is the service.
type echo struct {
	backend *grpc.ClientConn // nil without -backend
	jobs    chan func()      // what main's worker is to run
	calls   int64            // by numbered methods

	mutex    sync.Mutex
	attempts map[string]int // of the texts retry:N, by text and x-id
}

func handleSay(
	service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
) (any, error) {
	request := new(wrapperspb.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, request any) (any, error) {
		text, err := service.(*echo).say(ctx, request.(*wrapperspb.StringValue).GetValue())
		if err != nil {
			return nil, err
		}
		return wrapperspb.String(text), nil
	}
	if interceptor == nil {
		return handler(ctx, request)
	}
	info := &grpc.UnaryServerInfo{Server: service, FullMethod: "/" + serviceName + "/Say"}
	return interceptor(ctx, request, info, handler)
}

// say answers with the text, unless that is one of
//
//	error:CODE  fails with that code, as in error:NOTFOUND
//	plain       fails with an error that is no status
//	slow        takes 2 s, or fails when the call is over before
//	panic       panics
//	retry:N     fails with UNAVAILABLE the first N times that it comes with the same x-id
//	call:HOW    calls the backend
func (e *echo) say(ctx context.Context, text string) (string, error) {
	name, argument := text, ""
	if colon := strings.IndexByte(text, ':'); colon >= 0 {
		name, argument = text[:colon], text[colon+1:]
	}
	switch name {
	case "error":
		code, err := parseCode(argument)
		if err != nil {
			return "", err
		}
		return "", status.Error(code, "no such thing")
	case "plain":
		return "", errors.New("plain error")
	case "slow":
		select {
		case <-ctx.Done():
			return "", status.FromContextError(ctx.Err()).Err()
		case <-time.After(2 * time.Second):
		}
	case "panic":
		panic("as the client asked")
	case "retry":
		return text, e.failFirst(ctx, text, argument)
	case "call":
		return e.call(ctx, argument)
	}
	return text, nil
}

// parseCode finds the code of a name such as NOTFOUND or NotFound.
func parseCode(name string) (codes.Code, error) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		if strings.EqualFold(code.String(), name) {
			return code, nil
		}
	}
	return 0, status.Errorf(codes.InvalidArgument, "no code %q", name)
}

// failFirst fails the first times that it sees a text together with the call's x-id.
func (e *echo) failFirst(ctx context.Context, text, times string) error {
	limit, err := strconv.Atoi(times)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	incoming, _ := metadata.FromIncomingContext(ctx)
	key := text + " " + strings.Join(incoming.Get("x-id"), ",")
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.attempts[key]++
	if e.attempts[key] <= limit {
		return status.Errorf(codes.Unavailable, "attempt %d", e.attempts[key])
	}
	return nil
}
