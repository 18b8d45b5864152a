// Command sdkapp is a web service that OpenTelemetry's SDK instruments.
//
//	sdkapp [-addr HOST:PORT] [-backend URL] [-otlp URL] [-unsampled]
//
// The first line that it prints is "listening HOST:PORT". GET /leaf answers. The others ask the backend's
// /leaf: /plain without the SDK; /call first without and then with it; /two with it, then in a trace of
// its own; /pass is a proxy without the SDK, which passes the headers on. -otlp sends the SDK's spans
// there, over HTTP; -unsampled decides against all traces.
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
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	var addr, backend, otlp string
	var unsampled bool
	flag.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&backend, "backend", "", "URL of another one")
	flag.StringVar(&otlp, "otlp", "", "URL that the SDK sends its spans to")
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
	fmt.Printf("listening %s\n", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("/pass/", http.StripPrefix("/pass", httputil.NewSingleHostReverseProxy(target)))
	mux.Handle("/", otelhttp.NewHandler(instrumented(backend+"/leaf"), "server"))
	log.Fatal(http.Serve(listener, mux))
}

// instrumented is what the SDK makes spans of.
func instrumented(leaf string) http.Handler {
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
