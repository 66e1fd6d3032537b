package browsertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// A shop is a merchant that uses the SDK. It sells, verifies the payer's
// return, and trusts only the gateway's books. net/http protects its pages
// against requests from other sites.
type shop struct {
	t        *testing.T
	srv      *pluraltest.Server
	client   *plural.Client
	verifier *plural.Verifier
	http     *httptest.Server

	mu      sync.Mutex
	sold    map[string]plural.Expected // by order id
	returns []payerReturn
}

// payerReturn describes how a payer's browser came back to the shop, and what
// the shop found out.
type payerReturn struct {
	path     string
	callback *plural.Callback
	verify   error
	order    *plural.Order
	confirm  error
}

func openShop(t *testing.T, opts ...pluraltest.Option) *shop {
	t.Helper()
	srv := pluraltest.NewServer(t, opts...)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
		plural.WithBaseURL(srv.URL), plural.WithHTTPClient(srv.Client()))
	require.NoError(t, err)
	verifier, err := plural.NewVerifier(srv.ClientSecret)
	require.NoError(t, err)
	s := &shop{t: t, srv: srv, client: client, verifier: verifier, sold: map[string]plural.Expected{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /return", s.comeBack)
	mux.HandleFunc("POST /failed", s.comeBack)
	mux.HandleFunc("GET /thanks", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(
			w,
			`<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,"><main><h1>%s</h1></main>`,
			map[string]string{
				"paid":   "The shop has your payment",
				"unpaid": "The shop has no payment",
			}[r.URL.Query().Get("outcome")],
		)
	})
	// The payer's return is a POST from another site. Without these exceptions
	// the protection would refuse it.
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern("POST /return")
	protection.AddInsecureBypassPattern("POST /failed")
	s.http = httptest.NewServer(protection.Handler(mux))
	t.Cleanup(s.http.Close)
	return s
}

// The method sell creates an order. It returns the order's id and the link for
// the payer.
func (s *shop) sell(reference string, change func(*plural.CreateOrderRequest)) (id, link string) {
	s.t.Helper()
	req := &plural.CreateOrderRequest{
		MerchantOrderReference: reference,
		OrderAmount:            plural.INR(149950),
		PreAuth:                true,
		Notes:                  "Two <tickets> & a \"programme\"",
		CallbackURL:            s.http.URL + "/return?cart=7",
		FailureCallbackURL:     s.http.URL + "/failed",
	}
	if change != nil {
		change(req)
	}
	order, err := s.client.Orders.Create(s.t.Context(), req)
	require.NoError(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sold[order.OrderID] = plural.Expected{MerchantOrderReference: reference, OrderAmount: req.OrderAmount}
	return order.OrderID, order.RedirectURL
}

// comeBack is the merchant's callback handler. It answers with a redirect. If
// the payer then reloads the next page, the browser does not post the callback
// again.
func (s *shop) comeBack(w http.ResponseWriter, r *http.Request) {
	one := payerReturn{path: r.URL.Path}
	one.callback, one.verify = s.verifier.VerifyCallbackRequest(r)
	if one.verify == nil {
		s.mu.Lock()
		want := s.sold[one.callback.OrderID]
		s.mu.Unlock()
		one.order, one.confirm = s.client.Orders.Confirm(r.Context(), one.callback, want)
	}
	s.mu.Lock()
	s.returns = append(s.returns, one)
	s.mu.Unlock()
	outcome := "paid"
	if one.verify != nil || one.confirm != nil {
		outcome = "unpaid"
	}
	http.Redirect(w, r, "/thanks?outcome="+outcome, http.StatusSeeOther)
}

// lastReturn returns the most recent return of a payer's browser to the shop.
// If the signature of the return's callback was not valid, the test fails.
func (s *shop) lastReturn() payerReturn {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(s.t, s.returns)
	one := s.returns[len(s.returns)-1]
	require.NoError(s.t, one.verify)
	return one
}

// requirePaid checks the most recent callback. The callback must be about the
// order with this id and have this status, and the gateway's books must confirm
// the payment. Otherwise the test fails.
func (s *shop) requirePaid(id string, status plural.OrderStatus) {
	s.t.Helper()
	one := s.lastReturn()
	require.NoError(s.t, one.confirm)
	require.Equal(s.t, "/return", one.path)
	require.Equal(s.t, id, one.callback.OrderID)
	require.Equal(s.t, status, one.callback.Status)
	require.Equal(s.t, status, one.order.Status)
}

// requireUnpaid checks the most recent callback. If one of these statements is
// not true, the test fails:
//
//   - The callback is about the order with this id.
//   - The callback came to the path /failed, with this status and this error
//     code.
//   - Confirm returned a NotPaidError for this callback.
func (s *shop) requireUnpaid(id string, status plural.OrderStatus, code plural.ErrorCode) payerReturn {
	s.t.Helper()
	one := s.lastReturn()
	var notPaid *plural.NotPaidError
	require.ErrorAs(s.t, one.confirm, &notPaid)
	require.Equal(s.t, "/failed", one.path)
	require.Equal(s.t, id, one.callback.OrderID)
	require.Equal(s.t, status, one.callback.Status)
	require.Equal(s.t, code, one.callback.ErrorCode)
	return one
}
