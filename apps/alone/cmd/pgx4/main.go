// Command pgx4 asks PostgreSQL, whose DSN is its argument, with pgx 4 for each line. It links nothing else
// that gotap traces.
package main

import (
	"context"
	"log"
	"os"

	"gotap/apps/alone/ask"

	"github.com/jackc/pgx/v4"
)

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	ask.Serve(func([]string) error {
		if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
			return err
		}
		var number int
		return conn.QueryRow(ctx, "SELECT 2").Scan(&number)
	})
}
