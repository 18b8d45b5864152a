// Command pgxapp is an ordinary web service with PostgreSQL, through pgx itself: versions 4 and 5, on
// a connection of its own, through pgxpool, and beneath database/sql. It is built with several
// versions of both: go.mod, go.mid.mod and go.old.mod name them.
//
//	pgxapp -dsn DSN [-addr HOST:PORT]
//
// It creates the table "things" anew and serves; the first line is "listening HOST:PORT". A path is
// /VERSION/HOW/CASE, such as /v5/pool/query: v4 or v5; conn, pool or, with v5, sql; and a case of
// cases.go, errors.go or batches.go. It is answered with 200 and "CASE ok" or "CASE error: TEXT".
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// session is what pgx offers, on a connection or a pool. All rows are read before it returns.
type session interface {
	query(ctx context.Context, text string, args ...interface{}) error
	queryRow(ctx context.Context, text string, args ...interface{}) error
	exec(ctx context.Context, text string, args ...interface{}) error
	begin(ctx context.Context) (transaction, error)
}

// transaction is what is used of one.
type transaction interface {
	session
	commit(ctx context.Context) error
	rollback(ctx context.Context) error
}

// native is what database/sql does not have.
type native interface {
	// batch sends these texts, each with an argument of its own, and closes the results twice.
	batch(ctx context.Context, texts []string, args []interface{}) error
	// unread closes the results of a batch without having looked at any.
	unread(ctx context.Context, texts []string, args []interface{}) error
	copyFrom(ctx context.Context, table []string, rows [][]interface{}) error
	// prepared prepares a text under a name on one connection and executes it there by that name.
	prepared(ctx context.Context, name, text string, args ...interface{}) error
	// nested inserts a row for each that it reads, on another connection.
	nested(ctx context.Context, text string, args ...interface{}) error
	// early closes the rows before all were read, and once more.
	early(ctx context.Context, text string, args ...interface{}) error
	// nobody asks a connection that is nil.
	nobody(ctx context.Context, text string, args ...interface{})
	// simple queries by the simple protocol.
	simple(ctx context.Context, text string, args ...interface{}) error
}

// app is one way to the database.
type app struct {
	session
	alone sync.Mutex // held during a case, where the session is one connection
	conn  bool
}

// ids is the last id that a case inserted.
var ids int64 = 1000

// nextID returns an id that the table does not have.
func nextID() int64 {
	return atomic.AddInt64(&ids, 1)
}

func main() {
	var addr, dsn string
	flag.StringVar(&dsn, "dsn", "", "the database")
	flag.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.Parse()

	sessions, err := open(dsn)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	for path, session := range sessions {
		a := &app{session: session, conn: path == "/v4/conn" || path == "/v5/conn"}
		for name, run := range cases {
			mux.HandleFunc(path+"/"+name, a.handler(name, run))
		}
		if !a.conn {
			mux.HandleFunc(path+"/timeout", a.handler("timeout", (*app).timeout))
		}
		if _, ok := session.(native); !ok {
			continue
		}
		for name, run := range nativeCases {
			mux.HandleFunc(path+"/"+name, a.handler(name, run))
		}
		if a.conn {
			continue
		}
		for name, run := range poolCases {
			mux.HandleFunc(path+"/"+name, a.handler(name, run))
		}
	}
	log.Fatal(http.Serve(listener, mux))
}

// handler answers with how a case ended.
func (a *app) handler(name string, run func(*app, context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.conn {
			a.alone.Lock()
			defer a.alone.Unlock()
		}
		if err := run(a, r.Context()); err != nil {
			fmt.Fprintf(w, "%s error: %v\n", name, err)
			return
		}
		fmt.Fprintf(w, "%s ok\n", name)
	}
}

// open fills the table and opens all sessions, by their path.
func open(dsn string) (map[string]session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sessions := map[string]session{}
	if err := openV4(ctx, dsn, sessions); err != nil {
		return nil, err
	}
	if err := openV5(ctx, dsn, sessions); err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"DROP TABLE IF EXISTS things",
		"CREATE TABLE things (id bigint primary key, name varchar(100))",
		"INSERT INTO things (id, name) VALUES (1, 'one'), (2, 'secret'), (3, 'three'), (7, 'seven')",
	} {
		if err := sessions["/v5/conn"].exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return sessions, nil
}
