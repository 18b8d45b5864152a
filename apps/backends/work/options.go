// Package work is the service of the benchmarks that asks a back end: the same handlers and the same
// servers for the program without any SDK (cmd/plain) and for the one that has it linked (cmd/sdk).
package work

import (
	"database/sql"
	"database/sql/driver"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
)

// pool is how many connections to a database there are: more than a load generator opens, so that no
// benchmark measures connection setup.
const pool = 16

// Options are the flags that both programs have. At most one of those after Addr is given.
type Options struct {
	Addr  string
	GRPC  bool
	Call  string
	SQL   string
	Pgx   string
	Redis string
	Times int
}

// Flags registers the flags; the caller runs flag.Parse.
func Flags() *Options {
	o := &Options{}
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.BoolVar(&o.GRPC, "grpc", false, "serve gRPC instead of HTTP")
	flag.StringVar(&o.Call, "grpc-call", "", "address of the gRPC service that each request calls")
	flag.StringVar(&o.SQL, "sql", "", "DSN of the PostgreSQL that each request asks by database/sql")
	flag.StringVar(&o.Pgx, "pgx", "", "DSN of the PostgreSQL that each request asks by pgx alone")
	flag.StringVar(&o.Redis, "redis", "", "address of the Redis that each request asks")
	flag.IntVar(&o.Times, "times", 1, "how often each request asks")
	return o
}

// Instruments is what a program adds to the service.
type Instruments struct {
	// HTTP wraps the handler.
	HTTP func(http.Handler) http.Handler
	// Server and Client are for gRPC's two sides.
	Server []grpc.ServerOption
	Client []grpc.DialOption
	// SQL opens the database.
	SQL func(driver.Connector) *sql.DB
	// Pgx is told of queries, if it is not nil.
	Pgx pgx.QueryTracer
	// Redis adds to a client that has its connections.
	Redis func(*redis.Client)
}

// None is the instruments of a program that has none.
func None() Instruments {
	return Instruments{
		HTTP:  func(handler http.Handler) http.Handler { return handler },
		SQL:   sql.OpenDB,
		Redis: func(*redis.Client) {},
	}
}

// Serve connects to the back end, prints "listening HOST:PORT" and serves until a SIGTERM or SIGINT.
func (o *Options) Serve(with Instruments) {
	serve, err := o.service(with)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	fmt.Printf("listening %s\n", listener.Addr())
	go func() { log.Fatal(serve(listener)) }()
	<-stop
}

// service returns what serves.
func (o *Options) service(with Instruments) (func(net.Listener) error, error) {
	if o.GRPC {
		return serveGRPC(with.Server), nil
	}
	ask, err := o.backend(with)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: with.HTTP(handler(ask, o.Times))}
	return server.Serve, nil
}

// backend returns what asks the back end that the options name.
func (o *Options) backend(with Instruments) (ask, error) {
	switch {
	case o.Call != "":
		return callGRPC(o.Call, with.Client)
	case o.SQL != "":
		return askSQL(o.SQL, with.SQL)
	case o.Pgx != "":
		return askPgx(o.Pgx, with.Pgx)
	case o.Redis != "":
		return askRedis(o.Redis, with.Redis)
	}
	return nil, fmt.Errorf("one of -grpc, -grpc-call, -sql, -pgx and -redis is needed")
}
