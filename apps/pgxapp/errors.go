// The cases that fail.

package main

import (
	"context"
	"time"
)

// duplicate inserts an id that the table has.
func (a *app) duplicate(ctx context.Context) error {
	return a.exec(ctx, insertThing, 1)
}

// returning does so by a query, which fails only when its rows are read.
func (a *app) returning(ctx context.Context) error {
	return a.queryRow(ctx, insertThing+" RETURNING id, name", 1)
}

func (a *app) syntax(ctx context.Context) error {
	return a.exec(ctx, "SELEC nonsense")
}

// badQuery is a query and not an execution, so that it is prepared.
func (a *app) badQuery(ctx context.Context) error {
	return a.query(ctx, "SELEC nonsense WHERE $1 = 1", 7)
}

// missing reads a table that does not exist.
func (a *app) missing(ctx context.Context) error {
	return a.query(ctx, "SELECT id, name FROM nowhere WHERE id = $1", 7)
}

// divide fails at the third row, after the server has sent two.
func (a *app) divide(ctx context.Context) error {
	return a.query(ctx, "SELECT 6 / (3 - i), 'x' FROM generate_series(1, $1::int) AS i", 5)
}

// noRows finds nothing, which is no error of the database's.
func (a *app) noRows(ctx context.Context) error {
	return a.queryRow(ctx, selectByID, -1)
}

// canceled queries with a context that is over already.
func (a *app) canceled(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return a.query(ctx, selectByID, 7)
}

// timeout gives up a slow query after 50 ms, which is the end of its connection.
func (a *app) timeout(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	return a.exec(ctx, "SELECT pg_sleep(2)")
}
