// gRPC, served and asked for, both with the SDK's handlers of statistics.

package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// health answers, or passes a call on where there is a backend.
type health struct {
	healthpb.UnimplementedHealthServer
	backend healthpb.HealthClient
}

func (h *health) Check(ctx context.Context, request *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if h.backend == nil {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
	}
	return h.backend.Check(ctx, request)
}

// asker makes clients' calls of the service at an address.
func asker(address string, options ...grpc.DialOption) healthpb.HealthClient {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		log.Fatal(err)
	}
	return healthpb.NewHealthClient(conn)
}

// appended has a span of the SDK's own for each call, and appends its context to the metadata, as
// interceptors do.
func appended(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	ctx, span := otel.Tracer("sdkapp").Start(ctx, method)
	defer span.End()
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	ctx = metadata.AppendToOutgoingContext(ctx, "x-id", "7")
	for key, value := range carrier {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-other", "8", key, value)
	}
	return invoke(ctx, method, request, reply, conn, options...)
}

// serveRPC serves gRPC on a port of its own, which it returns.
func serveRPC(backend string) net.Addr {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	service := &health{}
	if backend != "" {
		service.backend = asker(backend, grpc.WithStatsHandler(otelgrpc.NewClientHandler()))
	}
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	healthpb.RegisterHealthServer(server, service)
	go func() { log.Fatal(server.Serve(listener)) }()
	return listener.Addr()
}

// addRPC adds the paths that ask the gRPC service of another one.
func addRPC(mux *http.ServeMux, backend string) {
	bare := asker(backend)
	traced := asker(backend, grpc.WithStatsHandler(otelgrpc.NewClientHandler()))
	intercepted := asker(backend, grpc.WithUnaryInterceptor(appended))
	ask := func(clients ...healthpb.HealthClient) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, client := range clients {
				_, err := client.Check(r.Context(), &healthpb.HealthCheckRequest{})
				if err != nil {
					log.Fatal(err)
				}
			}
			fmt.Fprintln(w, "asked")
		}
	}
	mux.HandleFunc("/rpc/plain", ask(bare))
	mux.HandleFunc("/rpc/call", ask(bare, traced))
	mux.HandleFunc("/rpc/appended", ask(intercepted))
}
