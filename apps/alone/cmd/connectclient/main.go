// Command connectclient calls a procedure with connect for each line "HOST:PORT TRACEPARENT", through
// net/http's client as that asks for, and links nothing else that gotap traces.
package main

import (
	"context"
	"net/http"

	"gotap/apps/alone/ask"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const procedure = "/gotap.v1.Shop/Buy"

func main() {
	ask.Serve(func(words []string) error {
		client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](
			http.DefaultClient, "http://"+words[0]+procedure)
		request := connect.NewRequest(wrapperspb.String("a book"))
		request.Header().Set("traceparent", words[1])
		_, err := client.CallUnary(context.Background(), request)
		return err
	})
}
