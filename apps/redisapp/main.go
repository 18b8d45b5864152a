// Command redisapp is an ordinary web service that uses Redis, through several libraries. It is built
// with several versions of them: go.mod and go.old.mod name them.
//
//	redisapp -redis HOST:PORT [-cluster HOST:PORT,HOST:PORT] [-sentinel HOST:PORT,NAME] [-addr HOST:PORT]
//
// The first line that it prints is "listening HOST:PORT". A path is the name of a client and of a
// case: /v9/get. Clients are v8 (github.com/go-redis/redis/v8), v9 (github.com/redis/go-redis/v9),
// redigo (github.com/gomodule/redigo), and with the same libraries cluster8, cluster9, astray8,
// astray9 (clients of the cluster that send everything to the first node), ring8, ring9, sentinel8
// and sentinel9. Cases are in cases.go and byhand.go; a request is answered with 200 and "CASE ok" or "CASE error:
// TEXT". All keys and values contain "secret", and all keys but one have the same slot.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
)

// places is where servers are.
type places struct {
	redis    string
	cluster  []string
	sentinel string
	master   string
}

func main() {
	var p places
	var addr, cluster, sentinel string
	flag.StringVar(&p.redis, "redis", "", "address of a server")
	flag.StringVar(&cluster, "cluster", "", "addresses of the two nodes of a cluster")
	flag.StringVar(&sentinel, "sentinel", "", "address of a sentinel, and the name of what it watches")
	flag.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	if cluster != "" {
		p.cluster = strings.Split(cluster, ",")
	}
	if parts := strings.Split(sentinel, ","); len(parts) == 2 {
		p.sentinel, p.master = parts[0], parts[1]
	}

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	for _, clients := range []map[string]client{clients8(p), clients9(p), clientsRedigo(p)} {
		for name, c := range clients {
			for which, run := range cases {
				mux.HandleFunc("/"+name+"/"+which, handler(which, c, run))
			}
			redigo, ok := c.(*clientRedigo)
			for which, run := range byHand {
				run := run
				if ok {
					mux.HandleFunc("/"+name+"/"+which, handler(which, c, func(client, context.Context) error {
						return run(redigo)
					}))
				}
			}
		}
	}
	log.Fatal(http.Serve(listener, mux))
}

// handler answers with how a case ended.
func handler(name string, c client, run func(client, context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := run(c, r.Context()); err != nil {
			fmt.Fprintf(w, "%s error: %v\n", name, err)
			return
		}
		fmt.Fprintf(w, "%s ok\n", name)
	}
}
