// Command fastapp serves HTTP with fasthttp, which has an implementation of its own.
//
//	fastapp [-addr HOST:PORT] [-backend URL] [-counted]
//
// The first line is "listening HOST:PORT". Handlers below /call/ are in calls.go. It is built with
// several versions of fasthttp: go.mod and go.old.mod name them.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"log"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "serve HTTP here")
	backend := flag.String("backend", "", "URL that the handlers below /call/ call")
	counted := flag.Bool("counted", false, "count connections by address, for which they are wrapped")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	app := &app{calls: newCaller(*backend)}
	app.slow = fasthttp.TimeoutHandler(app.sleep, 40*time.Millisecond, "too slow")
	server := &fasthttp.Server{Handler: app.handle}
	if *counted {
		server.MaxConnsPerIP = 100
	}
	log.Fatal(server.Serve(listener))
}

type app struct {
	calls *caller
	slow  fasthttp.RequestHandler
}

func (a *app) handle(c *fasthttp.RequestCtx) {
	path := string(c.Path())
	switch {
	case path == "/echo":
		_, _ = c.Write(c.PostBody())
	case path == "/slow":
		a.sleep(c)
	case path == "/timeout":
		a.slow(c)
	case path == "/timeout-error":
		c.TimeoutErrorWithCode("later", 503)
	case path == "/panic":
		panic("as asked")
	case path == "/stream":
		stream(c)
	case path == "/sized":
		c.SetBodyStream(bytes.NewReader([]byte("hello world")), 11)
	case path == "/hijack", path == "/hijack-silently":
		c.HijackSetNoResponse(path == "/hijack-silently")
		c.SetStatusCode(fasthttp.StatusSwitchingProtocols)
		c.Hijack(func(conn net.Conn) { _, _ = fmt.Fprint(conn, "taken over\n") })
	case path == "/rewrite":
		// As a proxy does with the request that it passes on.
		c.Request.SetRequestURI("/another/path/which/is/longer/than/the/first?and=more")
		c.Request.Header.SetMethod("DELETE")
		c.Request.Header.SetHost("another.example")
		c.Request.Header.SetUserAgent("another agent")
	case strings.HasPrefix(path, "/status/"):
		status, _ := strconv.Atoi(path[len("/status/"):])
		c.SetStatusCode(status)
	case strings.HasPrefix(path, "/call/"):
		fmt.Fprintln(c, a.calls.call(path[len("/call/"):], c))
	default:
		_, _ = fmt.Fprintf(c, "hello from %s\n", c.Path())
	}
}

// sleep takes ?ms= milliseconds.
func (a *app) sleep(c *fasthttp.RequestCtx) {
	time.Sleep(time.Duration(c.QueryArgs().GetUintOrZero("ms")) * time.Millisecond)
	_, _ = c.WriteString("slept\n")
}

// stream writes its body after the handler has returned.
func stream(c *fasthttp.RequestCtx) {
	c.SetBodyStreamWriter(func(w *bufio.Writer) {
		for i := 0; i < 3; i++ {
			time.Sleep(20 * time.Millisecond)
			_, _ = fmt.Fprintf(w, "part %d\n", i)
			_ = w.Flush()
		}
	})
}
