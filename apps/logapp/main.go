// A server whose handlers write to its logs: on their own goroutine, on one that they start, and on one that was there
// before and works for nobody. Each line names the request that it belongs to.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	file := flag.String("file", "", "a log that lines are appended to")
	flag.Parse()
	var appended *os.File
	if *file != "" {
		var err error
		if appended, err = os.OpenFile(*file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			log.Fatal(err)
		}
	}
	http.HandleFunc("/n/", func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimPrefix(r.URL.Path, "/n/")
		fmt.Printf("level=info msg=begin id=%s\n", id)
		var started sync.WaitGroup
		started.Add(1)
		go func() {
			defer started.Done()
			fmt.Fprintf(os.Stderr, "{\"level\":\"error\",\"id\":\"%s\"}\n", id)
		}()
		started.Wait()
		fmt.Printf("one id=%s\ntwo id=%s\n", id, id)
		if appended != nil {
			fmt.Fprintf(appended, "WARN file id=%s\n", id)
		}
	})
	http.HandleFunc("/large/", func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimPrefix(r.URL.Path, "/large/")
		fmt.Printf("large id=%s %s\n", id, bytes.Repeat([]byte("x"), 6000))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			fmt.Fprintln(os.Stderr, "level=info msg=background")
		}
	}()
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
