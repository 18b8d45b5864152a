// What is asked of Redis, whatever the library.

package main

import (
	"context"
	"fmt"
	"time"
)

// client is a library's client, by what the cases need of it. A reply that is nil is no error here.
type client interface {
	// set and get are methods of the library's own where it has one for each command.
	set(ctx context.Context, key, value string) error
	get(ctx context.Context, key string) error
	mget(ctx context.Context, keys ...string) error
	incr(ctx context.Context, key string) error
	publish(ctx context.Context, channel, message string) error
	// block waits for an element of a list.
	block(ctx context.Context, wait time.Duration, key string) error
	// do sends any command.
	do(ctx context.Context, args ...interface{}) error
	// pipeline and transaction send "SET key value" and "GET key" together, and then, if bad is not
	// "", "INCR bad". They give the first error.
	pipeline(ctx context.Context, key, value, bad string) error
	transaction(ctx context.Context, key, value, bad string) error
	// many sends "GET key" for each together.
	many(ctx context.Context, keys ...string) error
	// watch reads the key in an optimistic transaction, and sets it.
	watch(ctx context.Context, key, value string) error
	// listen subscribes to a channel, publishes to it and receives the message.
	listen(ctx context.Context, channel, message string) error
	// fresh is a client with no connection yet, which says who it is, and selects database 2 where
	// there are several.
	fresh() (client, error)
	// nowhere is a client of a server that does not run.
	nowhere() (client, error)
	close() error
}

// The braces give all keys but one the same slot, 8731, which is of the second node of a cluster.
const (
	key     = "{secrets}-key"
	list    = "{secrets}-list"
	missing = "{secrets}-missing"
	other   = "{secret}-other" // slot 3933, of the first node
	value   = "secret-value"
)

// Of the user with a password.
const (
	user     = "gotap"
	password = "secret-password"
)

// cases are what the second part of a path names.
var cases = map[string]func(c client, ctx context.Context) error{
	"set":       func(c client, ctx context.Context) error { return c.set(ctx, key, value) },
	"get":       func(c client, ctx context.Context) error { return c.get(ctx, key) },
	"nil":       func(c client, ctx context.Context) error { return c.get(ctx, missing) },
	"mget":      func(c client, ctx context.Context) error { return c.mget(ctx, key, missing, key) },
	"publish":   func(c client, ctx context.Context) error { return c.publish(ctx, "secret-channel", value) },
	"listen":    func(c client, ctx context.Context) error { return c.listen(ctx, "secret-channel", value) },
	"watch":     func(c client, ctx context.Context) error { return c.watch(ctx, key, value) },
	"do":        func(c client, ctx context.Context) error { return c.do(ctx, "Get", key) },
	"bytes":     func(c client, ctx context.Context) error { return c.do(ctx, "SET", []byte(key), []byte(value)) },
	"unknown":   func(c client, ctx context.Context) error { return c.do(ctx, "NONSENSE", value) },
	"wrongtype": wrongType,
	"pipeline":  func(c client, ctx context.Context) error { return c.pipeline(ctx, key, value, "") },
	"tx":        func(c client, ctx context.Context) error { return c.transaction(ctx, key, value, "") },
	// The last command of these fails.
	"badpipeline": func(c client, ctx context.Context) error { return c.pipeline(ctx, key, value, key) },
	"badtx":       func(c client, ctx context.Context) error { return c.transaction(ctx, key, value, key) },
	"one":         func(c client, ctx context.Context) error { return c.many(ctx, key) },
	"spread":      func(c client, ctx context.Context) error { return c.many(ctx, key, other, key, other, missing) },
	"block":       func(c client, ctx context.Context) error { return c.block(ctx, time.Second, missing) },
	"timeout":     timeout,
	"canceled":    canceled,
	"go":          inGoroutine,
	"noctx":       func(c client, _ context.Context) error { return c.get(context.Background(), key) },
	"fresh":       fresh,
	"nowhere":     nowhere,
	"large":       large,
}

// wrongType adds to what is a list.
func wrongType(c client, ctx context.Context) error {
	if err := c.do(ctx, "RPUSH", list, value); err != nil {
		return err
	}
	return c.incr(ctx, list)
}

// timeout gives up waiting after 50 ms.
func timeout(c client, ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	return c.block(ctx, 2*time.Second, missing)
}

// canceled asks with a context that is over already.
func canceled(c client, ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return c.get(ctx, key)
}

// inGoroutine asks in a goroutine of its own, with a context that knows nothing of the request.
func inGoroutine(c client, _ context.Context) error {
	done := make(chan error)
	go func() { done <- c.get(context.Background(), key) }()
	return <-done
}

// fresh asks over a new connection, which is set up first.
func fresh(c client, ctx context.Context) error {
	other, err := c.fresh()
	if err != nil {
		return err
	}
	defer other.close()
	return other.get(ctx, key)
}

// nowhere asks where nobody answers.
func nowhere(c client, ctx context.Context) error {
	other, err := c.nowhere()
	if err != nil {
		return err
	}
	defer other.close()
	return other.get(ctx, key)
}

// large has a thousand arguments, of 100 kB together.
func large(c client, ctx context.Context) error {
	args := []interface{}{"DEL"}
	for i := 0; i < 1000; i++ {
		args = append(args, fmt.Sprintf("%s-%0100d", missing, i))
	}
	return c.do(ctx, args...)
}
