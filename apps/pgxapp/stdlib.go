// pgx beneath database/sql.

package main

import (
	"context"
	"database/sql"
)

// sqlHandle is what a database and a transaction have.
type sqlHandle interface {
	QueryContext(ctx context.Context, text string, args ...interface{}) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, text string, args ...interface{}) *sql.Row
	ExecContext(ctx context.Context, text string, args ...interface{}) (sql.Result, error)
}

type throughSQL struct {
	handle sqlHandle
}

func openSQL(driver, dsn string) (session, error) {
	db, err := sql.Open(driver, dsn)
	return &throughSQL{db}, err
}

func (s *throughSQL) query(ctx context.Context, text string, args ...interface{}) error {
	rows, err := s.handle.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func (s *throughSQL) queryRow(ctx context.Context, text string, args ...interface{}) error {
	var id int64
	var name string
	return s.handle.QueryRowContext(ctx, text, args...).Scan(&id, &name)
}

func (s *throughSQL) exec(ctx context.Context, text string, args ...interface{}) error {
	_, err := s.handle.ExecContext(ctx, text, args...)
	return err
}

type sqlTx struct {
	throughSQL
	tx *sql.Tx
}

func (s *throughSQL) begin(ctx context.Context) (transaction, error) {
	tx, err := s.handle.(*sql.DB).BeginTx(ctx, nil)
	return &sqlTx{throughSQL{tx}, tx}, err
}

func (t *sqlTx) commit(context.Context) error   { return t.tx.Commit() }
func (t *sqlTx) rollback(context.Context) error { return t.tx.Rollback() }
