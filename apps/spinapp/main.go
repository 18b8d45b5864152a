// Command spinapp has two goroutines that compute all the time and one that waits, and prints their
// numbers: "ready " and a list, the one that waits last.
package main

import (
	"fmt"
	"runtime"
	"strings"
)

func main() {
	goids := make(chan string)
	go spinner(goids)
	go spinner(goids)
	first, second := <-goids, <-goids
	go waiter(goids)
	fmt.Printf("ready [%s, %s, %s]\n", first, second, <-goids)
	select {}
}

func spinner(goids chan<- string) {
	goids <- goid()
	for n := 0; ; n++ {
		compute(n)
	}
}

func waiter(goids chan<- string) {
	goids <- goid()
	select {}
}

//go:noinline
func compute(n int) int {
	return n*n + 1
}

// goid is the number of the goroutine that asks, as a stack trace begins.
func goid() string {
	text := make([]byte, 64)
	text = text[:runtime.Stack(text, false)]
	return strings.Fields(string(text))[1]
}
