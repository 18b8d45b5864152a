// Package stock is the gRPC service shop.Inventory, as protoc would describe it, and how it is called.
package stock

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Server is what the inventory does.
type Server interface {
	// Reserve takes one piece of a product and gives how many are left.
	Reserve(ctx context.Context, product string) (int64, error)
}

// Description registers a [Server].
var Description = grpc.ServiceDesc{
	ServiceName: "shop.Inventory",
	HandlerType: (*Server)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Reserve", Handler: reserve}},
}

func reserve(
	server any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
) (any, error) {
	product := new(wrapperspb.StringValue)
	if err := decode(product); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, request any) (any, error) {
		left, err := server.(Server).Reserve(ctx, request.(*wrapperspb.StringValue).GetValue())
		return wrapperspb.Int64(left), err
	}
	if interceptor == nil {
		return handler(ctx, product)
	}
	info := &grpc.UnaryServerInfo{Server: server, FullMethod: "/shop.Inventory/Reserve"}
	return interceptor(ctx, product, info, handler)
}

// Reserve calls the service.
func Reserve(ctx context.Context, conn *grpc.ClientConn, product string) (int64, error) {
	left := new(wrapperspb.Int64Value)
	err := conn.Invoke(ctx, "/shop.Inventory/Reserve", wrapperspb.String(product), left)
	if err != nil {
		return 0, fmt.Errorf("reserve %s: %w", product, err)
	}
	return left.GetValue(), nil
}
