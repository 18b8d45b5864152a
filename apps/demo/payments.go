package main

import (
	"encoding/json"
	"net/http"
	"time"
)

// A payment that is asked for.
type payment struct {
	Visitor string `json:"visitor"`
	Cents   int    `json:"cents"`
}

// Above this a card is declined.
const creditLimit = 20000

func paymentRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charge", charge)
	mux.HandleFunc("GET /risk/{visitor}", risk)
	return mux
}

func charge(w http.ResponseWriter, r *http.Request) {
	var wanted payment
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wanted.Visitor == "zoe" { // whose bank is slow
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
	}
	time.Sleep(8 * time.Millisecond)
	if wanted.Cents > creditLimit {
		http.Error(w, "declined", http.StatusPaymentRequired)
		return
	}
	reply(w, http.StatusOK, wanted)
}

func risk(w http.ResponseWriter, r *http.Request) {
	time.Sleep(3 * time.Millisecond)
	reply(w, http.StatusOK, map[string]string{"visitor": r.PathValue("visitor"), "risk": "low"})
}
