//go:build tools

// Package tools names the Kubernetes API server that tests start: scripts/setup.sh builds it.
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
