// Command sdk is the service that asks a back end with the OpenTelemetry SDK linked: with -sdk it is
// instrumented the way its documentation says, without it nothing of the SDK runs.
//
// Spans are all sampled, batched, and exported by OTLP over gRPC to OTEL_EXPORTER_OTLP_ENDPOINT
// (OTEL_EXPORTER_OTLP_INSECURE=true, or an http:// URL, for a collector without TLS).
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/XSAM/otelsql"
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"google.golang.org/grpc"

	"gotap/apps/backends/work"
)

func main() {
	options := work.Flags()
	sdk := flag.Bool("sdk", false, "instrument the server and what asks the back end")
	flag.Parse()
	if !*sdk {
		options.Serve(work.None())
		return
	}
	shutdown := start()
	options.Serve(instruments())
	shutdown()
}

// instruments has one span for the request, and one for what it asks: without the options, otelsql
// has further ones for the reset of a connection and for the rows, and otelpgx for the pool.
func instruments() work.Instruments {
	spans := otelsql.SpanOptions{
		OmitConnResetSession: true, OmitConnectorConnect: true, OmitRows: true,
	}
	return work.Instruments{
		HTTP: func(handler http.Handler) http.Handler {
			return otelhttp.NewHandler(handler, "backends")
		},
		Server: []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler())},
		Client: []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler())},
		SQL: func(connector driver.Connector) *sql.DB {
			return otelsql.OpenDB(connector, otelsql.WithSpanOptions(spans),
				otelsql.WithAttributes(semconv.DBSystemNamePostgreSQL))
		},
		Pgx: struct{ pgx.QueryTracer }{otelpgx.NewTracer()},
		Redis: func(client *redis.Client) {
			if err := redisotel.InstrumentTracing(client); err != nil {
				log.Fatal(err)
			}
		},
	}
}

// start sets up the global tracer provider and returns what flushes and stops it.
func start() func() {
	exporter, err := otlptracegrpc.New(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(exporter), trace.WithSampler(trace.ParentBased(trace.AlwaysSample())))
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
