// Shop is the program that `make demo` observes: a small web shop that knows nothing of tracing.
//
//	shop serve -payments URL    the shop's API
//	shop payments               the service that the shop calls
//	shop visitors -shop URL     visitors who look, fill a cart and pay
//
// Servers print the URL that they listen on and stop at SIGTERM.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("shop: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: shop serve | payments | visitors")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address of the server")
	payments := flags.String("payments", "", "URL of the payment service")
	shop := flags.String("shop", "", "URL of the shop")
	duration := flags.Duration("for", 10*time.Second, "how long visitors come")
	_ = flags.Parse(os.Args[2:]) // it exits on errors

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(ctx, *listen, newShop(*payments).routes())
	case "payments":
		err = serve(ctx, *listen, paymentRoutes())
	case "visitors":
		ctx, cancel := context.WithTimeout(ctx, *duration)
		defer cancel()
		err = visit(ctx, *shop)
	default:
		err = fmt.Errorf("no such command: %s", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	fmt.Printf("http://%s\n", listener.Addr())
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // what is still open then ends with the process
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// reply sends value as JSON.
func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}
