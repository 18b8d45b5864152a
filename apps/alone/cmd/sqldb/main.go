// Command sqldb asks database/sql for each line, of which the driver is its own and does nothing: a query, an
// execution, a prepared statement and a transaction. It links nothing else that gotap traces.
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"log"

	"gotap/apps/alone/ask"
)

func main() {
	sql.Register("nothing", nothing{})
	db, err := sql.Open("nothing", "")
	if err != nil {
		log.Fatal(err)
	}
	ask.Serve(func([]string) error { return operate(context.Background(), db) })
}

func operate(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SELECT 1")
	if err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "DELETE FROM things"); err != nil {
		return err
	}
	statement, err := db.PrepareContext(ctx, "SELECT 2")
	if err != nil {
		return err
	}
	defer statement.Close()
	rows, err = statement.QueryContext(ctx)
	if err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return tx.Commit()
}

// nothing is a driver, its connections, statements, transactions, results and rows.
type nothing struct{}

func (nothing) Open(string) (driver.Conn, error)           { return nothing{}, nil }
func (nothing) Prepare(string) (driver.Stmt, error)        { return nothing{}, nil }
func (nothing) Begin() (driver.Tx, error)                  { return nothing{}, nil }
func (nothing) NumInput() int                              { return 0 }
func (nothing) Exec([]driver.Value) (driver.Result, error) { return nothing{}, nil }
func (nothing) Query([]driver.Value) (driver.Rows, error)  { return nothing{}, nil }
func (nothing) Commit() error                              { return nil }
func (nothing) Rollback() error                            { return nil }
func (nothing) LastInsertId() (int64, error)               { return 0, nil }
func (nothing) RowsAffected() (int64, error)               { return 0, nil }
func (nothing) Columns() []string                          { return []string{"one"} }
func (nothing) Next([]driver.Value) error                  { return io.EOF }
func (nothing) Close() error                               { return nil }
