//go:build go1.25

package main

import (
	"context"
	"os"
	"runtime/trace"
	"time"
)

// recordFlight runs a flight recorder, and works a little for it all the time. Where a file is named, the
// recorder writes its window there itself when it has run for two seconds.
func recordFlight(file string) {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: time.Minute})
	if err := recorder.Start(); err != nil {
		panic(err)
	}
	go func() {
		for {
			trace.WithRegion(context.Background(), "gotapRegion", func() { time.Sleep(time.Millisecond) })
		}
	}()
	time.Sleep(2500 * time.Millisecond)
	if file != "" {
		out, err := os.Create(file)
		if err != nil {
			panic(err)
		}
		if _, err := recorder.WriteTo(out); err != nil {
			panic(err)
		}
		out.Close()
	}
}
