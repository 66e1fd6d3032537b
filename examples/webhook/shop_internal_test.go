package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// startShop starts a shop that uses an emulator.
func startShop(t *testing.T) (*pluraltest.Server, *httptest.Server) {
	t.Helper()
	emulator := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: emulator.ClientID, ClientSecret: emulator.ClientSecret},
		plural.WithBaseURL(emulator.URL))
	require.NoError(t, err)
	verifier, err := plural.NewVerifier(emulator.ClientSecret)
	require.NoError(t, err)
	s := &shop{client: client, verifier: verifier, log: slog.New(slog.DiscardHandler), orders: map[string]*shopOrder{}}
	server := httptest.NewServer(s.newHandler())
	t.Cleanup(server.Close)
	s.self = server.URL
	return emulator, server
}

// The function send makes a request and follows no redirect. It returns the
// answer without its body.
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

// A return is the request with which a payer's browser comes back from Plural's
// page. If somebody sends the same signed return again and again, the shop
// reads the order only once, after the first of these requests.
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
			emulator, shop := startShop(t)
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
	_, shop := startShop(t)
	for _, path := range []string{"/", "/nothing", "/orders/x", "/plural/webhook"} {
		h := send(t, http.MethodGet, shop.URL+path, nil).Header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"), path)
	}
}

// A payer's browser goes away while the shop reads the order. The shop still
// learns of the payment.
func TestPayerLeavesDuringTheReturn(t *testing.T) {
	t.Parallel()
	emulator, shop := startShop(t)
	send(t, http.MethodPost, shop.URL+"/buy", nil)
	id := emulator.Orders()[0].ID
	back, err := emulator.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	ctx, leave := context.WithCancel(t.Context())
	emulator.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpOrdersGet {
			time.AfterFunc(100*time.Millisecond, leave)
			return pluraltest.Fault{Answer: pluraltest.AnswerSlowHeaders, Delay: time.Second}
		}
		return pluraltest.NoFault
	})
	form := strings.NewReader(back.Form.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, shop.URL+"/plural/return", form)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool {
		res, err := http.Get(shop.URL + "/orders/" + id)
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		return err == nil && strings.Contains(string(text), "Your payment is on hold")
	}, 10*time.Second, 50*time.Millisecond)
}

// Once the shop knows how an order has ended, a read that fails does not change
// the page.
func TestFailedReadAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := &shop{orders: map[string]*shopOrder{"v1-1": {id: "v1-1"}}}
	s.storeText("v1-1", nil)
	s.storeText("v1-1", context.Canceled)
	o, _ := s.find("v1-1")
	require.Equal(t, "Thank you", o.state)
}
