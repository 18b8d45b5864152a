// Requests that spend their time in known ways, for `gotap xray`: the program measures each part itself and says
// at the end how long it really took, as machines are busy.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const part = 16 * time.Millisecond

var (
	truthLock sync.Mutex
	truth     = map[string]float64{}
	count     int
)

// note adds what a part took.
func note(state string, since time.Time) {
	took := time.Since(since).Seconds()
	truthLock.Lock()
	truth[state] += took
	truthLock.Unlock()
}

//go:noinline
func spin(d time.Duration) int {
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end); {
		for i := 0; i < 1000; i++ {
			n += i
		}
	}
	return n
}

//go:noinline
func waitChannel() {
	c := make(chan int)
	time.AfterFunc(part, func() { c <- 1 })
	<-c
}

//go:noinline
func waitSelect() {
	c, never := make(chan int), make(chan int)
	time.AfterFunc(part, func() { c <- 1 })
	select {
	case <-c:
	case <-never:
	}
}

//go:noinline
func waitMutex() {
	var mutex sync.Mutex
	mutex.Lock()
	time.AfterFunc(part, mutex.Unlock)
	mutex.Lock()
	mutex.Unlock()
}

//go:noinline
func waitIO() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	defer r.Close()
	defer w.Close()
	time.AfterFunc(part, func() { w.Write([]byte("x")) })
	r.Read(make([]byte, 1))
}

//go:noinline
func waitSyscall() {
	left := syscall.NsecToTimespec(part.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}

func mix(w http.ResponseWriter, r *http.Request) {
	parts := []struct {
		state string
		run   func()
	}{
		{"cpu", func() { spin(part * 2) }},
		{"channel", waitChannel},
		{"select", waitSelect},
		{"mutex", waitMutex},
		{"io", waitIO},
		{"syscall", waitSyscall},
		{"sleep", func() { time.Sleep(part) }},
	}
	for _, part := range parts {
		since := time.Now()
		part.run()
		note(part.state, since)
	}
	truthLock.Lock()
	count++
	truthLock.Unlock()
}

// fan waits for two goroutines of its own, which sleep.
func fan(w http.ResponseWriter, r *http.Request) {
	done := make(chan int)
	for i := 0; i < 2; i++ {
		go func() {
			time.Sleep(4 * part)
			done <- 1
		}()
	}
	<-done
	<-done
}

const long = 300 * time.Millisecond

// doze sleeps.
func doze(w http.ResponseWriter, r *http.Request) {
	time.Sleep(long)
}

// queue waits for a mutex.
func queue(w http.ResponseWriter, r *http.Request) {
	var mutex sync.Mutex
	mutex.Lock()
	time.AfterFunc(long, mutex.Unlock)
	mutex.Lock()
	mutex.Unlock()
}

// hang waits until the program ends.
func hang(w http.ResponseWriter, r *http.Request) {
	select {}
}

func get(url string) {
	answer, err := http.Get(url)
	if err != nil {
		return
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

func main() {
	clients := flag.Int("clients", 3, "clients that ask for /mix/{id}, one after the other")
	hangs := flag.Bool("hang", false, "also ask for what never ends")
	allocates := flag.Bool("allocate", false, "ask for what allocates, at once and for nothing else")
	assists := flag.Bool("assist", false, "ask for what helps the garbage collector, at once and for nothing else")
	stops := flag.Bool("stop", false, "ask for what stops the world, at once and for nothing else")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("/mix/", mix)
	mux.HandleFunc("/fan", fan)
	mux.HandleFunc("/hang", hang)
	mux.HandleFunc("/doze", doze)
	mux.HandleFunc("/queue", queue)
	mux.HandleFunc("/ten", ten)
	mux.HandleFunc("/three", three)
	mux.HandleFunc("/one", one)
	mux.HandleFunc("/big", big)
	mux.HandleFunc("/assist", assist)
	mux.HandleFunc("/stop", stop)
	mux.HandleFunc("/quick", func(w http.ResponseWriter, r *http.Request) {})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, mux)
	base := "http://" + listener.Addr().String()
	ask := func(path string) {
		for {
			get(base + path)
		}
	}
	// The clients begin when gotap observes.
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	go func() {
		<-usr1
		for i := 0; i < *clients; i++ {
			go ask("/mix/1")
		}
		go ask("/fan")
		go func() {
			for {
				get(base + "/quick")
				time.Sleep(part)
			}
		}()
		if *hangs {
			go get(base + "/hang")
		}
	}()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	if *allocates {
		startAllocating(base)
	}
	var before float64
	if *assists {
		startAssisting(base)
		before = assisted()
	}
	if *stops {
		startStopping(base)
	}
	fmt.Println("ready", base)
	<-end
	if *assists || *stops {
		sayCollected(before)
	}
	if *allocates {
		sayAllocated()
	}
	truthLock.Lock()
	said, _ := json.Marshal(map[string]any{"count": count, "seconds": truth})
	fmt.Println("truth", string(said))
}
