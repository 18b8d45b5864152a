// The cases about connections and the pool that they are kept in.

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// conn takes a connection out of the pool and uses it.
func (a *app) conn(ctx context.Context) error {
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, a.bind(insertThing), a.nextID())
	return err
}

// badConn queries over a connection that the server has ended meanwhile. It uses a pool of its own,
// in which that connection is the only one, so that it is the one that is chosen.
func (a *app) badConn(ctx context.Context) error {
	who, end := "SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%d)"
	switch {
	case a.driver == "mysql":
		who, end = "SELECT CONNECTION_ID()", "KILL %d"
	case a.isSQLite():
		return errors.New("sqlite has no server")
	}
	pool, err := openDB(a.opened, a.dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	var id int64
	if err := pool.QueryRowContext(ctx, who).Scan(&id); err != nil {
		return err
	}
	if _, err := a.db.ExecContext(ctx, fmt.Sprintf(end, id)); err != nil {
		return err
	}
	// pgx looks at connections that were idle for more than a second before it uses them.
	time.Sleep(1100 * time.Millisecond)
	return read(pool.QueryContext(ctx, a.bind(selectByID), 7))
}
