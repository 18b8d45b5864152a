// The cases that all ways to the database have, and that succeed.

package main

import (
	"context"
	"fmt"
	"strings"
)

const (
	selectByID  = "SELECT id, name FROM things WHERE id = $1"
	insertThing = "INSERT INTO things (id, name) VALUES ($1, 'secret')"
)

// cases are what the paths name; see also nativeCases and poolCases.
var cases = map[string]func(a *app, ctx context.Context) error{
	"query":     (*app).selectOne,
	"queryrow":  (*app).selectRow,
	"exec":      (*app).insert,
	"literal":   (*app).literal,
	"tx":        (*app).commitOne,
	"rollback":  (*app).rollBackOne,
	"go":        (*app).inGoroutine,
	"noctx":     (*app).withoutContext,
	"large":     (*app).large,
	"empty":     (*app).empty,
	"duplicate": (*app).duplicate,
	"returning": (*app).returning,
	"syntax":    (*app).syntax,
	"badquery":  (*app).badQuery,
	"missing":   (*app).missing,
	"divide":    (*app).divide,
	"norows":    (*app).noRows,
	"canceled":  (*app).canceled,
}

func (a *app) selectOne(ctx context.Context) error {
	return a.query(ctx, selectByID, 7)
}

func (a *app) selectRow(ctx context.Context) error {
	return a.queryRow(ctx, selectByID, 7)
}

func (a *app) insert(ctx context.Context) error {
	return a.exec(ctx, insertThing, nextID())
}

// literal has its values in the text, and no arguments.
func (a *app) literal(ctx context.Context) error {
	return a.query(ctx, "SELECT id, name FROM things WHERE name = 'secret' AND id IN (1, 2, 3)")
}

func (a *app) commitOne(ctx context.Context) error {
	tx, err := a.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback(ctx) // does nothing after a commit
	if err := tx.exec(ctx, insertThing, nextID()); err != nil {
		return err
	}
	if err := tx.query(ctx, selectByID, 7); err != nil {
		return err
	}
	return tx.commit(ctx)
}

func (a *app) rollBackOne(ctx context.Context) error {
	tx, err := a.begin(ctx)
	if err != nil {
		return err
	}
	if err := tx.exec(ctx, insertThing, nextID()); err != nil {
		_ = tx.rollback(ctx)
		return err
	}
	return tx.rollback(ctx)
}

// inGoroutine queries in a goroutine of its own, with a context that knows nothing of the request.
func (a *app) inGoroutine(context.Context) error {
	done := make(chan error)
	go func() {
		done <- a.query(context.Background(), selectByID, 7)
	}()
	return <-done
}

// withoutContext queries in the handler's goroutine.
func (a *app) withoutContext(context.Context) error {
	return a.query(context.Background(), selectByID, 7)
}

// large sends a text of about 1 MB.
func (a *app) large(ctx context.Context) error {
	var text strings.Builder
	text.WriteString("SELECT 1 IN (1")
	for i := 100000; text.Len() < 1000000; i++ {
		fmt.Fprintf(&text, ", %d", i)
	}
	text.WriteString(")")
	return a.exec(ctx, text.String())
}

// empty sends no text.
func (a *app) empty(ctx context.Context) error {
	return a.exec(ctx, "")
}
