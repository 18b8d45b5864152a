// Command redis8 asks Redis, whose address is its argument, with go-redis 8 for each line. It links nothing
// else that gotap traces.
package main

import (
	"context"
	"os"

	"gotap/apps/alone/ask"

	"github.com/go-redis/redis/v8"
)

func main() {
	client := redis.NewClient(&redis.Options{Addr: os.Args[1]})
	ask.Serve(func([]string) error {
		ctx := context.Background()
		if err := client.Set(ctx, "key", "value", 0).Err(); err != nil {
			return err
		}
		_, err := client.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
			pipeline.Get(ctx, "key")
			pipeline.Del(ctx, "key")
			return nil
		})
		return err
	})
}
