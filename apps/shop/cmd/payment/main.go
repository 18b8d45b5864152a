// Command payment charges cards and keeps a book of it in PostgreSQL. The bank of one customer is slow, and the
// card of another one is declined.
package main

import (
	"context"
	"database/sql"
	"flag"
	"log"
	"net/http"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"gotap/apps/shop/internal/web"
)

type service struct {
	book *sql.DB
}

func main() {
	log.SetPrefix("payment: ")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	database := flag.String("database", "", "URL of PostgreSQL")
	flag.Parse()

	book, err := sql.Open("pgx", *database)
	if err != nil {
		log.Fatal(err)
	}
	const table = `create table if not exists charges (customer text, at timestamptz default now())`
	if _, err := book.ExecContext(context.Background(), table); err != nil {
		log.Fatal(err)
	}
	s := &service{book}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charges", s.charge)
	web.Serve(*listen, mux)
}

func (s *service) charge(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Customer string `json:"customer"`
	}
	if err := web.Read(r, &wanted); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	bank := 4 * time.Millisecond
	if wanted.Customer == "zoe" {
		bank = 250 * time.Millisecond
	}
	time.Sleep(bank)
	if wanted.Customer == "cleo" {
		http.Error(w, "declined", http.StatusPaymentRequired)
		return
	}
	const insert = `insert into charges (customer) values ($1)`
	if _, err := s.book.ExecContext(r.Context(), insert, wanted.Customer); err != nil {
		http.Error(w, "not kept in the book", http.StatusInternalServerError)
		return
	}
	web.Reply(w, http.StatusOK, wanted)
}
