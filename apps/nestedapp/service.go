// The service gotap.test.Nested. Its description is what protoc would generate.

package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const serviceName = "gotap.test.Nested"

var description = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Ask", Handler: handleAsk}},
}

func handleAsk(
	service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
) (any, error) {
	request := new(wrapperspb.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	if err := service.(*stores).ask(ctx, request.GetValue()); err != nil {
		return nil, err
	}
	return request, nil
}
