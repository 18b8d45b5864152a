// The streaming methods of the service.

package main

import (
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// handleCollect answers with all the texts that it was sent.
func handleCollect(_ any, stream grpc.ServerStream) error {
	var texts []string
	for {
		message := new(wrapperspb.StringValue)
		err := stream.RecvMsg(message)
		if err == io.EOF {
			return stream.SendMsg(wrapperspb.String(strings.Join(texts, " ")))
		}
		if err != nil {
			return err
		}
		texts = append(texts, message.GetValue())
	}
}

// handleRepeat answers with three messages, or fails after the first one if the text is "fail".
func handleRepeat(_ any, stream grpc.ServerStream) error {
	request := new(wrapperspb.StringValue)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	for i := 1; i <= 3; i++ {
		text := fmt.Sprintf("%s %d", request.GetValue(), i)
		if err := stream.SendMsg(wrapperspb.String(text)); err != nil {
			return err
		}
		if request.GetValue() == "fail" {
			return status.Error(codes.Aborted, "no more of it")
		}
	}
	return nil
}

// handleChat sends each message back until there are no more.
func handleChat(_ any, stream grpc.ServerStream) error {
	for {
		message := new(wrapperspb.StringValue)
		err := stream.RecvMsg(message)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(message); err != nil {
			return err
		}
	}
}
