package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/plural-go/plural"
)

// shop is the merchant's server. It receives the payer's return and the
// webhooks, and verifies them before it trusts them.
type shop struct {
	verifier *plural.Verifier
	url      string
	server   *http.Server

	mu       sync.Mutex
	returned map[string]*plural.Callback // by order id
	events   chan *plural.Event
}

// openShop starts the server on a free loopback port.
func openShop(secret string) (*shop, error) {
	verifier, err := plural.NewVerifier(secret)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &shop{
		verifier: verifier,
		url:      "http://" + listener.Addr().String(),
		returned: map[string]*plural.Callback{},
		events:   make(chan *plural.Event, 16),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /return", s.comeBack)
	mux.Handle("POST /webhook", plural.NewWebhookHandler(verifier, s.event))
	s.server = &http.Server{Handler: withHeaders(mux), ReadTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// withHeaders sets headers that stop browsers from loading or running anything
// in an answer.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func (s *shop) close() { _ = s.server.Close() }

func (s *shop) comeBack(w http.ResponseWriter, r *http.Request) {
	callback, err := s.verifier.VerifyCallbackRequest(r)
	if err != nil {
		http.Error(w, "This page is for returns from the checkout.", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.returned[callback.OrderID] = callback
	s.mu.Unlock()
	fmt.Fprintln(w, "Thank you. We are checking your payment.")
}

// findCallback returns the callback that the payer's browser brought for an
// order. If the browser has not come back, findCallback returns nil.
func (s *shop) findCallback(orderID string) *plural.Callback {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.returned[orderID]
}

func (s *shop) event(ctx context.Context, e *plural.Event) error {
	select {
	case s.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nextEvent waits for a webhook.
func (s *shop) nextEvent(ctx context.Context) (*plural.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("no webhook came: %w", ctx.Err())
	}
}
