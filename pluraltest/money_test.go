package pluraltest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// The server refuses a request with an amount in a field that the server does
// not read. It would be wrong to use another amount silently, even if the live
// service does so.
func TestMoneyThatIsNotReadIsRefused(t *testing.T) {
	t.Parallel()
	srv, a, id := withHold(t)
	for _, request := range [][3]string{
		{
			"PUT", "/api/pay/v1/orders/" + id + "/capture",
			`{"merchant_capture_reference":"c","amount":{"value":100,"currency":"INR"}}`,
		},
		{
			"POST", "/api/checkout/v1/orders",
			`{"merchant_order_reference":"n","order_amount":{"value":100,"currency":"INR"},"base_amount":{"value":100,` +
				`"currency":"INR"}}`,
		},
		{
			"POST", "/api/pay/v1/orders",
			`{"merchant_order_reference":"n","order_amount":{"value":100,"currency":"INR"},"base_amount":{"value":100,` +
				`"currency":"INR"}}`,
		},
	} {
		r, err := a.try(t.Context(), request[0], request[1], request[2])
		require.NoError(t, err)
		require.Equal(t, 400, r.status, "%s", r.body)
		require.Contains(t, string(r.body), "INVALID_REQUEST")
	}
	require.Empty(t, srv.Captures(id))
	require.Len(t, srv.Orders(), 1)
}

// The shop plugins have another name for a refund's sum. An option makes the
// server read that field.
func TestRefundsOfTheShopPlugins(t *testing.T) {
	t.Parallel()
	const body = `{"merchant_order_reference":"r","refund_amount":{"value":1000,"currency":"INR"}}`
	for opt, want := range map[bool]int64{false: 0, true: 1000} {
		var opts []pluraltest.Option
		if opt {
			opts = append(opts, pluraltest.WithPluginRefunds())
		}
		srv := pluraltest.New(opts...)
		defer srv.Close()
		id := authorized(t, srv, "order", 26000)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		r, err := newAPI(t, srv).try(t.Context(), "POST", "/api/pay/v1/refunds/"+id, body)
		require.NoError(t, err)
		require.Equal(t, map[bool]int{false: 400, true: 200}[opt], r.status, "%s", r.body)
		o, _ := srv.Order(id)
		require.Equal(t, want, o.Refunded)
	}
}

// Plural's older guide has other names for a refund's fields. With
// WithOldRefunds or WithPluginRefunds, the server reads a refund's sum from
// order_amount or from refund_amount. If a request has both fields and their
// sums differ, the server refuses the request.
func TestOldRefunds(t *testing.T) {
	t.Parallel()
	const (
		names   = `"merchant_refund_reference":"r-1"`
		hundred = `{"value":10000,"currency":"INR"}`
	)
	tests := map[string]struct {
		opts   []pluraltest.Option
		body   string
		status int
	}{
		"old":         {[]pluraltest.Option{pluraltest.WithOldRefunds()}, names + `,"refund_amount":` + hundred, 200},
		"old, not on": {nil, names + `,"refund_amount":` + hundred, 400},
		"new": {
			[]pluraltest.Option{pluraltest.WithOldRefunds()},
			`"merchant_order_reference":"r-1","order_amount":` + hundred, 200,
		},
		"both, same": {
			[]pluraltest.Option{pluraltest.WithOldRefunds()},
			names + `,"order_amount":` + hundred + `,"refund_amount":` + hundred, 200,
		},
		"both, differ": {
			[]pluraltest.Option{pluraltest.WithOldRefunds()},
			names + `,"order_amount":` + hundred + `,"refund_amount":{"value":20000,"currency":"INR"}`, 400,
		},
		"plugin's, differ": {
			[]pluraltest.Option{pluraltest.WithPluginRefunds()},
			`"merchant_order_reference":"r-1","order_amount":` + hundred + `,"refund_amount":{"value":20000,"currency":"INR"}`, 400,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t, test.opts...)
			id := addHold(t, srv, "order-1")
			require.NoError(t, srv.Capture(id, "c-1", pluraltest.Amount{}))
			a := newAPI(t, srv)
			require.Equal(t, test.status, a.refund(id, "{"+test.body+"}").status)
			refunds := srv.Refunds(id)
			if test.status != 200 {
				require.Empty(t, refunds)
				return
			}
			require.Equal(t, "r-1", refunds[0].Reference)
			require.Equal(t, int64(10000), refunds[0].Amount.Value)
		})
	}
}
