// Command storefront is a small shop that uses package plural, as a starting
// point for a merchant. It has a catalogue, a cart, and a checkout that holds
// the money. An operator has pages to ship and capture, to cancel, and to
// refund.
//
//	go run -C examples/storefront .
//
// If none of the SDK's variables (PLURAL_CLIENT_ID and so on) is set, it starts
// the emulator in its own process. README.md in this folder has the settings.
//
// Where to find things: desk.go has the staff's decisions and their results.
// decisions.go has the rules for decisions. till.go takes customers to Plural
// and back. webhook.go handles Plural's webhooks. books.go and twins.go store
// what Plural's books show. jobs.go has the background work. store.go has all
// SQL. shop.go, catalogue.go, cart.go, checkout.go and operator.go have the
// pages. gate.go asks for the staff's password.
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
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/contrib/redisstore"
	"github.com/plural-go/plural/contrib/sqlstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := parseSettings(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, s, log)
	}
	if err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1) //nolint:gocritic // os.Exit skips the deferred call, which is not needed if the process ends
	}
}

// run serves the shop until ctx ends.
func run(ctx context.Context, s settings, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	if s.URL == "" {
		s.URL = "http://" + listener.Addr().String()
	}
	telemetry, err := startTelemetry(ctx)
	if err != nil {
		return err
	}
	defer telemetry.shutDown(ctx)

	opts := append(telemetry.clientOptions(), plural.WithLogger(log))
	if s.Redis != "" {
		address, err := redis.ParseURL(s.Redis)
		if err != nil {
			return err
		}
		shared := redis.NewClient(address)
		defer func() { _ = shared.Close() }()
		opts = append(opts, plural.WithTokenStore(redisstore.New(shared)))
	}
	gateway, err := s.connect(log, s.URL+"/plural/webhook", opts...)
	if err != nil {
		return err
	}
	defer gateway.close()
	verifier, err := plural.NewVerifier(gateway.secret)
	if err != nil {
		return err
	}

	remove, err := s.ensureDatabase()
	if err != nil {
		return err
	}
	defer remove()
	db, err := openStore(ctx, s.Database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	inbox, err := sqlstore.NewInbox(db.DB, db.inbox)
	if err != nil {
		return err
	}
	if err := inbox.Migrate(ctx); err != nil {
		return err
	}
	books := &orderBooks{db: db, log: log}
	shop := &shop{
		till: &shopTill{orderBooks: books, client: gateway.client, url: s.URL}, desk: &staffDesk{books}, db: db,
		verifier: verifier, inbox: inbox, log: log, url: s.URL, password: s.Password, metrics: telemetry.metrics,
	}
	if err := shop.startJobs(ctx, s.pace, telemetry.jobMiddleware()); err != nil {
		return err
	}
	defer stopJobs(ctx, books.river)

	server := &http.Server{Handler: shop.newHandler(), ReadTimeout: 10 * time.Second, WriteTimeout: 60 * time.Second}
	idle := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(idle)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		_ = server.Shutdown(grace)
	})
	if isPlain(s.URL) {
		log.Warn("the shop is reached without TLS: others on the network can read the staff's password", "url", s.URL)
	}
	log.Info("open", "shop", s.URL+"/", "operator", s.URL+"/operator")
	if s.made {
		log.Info("for the staff", "user", "operator", "password", s.Password)
	}
	if s.opened != nil {
		s.opened(s.URL)
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-idle
	log.Info("closed")
	return nil
}

// stopTimeout limits how long the program waits for running requests and jobs
// after it was told to stop. A customer who goes to Plural's page may wait
// half a minute for Plural.
const stopTimeout = 35 * time.Second
