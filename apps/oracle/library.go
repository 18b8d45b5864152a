// Running the parts of the standard library that tracers look into, with captures inside of them.

package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"gotap/apps/oracle/capture"
)

// runStandardLibrary returns pointers to values of the types worth describing.
func runStandardLibrary() ([]interface{}, error) {
	values, err := runHTTP()
	if err != nil {
		return nil, err
	}
	more, err := runSQL()
	if err != nil {
		return nil, err
	}
	if _, err := json.Marshal(marshaler{}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), marshaler{}, 1), time.Hour)
	defer cancel()
	inner, cancelInner := context.WithCancel(context.WithValue(ctx, marshaler{}, 2))
	defer cancelInner()
	values = append(append(values, more...), runTLS(), ctx, inner, &tls.ConnectionState{}, &tls.Config{})
	return append(values, context.WithValue(ctx, marshaler{}, 3), &net.TCPConn{}, &time.Time{}), nil
}

// marshaler captures inside of encoding/json.
type marshaler struct{}

func (marshaler) MarshalJSON() ([]byte, error) {
	capture.Here("json.Marshal")
	return []byte("1"), nil
}

// runHTTP serves one request and sends it.
func runHTTP() ([]interface{}, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var seen []interface{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		capture.Here("http server handler")
		seen = append(seen, w, r, r.URL, r.Context())
		_, _ = io.WriteString(w, "ok")
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	trace := &httptrace.ClientTrace{
		GetConn:      func(string) { capture.Here("http client GetConn") },
		WroteRequest: func(httptrace.WroteRequestInfo) { capture.Here("http client WroteRequest") },
	}
	ctx := httptrace.WithClientTrace(context.Background(), trace)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return append(seen, response, server, client, http.DefaultTransport), err
}

// runTLS performs a handshake that ends when the server has no certificate.
func runTLS() *tls.Conn {
	here, there := net.Pipe()
	server := tls.Server(there, &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			capture.Here("tls server handshake")
			return nil, errors.New("no certificate")
		},
	})
	go func() { _ = server.Handshake(); _ = there.Close() }()
	client := tls.Client(here, &tls.Config{InsecureSkipVerify: true})
	_ = client.Handshake()
	_ = here.Close()
	return client
}

// runSQL executes one statement and one query on a driver that knows no data.
func runSQL() ([]interface{}, error) {
	sql.Register("oracle", connector{})
	db, err := sql.Open("oracle", "")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	ctx := context.Background()
	if _, err := db.ExecContext(ctx, "insert"); err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, "select ?", 1)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		return nil, errors.New("a row from an empty database")
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	return []interface{}{db, tx, rows, &sql.Conn{}, &sql.Stmt{}, &sql.Row{}}, tx.Commit()
}

// connector is a driver and its only connection, statement, transaction and result.
type connector struct{}

func (connector) Open(string) (driver.Conn, error) { return connector{}, nil }

func (connector) Prepare(string) (driver.Stmt, error) { return connector{}, nil }

func (connector) Close() error { return nil }

func (connector) Begin() (driver.Tx, error) { return connector{}, nil }

func (connector) Commit() error { return nil }

func (connector) Rollback() error { return nil }

func (connector) NumInput() int { return -1 }

func (connector) Exec([]driver.Value) (driver.Result, error) {
	capture.Here("sql exec")
	return driver.RowsAffected(1), nil
}

func (connector) Query([]driver.Value) (driver.Rows, error) {
	capture.Here("sql query")
	return connector{}, nil
}

func (connector) Columns() []string { return []string{"a"} }

func (connector) Next([]driver.Value) error { return io.EOF }
