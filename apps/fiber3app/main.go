// Command fiber3app serves HTTP with fiber 3, which stands on fasthttp.
//
//	fiber3app [-addr HOST:PORT] [-backend URL]
//
// The first line is "listening HOST:PORT".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "serve HTTP here")
	backend := flag.String("backend", "", "URL that the handlers below /call/ call")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	log.Fatal(routes(*backend).Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}))
}

func routes(backend string) *fiber.App {
	app := fiber.New()
	app.Use(recover.New())
	app.Use("/denied", func(c fiber.Ctx) error { return c.SendStatus(403) })
	answer := func(c fiber.Ctx) error { return c.SendString("hello from " + c.Path() + "\n") }
	app.Get("/", answer)
	app.Get("/users/:id", answer)
	app.Get("/files/*", answer)
	app.Get("/denied/never", answer)
	app.Post("/echo", func(c fiber.Ctx) error { return c.Send(c.Body()) })
	app.Get("/panic", func(fiber.Ctx) error { panic("as asked") })
	app.Get("/error", func(fiber.Ctx) error { return errors.New("as asked") })
	v1 := app.Group("/api").Group("/v1")
	v1.Get("/things/:thing", answer)
	mounted := fiber.New()
	mounted.Get("/deep/:name", answer)
	app.Use("/mounted", mounted)
	app.Get("/call/context", func(c fiber.Ctx) error {
		return c.SendString(get(c, backend+"/id/"+c.Get("X-Id")))
	})
	app.Get("/call/user-context", func(c fiber.Ctx) error {
		return c.SendString(get(c.Context(), backend+"/id/"+c.Get("X-Id")))
	})
	app.Get("/call/go", func(c fiber.Ctx) error {
		url, done := backend+"/id/"+c.Get("X-Id"), make(chan string)
		go func() { done <- get(context.Background(), url) }()
		return c.SendString(<-done)
	})
	return app
}

func get(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return fmt.Sprint("status=", response.StatusCode)
}
