// Command unreadapp keeps what operations are about where a probe can't read it: in memory of a file that is not
// mapped at the moment.
//
// The first line is "listening HOST:PORT". /NAME makes the call of that name; all else is answered with "ok".
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/lib/pq"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// database answers each query with an error whose code nobody can read.
type database struct{}

func (database) Open(string) (driver.Conn, error)    { return database{}, nil }
func (database) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrSkip }
func (database) Close() error                        { return nil }
func (database) Begin() (driver.Tx, error)           { return nil, driver.ErrSkip }
func (database) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	err := &pq.Error{Code: pq.ErrorCode(text("23505"))}
	hide()
	return nil, err
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	sql.Register("unread", database{})
	db := must(sql.Open("unread", ""))
	conn := must(grpc.NewClient(serveGRPC(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	calls := map[string]func(context.Context){
		"/sql": func(ctx context.Context) {
			query := text("SELECT secret")
			hide()
			db.QueryContext(ctx, query)
		},
		"/grpc": func(ctx context.Context) {
			healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "none"})
		},
	}
	http.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		if call := calls[r.URL.Path]; call != nil {
			call(r.Context())
		}
		fmt.Fprint(rw, "ok")
	})
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

// serveGRPC serves calls that all fail, with a status that nobody can read.
func serveGRPC() string {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	server := grpc.NewServer(grpc.UnaryInterceptor(hidden))
	healthpb.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	return listener.Addr().String()
}
