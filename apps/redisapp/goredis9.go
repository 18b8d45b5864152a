// github.com/redis/go-redis/v9. goredis8.go is nearly the same with the version before.

package main

import (
	"context"
	"errors"
	"time"

	redis "github.com/redis/go-redis/v9"
)

type client9 struct {
	redis.UniversalClient
	connect func(addr, user, password string, db int) redis.UniversalClient
	addr    string
}

func clients9(p places) map[string]client {
	clients := map[string]client{}
	add := func(name, addr string, connect func(addr, user, password string, db int) redis.UniversalClient) {
		if addr != "" {
			clients[name] = &client9{UniversalClient: connect(addr, "", "", 0), connect: connect, addr: addr}
		}
	}
	add("v9", p.redis, func(addr, user, password string, db int) redis.UniversalClient {
		return redis.NewClient(&redis.Options{
			Addr: addr, Username: user, Password: password, DB: db, ContextTimeoutEnabled: true,
		})
	})
	add("ring9", p.redis, func(addr, user, password string, db int) redis.UniversalClient {
		return redis.NewRing(&redis.RingOptions{
			Addrs:    map[string]string{"shard": addr},
			Username: user, Password: password, DB: db,
			HeartbeatFrequency: time.Hour, // what happens meanwhile is for the cases
		})
	})
	add("sentinel9", p.sentinel, func(addr, user, password string, db int) redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: p.master, SentinelAddrs: []string{addr},
			Username: user, Password: password, DB: db, ContextTimeoutEnabled: true,
		})
	})
	if len(p.cluster) == 2 {
		add("cluster9", p.cluster[0], func(addr, user, password string, _ int) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{
				Addrs: []string{addr}, Username: user, Password: password, ContextTimeoutEnabled: true,
			})
		})
		add("astray9", p.cluster[0], func(addr, user, password string, _ int) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{
				Username: user, Password: password, ContextTimeoutEnabled: true,
				ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
					nodes := []redis.ClusterNode{{Addr: addr}}
					return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: nodes}}, nil
				},
			})
		})
	}
	return clients
}

func (c *client9) fresh() (client, error) {
	return &client9{UniversalClient: c.connect(c.addr, user, password, 2)}, nil
}

func (c *client9) nowhere() (client, error) {
	return &client9{UniversalClient: c.connect("127.0.0.1:1", "", "", 0)}, nil
}

func (c *client9) close() error { return c.Close() }

// known9 is nil for a reply that is nil.
func known9(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func (c *client9) set(ctx context.Context, key, value string) error {
	return c.Set(ctx, key, value, 0).Err()
}

func (c *client9) get(ctx context.Context, key string) error {
	return known9(c.Get(ctx, key).Err())
}

func (c *client9) mget(ctx context.Context, keys ...string) error {
	return c.MGet(ctx, keys...).Err()
}

func (c *client9) incr(ctx context.Context, key string) error {
	return c.Incr(ctx, key).Err()
}

func (c *client9) publish(ctx context.Context, channel, message string) error {
	return c.Publish(ctx, channel, message).Err()
}

func (c *client9) block(ctx context.Context, wait time.Duration, key string) error {
	return known9(c.BLPop(ctx, wait, key).Err())
}

func (c *client9) do(ctx context.Context, args ...interface{}) error {
	return known9(c.Do(ctx, args...).Err())
}

func send9(ctx context.Context, key, value, bad string) func(redis.Pipeliner) error {
	return func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, key, value, 0)
		pipe.Get(ctx, key)
		if bad != "" {
			pipe.Incr(ctx, bad)
		}
		return nil
	}
}

func (c *client9) pipeline(ctx context.Context, key, value, bad string) error {
	_, err := c.Pipelined(ctx, send9(ctx, key, value, bad))
	return err
}

func (c *client9) transaction(ctx context.Context, key, value, bad string) error {
	_, err := c.TxPipelined(ctx, send9(ctx, key, value, bad))
	return err
}

func (c *client9) many(ctx context.Context, keys ...string) error {
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range keys {
			pipe.Get(ctx, key)
		}
		return nil
	})
	return known9(err)
}

func (c *client9) watch(ctx context.Context, key, value string) error {
	return c.Watch(ctx, func(tx *redis.Tx) error {
		if err := known9(tx.Get(ctx, key).Err()); err != nil {
			return err
		}
		_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			return pipe.Set(ctx, key, value, 0).Err()
		})
		return err
	}, key)
}

func (c *client9) listen(ctx context.Context, channel, message string) error {
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
