// Command grpcapp is an ordinary gRPC service and its client. It is built with several versions of
// google.golang.org/grpc: go.mod, go.late.mod, go.mid.mod, go.old.mod, go.older.mod
// and go.oldest.mod name them.
//
//	grpcapp [-addr HOST:PORT] [-backend HOST:PORT] [-workers N] [-serve-http] [-spawn] [-methods N]
//
// serves; the first line is "listening HOST:PORT". -workers handles the streams in a fixed number of
// goroutines (grpc.NumStreamWorkers), and -serve-http serves through net/http and
// (*grpc.Server).ServeHTTP instead of grpc's own transport; with -spawn, interceptors run each handler
// and each call of the backend in a goroutine of its own; with -methods it has methods M1 to MN that do
// what Say does. What a call of gotap.test.Echo/Say does
// is chosen by its text, see service.go, and calls.go for the texts "call:…" that need a -backend.
//
//	grpcapp -client -to HOST:PORT [-traceparent V] [-tracestate V] [-deadline D] CASE...
//
// makes the calls, one after the other, and prints "CASE CODE" for each. The cases are in client.go.
// With -parallel P or -count N it sends the cases N times from each of P goroutines, and prints only
// how often there was each code, such as "OK 128". With -hold it prints "holding" first, and waits for
// SIGUSR1.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// options are the flags as given.
type options struct {
	addr        string
	backend     string
	workers     uint
	methods     int
	serveHTTP   bool
	spawn       bool
	client      bool
	to          string
	traceparent string
	tracestate  string
	deadline    time.Duration
	parallel    int
	count       int
	hold        bool
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&o.backend, "backend", "", "address of the service that the texts call:… call")
	flag.UintVar(&o.workers, "workers", 0, "handle the streams in this many goroutines")
	flag.BoolVar(&o.serveHTTP, "serve-http", false, "serve through net/http")
	flag.BoolVar(&o.spawn, "spawn", false, "let interceptors start goroutines")
	flag.IntVar(&o.methods, "methods", 0, "serve this many more methods, M1, M2, …")
	flag.BoolVar(&o.client, "client", false, "make the calls that the arguments name, then exit")
	flag.StringVar(&o.to, "to", "", "address of the service that -client calls")
	flag.StringVar(&o.traceparent, "traceparent", "", "the client's traceparent in the metadata")
	flag.StringVar(&o.tracestate, "tracestate", "", "the client's tracestate in the metadata")
	flag.DurationVar(&o.deadline, "deadline", 0, "time that each of the client's calls may take")
	flag.IntVar(&o.parallel, "parallel", 1, "send the client's cases from this many goroutines")
	flag.IntVar(&o.count, "count", 1, "send the client's cases this many times")
	flag.BoolVar(&o.hold, "hold", false, "let the client wait for SIGUSR1 first")
	flag.Parse()

	if o.client {
		if o.hold {
			hold()
		}
		runClient(o, flag.Args())
		return
	}
	service := &echo{attempts: map[string]int{}, jobs: make(chan func())}
	if o.backend != "" {
		var settings []grpc.DialOption
		if o.spawn {
			settings = append(settings, grpc.WithUnaryInterceptor(spawnCall))
		}
		service.backend = dial(o.backend, settings...)
	}
	go func() {
		for job := range service.jobs {
			job()
		}
	}()
	serve(o, service)
}

// hold waits until it is told to go on.
func hold() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	fmt.Println("holding")
	<-signals
}

// serve listens, tells where, and answers calls until the program is killed.
func serve(o options, service *echo) {
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	unary := recoverPanic
	if o.spawn {
		unary = spawnHandler
	}
	settings := []grpc.ServerOption{grpc.UnaryInterceptor(unary)}
	if o.spawn {
		settings = append(settings, grpc.StreamInterceptor(spawnStream))
	}
	if o.workers > 0 {
		settings = append(settings, grpc.NumStreamWorkers(uint32(o.workers)))
	}
	server := grpc.NewServer(settings...)
	for n := 1; n <= o.methods; n++ {
		name := fmt.Sprintf("M%d", n)
		description.Methods = append(description.Methods, grpc.MethodDesc{MethodName: name, Handler: handleSay})
	}
	server.RegisterService(&description, service)
	healthpb.RegisterHealthServer(server, health.NewServer())
	if o.serveHTTP {
		log.Fatal(http.Serve(listener, h2c.NewHandler(server, &http2.Server{})))
	}
	log.Fatal(server.Serve(listener))
}

// dial returns a connection without TLS, which is set up in the background.
func dial(addr string, settings ...grpc.DialOption) *grpc.ClientConn {
	settings = append(settings, grpc.WithInsecure())
	conn, err := grpc.Dial(addr, settings...)
	if err != nil {
		log.Fatal(err)
	}
	return conn
}
