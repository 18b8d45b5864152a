// Command redigo asks Redis, whose address is its argument, with redigo for each line: a command, and a
// pipeline of Send, Flush and Receive. It links nothing else that gotap traces.
package main

import (
	"os"

	"gotap/apps/alone/ask"

	"github.com/gomodule/redigo/redis"
)

func main() {
	ask.Serve(func([]string) error {
		conn, err := redis.Dial("tcp", os.Args[1])
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Do("SET", "key", "value"); err != nil {
			return err
		}
		if err := conn.Send("DEL", "key"); err != nil {
			return err
		}
		if err := conn.Flush(); err != nil {
			return err
		}
		_, err = conn.Receive()
		return err
	})
}
