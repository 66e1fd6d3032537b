package pluraltest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

const plainOrder = `{"merchant_order_reference":"ref","order_amount":{"value":5000,"currency":"INR"}}`

func apiWith(t *testing.T, opts ...pluraltest.Option) (*pluraltest.Server, *api) {
	t.Helper()
	srv := pluraltest.New(opts...)
	t.Cleanup(srv.Close)
	return srv, newAPI(t, srv)
}

func TestOneToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opts []pluraltest.Option
		want int // status of a request with the older token
	}{{nil, 422}, {[]pluraltest.Option{pluraltest.WithOneToken()}, 401}} {
		srv, a := apiWith(t, tt.opts...)
		r := a.do("POST", "/api/auth/v1/token", tokenBody(srv.ClientID, srv.ClientSecret, "client_credentials"))
		require.Equal(t, 200, r.status)
		require.Equal(t, tt.want, a.get("none").status)
		a.token, _ = r.doc(t)["access_token"].(string)
		require.Equal(t, 422, a.get("none").status, "the newer token is good")
	}
}

// With WithCheckLag, if two writes come at the same time, the second does not
// see the first.
func TestCheckLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(pluraltest.WithCheckLag(time.Second))
		defer srv.Close()
		a := newAPI(t, srv)
		a.do("POST", "/api/checkout/v1/orders", plainOrder)
		a.do("POST", "/api/checkout/v1/orders", plainOrder)
		require.Len(t, srv.OrdersByReference("ref"), 2)
		passTime(time.Second)
		a.do("POST", "/api/checkout/v1/orders", plainOrder)
		require.Len(t, srv.OrdersByReference("ref"), 2)

		id := authorized(t, srv, "hold", 1000)
		require.Equal(t, 200, a.capture(id, capturing("c-1", 400)).status)
		require.Equal(t, 200, a.capture(id, capturing("c-2", 400)).status)
		require.Equal(t, 422, a.capture(id, capturing("c-3", 400)).status, "there are 200 left")
		passTime(time.Second)
		require.Equal(t, 422, a.capture(id, capturing("c-4", 100)).status)
		order, _ := srv.Order(id)
		require.EqualValues(t, 800, order.Captured)
		require.EqualValues(t, 800, order.Payments[0].Captured.Value)

		refund := `{"merchant_order_reference":"back","order_amount":{"value":100,"currency":"INR"}}`
		require.Equal(t, 200, a.refund(id, refund).status)
		require.Equal(t, 200, a.refund(id, refund).status)
		require.Len(t, srv.Refunds(id), 2)
		require.NotEmpty(t, srv.Doubles())
	})
}

func capturing(reference string, paise int) string {
	return `{"merchant_capture_reference":"` + reference + `","capture_amount":{"value":` +
		strconv.Itoa(paise) + `,"currency":"INR"}}`
}

func TestMoreCaptures(t *testing.T) {
	t.Parallel()
	srv, a := apiWith(t, pluraltest.WithMoreCaptures())
	id := authorized(t, srv, "hold", 1000)
	require.Equal(t, 200, a.capture(id, capturing("c-1", 400)).status)
	r := a.capture(id, capturing("c-2", 600))
	require.Equal(t, 200, r.status)
	require.Equal(t, "PROCESSED", r.data(t)["status"])
	payments, _ := r.data(t)["payments"].([]any)
	first, _ := payments[0].(map[string]any)
	require.Len(t, first["capture_data"], 2)
	require.Equal(t, 422, a.capture(id, capturing("c-3", 100)).status, "nothing is left")
	_, err := srv.Refund(id, "back", pluraltest.Amount{})
	require.NoError(t, err)
	order, _ := srv.Order(id)
	require.EqualValues(t, 1000, order.Refunded)
}

// The first capture releases the hold of a payment that it did not need. A
// second capture cannot take the money of that payment.
func TestMoreCapturesOfTwoPayments(t *testing.T) {
	t.Parallel()
	srv, a := apiWith(t, pluraltest.WithMoreCaptures())
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "two", Amount: inr(1000), PreAuth: true})
	require.NoError(t, err)
	_, err = srv.Pay(id, pluraltest.ApproveWithPoints(300))
	require.NoError(t, err)
	require.Equal(t, 200, a.capture(id, capturing("c-1", 200)).status)
	taken := 200
	for i, amount := range []int{800, 500, 300, 100} {
		if a.capture(id, capturing(fmt.Sprintf("more-%d", i), amount)).status == 200 {
			taken += amount
		}
	}
	sum := 0
	payments, _ := a.get(id).data(t)["payments"].([]any)
	for _, p := range payments {
		one, _ := p.(map[string]any)
		entries, _ := one["capture_data"].([]any)
		for _, e := range entries {
			entry, _ := e.(map[string]any)
			amount, _ := entry["capture_amount"].(map[string]any)
			value, _ := amount["value"].(float64)
			sum += int(value)
		}
	}
	require.Equal(t, taken, sum, "each captured rupee belongs to a payment")
	require.Greater(t, taken, 200)
}

func TestCancelSwitches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode   pluraltest.DuplicateMode
		status int
		code   string
	}{
		{pluraltest.DuplicateRejected, 422, "ORDER_CANCELLED"},
		{pluraltest.DuplicateReturnsExisting, 200, ""},
		{pluraltest.DuplicateAccepted, 422, "OPERATION_NOT_ALLOWED"},
	} {
		srv, a := apiWith(t, pluraltest.WithDuplicateCancels(tt.mode))
		id := authorized(t, srv, "hold", 1000)
		require.Equal(t, 200, a.cancel(id).status)
		again := a.cancel(id)
		require.Equal(t, tt.status, again.status)
		require.Equal(t, tt.code, again.code(t))
		srv.AssertExactlyOnce(t)
	}
	srv, a := apiWith(t, pluraltest.WithCancelUnpaid())
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "unpaid", Amount: inr(100)})
	require.NoError(t, err)
	require.Equal(t, "CANCELLED", a.cancel(id).data(t)["status"])
}

func TestProductNames(t *testing.T) {
	t.Parallel()
	const body = `{"merchant_order_reference":"ref","order_amount":{"value":5000,"currency":"INR"},
		"purchase_details":{"product":[{"product_code":"a"}],"products":[{"product_code":"a"}],"customer":{}}}`
	for _, tt := range []struct{ opts, want []string }{
		{nil, []string{"customer", "product", "products"}},
		{[]string{"products"}, []string{"customer", "products"}},
		{[]string{}, []string{"customer"}},
	} {
		var opts []pluraltest.Option
		if tt.opts != nil {
			opts = append(opts, pluraltest.WithProductNames(tt.opts...))
		}
		_, a := apiWith(t, opts...)
		id, _ := a.do("POST", "/api/checkout/v1/orders", body).doc(t)["order_id"].(string)
		details, _ := a.get(id).data(t)["purchase_details"].(map[string]any)
		var got []string
		for _, name := range []string{"customer", "product", "products"} {
			if _, ok := details[name]; ok {
				got = append(got, name)
			}
		}
		require.Equal(t, tt.want, got)
	}
}

func TestLooseLimits(t *testing.T) {
	t.Parallel()
	const body = `{"merchant_order_reference":"a.dot","order_amount":{"value":1,"currency":"INR"}}`
	_, a := apiWith(t)
	require.Equal(t, 400, a.do("POST", "/api/checkout/v1/orders", body).status)
	_, a = apiWith(t, pluraltest.WithLooseLimits())
	require.Equal(t, 200, a.do("POST", "/api/checkout/v1/orders", body).status)
}

func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	_, a := apiWith(t, pluraltest.WithoutDate(), pluraltest.WithAnswerHeader("X-Request-Id", "1"))
	header := a.get("none").header
	require.Empty(t, header.Values("Date"))
	require.Equal(t, []string{"1"}, header.Values("X-Request-Id"))
}

func TestCallbackSwitches(t *testing.T) {
	t.Parallel()
	other := "00112233445566778899aabbccddeeff"
	signed := func(opts ...pluraltest.Option) (signature string, names int) {
		srv := pluraltest.New(append(opts, pluraltest.WithSeed(1), pluraltest.WithClock(func() time.Time {
			return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		}))...)
		defer srv.Close()
		form := srv.CallbackForm(authorized(t, srv, "ref", 1000))
		return form.Get("signature"), len(form)
	}
	plain, names := signed()
	require.Equal(t, 3, names)
	unsigned, names := signed(pluraltest.WithUnsignedEmptyCallbackFields())
	require.Equal(t, 5, names)
	require.Equal(t, plain, unsigned)
	kept, _ := signed(pluraltest.WithEmptyCallbackFields())
	require.NotEqual(t, plain, kept)
	bySecret, _ := signed(pluraltest.WithCallbackSecret(other))
	require.NotEqual(t, plain, bySecret)
	byCredentials, _ := signed(pluraltest.WithCredentials("shop", other))
	require.Equal(t, byCredentials, bySecret)
}

func TestQuirksOfTheProbe(t *testing.T) {
	t.Parallel()
	srv, a := apiWith(t, pluraltest.WithQuirks(pluraltest.QuirkPartProcessed|pluraltest.QuirkNoRefundList))
	id := authorized(t, srv, "hold", 1000)
	require.Equal(t, "PROCESSED", a.capture(id, capturing("c-1", 400)).data(t)["status"])
	_, err := srv.Refund(id, "back", inr(100))
	require.NoError(t, err)
	require.NotContains(t, a.get(id).data(t), "refunds")
	order, _ := srv.Order(id)
	require.EqualValues(t, 100, order.Refunded)
}

func TestWebhookNewIDs(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ids []string
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if ids = append(ids, r.Header.Get("webhook-id")); len(ids) < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(shop.Close)
	srv, _ := apiWith(t, pluraltest.WithWebhookNewIDs(), pluraltest.WithWebhookURL(shop.URL),
		pluraltest.WithWebhookTimeScale(0.0001))
	authorized(t, srv, "hold", 1000)
	require.NoError(t, srv.WaitWebhooks(t.Context()))
	require.Len(t, ids, 3)
	require.NotEqual(t, ids[0], ids[1])
	require.NotEqual(t, ids[1], ids[2])
}

// The copies of the first attempt have the event's own id, also if the server
// makes a new id for each redelivery.
func TestWebhookCopiesKeepTheID(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ids := map[string]int{}
	shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ids[r.Header.Get("webhook-id")]++
	}))
	t.Cleanup(shop.Close)
	srv, _ := apiWith(t, pluraltest.WithWebhookNewIDs(), pluraltest.WithWebhookDuplicates(200),
		pluraltest.WithWebhookURL(shop.URL))
	authorized(t, srv, "hold", 1000)
	require.NoError(t, srv.WaitWebhooks(t.Context()))
	require.Len(t, ids, 1)
}

func TestTokenErrorInTheShapeOfTheAPI(t *testing.T) {
	t.Parallel()
	srv, a := apiWith(t, pluraltest.WithTokenErrors(pluraltest.TokenErrorCode))
	r := a.do("POST", "/api/auth/v1/token", tokenBody(srv.ClientID, "wrong", "client_credentials"))
	require.Equal(t, 401, r.status)
	require.Equal(t, "UNAUTHORIZED", r.code(t))
}
