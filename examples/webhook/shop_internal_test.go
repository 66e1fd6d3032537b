package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// open starts a shop that uses an emulator.
func open(t *testing.T) (*pluraltest.Server, *httptest.Server) {
	t.Helper()
	emulator := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: emulator.ClientID, ClientSecret: emulator.ClientSecret},
		plural.WithBaseURL(emulator.URL))
	require.NoError(t, err)
	verifier, err := plural.NewVerifier(emulator.ClientSecret)
	require.NoError(t, err)
	s := &shop{client: client, verifier: verifier, log: slog.New(slog.DiscardHandler), orders: map[string]*order{}}
	server := httptest.NewServer(s.routes())
	t.Cleanup(server.Close)
	s.self = server.URL
	return emulator, server
}

// send makes a request and follows no redirect. It returns the answer without
// its body.
func send(t *testing.T, method, link string, form url.Values) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res
}

// If somebody sends a signed return again and again, the shop reads the order
// only after the first one.
func TestReplayedReturns(t *testing.T) {
	t.Parallel()
	decisions := map[string][]pluraltest.Decision{
		"paid":              {pluraltest.Approve},
		"declined":          {pluraltest.Decline("insufficient funds")},
		"declined and paid": {pluraltest.Decline("insufficient funds"), pluraltest.Approve},
		"left":              {pluraltest.CancelPayment},
	}
	for name, payer := range decisions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			emulator, shop := open(t)
			require.Equal(t, http.StatusSeeOther, send(t, http.MethodPost, shop.URL+"/buy", nil).StatusCode)
			id := emulator.Orders()[0].ID
			reads := func() int { return len(emulator.RequestsTo(pluraltest.OpOrdersGet)) }
			for _, decision := range payer {
				before := reads()
				back, err := emulator.Pay(id, decision)
				require.NoError(t, err)
				send(t, http.MethodPost, shop.URL+"/plural/return", back.Form)
				looked := reads()
				require.Greater(t, looked, before, "the return brings news")
				for range 20 {
					res := send(t, http.MethodPost, shop.URL+"/plural/return", back.Form)
					require.Equal(t, http.StatusSeeOther, res.StatusCode)
				}
				require.Equal(t, looked, reads())
			}
		})
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	_, shop := open(t)
	for _, path := range []string{"/", "/nothing", "/orders/x", "/plural/webhook"} {
		h := send(t, http.MethodGet, shop.URL+path, nil).Header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"), path)
	}
}
