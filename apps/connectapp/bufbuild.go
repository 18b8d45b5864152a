//go:build !go1.21

// The service and its clients through github.com/bufbuild/connect-go, as the code looks that its
// generator makes. connectrpc.go has the same through the library's later name; a program can't have
// both.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bufbuild/connect-go"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	procedureBuy  = "/gotap.v1.Shop/Buy"
	procedureList = "/gotap.v1.Shop/List"
	procedureChat = "/gotap.v1.Shop/Chat"
)

type text = wrapperspb.StringValue

// service makes the handler of the service.
func service() (string, http.Handler) {
	mux := http.NewServeMux()
	mux.Handle(procedureBuy, connect.NewUnaryHandler(procedureBuy, serve.buy))
	mux.Handle(procedureList, connect.NewServerStreamHandler(procedureList, serve.list))
	mux.Handle(procedureChat, connect.NewBidiStreamHandler(procedureChat, serve.chat))
	return "/gotap.v1.Shop/", mux
}

var serve server

type server struct{}

func (server) buy(
	_ context.Context, request *connect.Request[text],
) (*connect.Response[text], error) {
	if err := failure(request.Msg.Value); err != nil {
		return nil, err
	}
	return connect.NewResponse(&text{Value: "bought"}), nil
}

func (server) list(
	ctx context.Context, request *connect.Request[text], stream *connect.ServerStream[text],
) error {
	if request.Msg.Value == "empty" {
		return nil
	}
	for i := 0; i < 3; i++ {
		if err := stream.Send(&text{Value: request.Msg.Value}); err != nil {
			return err
		}
	}
	if err := linger(ctx, request.Msg.Value); err != nil {
		return err
	}
	if err := failure(request.Msg.Value); err != nil {
		return fmt.Errorf("after all: %w", err)
	}
	return nil
}

// failure is the error that a text asks for.
func failure(text string) error {
	if code := codeOf(text); code != 0 {
		return connect.NewError(connect.Code(code), errors.New("as the client asked"))
	}
	return nil
}

func (server) chat(_ context.Context, stream *connect.BidiStream[text, text]) error {
	for {
		message, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = stream.Send(message)
		}
		if err != nil {
			return err
		}
	}
}

// makeCall makes one call and reads its answer.
func makeCall(ctx context.Context, c call) error {
	var options []connect.ClientOption
	switch c.protocol {
	case "grpc":
		options = append(options, connect.WithGRPC())
	case "grpcweb":
		options = append(options, connect.WithGRPCWeb())
	}
	message := &text{Value: c.say}
	switch c.method {
	case "buy":
		client := connect.NewClient[text, text](c.client, c.backend+procedureBuy, options...)
		_, err := client.CallUnary(ctx, connect.NewRequest(message))
		return err
	case "list":
		if c.say == "leave" {
			// What asks for the call would end it.
			ctx = context.Background()
		}
		ctx, cancel := context.WithCancel(ctx)
		client := connect.NewClient[text, text](c.client, c.backend+procedureList, options...)
		stream, err := client.CallServerStream(ctx, connect.NewRequest(message))
		if err != nil {
			return err
		}
		for stream.Receive() {
			switch c.say {
			case "stop":
				return stream.Close()
			case "wait":
				cancel()
			case "leave":
				return nil
			}
		}
		cancel()
		return stream.Err()
	}
	client := connect.NewClient[text, text](c.client, c.backend+procedureChat, options...)
	stream := client.CallBidiStream(ctx)
	if err := stream.Send(message); err != nil {
		return err
	}
	if _, err := stream.Receive(); err != nil {
		return err
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return err
	}
	return stream.CloseResponse()
}
