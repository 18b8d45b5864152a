// Package ask lets a test tell a program what to do over a plain TCP connection, as the program must
// link no server.
package ask

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"strings"
)

// Listen opens a free port, and prints it as "listening HOST:PORT".
func Listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	return listener
}

// Serve calls do with the words of each line that comes, and answers "ok" or "error: TEXT", until the
// program is killed.
func Serve(do func(words []string) error) {
	listener := Listen()
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			answer := "ok"
			if err := do(strings.Fields(lines.Text())); err != nil {
				answer = "error: " + err.Error()
			}
			fmt.Fprintln(conn, answer)
		}
		conn.Close()
	}
}
