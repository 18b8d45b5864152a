// The handlers below /call/ that take a road of their own through net/http: proxies, redirects,
// retries, wrapped transports, handlers with a time limit.

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// hardCases are the cases of this file, by name.
func (c *caller) hardCases() map[string]func(name string, r *http.Request) string {
	return map[string]func(name string, r *http.Request) string{
		"redirect":     c.redirect,
		"retry":        c.retry,
		"retry-post":   c.retryPost,
		"roundtripper": c.roundTripper,
		"continue":     c.expectContinue,
		"refuse-body":  c.refuseBody,
		"empty-body":   c.emptyBody,
		"method":       c.method,
		"headers":      c.headers,
		"odd-path":     c.oddPath,
		"upgrade":      c.upgradeCall,
		"deadline":     c.deadline,
		"cut":          c.cut,
	}
}

// registerProxies adds the routes that answer with what the backend says.
func (c *caller) registerProxies(mux *http.ServeMux) {
	target, err := url.Parse(c.backend)
	if err != nil {
		panic(err) // -backend is no URL
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	mux.Handle("/proxy/", http.StripPrefix("/proxy", proxy))
	for name, context := range map[string]func(*http.Request) context.Context{
		"ctx":   func(r *http.Request) context.Context { return r.Context() },
		"noctx": func(*http.Request) context.Context { return context.Background() },
	} {
		name, context := name, context
		inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			extra := url.Values{"ms": r.URL.Query()["ms"]}
			_, _ = io.WriteString(w, send(c.client, c.request(context(r), name, r, extra))+"\n")
		})
		mux.Handle("/limited/"+name, http.TimeoutHandler(inner, 100*time.Millisecond, "late\n"))
	}
}

// at builds a call to a path of the backend, with the context of the incoming request.
func (c *caller) at(method, path, name string, r *http.Request, body io.Reader) *http.Request {
	request, err := http.NewRequestWithContext(r.Context(), method, c.backend+path, body)
	if err != nil {
		panic(err)
	}
	request.Header.Set("X-Case", name)
	return request
}

// redirect follows ?n= redirects, 3 unless given.
func (c *caller) redirect(name string, r *http.Request) string {
	n := r.URL.Query().Get("n")
	if n == "" {
		n = "3"
	}
	return send(c.client, c.at(http.MethodGet, "/redirect?n="+n, name, r, nil))
}

// dropper answers the first request of its first connection and closes that at the second one, as
// a server does that closes an idle connection when the client is just about to use it.
func dropper() (string, func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for i := 0; ; i++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answers := 1
			if i > 0 {
				answers = 1000
			}
			go answer(conn, answers)
		}
	}()
	return "http://" + listener.Addr().String(), func() { _ = listener.Close() }
}

// answer answers a number of requests and closes the connection when the next one has come.
func answer(conn net.Conn, answers int) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for i := 0; ; i++ {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		if i >= answers {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// retry calls twice; at the second call the server closes the kept connection, and the transport
// tries again with another one.
func (c *caller) retry(name string, r *http.Request) string {
	return twice(name, r, http.MethodGet, "")
}

// retryPost does the same with a request that may not be sent twice.
func (c *caller) retryPost(name string, r *http.Request) string {
	return twice(name, r, http.MethodPost, "body")
}

func twice(name string, r *http.Request, method, body string) string {
	base, stop := dropper()
	defer stop()
	client := &http.Client{Transport: &http.Transport{}}
	first := send(client, newRequest(r.Context(), http.MethodGet, base, name, r, nil, nil))
	second := newRequest(r.Context(), method, base, name, r, nil, strings.NewReader(body))
	second.GetBody = nil
	if body == "" {
		second.Body = nil
	}
	return first + " " + send(client, second)
}

// stamp is a RoundTripper around another one, as authentication and logging have them.
type stamp struct{ next http.RoundTripper }

func (s stamp) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "secret")
	return s.next.RoundTrip(request)
}

// roundTripper calls through three layers.
func (c *caller) roundTripper(name string, r *http.Request) string {
	client := &http.Client{Transport: stamp{&stamp{stamp{http.DefaultTransport}}}}
	return send(client, c.request(r.Context(), name, r, nil))
}

// expectContinue sends its body when the server asks for it.
func (c *caller) expectContinue(name string, r *http.Request) string {
	return c.expect("/echo", name, r)
}

// refuseBody learns at once that its body is not wanted.
func (c *caller) refuseBody(name string, r *http.Request) string {
	return c.expect("/unread", name, r)
}

func (c *caller) expect(path, name string, r *http.Request) string {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = 5 * time.Second
	defer transport.CloseIdleConnections()
	request := c.at(http.MethodPost, path, name, r, strings.NewReader(strings.Repeat("x", 1000)))
	request.Header.Set("Expect", "100-continue")
	return send(&http.Client{Transport: transport}, request)
}

// emptyBody posts a body that net/http knows to be empty.
func (c *caller) emptyBody(name string, r *http.Request) string {
	return send(c.client, c.at(http.MethodPost, "/echo", name, r, strings.NewReader("")))
}

// method calls ?path= with the method ?method=.
func (c *caller) method(name string, r *http.Request) string {
	query := r.URL.Query()
	return send(c.client, c.at(query.Get("method"), query.Get("path"), name, r, nil))
}

// headers sends 16 kB of them.
func (c *caller) headers(name string, r *http.Request) string {
	request := c.request(r.Context(), name, r, nil)
	for i := 0; i < 100; i++ {
		request.Header.Set("X-Filler-"+strconv.Itoa(i), strings.Repeat("x", 160))
	}
	return send(c.client, request)
}

// oddPath calls paths that need escapes: as parsed, and as set in RawPath.
func (c *caller) oddPath(name string, r *http.Request) string {
	parsed := c.at(http.MethodGet, "/id/%C3%A9%00/x%2Fy;a(b)!*'", name, r, nil)
	set := c.request(r.Context(), name, r, nil)
	set.URL.Path, set.URL.RawPath = "/id/é \x00/100%;a(b)!*'[]{}|\"<>^`\\?#&=+:@$,~", ""
	return send(c.client, parsed) + " " + send(c.client, set)
}

// upgradeCall asks the backend for another protocol and uses it.
func (c *caller) upgradeCall(name string, r *http.Request) string {
	request := c.at(http.MethodGet, "/upgrade", name, r, nil)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "echo")
	response, err := c.client.Do(request)
	if err != nil {
		return "error=" + err.Error()
	}
	defer response.Body.Close()
	stream := response.Body.(io.ReadWriter)
	_, _ = io.WriteString(stream, "hello")
	echoed := make([]byte, 5)
	_, _ = io.ReadFull(stream, echoed)
	return "status=" + strconv.Itoa(response.StatusCode) + " " + string(echoed)
}

// deadline calls a slow backend with a context that ends before.
func (c *caller) deadline(name string, r *http.Request) string {
	ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
	defer cancel()
	return send(c.client, c.request(ctx, name, r, slowBackend))
}

// cut calls a server that closes the connection inside of its answer's head.
func (c *caller) cut(name string, r *http.Request) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "error=" + err.Error()
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "HTTP/1.1 200")
			_ = conn.Close()
		}
	}()
	base := "http://" + listener.Addr().String()
	return send(c.client, newRequest(r.Context(), http.MethodGet, base, name, r, nil, nil))
}
