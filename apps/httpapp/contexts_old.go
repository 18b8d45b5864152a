//go:build !go1.21

package main

import "net/http"

// afterFuncCases are none: there is no context.AfterFunc yet.
func (c *caller) afterFuncCases() map[string]func(name string, r *http.Request) string {
	return nil
}
