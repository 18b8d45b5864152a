// github.com/go-redis/redis/v8. goredis9.go is nearly the same with the version after.

package main

import (
	"context"
	"errors"
	"time"

	redis "github.com/go-redis/redis/v8"
)

type client8 struct {
	redis.UniversalClient
	connect func(addr, user, password string, db int) redis.UniversalClient
	addr    string
}

func clients8(p places) map[string]client {
	clients := map[string]client{}
	add := func(name, addr string, connect func(addr, user, password string, db int) redis.UniversalClient) {
		if addr != "" {
			clients[name] = &client8{UniversalClient: connect(addr, "", "", 0), connect: connect, addr: addr}
		}
	}
	add("v8", p.redis, func(addr, user, password string, db int) redis.UniversalClient {
		return redis.NewClient(&redis.Options{
			Addr: addr, Username: user, Password: password, DB: db,
		})
	})
	add("ring8", p.redis, func(addr, user, password string, db int) redis.UniversalClient {
		return redis.NewRing(&redis.RingOptions{
			Addrs:    map[string]string{"shard": addr},
			Username: user, Password: password, DB: db,
			HeartbeatFrequency: time.Hour, // what happens meanwhile is for the cases
		})
	})
	add("sentinel8", p.sentinel, func(addr, user, password string, db int) redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: p.master, SentinelAddrs: []string{addr},
			Username: user, Password: password, DB: db,
		})
	})
	if len(p.cluster) == 2 {
		// It can't read the table of slots that Redis has since version 7, and is told.
		add("cluster8", p.cluster[0], func(addr, user, password string, _ int) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{
				Username: user, Password: password,
				ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
					return []redis.ClusterSlot{
						{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: addr}}},
						{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: p.cluster[1]}}},
					}, nil
				},
			})
		})
		add("astray8", p.cluster[0], func(addr, user, password string, _ int) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{
				Username: user, Password: password,
				ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
					nodes := []redis.ClusterNode{{Addr: addr}}
					return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: nodes}}, nil
				},
			})
		})
	}
	return clients
}

func (c *client8) fresh() (client, error) {
	return &client8{UniversalClient: c.connect(c.addr, user, password, 2)}, nil
}

func (c *client8) nowhere() (client, error) {
	return &client8{UniversalClient: c.connect("127.0.0.1:1", "", "", 0)}, nil
}

func (c *client8) close() error { return c.Close() }

// known8 is nil for a reply that is nil.
func known8(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func (c *client8) set(ctx context.Context, key, value string) error {
	return c.Set(ctx, key, value, 0).Err()
}

func (c *client8) get(ctx context.Context, key string) error {
	return known8(c.Get(ctx, key).Err())
}

func (c *client8) mget(ctx context.Context, keys ...string) error {
	return c.MGet(ctx, keys...).Err()
}

func (c *client8) incr(ctx context.Context, key string) error {
	return c.Incr(ctx, key).Err()
}

func (c *client8) publish(ctx context.Context, channel, message string) error {
	return c.Publish(ctx, channel, message).Err()
}

func (c *client8) block(ctx context.Context, wait time.Duration, key string) error {
	return known8(c.BLPop(ctx, wait, key).Err())
}

func (c *client8) do(ctx context.Context, args ...interface{}) error {
	return known8(c.Do(ctx, args...).Err())
}

func send8(ctx context.Context, key, value, bad string) func(redis.Pipeliner) error {
	return func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, key, value, 0)
		pipe.Get(ctx, key)
		if bad != "" {
			pipe.Incr(ctx, bad)
		}
		return nil
	}
}

func (c *client8) pipeline(ctx context.Context, key, value, bad string) error {
	_, err := c.Pipelined(ctx, send8(ctx, key, value, bad))
	return err
}

func (c *client8) transaction(ctx context.Context, key, value, bad string) error {
	_, err := c.TxPipelined(ctx, send8(ctx, key, value, bad))
	return err
}

func (c *client8) many(ctx context.Context, keys ...string) error {
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range keys {
			pipe.Get(ctx, key)
		}
		return nil
	})
	return known8(err)
}

func (c *client8) watch(ctx context.Context, key, value string) error {
	return c.Watch(ctx, func(tx *redis.Tx) error {
		if err := known8(tx.Get(ctx, key).Err()); err != nil {
			return err
		}
		_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			return pipe.Set(ctx, key, value, 0).Err()
		})
		return err
	}, key)
}

func (c *client8) listen(ctx context.Context, channel, message string) error {
	subscription := c.Subscribe(ctx, channel)
	defer subscription.Close()
	if _, err := subscription.Receive(ctx); err != nil {
		return err
	}
	if err := c.publish(ctx, channel, message); err != nil {
		return err
	}
	_, err := subscription.ReceiveMessage(ctx)
	return err
}
