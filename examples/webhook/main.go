// Command webhook is a small server with the two endpoints that Plural talks
// to: where the payer's browser comes back to, and where events are delivered.
//
//	PLURAL_CLIENT_ID=... PLURAL_CLIENT_SECRET=... PLURAL_ENVIRONMENT=uat go run ./examples/webhook -addr 127.0.0.1:8081
//
// Without any of these variables it runs against the emulator, in the same
// process. With PLURAL_BASE_URL in place of PLURAL_ENVIRONMENT it runs against
// the sandbox, which delivers events here when it is started with -webhook-url
// http://127.0.0.1:8081/plural/webhook. It keeps its orders in memory; a shop
// keeps them in its database, and the webhook ids in a Deduper that outlives
// the process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

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
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
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
	s := &shop{client: client, verifier: verifier, log: log, self: self, orders: map[string]plural.Expected{}}
	server := &http.Server{Handler: s.routes(), ReadTimeout: 10 * time.Second, WriteTimeout: 60 * time.Second}
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

// connect makes a client from the environment or, when that says nothing, for
// an emulator that delivers events to a URL. It also gives the secret that
// signs what comes back.
func connect(log *slog.Logger, webhookURL string) (client *plural.Client, secret string, done func(), err error) {
	if configured() {
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

// configured tells whether the environment says anything of Plural. A half of
// what is needed is then an error, and no reason to use the emulator.
func configured() bool {
	return slices.ContainsFunc(
		[]string{"PLURAL_CLIENT_ID", "PLURAL_CLIENT_SECRET", "PLURAL_ENVIRONMENT", "PLURAL_BASE_URL"},
		func(name string) bool { return os.Getenv(name) != "" },
	)
}

type shop struct {
	client   *plural.Client
	verifier *plural.Verifier
	log      *slog.Logger
	self     string

	mu     sync.Mutex
	orders map[string]plural.Expected // what each order id was for
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("POST /buy", s.buy)
	mux.HandleFunc("POST /plural/return", s.comeBack)
	mux.Handle("POST /plural/webhook", plural.NewWebhookHandler(s.verifier, s.event, plural.WithHandlerLogger(s.log)))
	return mux
}

func (s *shop) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(
		w,
		`<!doctype html><html lang="en"><title>Shop</title><h1>Shop</h1>`+
			`<form method="post" action="/buy"><button>Hold 1499.50 rupees</button></form>`,
	)
}

// buy creates an order and sends the payer to the checkout.
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	req := &plural.CreateOrderRequest{
		MerchantOrderReference: "order-" + uuid.NewString(),
		OrderAmount:            plural.INR(149950),
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            s.self + "/plural/return",
	}
	order, err := s.client.Orders.Create(r.Context(), req)
	if err != nil {
		s.log.Error("create order", "error", err)
		http.Error(w, "The payment service is not available.", http.StatusBadGateway)
		return
	}
	s.mu.Lock()
	s.orders[order.OrderID] = plural.Expected{
		MerchantOrderReference: req.MerchantOrderReference,
		OrderAmount:            req.OrderAmount,
	}
	s.mu.Unlock()
	http.Redirect(w, r, order.RedirectURL, http.StatusSeeOther)
}

// comeBack takes the payer's return from the checkout: verified, then confirmed
// against the server's order.
func (s *shop) comeBack(w http.ResponseWriter, r *http.Request) {
	callback, err := s.verifier.VerifyCallbackRequest(r)
	if err != nil {
		s.log.Warn("callback refused", "error", err)
		http.Error(w, "This page is for returns from the checkout.", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	want, known := s.orders[callback.OrderID]
	s.mu.Unlock()
	if !known {
		http.Error(w, "Unknown order.", http.StatusNotFound)
		return
	}
	order, err := s.client.Orders.Confirm(r.Context(), callback, want)
	var notPaid *plural.NotPaidError
	switch {
	case errors.As(err, &notPaid) && notPaid.MayStillBePaid():
		fmt.Fprintln(
			w,
			"Your payment is not there yet. If you have paid, wait; if not, go back and try again with the same page.",
		) // and not with a new order
	case errors.As(err, &notPaid) && notPaid.WasPaid():
		fmt.Fprintln(w, "This order is paid already.") // and has been captured in part or refunded since
	case errors.As(err, &notPaid):
		s.log.Warn("not paid", "error", err)
		fmt.Fprintln(w, "This order is not paid.")
	case err != nil:
		s.log.Error("confirm order", "error", err)
		http.Error(w, "We could not check your payment yet.", http.StatusBadGateway)
	default:
		s.log.Info("paid", "order", order)
		fmt.Fprintln(w, "Thank you.")
	}
}

// event takes a webhook. It is a hint that something happened: the order is
// read again, and what that says counts.
func (s *shop) event(ctx context.Context, e *plural.Event) error {
	about, err := e.Order()
	if errors.Is(err, plural.ErrNoOrder) {
		s.log.Info("event", "event", e)
		return nil
	}
	if err != nil {
		return err
	}
	order, err := s.client.Orders.Get(ctx, about.OrderID)
	if err != nil {
		return err // Plural delivers it again
	}
	s.log.Info("event", "event", e, "order", order)
	return nil
}
