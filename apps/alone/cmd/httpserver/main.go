// Command httpserver serves HTTP with net/http, and links nothing else that gotap traces.
package main

import (
	"io"
	"log"
	"net/http"

	"gotap/apps/alone/ask"
)

func main() {
	log.Fatal(http.Serve(ask.Listen(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hi\n")
	})))
}
