package pluraltest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// A sum that the server does not read is refused: to take another in silence
// would be wrong, whatever the live service does.
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

// The shop plugins name a refund's sum otherwise. A switch has it read.
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
