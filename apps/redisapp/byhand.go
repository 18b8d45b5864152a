// Pipelines of redigo's Send, Flush and Receive.

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// byHand are cases of redigo alone.
var byHand = map[string]func(c *clientRedigo) error{
	"handtx":    func(c *clientRedigo) error { return c.exchange("MULTI", "SET", "GET", "EXEC") },
	"handexec":  execByDo,
	"twice":     flushTwice,
	"rest":      closeEarly,
	"thendo":    askAfter,
	"fan":       fanOut,
	"window":    slideWindow,
	"elsewhere": receiveElsewhere,
	"handlarge": sendLarge,
	"handwait":  giveUp,
	"nested":    subscribeFirst,
	"abandoned": abandon,
}

// sendAll sends commands with the arguments that they need, and flushes.
func sendAll(conn redis.Conn, commands ...string) error {
	for _, command := range commands {
		args := map[string][]interface{}{"SET": {key, value}, "GET": {key}, "INCR": {key}}[command]
		if err := conn.Send(command, args...); err != nil {
			return err
		}
	}
	return conn.Flush()
}

// receiveAll receives so many answers.
func receiveAll(conn redis.Conn, n int) error {
	var first error
	for i := 0; i < n; i++ {
		if _, err := conn.Receive(); first == nil {
			first = err
		}
	}
	return first
}

func (c *clientRedigo) exchange(commands ...string) error {
	conn := c.pool.Get()
	defer conn.Close()
	if err := sendAll(conn, commands...); err != nil {
		return err
	}
	return receiveAll(conn, len(commands))
}

// execByDo flushes a transaction before it ends.
func execByDo(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	if err := sendAll(conn, "MULTI", "SET", "GET"); err != nil {
		return err
	}
	if _, err := conn.Receive(); err != nil {
		return err
	}
	_, err := conn.Do("EXEC")
	return err
}

// flushTwice sends more before it receives anything.
func flushTwice(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	if err := sendAll(conn, "SET", "GET"); err != nil {
		return err
	}
	if err := sendAll(conn, "GET"); err != nil {
		return err
	}
	return receiveAll(conn, 3)
}

// closeEarly leaves answers to the pool, which awaits them.
func closeEarly(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	if err := sendAll(conn, "SET", "GET", "INCR"); err != nil {
		return err
	}
	return receiveAll(conn, 1)
}

// askAfter asks for more while an answer is still to come.
func askAfter(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	if err := sendAll(conn, "SET"); err != nil {
		return err
	}
	_, err := conn.Do("GET", key)
	return err
}

// fanOut asks over two connections and then receives.
func fanOut(c *clientRedigo) error {
	first, second := c.pool.Get(), c.pool.Get()
	defer first.Close()
	defer second.Close()
	if err := sendAll(first, "SET", "GET"); err != nil {
		return err
	}
	if err := sendAll(second, "SET", "GET", "GET"); err != nil {
		return err
	}
	if err := receiveAll(first, 2); err != nil {
		return err
	}
	return receiveAll(second, 3)
}

// slideWindow sends one more for each answer, and leaves one answer to the pool.
func slideWindow(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	if err := sendAll(conn, "SET", "GET"); err != nil {
		return err
	}
	for i := 0; i < 2; i++ {
		if err := receiveAll(conn, 1); err != nil {
			return err
		}
		if err := sendAll(conn, "GET"); err != nil {
			return err
		}
	}
	return receiveAll(conn, 1)
}

// receiveElsewhere receives in another goroutine than it sends in.
func receiveElsewhere(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	done := make(chan error)
	go func() { done <- receiveAll(conn, 2) }()
	if err := sendAll(conn, "SET", "GET"); err != nil {
		return err
	}
	return <-done
}

// sendLarge sends more than the connection's buffer holds.
func sendLarge(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	for i := 0; i < 100; i++ {
		_ = conn.Send("SET", fmt.Sprintf("%s-%d", key, i), strings.Repeat(value, 100))
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	return receiveAll(conn, 100)
}

// giveUp waits for 50 ms only.
func giveUp(c *clientRedigo) error {
	conn := c.pool.Get()
	defer conn.Close()
	_ = conn.Send("BLPOP", missing, 1)
	if err := conn.Flush(); err != nil {
		return err
	}
	_, err := redis.ReceiveWithTimeout(conn, 50*time.Millisecond)
	return err
}

// subscribeFirst asks whether the server lives on a connection that subscribes, where a message may
// come before the answer, and then uses the connection again.
func subscribeFirst(c *clientRedigo) error {
	alone := &clientRedigo{pool: &redis.Pool{MaxIdle: 1, Dial: c.pool.Dial}}
	defer alone.close()
	conn := redis.PubSubConn{Conn: alone.pool.Get()}
	if err := conn.Subscribe("secret-channel"); err != nil {
		return err
	}
	conn.Receive()
	if err := c.publish(context.Background(), "secret-channel", value); err != nil {
		return err
	}
	if err := conn.Ping("secret"); err != nil {
		return err
	}
	conn.Receive()
	conn.Receive()
	if err := conn.Close(); err != nil {
		return err
	}
	return alone.exchange("SET", "GET")
}

// abandon closes a connection before the answers come.
func abandon(c *clientRedigo) error {
	conn, err := c.pool.Dial()
	if err != nil {
		return err
	}
	if err := sendAll(conn, "SET", "GET"); err != nil {
		return err
	}
	return conn.Close()
}
