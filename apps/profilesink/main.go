// Command profilesink takes profiles as Pyroscope and Parca do, by their published interfaces, and prints each as a
// line of JSON: how it came, its labels, and what is in it. It refuses what Go's reader of profiles can't read.
//
// Usage: profilesink ADDRESS [refuse]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	parca "github.com/parca-dev/parca/gen/proto/go/parca/profilestore/v1alpha1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What is printed of a profile.
type received struct {
	API       string              `json:"api"`
	Header    string              `json:"header"`
	Labels    map[string]string   `json:"labels"`
	Types     []string            `json:"types"`
	Period    int64               `json:"period"`
	Start     int64               `json:"start"`
	Duration  int64               `json:"duration"`
	Samples   int64               `json:"samples"`
	Functions map[string]int64    `json:"functions"`
	Tags      map[string][]string `json:"tags"`
}

var (
	printing sync.Mutex
	refuse   = len(os.Args) > 2 && os.Args[2] == "refuse"
)

var errRefused = errors.New("this server takes nothing")

func record(api, header string, labels map[string]string, raw []byte) error {
	if refuse {
		return errRefused
	}
	p, err := profile.Parse(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if err := p.CheckValid(); err != nil {
		return err
	}
	out := received{
		API: api, Header: header, Labels: labels, Period: p.Period, Start: p.TimeNanos, Duration: p.DurationNanos,
		Functions: map[string]int64{}, Tags: map[string][]string{},
	}
	for _, t := range p.SampleType {
		out.Types = append(out.Types, t.Type+":"+t.Unit)
	}
	for _, sample := range p.Sample {
		out.Samples += sample.Value[0]
		for tag, values := range sample.Label {
			out.Tags[tag] = append(out.Tags[tag], values...)
		}
		seen := map[string]bool{}
		for _, location := range sample.Location {
			for _, line := range location.Line {
				if name := line.Function.Name; !seen[name] {
					seen[name] = true
					out.Functions[name] += sample.Value[0]
				}
			}
		}
	}
	printing.Lock()
	defer printing.Unlock()
	return json.NewEncoder(os.Stdout).Encode(out)
}

type pyroscope struct{}

func (pyroscope) Push(
	_ context.Context, r *connect.Request[pushv1.PushRequest],
) (*connect.Response[pushv1.PushResponse], error) {
	for _, series := range r.Msg.Series {
		labels := map[string]string{}
		for _, label := range series.Labels {
			labels[label.Name] = label.Value
		}
		for _, sample := range series.Samples {
			if err := record("pyroscope", r.Header().Get("x-token"), labels, sample.RawProfile); err != nil {
				return nil, connect.NewError(connect.CodeInvalidArgument, err)
			}
		}
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

type store struct {
	parca.UnimplementedProfileStoreServiceServer
}

func (store) WriteRaw(_ context.Context, r *parca.WriteRawRequest) (*parca.WriteRawResponse, error) {
	for _, series := range r.Series {
		labels := map[string]string{}
		for _, label := range series.Labels.Labels {
			labels[label.Name] = label.Value
		}
		for _, sample := range series.Samples {
			if err := record("parca", "", labels, sample.RawProfile); err != nil {
				return nil, status.Error(codes.InvalidArgument, err.Error())
			}
		}
	}
	return &parca.WriteRawResponse{}, nil
}

func main() {
	server := grpc.NewServer()
	parca.RegisterProfileStoreServiceServer(server, store{})
	mux := http.NewServeMux()
	mux.Handle(pushv1connect.NewPusherServiceHandler(pyroscope{}))
	mux.Handle("/parca.profilestore.v1alpha1.ProfileStoreService/", server)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready " + listener.Addr().String() + "\n")
	panic((&http.Server{Handler: mux, Protocols: &protocols}).Serve(listener))
}
