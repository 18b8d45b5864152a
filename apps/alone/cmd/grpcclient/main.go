// Command grpcclient asks gRPC's health service for each line "HOST:PORT TRACEPARENT", and links
// nothing else that gotap traces.
package main

import (
	"context"

	"gotap/apps/alone/ask"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

func main() {
	ask.Serve(func(words []string) error {
		conn, err := grpc.Dial(words[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx := metadata.AppendToOutgoingContext(context.Background(), "traceparent", words[1])
		_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		return err
	})
}
