package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// A shop's own test, against Plural on localhost. There is neither a Redis nor
// a database: the call works all the same, and an unsigned webhook is refused
// before either is needed.
func TestShop(t *testing.T) {
	t.Setenv("REDIS_ADDR", "127.0.0.1:1")
	const secret = "00112233445566778899aabbccddeeff"
	gateway := pluraltest.NewServer(t, pluraltest.WithCredentials("shop", secret))
	pool, err := pgxpool.New(t.Context(), "postgres://shop@127.0.0.1:1/shop")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s, err := newShop(pool, secret, plural.WithBaseURL(gateway.URL))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.Warm(t.Context()); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	s.webhook.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")))
	if w.Code != http.StatusBadRequest {
		t.Errorf("an unsigned webhook is answered with %d", w.Code)
	}
}
