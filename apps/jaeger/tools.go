//go:build tools

// Package tools names the Jaeger that tests start: scripts/setup.sh builds it.
package tools

import _ "github.com/jaegertracing/jaeger/cmd/jaeger"
