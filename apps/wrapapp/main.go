// Command wrapapp asks databases through drivers that wrap other drivers: of public packages, and of its own
// in every shape that such a package may have.
//
//	wrapapp -postgres DSN -mysql DSN
//
// The first line is "listening HOST:PORT"; /NAME makes one query through the driver of that name.
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/XSAM/otelsql"
	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
	"github.com/ngrok/sqlmw"
)

// held keeps a driver behind a pointer to another structure.
type held struct {
	options *options
}

type options struct {
	name  string
	inner driver.Driver
}

func (h held) Open(dsn string) (driver.Conn, error) { return h.options.inner.Open(dsn) }

// embedded has the methods of the driver that is a part of it.
type embedded struct{ *mysql.MySQLDriver }

// pointed keeps a connector by a pointer of its own type.
type pointed struct {
	names []string
	inner *pq.Connector
}

func (p *pointed) Connect(ctx context.Context) (driver.Conn, error) { return p.inner.Connect(ctx) }
func (p *pointed) Driver() driver.Driver                            { return p.inner.Driver() }

// both may ask either of two databases of different systems.
type both struct {
	first, second driver.Driver
}

func (b both) Open(dsn string) (driver.Conn, error) { return b.first.Open(dsn) }

// closed knows the connector that it wraps as a function, which nothing can be read out of.
type closed struct {
	connect func(context.Context) (driver.Conn, error)
}

func (c *closed) Connect(ctx context.Context) (driver.Conn, error) { return c.connect(ctx) }
func (c *closed) Driver() driver.Driver                            { return nil }

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func databases(postgres, maria string) map[string]*sql.DB {
	connector := must(pq.NewConnector(postgres))
	sql.Register("sqlmw", sqlmw.Driver(&pq.Driver{}, new(sqlmw.NullInterceptor)))
	sql.Register("held", held{&options{"held", &pq.Driver{}}})
	sql.Register("embedded", embedded{&mysql.MySQLDriver{}})
	sql.Register("both", both{&pq.Driver{}, &mysql.MySQLDriver{}})
	config := must(mysql.ParseDSN(maria))
	return map[string]*sql.DB{
		"otelsql":           must(otelsql.Open("postgres", postgres)),
		"otelsql-mysql":     must(otelsql.Open("mysql", maria)),
		"otelsql-connector": otelsql.OpenDB(must(mysql.NewConnector(config))),
		"sqlmw":             must(sql.Open("sqlmw", postgres)),
		"held":              must(sql.Open("held", postgres)),
		"embedded":          must(sql.Open("embedded", maria)),
		"pointed":           sql.OpenDB(&pointed{inner: connector}),
		"both":              must(sql.Open("both", postgres)),
		"closed":            sql.OpenDB(&closed{connector.Connect}),
	}
}

func main() {
	postgres := flag.String("postgres", "", "data source name")
	maria := flag.String("mysql", "", "data source name")
	flag.Parse()
	all := databases(*postgres, *maria)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		db := all[r.URL.Path[1:]]
		if db == nil {
			http.NotFound(w, r)
			return
		}
		var one int
		query := `SELECT 1 AS one WHERE 'secret' = 'secret'`
		if err := db.QueryRowContext(r.Context(), query).Scan(&one); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
