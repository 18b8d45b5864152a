// pgx version 5.

package main

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// v5Handle is what a connection, a pool and a transaction have.
type v5Handle interface {
	Query(ctx context.Context, text string, args ...interface{}) (pgx.Rows, error)
	QueryRow(ctx context.Context, text string, args ...interface{}) pgx.Row
	Exec(ctx context.Context, text string, args ...interface{}) (pgconn.CommandTag, error)
	Begin(ctx context.Context) (pgx.Tx, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

type v5 struct {
	handle v5Handle
}

func openV5(ctx context.Context, dsn string, sessions map[string]session) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return err
	}
	sessions["/v5/conn"] = &v5{conn}
	sessions["/v5/pool"] = &v5{pool}
	sessions["/v5/sql"], err = openSQL("pgx", dsn)
	return err
}

// withConn gives a connection, which is the pool's for that long.
func (v *v5) withConn(ctx context.Context, use func(conn *pgx.Conn) error) error {
	if conn, ok := v.handle.(*pgx.Conn); ok {
		return use(conn)
	}
	conn, err := v.handle.(*pgxpool.Pool).Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return use(conn.Conn())
}

func readV5(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func (v *v5) query(ctx context.Context, text string, args ...interface{}) error {
	return readV5(v.handle.Query(ctx, text, args...))
}

func (v *v5) queryRow(ctx context.Context, text string, args ...interface{}) error {
	var id int64
	var name string
	return v.handle.QueryRow(ctx, text, args...).Scan(&id, &name)
}

func (v *v5) exec(ctx context.Context, text string, args ...interface{}) error {
	_, err := v.handle.Exec(ctx, text, args...)
	return err
}

type v5Tx struct {
	v5
	tx pgx.Tx
}

func (v *v5) begin(ctx context.Context) (transaction, error) {
	tx, err := v.handle.Begin(ctx)
	return &v5Tx{v5{tx}, tx}, err
}

func (t *v5Tx) commit(ctx context.Context) error   { return t.tx.Commit(ctx) }
func (t *v5Tx) rollback(ctx context.Context) error { return t.tx.Rollback(ctx) }

func (v *v5) send(ctx context.Context, texts []string, args []interface{}) pgx.BatchResults {
	batch := &pgx.Batch{}
	for i, text := range texts {
		batch.Queue(text, args[i])
	}
	return v.handle.SendBatch(ctx, batch)
}

func (v *v5) batch(ctx context.Context, texts []string, args []interface{}) error {
	results := v.send(ctx, texts, args)
	defer results.Close()
	for i, text := range texts {
		if i == 0 && text == selectByID {
			if err := readV5(results.Query()); err != nil {
				return err
			}
			continue
		}
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	return results.Close()
}

func (v *v5) unread(ctx context.Context, texts []string, args []interface{}) error {
	return v.send(ctx, texts, args).Close()
}

func (v *v5) copyFrom(ctx context.Context, table []string, rows [][]interface{}) error {
	_, err := v.handle.CopyFrom(ctx, table, []string{"id", "name"}, pgx.CopyFromRows(rows))
	return err
}

func (v *v5) prepared(ctx context.Context, name, text string, args ...interface{}) error {
	return v.withConn(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Prepare(ctx, name, text); err != nil {
			return err
		}
		if err := readV5(conn.Query(ctx, name, args...)); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, name, args...)
		return err
	})
}

func (v *v5) nested(ctx context.Context, text string, args ...interface{}) error {
	rows, err := v.handle.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := v.exec(ctx, insertThing, nextID()); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (v *v5) early(ctx context.Context, text string, args ...interface{}) error {
	rows, err := v.handle.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	rows.Next()
	rows.Close()
	rows.Close()
	return rows.Err()
}

func (v *v5) simple(ctx context.Context, text string, args ...interface{}) error {
	return v.query(ctx, text, append([]interface{}{pgx.QueryExecModeSimpleProtocol}, args...)...)
}

func (v *v5) nobody(ctx context.Context, text string, args ...interface{}) {
	var conn *pgx.Conn
	recovering(
		func() { _, _ = conn.Query(ctx, text, args...) },
		func() { _, _ = conn.Exec(ctx, text, args...) },
		func() { _, _ = conn.Prepare(ctx, "name", text) },
		func() { _ = conn.SendBatch(ctx, &pgx.Batch{}) },
	)
}
