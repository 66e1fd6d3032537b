package pluraltest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// captureState returns an order's status. For each payment it also returns the
// captured sum and the status.
func captureState(t *testing.T, srv *pluraltest.Server, id string) (status string, sums []int64, statuses []string) {
	t.Helper()
	o, ok := srv.Order(id)
	require.True(t, ok)
	for _, p := range o.Payments {
		sums, statuses = append(sums, p.Captured.Value), append(statuses, p.Status)
	}
	return o.Status, sums, statuses
}

// Two payments of one order are captured one after the other. Either the card
// or the points may be first, and the last payment may fail.
func TestCaptureLegByLeg(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault          pluraltest.Fault
		amount         int64
		early, late    []int64
		statuses       []string
		inBooks, inLog any
	}{
		"card first": {
			pluraltest.CardThenPoints, 0,
			[]int64{3000, 0},
			[]int64{3000, 2000},
			[]string{"PROCESSED", "PROCESSED"},
			int64(5000), pluraltest.EffectAppliedLate,
		},
		"points first, in part": {
			pluraltest.PointsThenCard, 4000,
			[]int64{0, 1000},
			[]int64{3000, 1000},
			[]string{"PROCESSED", "PROCESSED"},
			int64(4000), pluraltest.EffectAppliedLate,
		},
		"the card fails": {
			pluraltest.PointsThenCardFails, 0,
			[]int64{0, 2000},
			[]int64{0, 2000},
			[]string{"FAILED", "PROCESSED"},
			int64(2000), pluraltest.EffectFailed,
		},
		"the points fail": {
			pluraltest.CardThenPointsFails, 4000,
			[]int64{3000, 0},
			[]int64{3000, 0},
			[]string{"PROCESSED", "FAILED"},
			int64(3000), pluraltest.EffectFailed,
		},
		"the card is enough": {
			pluraltest.CardThenPoints, 1500,
			[]int64{1500, 0},
			[]int64{1500, 0},
			[]string{"PROCESSED", "CANCELLED"},
			int64(1500), pluraltest.EffectAppliedLate,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := pluraltest.New()
				defer srv.Close()
				id, err := srv.AddOrder(pluraltest.OrderSpec{
					Reference: "order", Amount: pluraltest.Amount{Value: 5000, Currency: "INR"}, PreAuth: true,
				})
				require.NoError(t, err)
				_, err = srv.Pay(id, pluraltest.ApproveWithPoints(2000))
				require.NoError(t, err)
				srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), test.fault)
				body := `{"merchant_capture_reference":"c"}`
				if test.amount > 0 {
					body = `{"merchant_capture_reference":"c","capture_amount":{"value":` +
						map[int64]string{4000: "4000", 1500: "1500"}[test.amount] + `,"currency":"INR"}}`
				}
				r, err := newAPI(t, srv).try(t.Context(), "PUT", "/api/pay/v1/orders/"+id+"/capture", body)
				require.NoError(t, err)
				require.Equal(t, 200, r.status, "%s", r.body)
				status, sums, _ := captureState(t, srv, id)
				require.Equal(t, test.early, sums)
				passTime(time.Minute)
				after, sums, statuses := captureState(t, srv, id)
				require.Equal(t, status, after, "the order was no longer AUTHORIZED after the first payment")
				require.Equal(t, test.late, sums)
				require.Equal(t, test.statuses, statuses)
				require.Equal(t, test.inBooks, srv.Captures(id)[0].Amount.Value)
				require.Equal(t, test.inLog, srv.FaultLog()[0].Effect)
				srv.AssertExactlyOnce(t)
			})
		})
	}
}

// A replica that lags shows an earlier state of the books.
func TestReadLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(pluraltest.WithReadLag(3 * time.Second))
		defer srv.Close()
		a := newAPI(t, srv)
		id := authorized(t, srv, "order", 5000)
		get := func(path string) reply {
			r, err := a.try(t.Context(), "GET", "/api/pay/v1/orders/"+path, "")
			require.NoError(t, err)
			return r
		}
		require.Equal(t, "ORDER_NOT_FOUND", get(id).code(t), "the order has just been made")
		passTime(4 * time.Second)
		require.Equal(t, "AUTHORIZED", get(id).data(t)["status"])
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		_, err := srv.Refund(id, "r", pluraltest.Amount{Value: 1000, Currency: "INR"})
		require.NoError(t, err)
		require.Equal(t, "AUTHORIZED", get(id).data(t)["status"])
		require.NotEqual(t, 200, get("reference/r").status)
		passTime(4 * time.Second)
		require.Equal(t, "PARTIALLY_REFUNDED", get(id).data(t)["status"])
		require.Equal(t, "PROCESSED", get("reference/r").data(t)["status"])
	})
}

// A replica that lags shows the older of two orders with one reference, while
// it does not know the newer order.
func TestReadLagWithTwoOrders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(
			pluraltest.WithReadLag(3*time.Second), pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted))
		defer srv.Close()
		a := newAPI(t, srv)
		first := authorized(t, srv, "order", 5000)
		passTime(4 * time.Second)
		second := authorized(t, srv, "order", 5000)
		shown := func() any {
			r, err := a.try(t.Context(), "GET", "/api/pay/v1/orders/reference/order", "")
			require.NoError(t, err)
			return r.data(t)["order_id"]
		}
		require.Equal(t, first, shown())
		passTime(4 * time.Second)
		require.Equal(t, second, shown())
	})
}

// The server checks a request for a refund, but makes the refund later. Before
// that, the client repeats the request. Then both requests make a refund.
func TestInsertAfterTheCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		defer srv.Close()
		a := newAPI(t, srv)
		id := authorized(t, srv, "order", 5000)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		srv.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.InsertLate)
		for _, want := range []int{504, 200} {
			r, err := operate(t.Context(), a, pluraltest.OpRefundsCreate, id)
			require.NoError(t, err)
			require.Equal(t, want, r.status)
		}
		require.Len(t, srv.Refunds(id), 1)
		passTime(3 * time.Second)
		require.Len(t, srv.Refunds(id), 2)
		require.NotEmpty(t, srv.Doubles())
	})
}

// A refund can end in any status that a test chooses. A refund gives money back
// only if it ends as PROCESSED.
func TestRefundEnds(t *testing.T) {
	t.Parallel()
	for _, status := range []string{pluraltest.StatusCancelled, "REVERSED"} {
		srv := pluraltest.New()
		defer srv.Close()
		id := authorized(t, srv, "order", 5000)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		srv.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.RefundEnds(status))
		r, err := operate(t.Context(), newAPI(t, srv), pluraltest.OpRefundsCreate, id)
		require.NoError(t, err)
		require.Equal(t, status, r.data(t)["status"])
		o, _ := srv.Order(id)
		require.Equal(t, pluraltest.StatusProcessed, o.Status)
		require.Zero(t, o.Refunded)
		require.Equal(t, pluraltest.EffectFailed, srv.FaultLog()[0].Effect)
	}
}
