// Command plain is the service that asks a back end without any telemetry dependency: the bare
// baseline of the benchmarks, the program that gotap traces in them, and a gRPC service to call.
package main

import (
	"flag"

	"gotap/apps/backends/work"
)

func main() {
	options := work.Flags()
	flag.Parse()
	options.Serve(work.None())
}
