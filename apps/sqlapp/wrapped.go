// Drivers around drivers, as packages that log or trace have them.

package main

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
)

const wrapped = "wrapped-"

// wrappedDriver holds the other one in an interface that it embeds.
type wrappedDriver struct {
	name string
	driver.Driver
}

// wrappedConnector has it deeper.
type wrappedConnector struct {
	options struct {
		name  string
		inner driver.Connector
	}
}

func (c *wrappedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	return c.options.inner.Connect(ctx)
}

func (c *wrappedConnector) Driver() driver.Driver {
	return wrappedDriver{"of a connector", c.options.inner.Driver()}
}

func init() {
	sql.Register(wrapped+"postgres", wrappedDriver{"postgres", &pq.Driver{}})
}

// openDB opens a database by the name of a driver, or of one that is wrapped.
func openDB(name, dsn string) (*sql.DB, error) {
	if name != wrapped+"mysql" {
		return sql.Open(name, dsn)
	}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	inner, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	connector := &wrappedConnector{}
	connector.options.name, connector.options.inner = "mysql", inner
	return sql.OpenDB(connector), nil
}
