// The cases that succeed.

package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
)

const (
	selectByID  = "SELECT id, name FROM things WHERE id = ?"
	insertThing = "INSERT INTO things (id, name) VALUES (?, 'secret')"
)

// cases are what the paths name.
var cases = map[string]func(a *app, ctx context.Context) error{
	"query":     (*app).query,
	"queryrow":  (*app).queryRow,
	"exec":      (*app).exec,
	"literal":   (*app).literal,
	"prepared":  (*app).useStatements,
	"tx":        (*app).transaction,
	"rollback":  (*app).rollback,
	"duplicate": (*app).duplicate,
	"syntax":    (*app).syntax,
	"missing":   (*app).missing,
	"canceled":  (*app).canceled,
	"timeout":   (*app).timeout,
	"go":        (*app).inGoroutine,
	"noctx":     (*app).withoutContext,
	"large":     (*app).large,
	"conn":      (*app).conn,
	"badconn":   (*app).badConn,
}

// read reads all rows and closes them.
func read(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// nextID returns an id that the table does not have.
func (a *app) nextID() int64 {
	return atomic.AddInt64(&a.ids, 1)
}

func (a *app) query(ctx context.Context) error {
	return read(a.db.QueryContext(ctx, a.bind(selectByID), 7))
}

func (a *app) queryRow(ctx context.Context) error {
	var id int
	var name string
	return a.db.QueryRowContext(ctx, a.bind(selectByID), 7).Scan(&id, &name)
}

func (a *app) exec(ctx context.Context) error {
	_, err := a.db.ExecContext(ctx, a.bind(insertThing), a.nextID())
	return err
}

// literal has its values in the text, and no arguments.
func (a *app) literal(ctx context.Context) error {
	const query = "SELECT name FROM things WHERE name = 'secret' AND id IN (1, 2, 3)"
	return read(a.db.QueryContext(ctx, query))
}

// useStatements prepares two statements at its first call, and executes both at each: the first with
// the context and the second without.
func (a *app) useStatements(ctx context.Context) error {
	a.once.Do(func() {
		if a.selected, a.prepared = a.db.Prepare(a.bind(selectByID)); a.prepared == nil {
			a.inserted, a.prepared = a.db.Prepare(a.bind(insertThing))
		}
	})
	if a.prepared != nil {
		return a.prepared
	}
	if err := read(a.selected.QueryContext(ctx, 7)); err != nil {
		return err
	}
	_, err := a.inserted.Exec(a.nextID())
	return err
}

func (a *app) transaction(ctx context.Context) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, a.bind(insertThing), a.nextID()); err != nil {
		return err
	}
	if err := read(tx.QueryContext(ctx, a.bind(selectByID), 7)); err != nil {
		return err
	}
	return tx.Commit()
}

func (a *app) rollback(ctx context.Context) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, a.bind(insertThing), a.nextID()); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Rollback()
}

// inGoroutine queries in a goroutine of its own, with a context that knows nothing of the request.
func (a *app) inGoroutine(context.Context) error {
	done := make(chan error)
	go func() {
		done <- read(a.db.QueryContext(context.Background(), a.bind(selectByID), 7))
	}()
	return <-done
}

// withoutContext queries in the handler's goroutine.
func (a *app) withoutContext(context.Context) error {
	return read(a.db.Query(a.bind(selectByID), 7))
}

// large sends a text of about 100 kB.
func (a *app) large(ctx context.Context) error {
	var text strings.Builder
	text.WriteString("SELECT 1 IN (1")
	for i := 100000; text.Len() < 100000; i++ {
		fmt.Fprintf(&text, ", %d", i)
	}
	text.WriteString(")")
	return read(a.db.QueryContext(ctx, text.String()))
}
