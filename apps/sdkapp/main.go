// Command sdkapp is a web service that OpenTelemetry's SDK instruments.
//
//	sdkapp [-addr HOST:PORT] [-backend URL] [-rpc HOST:PORT] [-otlp URL] [-otlp-grpc URL] [-unsampled]
//
// It serves gRPC's health service, too: the first line that it prints is "rpc HOST:PORT", the next one
// "listening HOST:PORT". GET /leaf answers. The others ask the backend's
// /leaf: /plain without the SDK; /call first without and then with it; /two with it, then in a trace of
// its own; /pass is a proxy without the SDK, which passes the headers on. /rpc/plain, /rpc/call and
// /rpc/appended ask the gRPC service at -rpc: without the SDK, without and then with its handler, and
// with an interceptor that appends to the metadata. That service asks the one at -rpc itself. -otlp sends the
// SDK's spans there, over HTTP, -otlp-grpc over gRPC; -unsampled decides against all traces.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	var addr, backend, rpc, otlp, otlpGRPC string
	var unsampled bool
	flag.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&backend, "backend", "", "URL of another one")
	flag.StringVar(&otlp, "otlp", "", "URL that the SDK sends its spans to")
	flag.StringVar(&rpc, "rpc", "", "address of the gRPC service of another one")
	flag.StringVar(&otlpGRPC, "otlp-grpc", "", "URL that the SDK sends its spans to, over gRPC")
	flag.BoolVar(&unsampled, "unsampled", false, "sample nothing")
	flag.Parse()

	var options []sdktrace.TracerProviderOption
	if otlp != "" {
		exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(otlp))
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, sdktrace.WithSyncer(exporter))
	}
	if otlpGRPC != "" {
		exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpointURL(otlpGRPC))
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, sdktrace.WithSyncer(exporter))
	}
	if unsampled {
		options = append(options, sdktrace.WithSampler(sdktrace.NeverSample()))
	}
	otel.SetTracerProvider(sdktrace.NewTracerProvider(options...))
	otel.SetTextMapPropagator(propagation.TraceContext{})

	target, err := url.Parse(backend)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("rpc %s\n", serveRPC(rpc))
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("/pass/", http.StripPrefix("/pass", httputil.NewSingleHostReverseProxy(target)))
	mux.Handle("/", otelhttp.NewHandler(instrumented(backend+"/leaf", rpc), "server"))
	log.Fatal(http.Serve(listener, mux))
}

// instrumented is what the SDK makes spans of.
func instrumented(leaf, rpc string) http.Handler {
	bare := &http.Client{}
	traced := &http.Client{Transport: otelhttp.NewTransport(nil)}
	ask := func(ctx context.Context, client *http.Client) {
		request, err := http.NewRequestWithContext(ctx, "GET", leaf, nil)
		if err != nil {
			log.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	mux := http.NewServeMux()
	if rpc != "" {
		addRPC(mux, rpc)
	}
	mux.HandleFunc("/leaf", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "leaf") })
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { ask(r.Context(), bare) })
	mux.HandleFunc("/call", func(w http.ResponseWriter, r *http.Request) {
		ask(r.Context(), bare)
		ask(r.Context(), traced)
	})
	mux.HandleFunc("/two", func(w http.ResponseWriter, r *http.Request) {
		ask(r.Context(), traced)
		ctx, span := otel.Tracer("sdkapp").Start(r.Context(), "other", trace.WithNewRoot())
		ask(ctx, traced)
		span.End()
	})
	return mux
}
