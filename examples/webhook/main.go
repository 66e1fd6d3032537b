// Command webhook is a small server with the two endpoints that Plural needs:
// one for the payer's return, and one for events.
//
//	export PLURAL_CLIENT_ID=... PLURAL_CLIENT_SECRET=... PLURAL_ENVIRONMENT=uat
//	go run ./examples/webhook -addr 127.0.0.1:8081
//
// If none of these variables is set, the server starts the emulator in its own
// process. To use the sandbox, set PLURAL_BASE_URL instead of
// PLURAL_ENVIRONMENT, and start the sandbox with -webhook-url
// http://127.0.0.1:8081/plural/webhook. This server keeps its orders in memory.
// A real shop keeps its orders in its database, and needs a Deduper that still
// knows the ids of handled webhooks after a restart.
//
// The shop itself is in shop.go, and its pages in page.html.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	if err := run(ctx, *addr, log); err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1) //nolint:gocritic // the deferred call of stop does not run, and is not needed
	}
}

func run(ctx context.Context, addr string, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	self := "http://" + listener.Addr().String()
	client, secret, done, err := connect(log, self+"/plural/webhook")
	if err != nil {
		return err
	}
	defer done()
	verifier, err := plural.NewVerifier(secret)
	if err != nil {
		return err
	}
	s := &shop{client: client, verifier: verifier, log: log, self: self, orders: map[string]*shopOrder{}}
	server := &http.Server{Handler: s.newHandler(), ReadTimeout: 10 * time.Second, WriteTimeout: 60 * time.Second}
	idle := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(idle)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	})
	log.Info("listening", "shop", s.self+"/", "callback", s.self+"/plural/return", "webhook", s.self+"/plural/webhook")
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-idle
	log.Info("stopped")
	return nil
}

// connect makes a client from the SDK's variables. If none of them is set, it
// starts an emulator that delivers events to webhookURL, and makes a client for
// the emulator. connect also returns the secret that signs callbacks and
// webhooks.
func connect(log *slog.Logger, webhookURL string) (client *plural.Client, secret string, done func(), err error) {
	if isConfigured() {
		client, err = plural.NewClientFromEnv()
		return client, os.Getenv("PLURAL_CLIENT_SECRET"), func() {}, err
	}
	emulator, err := pluraltest.Start(pluraltest.WithWebhookURL(webhookURL))
	if err != nil {
		return nil, "", nil, err
	}
	log.Info("no PLURAL_ variable is set: using the emulator", "url", emulator.URL)
	creds := plural.Credentials{ClientID: emulator.ClientID, ClientSecret: emulator.ClientSecret}
	client, err = plural.NewClient(creds, plural.WithBaseURL(emulator.URL))
	return client, emulator.ClientSecret, emulator.Close, err
}

// isConfigured reports whether any of the SDK's variables is set. If one is
// set, the program does not use the emulator. The program ends with an error if
// another variable that it needs is missing.
func isConfigured() bool {
	return slices.ContainsFunc(
		[]string{"PLURAL_CLIENT_ID", "PLURAL_CLIENT_SECRET", "PLURAL_ENVIRONMENT", "PLURAL_BASE_URL"},
		func(name string) bool { return os.Getenv(name) != "" },
	)
}
