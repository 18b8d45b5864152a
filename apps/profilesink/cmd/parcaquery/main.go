// Command parcaquery asks a Parca for the profiles of a service, by its query API, and prints one JSON object: the
// types of profiles that there are, the names of labels, and the cumulative values of functions.
//
// Usage: parcaquery ADDRESS QUERY
package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"time"

	query "github.com/parca-dev/parca/gen/proto/go/parca/query/v1alpha1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type found struct {
	Types     []string         `json:"types"`
	Labels    []string         `json:"labels"`
	Functions map[string]int64 `json:"functions"`
}

func ask(address, selector string) (found, error) {
	out := found{Functions: map[string]int64{}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return out, err
	}
	client := query.NewQueryServiceClient(connection)
	types, err := client.ProfileTypes(ctx, &query.ProfileTypesRequest{})
	if err != nil {
		return out, err
	}
	for _, t := range types.Types {
		parts := []string{t.Name, t.SampleType, t.SampleUnit, t.PeriodType, t.PeriodUnit}
		out.Types = append(out.Types, strings.Join(parts, ":"))
	}
	labels, err := client.Labels(ctx, &query.LabelsRequest{})
	if err != nil {
		return out, err
	}
	out.Labels = labels.LabelNames
	now := time.Now()
	answer, err := client.Query(ctx, &query.QueryRequest{
		Mode:       query.QueryRequest_MODE_MERGE,
		ReportType: query.QueryRequest_REPORT_TYPE_TOP,
		Options: &query.QueryRequest_Merge{Merge: &query.MergeProfile{
			Query: selector,
			Start: timestamppb.New(now.Add(-time.Hour)),
			End:   timestamppb.New(now.Add(time.Minute)),
		}},
	})
	if err != nil {
		return out, err
	}
	for _, node := range answer.GetTop().GetList() {
		out.Functions[node.GetMeta().GetFunction().GetName()] += node.Cumulative
	}
	return out, nil
}

func main() {
	out, err := ask(os.Args[1], os.Args[2])
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
