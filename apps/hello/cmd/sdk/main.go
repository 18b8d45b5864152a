// Command sdk is the hello service with the OpenTelemetry SDK linked: with -sdk it is instrumented
// the way its documentation says, without it nothing of the SDK runs.
//
// Spans are all sampled, batched, and exported by OTLP over gRPC to OTEL_EXPORTER_OTLP_ENDPOINT
// (OTEL_EXPORTER_OTLP_INSECURE=true, or an http:// URL, for a collector without TLS).
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"

	"gotap/apps/hello/work"
)

func main() {
	options := work.Flags()
	sdk := flag.Bool("sdk", false, "instrument the server and the client")
	ratio := flag.Float64("ratio", 1, "the share of traces that is sampled")
	flag.Parse()
	client := &http.Client{Transport: work.Transport()}
	if !*sdk {
		options.Serve(options.Handler(client))
		return
	}
	shutdown := start(*ratio)
	client.Transport = otelhttp.NewTransport(client.Transport)
	options.Serve(otelhttp.NewHandler(options.Handler(client), "hello"))
	shutdown()
}

// start sets up the global tracer provider and returns what flushes and stops it.
func start(ratio float64) func() {
	exporter, err := otlptracegrpc.New(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(exporter), trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(ratio))))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Print(err)
		}
	}
}
