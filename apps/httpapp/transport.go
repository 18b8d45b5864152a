// How the program speaks: plain HTTP/1.1, or with -tls over TLS, with -h2 in HTTP/2 over TLS, and
// with -h2c in HTTP/2 without.

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"time"
)

// setUpClient sets up http.DefaultTransport, which all calls go through. It takes any certificate,
// as each httpapp makes one for itself.
func setUpClient(o options) {
	transport := http.DefaultTransport.(*http.Transport)
	transport.DisableKeepAlives = !o.reuse
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	transport.ForceAttemptHTTP2 = o.h2
	if !o.h2 {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	if o.h2c || o.h2cCalls {
		callUnencrypted(transport)
	}
}

// serveOn answers requests on the listener until the program is killed.
func serveOn(listener net.Listener, handler http.Handler, o options) error {
	server := &http.Server{Handler: handler}
	if !o.h2 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	if o.h2c {
		serveUnencrypted(server)
	}
	if !o.tls {
		return server.Serve(listener)
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	return server.ServeTLS(listener, "", "")
}

// selfSigned makes a key and a certificate for it that holds for a day on this machine.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "httpapp"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
