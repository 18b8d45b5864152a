//go:build !go1.24

package main

import (
	"log"
	"net/http"
)

// callUnencrypted can't be done yet.
func callUnencrypted(*http.Transport) {
	log.Fatal("HTTP/2 without TLS needs Go 1.24")
}

// serveUnencrypted can't be done yet.
func serveUnencrypted(*http.Server) {
	log.Fatal("HTTP/2 without TLS needs Go 1.24")
}
