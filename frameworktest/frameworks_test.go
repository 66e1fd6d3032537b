package frameworktest_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

const (
	webhookPath = "/plural/webhook"
	returnPath  = "/plural/return"
)

// shop has the same handlers as the examples of package plural.
type shop struct {
	client   *plural.Client
	verifier *plural.Verifier
	want     map[string]plural.Expected

	mu     sync.Mutex
	events []*plural.Event
}

func (s *shop) handlers() map[string]http.Handler {
	return map[string]http.Handler{
		webhookPath: plural.NewWebhookHandler(s.verifier, s.event),
		returnPath:  http.HandlerFunc(s.comeBack),
	}
}

func (s *shop) event(ctx context.Context, e *plural.Event) error {
	id, err := e.OrderID()
	if err != nil {
		return err
	}
	if _, err := s.client.Orders.ConfirmEvent(ctx, e, s.want[id]); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return nil
}

func (s *shop) comeBack(w http.ResponseWriter, r *http.Request) {
	callback, err := s.verifier.VerifyCallbackRequest(r)
	if err != nil {
		http.Error(w, "not from Plural", http.StatusBadRequest)
		return
	}
	page := "/thanks"
	// In fasthttp there is a data race between a server's Shutdown and the Done
	// method of a request's context.
	ctx := context.WithoutCancel(r.Context())
	if _, err := s.client.Orders.Confirm(ctx, callback, s.want[callback.OrderID]); err != nil {
		page = "/not-paid"
	}
	http.Redirect(w, r, page, http.StatusSeeOther)
}

// openShop makes a shop with one order that the payer has approved.
func openShop(t *testing.T) (s *shop, srv *pluraltest.Server, orderID string) {
	t.Helper()
	srv = pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
		plural.WithBaseURL(srv.URL),
	)
	require.NoError(t, err)
	verifier, err := plural.NewVerifier(srv.ClientSecret)
	require.NoError(t, err)
	want := plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(50000)}
	order, err := client.Orders.Create(t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: want.MerchantOrderReference,
		OrderAmount:            want.OrderAmount,
		PreAuth:                true,
		CallbackURL:            "https://shop.example.com" + returnPath,
	})
	require.NoError(t, err)
	_, err = srv.Pay(order.OrderID, pluraltest.Approve)
	require.NoError(t, err)
	return &shop{
		client:   client,
		verifier: verifier,
		want:     map[string]plural.Expected{order.OrderID: want},
	}, srv, order.OrderID
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	for name, serve := range frameworks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, srv, orderID := openShop(t)
			r, err := srv.WebhookRequest("ORDER_AUTHORIZED", orderID)
			require.NoError(t, err)
			good := requestOf(t, r)
			id, signature := good.header.Get("Webhook-Id"), good.header.Get("Webhook-Signature")
			send := serve(t, s.handlers())
			set := func(name string, values ...string) func(*request) {
				return func(r *request) { r.header[name] = values }
			}
			for refused, tc := range map[string]struct {
				change func(*request)
				status int
			}{
				"another body": {func(r *request) { r.body = append([]byte(" "), r.body...) }, http.StatusUnauthorized},
				"no signature": {func(r *request) { r.header.Del("Webhook-Signature") }, http.StatusUnauthorized},
				"another id":   {set("Webhook-Id", id+"x"), http.StatusUnauthorized},
				"signed twice": {set("Webhook-Signature", signature, "v1,AAAA"), http.StatusUnauthorized},
				"an old time":  {set("Webhook-Timestamp", "1763802000"), http.StatusUnauthorized},
				"no id":        {func(r *request) { r.header.Del("Webhook-Id") }, http.StatusBadRequest},
				"compressed":   {set("Content-Encoding", "gzip"), http.StatusBadRequest},
				"GET":          {func(r *request) { r.method, r.body = http.MethodGet, nil }, http.StatusMethodNotAllowed},
			} {
				require.Equal(t, tc.status, send(t, good.withPath(webhookPath, tc.change)).status, refused)
			}
			require.Empty(t, s.events)

			// This header has two signatures. The first one is made with a key
			// that the shop does not have.
			rotated := set("Webhook-Signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= "+signature)
			for range 3 {
				require.Equal(t, http.StatusOK, send(t, good.withPath(webhookPath, nil)).status)
				require.Equal(t, http.StatusOK, send(t, good.withPath(webhookPath, rotated)).status)
			}
			require.Len(t, s.events, 1)
			require.Equal(t, id, s.events[0].ID)
			require.Equal(t, plural.EventOrderAuthorized, s.events[0].Type)
			require.Equal(t, string(good.body), string(s.events[0].RawJSON()))
		})
	}
}

func TestCallbacks(t *testing.T) {
	t.Parallel()
	for name, serve := range frameworks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, srv, orderID := openShop(t)
			r, err := srv.CallbackRequest(t.Context(), orderID)
			require.NoError(t, err)
			good := requestOf(t, r)
			send := serve(t, s.handlers())

			require.Equal(t, response{http.StatusSeeOther, "/thanks"}, send(t, good.withPath(returnPath, nil)))
			for refused, change := range map[string]func(*request){
				"another order":        func(r *request) { r.body = formOf(t, r.body, "order_id", "v1-another") },
				"another content type": func(r *request) { r.header.Set("Content-Type", "text/plain") },
				"compressed":           func(r *request) { r.header.Set("Content-Encoding", "gzip") },
				"a further field":      func(r *request) { r.body = append([]byte("status=PROCESSED&"), r.body...) },
				"too large":            func(r *request) { r.body = make([]byte, 64<<10+1) },
				"GET":                  func(r *request) { r.method, r.body = http.MethodGet, nil },
			} {
				require.Equal(t, http.StatusBadRequest, send(t, good.withPath(returnPath, change)).status, refused)
			}
			delete(s.want, orderID)
			require.Equal(t, response{http.StatusSeeOther, "/not-paid"}, send(t, good.withPath(returnPath, nil)))
		})
	}
}
