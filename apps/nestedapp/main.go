// Command nestedapp is an ordinary web service that asks a gRPC service, which asks PostgreSQL and
// Redis. Both services are in this process. It is built with several versions of its libraries: go.mod
// and go.mid.mod name them.
//
//	nestedapp -dsn DSN -redis HOST:PORT [-addr HOST:PORT] [-workers N]
//
// The first line that it prints is "listening HOST:PORT". GET /nested/ID calls the gRPC service with
// the request's context and sends no trace context along; GET /forward/ID sends along the traceparent
// that it got. Then both ask the databases themselves. What is asked, and how, is in operations.go;
// each statement and each command that is not in a pipeline has the request's ID in it. -workers
// handles gRPC's streams in a fixed number of goroutines (grpc.NumStreamWorkers).
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	var addr, dsn, redisAddr string
	var workers uint
	flag.StringVar(&dsn, "dsn", "", "the PostgreSQL database")
	flag.StringVar(&redisAddr, "redis", "", "address of the Redis server")
	flag.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.UintVar(&workers, "workers", 0, "handle gRPC's streams in this many goroutines")
	flag.Parse()

	s, err := openStores(context.Background(), dsn, redisAddr)
	if err != nil {
		log.Fatal(err)
	}
	// These goroutines work for all requests, and descend from none.
	for i := 0; i < 4; i++ {
		go func() {
			for job := range s.jobs {
				job()
			}
		}()
	}
	conn, err := serveGRPC(s, workers)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("/nested/", func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimPrefix(r.URL.Path, "/nested/")
		answer(w, serve(r.Context(), s, conn, id))
	})
	mux.HandleFunc("/forward/", func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimPrefix(r.URL.Path, "/forward/")
		parent := r.Header.Get("traceparent")
		ctx := metadata.AppendToOutgoingContext(r.Context(), "traceparent", parent)
		answer(w, serve(ctx, s, conn, id))
	})
	log.Fatal(http.Serve(listener, mux))
}

// serve is what the HTTP handler does.
func serve(ctx context.Context, s *stores, conn *grpc.ClientConn, id string) error {
	reply := new(wrapperspb.StringValue)
	err := conn.Invoke(ctx, "/"+serviceName+"/Ask", wrapperspb.String(id), reply)
	if err != nil {
		return err
	}
	return s.afterwards(ctx, id)
}

// answer says how it ended.
func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ok")
}

// serveGRPC starts the gRPC service and gives a connection to it.
func serveGRPC(s *stores, workers uint) (*grpc.ClientConn, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var settings []grpc.ServerOption
	if workers > 0 {
		settings = append(settings, grpc.NumStreamWorkers(uint32(workers)))
	}
	server := grpc.NewServer(settings...)
	server.RegisterService(&description, s)
	go func() { log.Fatal(server.Serve(listener)) }()
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	return grpc.NewClient(listener.Addr().String(), plain)
}
