// The client and its cases.

package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const retrying = `{"methodConfig": [{"name": [{"service": "` + serviceName + `"}], "retryPolicy": {
	"maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 1,
	"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// client makes calls over one connection, but for the cases that need one of their own.
type client struct {
	options
	conn *grpc.ClientConn
	ids  int64 // how many were given to the case "retry"
}

// cases are what the arguments name, besides say:TEXT.
var cases = map[string]func(c *client, ctx context.Context) error{
	"collect":     (*client).collect,
	"repeat":      func(c *client, ctx context.Context) error { return c.repeat(ctx, "hello") },
	"repeat:fail": func(c *client, ctx context.Context) error { return c.repeat(ctx, "fail") },
	"chat":        (*client).chat,
	"cancel":      (*client).cancel,
	"unknown":     (*client).unknown,
	"refused":     (*client).refused,
	"retry":       (*client).retry,
	"health":      (*client).health,
}

// runClient makes the calls that are named, and prints how they ended.
func runClient(o options, names []string) {
	c := &client{options: o, conn: dial(o.to)}
	for _, name := range names {
		if _, ok := cases[name]; !ok && !strings.HasPrefix(name, "say:") {
			log.Fatalf("no case %q", name)
		}
	}
	if o.parallel == 1 && o.count == 1 {
		for _, name := range names {
			fmt.Printf("%s %s\n", name, c.run(name))
		}
		return
	}
	var totals [codes.Unauthenticated + 1]int64
	var all sync.WaitGroup
	for i := 0; i < o.parallel; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := 0; n < o.count; n++ {
				for _, name := range names {
					atomic.AddInt64(&totals[c.run(name)], 1)
				}
			}
		}()
	}
	all.Wait()
	var lines []string
	for code, total := range totals {
		if total > 0 {
			lines = append(lines, fmt.Sprintf("%s %d", codes.Code(code), total))
		}
	}
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, "\n"))
}

// run makes one call.
func (c *client) run(name string) codes.Code {
	ctx := context.Background()
	for name, values := range map[string]string{"traceparent": c.traceparent, "tracestate": c.tracestate} {
		if values == "" {
			continue
		}
		// One after the other: several that are separated so have a field each.
		for _, value := range strings.Split(values, "|") {
			ctx = metadata.AppendToOutgoingContext(ctx, name, value)
		}
	}
	if c.deadline > 0 {
		limited, cancel := context.WithTimeout(ctx, c.deadline)
		defer cancel()
		ctx = limited
	}
	if strings.HasPrefix(name, "say:") {
		_, err := say(ctx, c.conn, strings.TrimPrefix(name, "say:"))
		return status.Code(err)
	}
	return status.Code(cases[name](c, ctx))
}

// stream starts a call of the streaming method at that place in the description.
func (c *client) stream(ctx context.Context, index int) (grpc.ClientStream, error) {
	method := &description.Streams[index]
	return c.conn.NewStream(ctx, method, "/"+serviceName+"/"+method.StreamName)
}

// collect sends three messages and waits for the one answer.
func (c *client) collect(ctx context.Context) error {
	stream, err := c.stream(ctx, 0)
	if err != nil {
		return err
	}
	for _, text := range []string{"one", "two", "three"} {
		// At io.EOF the call is over, and RecvMsg knows why.
		if err := stream.SendMsg(wrapperspb.String(text)); err != nil && err != io.EOF {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(new(wrapperspb.StringValue))
}

// repeat sends one message and reads all the answers.
func (c *client) repeat(ctx context.Context, text string) error {
	stream, err := c.stream(ctx, 1)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(wrapperspb.String(text)); err != nil && err != io.EOF {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return drain(stream)
}

// chat sends three messages and reads the answer of each before the next.
func (c *client) chat(ctx context.Context) error {
	stream, err := c.stream(ctx, 2)
	if err != nil {
		return err
	}
	for _, text := range []string{"one", "two", "three"} {
		if err := stream.SendMsg(wrapperspb.String(text)); err != nil && err != io.EOF {
			return err
		}
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return drain(stream)
}

// drain reads messages up to the end of the call.
func drain(stream grpc.ClientStream) error {
	for {
		err := stream.RecvMsg(new(wrapperspb.StringValue))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// cancel gives up a slow call after 50 ms.
func (c *client) cancel(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(50*time.Millisecond, cancel).Stop()
	_, err := say(ctx, c.conn, "slow")
	return err
}

// unknown calls a method that the service does not have.
func (c *client) unknown(ctx context.Context) error {
	reply := new(wrapperspb.StringValue)
	return c.conn.Invoke(ctx, "/"+serviceName+"/None", wrapperspb.String("hello"), reply)
}

// refused calls where nothing listens.
func (c *client) refused(ctx context.Context) error {
	conn := dial("127.0.0.1:1")
	defer conn.Close()
	_, err := say(ctx, conn, "hello")
	return err
}

// retry makes a call whose first two attempts fail, over a connection that retries: grpc 1.40 only
// does so with GRPC_GO_RETRY=on in the environment, and no version does once it has the headers of an
// answer, which a server with -serve-http sends ahead of every error.
func (c *client) retry(ctx context.Context) error {
	conn := dial(c.to, grpc.WithDefaultServiceConfig(retrying))
	defer conn.Close()
	id := fmt.Sprintf("%d-%d", time.Now().UnixNano(), atomic.AddInt64(&c.ids, 1))
	_, err := say(metadata.AppendToOutgoingContext(ctx, "x-id", id), conn, "retry:2")
	return err
}

// health asks the health service.
func (c *client) health(ctx context.Context) error {
	_, err := healthpb.NewHealthClient(c.conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}
