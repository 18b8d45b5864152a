// Command oracle tells the truth about itself: it prints, as one JSON object, what the Go runtime
// says about program counters and type layouts of this very binary. The parser of Go binaries is
// tested by reading the same file from outside and comparing.
//
//	goversion  runtime.Version()
//	anchor     one function and its address in memory, to compute the slide of a PIE
//	frames     return addresses and all the frames at each, the innermost first   (package capture)
//	points     further addresses and the innermost frame at each                  (package capture)
//	layouts    types with their rtype address, size and fields                    (package layout)
//
// It links net/http (server and client), database/sql, crypto/tls and encoding/json, and really
// runs them, so that nothing of interest is dropped by the linker.
package main

import (
	"encoding/json"
	"log"
	"os"
	"reflect"
	"runtime"

	"gotap/apps/oracle/calls"
	"gotap/apps/oracle/capture"
	"gotap/apps/oracle/layout"
	"gotap/apps/oracle/shapes"
)

// anchor names a function and where it is.
type anchor struct {
	Func string  `json:"func"`
	Addr uintptr `json:"addr"`
}

// report is the whole output.
type report struct {
	GoVersion string          `json:"goversion"`
	Anchor    anchor          `json:"anchor"`
	Frames    []capture.Stack `json:"frames"`
	Points    []capture.Point `json:"points"`
	Layouts   []layout.Type   `json:"layouts"`
}

func main() {
	touchLibc()
	calls.Run()
	values, err := runStandardLibrary()
	if err != nil {
		log.Fatal(err)
	}
	stacks := capture.Stacks()
	out := report{
		GoVersion: runtime.Version(),
		Anchor:    anchor{"main.main", reflect.ValueOf(main).Pointer()},
		Frames:    stacks,
		Points:    capture.Points(stacks),
		Layouts:   layout.Of(append(values, shapes.Values()...)),
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		log.Fatal(err)
	}
}
