package pluraltest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// addHold adds an order with a hold that the payer has approved.
func addHold(t *testing.T, srv *pluraltest.Server, reference string) string {
	t.Helper()
	id, err := srv.AddOrder(pluraltest.OrderSpec{
		Reference: reference, Amount: pluraltest.Amount{Value: 50000, Currency: "INR"}, PreAuth: true,
	})
	require.NoError(t, err)
	_, err = srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	return id
}

const captureBody = `{"merchant_capture_reference":"c-1"}`

func TestLapseHold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		where         pluraltest.Lapse
		status        string
		atBank        bool
		capture       string // the error code with which a capture is refused
		cancel        int
		cancelledByUs int
	}{
		"at the bank alone":  {pluraltest.LapseAtBank, "AUTHORIZED", true, "PAYMENT_EXPIRED", http.StatusOK, 1},
		"in the books alone": {pluraltest.LapseInBooks, "CANCELLED", false, "ORDER_CANCELLED", 422, 0},
		"everywhere":         {pluraltest.LapseEverywhere, "CANCELLED", true, "ORDER_CANCELLED", 422, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t)
			a := newAPI(t, srv)
			id := addHold(t, srv, "order-1")
			require.NoError(t, srv.LapseHold(id, test.where))
			o, _ := srv.Order(id)
			require.Equal(t, test.status, o.Status)
			require.Equal(t, test.atBank, o.HoldLapsed)
			require.Equal(t, test.status, a.get(id).data(t)["status"])
			refused := a.do("PUT", "/api/pay/v1/orders/"+id+"/capture", captureBody)
			require.Equal(t, test.capture, refused.code(t))
			require.Empty(t, srv.Captures(id))
			require.Equal(t, test.cancel, a.do("PUT", "/api/pay/v1/orders/"+id+"/cancel", "").status)
			require.Len(t, srv.Cancels(id), test.cancelledByUs)
			require.ErrorContains(t, srv.LapseHold(id, test.where), "no hold", "the hold has ended")
		})
	}
	srv := pluraltest.NewServer(t)
	require.Error(t, srv.LapseHold("nobody's", pluraltest.LapseEverywhere))
	id := addHold(t, srv, "order-1")
	require.NoError(t, srv.LapseHold(id, pluraltest.LapseAtBank))
	require.NoError(t, srv.LapseHold(id, pluraltest.LapseInBooks), "the hold can still lapse in the books")
	o, _ := srv.Order(id)
	require.Equal(t, "CANCELLED", o.Status)
	require.True(t, o.HoldLapsed)
}

func TestHoldLifetime(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithHoldLifetime(7*24*time.Hour, pluraltest.LapseEverywhere))
	a := newAPI(t, srv)
	first, taken := addHold(t, srv, "order-1"), addHold(t, srv, "order-2")
	require.Equal(t, http.StatusOK, a.do("PUT", "/api/pay/v1/orders/"+taken+"/capture", captureBody).status)
	srv.Flush()
	srv.Advance(7*24*time.Hour - time.Minute)
	second := addHold(t, srv, "order-3")
	status := func(id string) string {
		o, _ := srv.Order(id)
		return o.Status
	}
	require.Equal(t, "AUTHORIZED", status(first), "the hold ends in a minute, and Flush does not move the clock")
	srv.Advance(time.Minute)
	require.Equal(t, "CANCELLED", status(first))
	require.Equal(t, "PROCESSED", status(taken))
	require.Equal(t, "AUTHORIZED", status(second), "the hold is a minute old")
	srv.Advance(7 * 24 * time.Hour)
	require.Equal(t, "CANCELLED", status(second))
}

// A hold ends by itself at the end of its lifetime. The test does not call
// Advance and sends no request.
func TestHoldsLapseByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(pluraltest.WithHoldLifetime(time.Hour, pluraltest.LapseEverywhere))
		defer srv.Close()
		id := addHold(t, srv, "order-1")
		time.Sleep(time.Hour - time.Second)
		o, _ := srv.Order(id)
		require.Equal(t, "AUTHORIZED", o.Status)
		time.Sleep(time.Second)
		synctest.Wait()
		o, _ = srv.Order(id)
		require.Equal(t, "CANCELLED", o.Status)
	})
}
