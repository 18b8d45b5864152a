// The cases that fail.

package main

import (
	"context"
	"time"
)

// duplicate inserts an id that the table has.
func (a *app) duplicate(ctx context.Context) error {
	_, err := a.db.ExecContext(ctx, a.bind(insertThing), 1)
	return err
}

func (a *app) syntax(context.Context) error {
	_, err := a.db.Exec("SELEC nonsense")
	return err
}

// missing reads a table that does not exist.
func (a *app) missing(ctx context.Context) error {
	return read(a.db.QueryContext(ctx, a.bind("SELECT id, name FROM nowhere WHERE id = ?"), 7))
}

// canceled queries with a context that is over already.
func (a *app) canceled(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return read(a.db.QueryContext(ctx, a.bind(selectByID), 7))
}

// sleeping is a query that takes two seconds or more.
var sleeping = map[string]string{
	"postgres": "SELECT pg_sleep(2)",
	"pgx":      "SELECT pg_sleep(2)",
	"mysql":    "SELECT SLEEP(2)",
	"sqlite":   counting,
	"sqlite3":  counting,
}

const counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000000) " +
	"SELECT count(*) FROM n"

// timeout gives up a slow query after 50 ms.
func (a *app) timeout(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	return read(a.db.QueryContext(ctx, sleeping[a.driver]))
}
