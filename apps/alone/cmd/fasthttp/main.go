// Command fasthttp serves HTTP with github.com/valyala/fasthttp, and links nothing else that gotap traces.
package main

import (
	"log"

	"gotap/apps/alone/ask"

	"github.com/valyala/fasthttp"
)

func main() {
	log.Fatal(fasthttp.Serve(ask.Listen(), func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString("hi\n")
	}))
}
