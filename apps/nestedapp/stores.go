// The databases, and the ways to ask them. All of what a statement or a command shows is its tag.

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	redis "github.com/redis/go-redis/v9"
)

// connections is how many each client may have: fewer than there are requests at a time.
const connections = 24

// stores are the clients, and what main's workers are to run.
type stores struct {
	db    *sql.DB
	pool  *pgxpool.Pool
	redis *redis.Client
	jobs  chan func()
}

func openStores(ctx context.Context, dsn, redisAddr string) (*stores, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	pool, err := pgxpool.New(ctx, fmt.Sprintf("%s pool_max_conns=%d", dsn, connections))
	if err != nil {
		return nil, err
	}
	for _, text := range []string{
		"CREATE TABLE things (id bigint PRIMARY KEY, name text NOT NULL)",
		"INSERT INTO things (id, name) VALUES (1, 'secret')",
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	client := redis.NewClient(&redis.Options{
		Addr: redisAddr, PoolSize: connections, PoolTimeout: time.Minute, MaxRetries: -1,
	})
	return &stores{db, pool, client, make(chan func())}, nil
}

// statement selects under a name that is the tag.
func statement(tag string) string {
	return "SELECT name AS " + tag + " FROM things WHERE id = $1"
}

// sql asks PostgreSQL through database/sql.
func (s *stores) sql(ctx context.Context, tag string) error {
	var name string
	return s.db.QueryRowContext(ctx, statement(tag), 1).Scan(&name)
}

// pgx asks PostgreSQL through pgx itself.
func (s *stores) pgx(ctx context.Context, tag string) error {
	var name string
	return s.pool.QueryRow(ctx, statement(tag), 1).Scan(&name)
}

// command sends Redis a command whose name is the tag. It has no such command, and says so.
func (s *stores) command(ctx context.Context, tag string) error {
	err := s.redis.Do(ctx, tag, "secret").Err()
	if err != nil && strings.HasPrefix(err.Error(), "ERR unknown command") {
		return nil
	}
	return fmt.Errorf("%s: %w", tag, errors.Join(err, errors.New("not an unknown command")))
}

// get asks Redis for a key that it does not have.
func (s *stores) get(ctx context.Context) error {
	if err := s.redis.Get(ctx, "secret").Err(); !errors.Is(err, redis.Nil) {
		return fmt.Errorf("GET: %w", err)
	}
	return nil
}

// pipeline sends Redis that many commands at once.
func (s *stores) pipeline(ctx context.Context, size int) error {
	_, err := s.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := 0; i < size; i++ {
			pipe.Exists(ctx, "secret")
		}
		return nil
	})
	return err
}
