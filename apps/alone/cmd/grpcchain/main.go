// Command grpcchain serves gRPC's health service and asks another one, whose address is its argument:
// with the call's context, without it, and without it in a goroutine. It links nothing else that gotap
// traces.
package main

import (
	"context"
	"log"
	"os"

	"gotap/apps/alone/ask"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

type chain struct {
	healthpb.UnimplementedHealthServer
	next healthpb.HealthClient
}

func (c *chain) Check(
	ctx context.Context, request *healthpb.HealthCheckRequest,
) (*healthpb.HealthCheckResponse, error) {
	if _, err := c.next.Check(ctx, request); err != nil {
		return nil, err
	}
	if _, err := c.next.Check(context.Background(), request); err != nil {
		return nil, err
	}
	done := make(chan error)
	go func() {
		_, err := c.next.Check(context.Background(), request)
		done <- err
	}()
	return &healthpb.HealthCheckResponse{}, <-done
}

func main() {
	conn, err := grpc.Dial(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	listener := ask.Listen()
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, &chain{next: healthpb.NewHealthClient(conn)})
	log.Fatal(server.Serve(listener))
}
