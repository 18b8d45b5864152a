// github.com/gomodule/redigo. Its connections are asked with a context where they can be, which those
// of old versions can't, and only for what is given up.

package main

import (
	"context"
	"errors"
	"time"

	"github.com/gomodule/redigo/redis"
)

type clientRedigo struct {
	addr string
	pool *redis.Pool
}

func clientsRedigo(p places) map[string]client {
	if p.redis == "" {
		return nil
	}
	return map[string]client{"redigo": newRedigo(p.redis, false)}
}

func newRedigo(addr string, login bool) *clientRedigo {
	dial := func() (redis.Conn, error) {
		if !login {
			return redis.Dial("tcp", addr)
		}
		conn, err := redis.Dial("tcp", addr, redis.DialDatabase(2), redis.DialClientName("redisapp"))
		if err != nil {
			return nil, err
		}
		_, err = conn.Do("AUTH", user, password)
		return conn, err
	}
	return &clientRedigo{addr: addr, pool: &redis.Pool{MaxIdle: 8, Dial: dial}}
}

func (c *clientRedigo) fresh() (client, error)   { return newRedigo(c.addr, true), nil }
func (c *clientRedigo) nowhere() (client, error) { return newRedigo("127.0.0.1:1", false), nil }
func (c *clientRedigo) close() error             { return c.pool.Close() }

// withContext is what newer versions' connections have.
type withContext interface {
	DoContext(ctx context.Context, command string, args ...interface{}) (interface{}, error)
}

func (c *clientRedigo) ask(ctx context.Context, command string, args ...interface{}) error {
	conn := c.pool.Get()
	defer conn.Close()
	deadline, limited := ctx.Deadline()
	asking, can := conn.(withContext)
	var err error
	switch {
	case can && (limited || ctx.Err() != nil):
		_, err = asking.DoContext(ctx, command, args...)
	case limited:
		_, err = redis.DoWithTimeout(conn, time.Until(deadline), command, args...)
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		_, err = conn.Do(command, args...)
	}
	return err
}

func (c *clientRedigo) set(ctx context.Context, key, value string) error {
	return c.ask(ctx, "SET", key, value)
}

func (c *clientRedigo) get(ctx context.Context, key string) error {
	return c.ask(ctx, "GET", key)
}

func (c *clientRedigo) mget(ctx context.Context, keys ...string) error {
	return c.ask(ctx, "MGET", redis.Args{}.AddFlat(keys)...)
}

func (c *clientRedigo) incr(ctx context.Context, key string) error {
	return c.ask(ctx, "INCR", key)
}

func (c *clientRedigo) publish(ctx context.Context, channel, message string) error {
	return c.ask(ctx, "PUBLISH", channel, message)
}

func (c *clientRedigo) block(ctx context.Context, wait time.Duration, key string) error {
	return c.ask(ctx, "BLPOP", key, int(wait.Seconds()))
}

func (c *clientRedigo) do(ctx context.Context, args ...interface{}) error {
	command, ok := args[0].(string)
	if !ok {
		return errors.New("the command is no string")
	}
	return c.ask(ctx, command, args[1:]...)
}

// pipeline takes the answers by Receive.
func (c *clientRedigo) pipeline(_ context.Context, key, value, bad string) error {
	conn := c.pool.Get()
	defer conn.Close()
	commands := send(conn, key, value, bad)
	if err := conn.Flush(); err != nil {
		return err
	}
	var first error
	for i := 0; i < commands; i++ {
		if _, err := conn.Receive(); first == nil {
			first = err
		}
	}
	return first
}

// many takes the answers by Receive, too.
func (c *clientRedigo) many(_ context.Context, keys ...string) error {
	conn := c.pool.Get()
	defer conn.Close()
	for _, key := range keys {
		_ = conn.Send("GET", key)
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	for range keys {
		if _, err := conn.Receive(); err != nil {
			return err
		}
	}
	return nil
}

// transaction takes the answers with that of EXEC.
func (c *clientRedigo) transaction(_ context.Context, key, value, bad string) error {
	conn := c.pool.Get()
	defer conn.Close()
	if err := conn.Send("MULTI"); err != nil {
		return err
	}
	send(conn, key, value, bad)
	replies, err := redis.Values(conn.Do("EXEC"))
	for _, reply := range replies {
		if failed, is := reply.(redis.Error); is && err == nil {
			err = failed
		}
	}
	return err
}

// send writes commands to a connection's buffer and counts them. Errors show when it is flushed.
func send(conn redis.Conn, key, value, bad string) int {
	_ = conn.Send("SET", key, value)
	_ = conn.Send("GET", key)
	if bad == "" {
		return 2
	}
	_ = conn.Send("INCR", bad)
	return 3
}

func (c *clientRedigo) watch(_ context.Context, key, value string) error {
	conn := c.pool.Get()
	defer conn.Close()
	if _, err := conn.Do("WATCH", key); err != nil {
		return err
	}
	if _, err := conn.Do("GET", key); err != nil {
		return err
	}
	_ = conn.Send("MULTI")
	_ = conn.Send("SET", key, value)
	_, err := conn.Do("EXEC")
	return err
}

func (c *clientRedigo) listen(ctx context.Context, channel, message string) error {
	conn := redis.PubSubConn{Conn: c.pool.Get()}
	defer conn.Close()
	if err := conn.Subscribe(channel); err != nil {
		return err
	}
	for {
		switch got := conn.ReceiveWithTimeout(5 * time.Second).(type) {
		case error:
			return got
		case redis.Subscription:
			if err := c.publish(ctx, channel, message); err != nil {
				return err
			}
		case redis.Message:
			return nil
		}
	}
}
