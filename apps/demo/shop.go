package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// A product that can be bought.
type product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Cents int    `json:"cents"`
}

// An order is what a visitor has put into the cart.
type order struct {
	Visitor string `json:"visitor"`
	Product string `json:"product"`
	Count   int    `json:"count"`
}

var catalogue = map[string]product{
	"1": {"1", "tea pot", 2900},
	"2": {"2", "tea cup", 700},
	"3": {"3", "tea set", 9900},
}

var errDeclined = errors.New("the card was declined")

type shop struct {
	payments string
	client   *http.Client

	mu    sync.Mutex
	carts map[string]int // cents by visitor
}

func newShop(payments string) *shop {
	return &shop{payments: payments, client: &http.Client{}, carts: map[string]int{}}
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", s.product)
	mux.HandleFunc("POST /cart", s.cart)
	mux.HandleFunc("POST /checkout", s.checkout)
	return mux
}

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	found, ok := catalogue[r.PathValue("id")]
	if !ok {
		http.Error(w, "there is no such product", http.StatusNotFound)
		return
	}
	reply(w, http.StatusOK, found)
}

func (s *shop) cart(w http.ResponseWriter, r *http.Request) {
	var wanted order
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.carts[wanted.Visitor] += wanted.Count * catalogue[wanted.Product].Cents
	s.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

// checkout charges the card and, at the same time and without the request's context, asks for the
// risk: both calls belong to this request.
func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	visitor := r.FormValue("visitor")
	risk := make(chan error, 1)
	go func() { risk <- s.checkRisk(visitor) }()

	s.mu.Lock()
	cents := s.carts[visitor]
	delete(s.carts, visitor)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), 150*time.Millisecond)
	defer cancel()
	err := errors.Join(s.charge(ctx, visitor, cents), <-risk)
	switch {
	case err == nil:
		reply(w, http.StatusOK, map[string]int{"paid": cents})
	case errors.Is(err, errDeclined):
		http.Error(w, err.Error(), http.StatusPaymentRequired)
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, "the payment takes too long", http.StatusGatewayTimeout)
	default:
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func (s *shop) charge(ctx context.Context, visitor string, cents int) error {
	body, err := json.Marshal(payment{visitor, cents})
	if err != nil {
		return err
	}
	url := s.payments + "/charge"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer drain(response)
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusPaymentRequired:
		return errDeclined
	default:
		return fmt.Errorf("payments: %s", response.Status)
	}
}

func (s *shop) checkRisk(visitor string) error {
	response, err := s.client.Get(s.payments + "/risk/" + visitor)
	if err != nil {
		return err
	}
	drain(response)
	return nil
}

// drain reads what is left of a response, so that its connection can be used again.
func drain(response *http.Response) {
	_, _ = io.Copy(io.Discard, response.Body) // only the connection would be lost
	_ = response.Body.Close()
}
