package work

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const serviceName = "gotap.bench.Echo"

// The service's description is what protoc would generate.
var description = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: handleSay}},
}

// handleSay answers with the text that it was sent.
func handleSay(
	service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
) (any, error) {
	request := new(wrapperspb.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	say := func(_ context.Context, request any) (any, error) {
		return wrapperspb.String(request.(*wrapperspb.StringValue).GetValue()), nil
	}
	if interceptor == nil {
		return say(ctx, request)
	}
	info := &grpc.UnaryServerInfo{Server: service, FullMethod: "/" + serviceName + "/Say"}
	return interceptor(ctx, request, info, say)
}

func serveGRPC(options []grpc.ServerOption) func(net.Listener) error {
	server := grpc.NewServer(options...)
	server.RegisterService(&description, struct{}{})
	return server.Serve
}

func callGRPC(address string, options []grpc.DialOption) (ask, error) {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		answer := new(wrapperspb.StringValue)
		err := conn.Invoke(ctx, "/"+serviceName+"/Say", wrapperspb.String("hello"), answer)
		return answer.GetValue(), err
	}, nil
}
