// Command customers orders and looks at orders, at a fixed rate for a fixed time. At the end it prints how many
// requests had which status.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"sort"
	"sync"
	"time"

	"gotap/apps/shop/internal/web"
)

// Each customer buys one product; there is none that eve wants.
var customers = []struct{ name, product string }{
	{"ada", "teapot"}, {"bob", "teacup"}, {"cleo", "teaset"}, {"zoe", "teacup"}, {"eve", "samovar"},
}

func main() {
	log.SetPrefix("customers: ")
	gateway := flag.String("gateway", "", "URL of the gateway")
	rate := flag.Int("rate", 20, "orders a second")
	duration := flag.Duration("for", 5*time.Second, "how long customers come")
	flag.Parse()

	ctx, stop := web.Stopped()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	var all sync.WaitGroup
	var mutex sync.Mutex
	statuses := map[string]int{}
	note := func(what string, status int, err error) {
		mutex.Lock()
		defer mutex.Unlock()
		if err != nil {
			status = 0
		}
		statuses[fmt.Sprintf("%s %d", what, status)]++
	}
	tick := time.NewTicker(time.Second / time.Duration(*rate))
	for i := 0; ctx.Err() == nil; i++ {
		customer := customers[i%len(customers)]
		all.Go(func() { buy(*gateway, customer.name, customer.product, note) })
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	all.Wait()
	lines := make([]string, 0, len(statuses))
	for what, count := range statuses {
		lines = append(lines, fmt.Sprintf("%s: %d", what, count))
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}

// buy orders something and looks at the order twice.
func buy(gateway, name, product string, note func(string, int, error)) {
	ctx := context.Background()
	body := fmt.Sprintf(`{"customer":%q,"product":%q}`, name, product)
	status, answer, err := web.Call(ctx, http.MethodPost, gateway+"/orders", body)
	note("order", status, err)
	var order struct {
		ID int64 `json:"id"`
	}
	if status != http.StatusCreated || json.Unmarshal(answer, &order) != nil {
		return
	}
	for range 2 {
		status, _, err = web.Call(ctx, http.MethodGet, fmt.Sprintf("%s/orders/%d", gateway, order.ID), "")
		note("look", status, err)
	}
}
