// Command grpcserver serves gRPC's health service, and links nothing else that gotap traces.
package main

import (
	"log"

	"gotap/apps/alone/ask"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	listener := ask.Listen()
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	log.Fatal(server.Serve(listener))
}
