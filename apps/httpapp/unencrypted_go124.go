//go:build go1.24

package main

import "net/http"

// unencrypted is HTTP/2 with prior knowledge, and nothing else.
func unencrypted() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// callUnencrypted lets http:// URLs be called in HTTP/2.
func callUnencrypted(transport *http.Transport) {
	transport.Protocols = unencrypted()
}

// serveUnencrypted takes HTTP/2 on connections without TLS.
func serveUnencrypted(server *http.Server) {
	server.Protocols = unencrypted()
}
