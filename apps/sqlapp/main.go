// Command sqlapp is an ordinary web service with a database, through database/sql. It is built with
// several versions of the drivers: go.mod and go.old.mod name them.
//
//	sqlapp -driver [wrapped-]postgres|pgx|[wrapped-]mysql|sqlite|sqlite3 -dsn DSN [-addr HOST:PORT]
//
// postgres is github.com/lib/pq, pgx github.com/jackc/pgx/v5/stdlib, mysql
// github.com/go-sql-driver/mysql, sqlite modernc.org/sqlite and sqlite3, in builds with cgo only,
// github.com/mattn/go-sqlite3. It creates the table "things" anew and serves; the first line is
// "listening HOST:PORT". Each path is a case, see cases.go, errors.go and pools.go, and is answered
// with 200 and "CASE ok" or "CASE error: TEXT".
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// app is the service.
type app struct {
	db     *sql.DB
	opened string // the name of the driver, maybe wrapped
	driver string // the same if it were not
	dsn    string
	ids    int64 // the last id that a case inserted

	once     sync.Once // for what follows
	selected *sql.Stmt
	inserted *sql.Stmt
	prepared error
}

func main() {
	a := &app{ids: 1000}
	var addr string
	flag.StringVar(&a.opened, "driver", "", "postgres, pgx, mysql, sqlite, sqlite3, wrapped-postgres or wrapped-mysql")
	flag.StringVar(&a.dsn, "dsn", "", "the database, as the driver wants it")
	flag.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	a.driver = strings.TrimPrefix(a.opened, wrapped)

	if err := a.open(); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	for name, run := range cases {
		mux.HandleFunc("/"+name, a.handler(name, run))
	}
	log.Fatal(http.Serve(listener, mux))
}

// handler answers with how a case ended.
func (a *app) handler(name string, run func(*app, context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := run(a, r.Context()); err != nil {
			fmt.Fprintf(w, "%s error: %v\n", name, err)
			return
		}
		fmt.Fprintf(w, "%s ok\n", name)
	}
}

// open waits for the database and fills the table.
func (a *app) open() error {
	db, err := openDB(a.opened, a.dsn)
	if err != nil {
		return err
	}
	a.db = db
	if a.isSQLite() {
		db.SetMaxOpenConns(1) // a second one would find the file locked
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for db.PingContext(ctx) != nil {
		select {
		case <-ctx.Done():
			return db.Ping()
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, statement := range []string{
		"DROP TABLE IF EXISTS things",
		"CREATE TABLE things (id integer primary key, name varchar(100))",
		"INSERT INTO things (id, name) VALUES (1, 'one'), (2, 'secret'), (3, 'three'), (7, 'seven')",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// isSQLite tells whether there is a file and no server.
func (a *app) isSQLite() bool {
	return a.driver == "sqlite" || a.driver == "sqlite3"
}

// bind replaces each ? by the driver's placeholder.
func (a *app) bind(query string) string {
	if a.driver != "postgres" && a.driver != "pgx" {
		return query
	}
	for i := 1; strings.Contains(query, "?"); i++ {
		query = strings.Replace(query, "?", fmt.Sprintf("$%d", i), 1)
	}
	return query
}
