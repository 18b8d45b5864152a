// Command inventory is the gRPC service shop.Inventory. It counts in Redis.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"gotap/apps/shop/internal/stock"
	"gotap/apps/shop/internal/web"
)

// Pieces of each product at the start.
var pieces = map[string]int64{"teapot": 1_000_000, "teacup": 1_000_000, "teaset": 1_000_000}

type inventory struct {
	counts *redis.Client
}

func main() {
	log.SetPrefix("inventory: ")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	counts := flag.String("counts", "", "address of Redis")
	flag.Parse()

	s := &inventory{redis.NewClient(&redis.Options{Addr: *counts})}
	for product, count := range pieces {
		if err := s.counts.SetNX(context.Background(), "stock:"+product, count, 0).Err(); err != nil {
			log.Fatal(err)
		}
	}
	server := grpc.NewServer()
	server.RegisterService(&stock.Description, s)
	ctx, stop := web.Stopped()
	defer stop()
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	if err := server.Serve(web.Listen(*listen)); err != nil {
		log.Fatal(err)
	}
}

// Reserve is the method of that name.
func (s *inventory) Reserve(ctx context.Context, product string) (int64, error) {
	if _, ok := pieces[product]; !ok {
		return 0, status.Error(codes.NotFound, "no such product")
	}
	left, err := s.counts.Decr(ctx, "stock:"+product).Result()
	if err != nil {
		return 0, status.Error(codes.Unavailable, "no counts")
	}
	return left, nil
}
