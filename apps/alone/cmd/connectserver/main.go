// Command connectserver serves a procedure with connect, in net/http's server as that asks for, and
// links nothing else that gotap traces.
package main

import (
	"context"
	"log"
	"net/http"

	"gotap/apps/alone/ask"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const procedure = "/gotap.v1.Shop/Buy"

func main() {
	handler := connect.NewUnaryHandler(procedure, func(
		_ context.Context, request *connect.Request[wrapperspb.StringValue],
	) (*connect.Response[wrapperspb.StringValue], error) {
		return connect.NewResponse(request.Msg), nil
	})
	log.Fatal(http.Serve(ask.Listen(), handler))
}
