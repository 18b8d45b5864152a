package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// visit sends one visitor after the other until ctx ends.
func visit(ctx context.Context, shop string) error {
	visitors := []struct {
		name, product string
		count         int
	}{
		{"ada", "1", 1},
		{"bob", "2", 4},
		{"cleo", "3", 3}, // more than the card allows
		{"dan", "4", 0},  // there is no product 4
		{"zoe", "2", 1},  // whose bank is slow
	}
	for i := 0; ; i++ {
		v := visitors[i%len(visitors)]
		form := url.Values{"visitor": {v.name}}.Encode()
		cart := fmt.Sprintf(`{"visitor":%q,"product":%q,"count":%d}`, v.name, v.product, v.count)
		steps := []struct{ method, path, kind, body string }{
			{"GET", "/products/" + v.product, "", ""},
			{"POST", "/cart", "application/json", cart},
			{"POST", "/checkout", "application/x-www-form-urlencoded", form},
		}
		if v.count == 0 {
			steps = steps[:1]
		}
		for _, step := range steps {
			if err := send(ctx, step.method, shop+step.path, step.kind, step.body); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
}

func send(ctx context.Context, method, url, kind, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
