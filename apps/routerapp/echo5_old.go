//go:build !go1.25

package main

import "net/http"

// newEcho5 gives none: this version of echo needs a newer Go.
func newEcho5() http.Handler { return nil }
