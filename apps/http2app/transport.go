// How the program speaks to others, and a certificate.

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// newTransport makes what calls are made with; it takes any certificate.
func newTransport(mode string) http.RoundTripper {
	anyone := &tls.Config{InsecureSkipVerify: true}
	switch mode {
	case "direct":
		return &http2.Transport{
			AllowHTTP: true,
			DialTLS: func(network, address string, _ *tls.Config) (net.Conn, error) {
				return net.Dial(network, address)
			},
		}
	case "tls":
		return &http2.Transport{TLSClientConfig: anyone}
	case "configure":
		transport := &http.Transport{TLSClientConfig: anyone}
		if err := http2.ConfigureTransport(transport); err != nil {
			log.Fatal(err)
		}
		return transport
	case "http1":
		return &http.Transport{}
	}
	log.Fatalf("unknown mode %q", mode)
	return nil
}

// serverTLS has a certificate that holds for a day.
func serverTLS() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
