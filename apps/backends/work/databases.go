package work

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lib/pq"
	"github.com/redis/go-redis/v9"
)

// What each request asks of a database.
const (
	query = "SELECT $1::text"
	key   = "greeting"
)

// ask asks a back end once and returns its answer.
type ask func(context.Context) (string, error)

// handler answers "ok\n" at / after it asked so many times.
func handler(ask ask, times int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		for range times {
			if _, err := ask(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

func askSQL(dsn string, open func(driver.Connector) *sql.DB) (ask, error) {
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	db := open(connector)
	db.SetMaxOpenConns(pool)
	db.SetMaxIdleConns(pool)
	// Connections that are held at once are as many that are idle afterwards.
	for range pool {
		conn, err := db.Conn(context.Background())
		if err != nil {
			return nil, err
		}
		defer conn.Close()
	}
	return func(ctx context.Context) (answer string, err error) {
		err = db.QueryRowContext(ctx, query, "hello").Scan(&answer)
		return answer, err
	}, nil
}

func askPgx(dsn string, tracer pgx.QueryTracer) (ask, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = tracer
	config.MaxConns = pool
	db, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	for range pool {
		conn, err := db.Acquire(context.Background())
		if err != nil {
			return nil, err
		}
		defer conn.Release()
	}
	return func(ctx context.Context) (answer string, err error) {
		err = db.QueryRow(ctx, query, "hello").Scan(&answer)
		return answer, err
	}, nil
}

// askRedis needs the key to be there.
func askRedis(address string, instrument func(*redis.Client)) (ask, error) {
	client := redis.NewClient(&redis.Options{Addr: address, PoolSize: pool, MaxIdleConns: pool})
	for range pool {
		conn := client.Conn()
		defer conn.Close()
		if err := conn.Get(context.Background(), key).Err(); err != nil {
			return nil, err
		}
	}
	instrument(client)
	return func(ctx context.Context) (string, error) {
		return client.Get(ctx, key).Result()
	}, nil
}
