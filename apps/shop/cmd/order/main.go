// Command order takes orders: it reserves a piece in the inventory, has it paid and keeps it in PostgreSQL.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"gotap/apps/shop/internal/stock"
	"gotap/apps/shop/internal/web"
)

// An order as customers send it, and as it is kept.
type order struct {
	ID       int64  `json:"id,omitempty"`
	Customer string `json:"customer"`
	Product  string `json:"product"`
}

type service struct {
	database  *pgxpool.Pool
	cache     *redis.Client
	inventory *grpc.ClientConn
	payment   string
}

func main() {
	log.SetPrefix("order: ")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	database := flag.String("database", "", "URL of PostgreSQL")
	cache := flag.String("cache", "", "address of Redis")
	inventory := flag.String("inventory", "", "address of the inventory")
	payment := flag.String("payment", "", "URL of the payment service")
	flag.Parse()

	pool, err := pgxpool.New(context.Background(), *database)
	if err != nil {
		log.Fatal(err)
	}
	const table = `create table if not exists orders (id bigserial primary key, customer text, product text)`
	if _, err := pool.Exec(context.Background(), table); err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(*inventory, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	s := &service{pool, redis.NewClient(&redis.Options{Addr: *cache}), conn, *payment}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.take)
	mux.HandleFunc("GET /orders/{id}", s.show)
	web.Serve(*listen, mux)
}

func (s *service) take(w http.ResponseWriter, r *http.Request) {
	var wanted order
	if err := web.Read(r, &wanted); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if _, err := stock.Reserve(r.Context(), s.inventory, wanted.Product); err != nil {
		if status.Code(err) == codes.NotFound {
			http.Error(w, "there is no such product", http.StatusNotFound)
			return
		}
		http.Error(w, "the inventory does not answer", http.StatusBadGateway)
		return
	}
	body := fmt.Sprintf(`{"customer":%q}`, wanted.Customer)
	paid, _, err := web.Call(r.Context(), http.MethodPost, s.payment+"/charges", body)
	if err != nil {
		http.Error(w, "the payment service does not answer", http.StatusBadGateway)
		return
	}
	if paid != http.StatusOK {
		http.Error(w, "the card was declined", paid)
		return
	}
	const insert = `insert into orders (customer, product) values ($1, $2) returning id`
	row := s.database.QueryRow(r.Context(), insert, wanted.Customer, wanted.Product)
	if err := row.Scan(&wanted.ID); err != nil {
		http.Error(w, "the order was not kept", http.StatusInternalServerError)
		return
	}
	web.Reply(w, http.StatusCreated, wanted)
}

func (s *service) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "an order has a number", http.StatusBadRequest)
		return
	}
	key := "order:" + strconv.FormatInt(id, 10)
	if known, err := s.cache.Get(r.Context(), key).Bytes(); err == nil {
		_, _ = w.Write(known) // the client may be gone
		return
	}
	found := order{ID: id}
	row := s.database.QueryRow(r.Context(), `select customer, product from orders where id = $1`, id)
	if err := row.Scan(&found.Customer, &found.Product); err != nil {
		http.Error(w, "there is no such order", http.StatusNotFound)
		return
	}
	if text, err := json.Marshal(found); err == nil {
		s.cache.Set(r.Context(), key, text, time.Minute)
	}
	web.Reply(w, http.StatusOK, found)
}
