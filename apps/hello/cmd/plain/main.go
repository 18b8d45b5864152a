// Command plain is the hello service without any telemetry dependency: the bare baseline of the
// benchmarks, and the program that gotap traces in them.
package main

import (
	"flag"
	"net/http"

	"gotap/apps/hello/work"
)

func main() {
	options := work.Flags()
	flag.Parse()
	options.Serve(options.Handler(&http.Client{Transport: work.Transport()}))
}
