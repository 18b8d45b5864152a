// Command idle does nothing that gotap traces, as many tools.
package main

import (
	"fmt"
	"time"
)

func main() {
	fmt.Println("listening nowhere")
	time.Sleep(time.Hour)
}
