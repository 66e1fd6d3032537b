package plural_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// observations are what an observer was told.
type observations struct {
	mu  sync.Mutex
	all []plural.Observation
}

func (o *observations) observe(_ context.Context, one plural.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	one.RequestID, one.Duration = "", 0
	o.all = append(o.all, one)
}

func (o *observations) take() []plural.Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.all
	o.all = nil
	return all
}

func TestObserver(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	var told observations
	var spans []string
	client := newClient(t, srv, plural.WithObserver(told.observe), plural.WithMiddleware(
		func(next http.RoundTripper) http.RoundTripper {
			return transportFunc(func(r *http.Request) (*http.Response, error) {
				id, reference := plural.OrderFromContext(r.Context())
				spans = append(spans, plural.OperationFromContext(r.Context())+" "+id+" "+reference)
				return next.RoundTrip(r)
			})
		},
	))

	created, err := client.Orders.Create(t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-1", OrderAmount: plural.INR(10_000), PreAuth: true,
	})
	require.NoError(t, err)
	id := created.OrderID
	require.Equal(t, []plural.Observation{
		{Operation: "token", Attempts: 1},
		{Operation: "orders.create", Reference: "order-1", Attempts: 1},
	}, told.take())

	_, err = srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	_, err = client.Captures.Create(
		t.Context(),
		id,
		&plural.CaptureRequest{MerchantCaptureReference: "capture-1", FullAmount: true},
	)
	require.NoError(t, err)
	require.Equal(t, []plural.Observation{
		{Operation: "captures.create", OrderID: id, Reference: "capture-1", Attempts: 1, Settled: true},
	}, told.take(), "its settling reads are a part of it")
	require.Equal(t, []string{
		"orders.create  order-1", "captures.create " + id + " capture-1", "orders.get " + id + " capture-1",
	}, spans)

	_, err = client.Cancels.Create(t.Context(), id)
	require.ErrorIs(t, err, plural.ErrNotApplied)
	got := told.take()
	require.Len(t, got, 1)
	require.ErrorIs(t, got[0].Err, plural.ErrNotApplied)

	_, err = client.Orders.GetByReference(t.Context(), "order-1")
	require.NoError(t, err)
	_, err = client.Refunds.Find(t.Context(), id, "refund-1")
	require.ErrorIs(t, err, plural.ErrNotFound)
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "/api/pay/v1/orders/"+id, nil, nil))
	got = told.take()
	require.Equal(t, "orders.get_by_reference  order-1", got[0].Operation+" "+got[0].OrderID+" "+got[0].Reference)
	require.Equal(t, "refunds.find "+id+" refund-1", got[1].Operation+" "+got[1].OrderID+" "+got[1].Reference)
	require.Equal(t, "do", got[2].Operation)
}

func TestObserverThatPanics(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	client := newClient(t, srv, plural.WithObserver(func(context.Context, plural.Observation) { panic("a bug") }))
	_, err := client.Orders.Get(t.Context(), "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	_, err = plural.NewClient(gatewayCredentials(), plural.WithBaseURL(srv.URL), plural.WithObserver(nil))
	require.ErrorContains(t, err, "the observer is nil")
	id, reference := plural.OrderFromContext(t.Context())
	require.Empty(t, id+reference)
}
