// Command gateway is the shop's door: it passes orders on to the order service.
package main

import (
	"flag"
	"io"
	"log"
	"net/http"

	"gotap/apps/shop/internal/web"
)

func main() {
	log.SetPrefix("gateway: ")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	orders := flag.String("orders", "", "URL of the order service")
	flag.Parse()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		pass(w, r, http.MethodPost, *orders+"/orders", string(body))
	})
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		pass(w, r, http.MethodGet, *orders+"/orders/"+r.PathValue("id"), "")
	})
	web.Serve(*listen, mux)
}

// pass gives the answer of another service.
func pass(w http.ResponseWriter, r *http.Request, method, url, body string) {
	status, answer, err := web.Call(r.Context(), method, url, body)
	if err != nil {
		http.Error(w, "the order service does not answer", http.StatusBadGateway)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer) // the client may be gone
}
