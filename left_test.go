package plural_test

import (
	"math"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestAmountArithmetic(t *testing.T) {
	t.Parallel()
	usd := plural.Amount{Value: 100, Currency: "USD"}
	for name, tc := range map[string]struct {
		a, b     plural.Amount
		sum, sub int64
		cmp      int
		ok       bool
	}{
		"more":     {plural.INR(500), plural.INR(200), 700, 300, 1, true},
		"less":     {plural.INR(200), plural.INR(500), 700, -300, -1, true},
		"the same": {plural.INR(7), plural.INR(7), 14, 0, 0, true},
		"debts":    {plural.INR(-7), plural.INR(-8), -15, 1, 1, true},
		"mixed":    {plural.INR(500), usd, 0, 0, 0, false},
		"none":     {plural.INR(500), plural.Amount{}, 0, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum, err := tc.a.Add(tc.b)
			require.Equal(t, tc.ok, err == nil)
			sub, err := tc.a.Sub(tc.b)
			require.Equal(t, tc.ok, err == nil)
			cmp, err := tc.a.Cmp(tc.b)
			require.Equal(t, tc.ok, err == nil)
			if tc.ok {
				require.Equal(t, plural.INR(tc.sum), sum)
				require.Equal(t, plural.INR(tc.sub), sub)
			}
			require.Equal(t, tc.cmp, cmp)
		})
	}
	for _, pair := range [][2]int64{{math.MaxInt64, 1}, {math.MinInt64, -1}} {
		_, err := plural.INR(pair[0]).Add(plural.INR(pair[1]))
		require.Error(t, err)
	}
	for _, pair := range [][2]int64{{math.MaxInt64, -1}, {math.MinInt64, 1}, {0, math.MinInt64}} {
		_, err := plural.INR(pair[0]).Sub(plural.INR(pair[1]))
		require.Error(t, err)
	}
}

func TestAmountDisplay(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]plural.Amount{
		"₹0.00":                 plural.INR(0),
		"₹1,499.50":             plural.INR(149950),
		"₹999.00":               plural.INR(99900),
		"₹1,00,000.00":          plural.INR(10000000),
		"₹12,34,56,789.0" + "1": plural.INR(12345678901),
		"-₹1,499.50":            plural.INR(-149950),
		"USD 1,234,567.8" + "9": {Value: 123456789, Currency: "USD"},
		"JPY 1,234,567":         {Value: 1234567, Currency: "JPY"},
		"5":                     {Value: 5},
	} {
		require.Equal(t, want, a.Display())
	}
}

// What is left to capture and to refund, over the life of an order.
func TestWhatIsLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c := newClient(t, d.srv)
		id := d.order("order-1", true)
		check := func(capturable, refundable int64) {
			t.Helper()
			o, err := c.Orders.Get(t.Context(), id)
			require.NoError(t, err)
			left, ok := o.CapturableAmount()
			require.True(t, ok)
			require.Equal(t, plural.INR(capturable), left)
			left, ok = o.RefundableAmount()
			require.True(t, ok)
			require.Equal(t, plural.INR(refundable), left)
		}
		check(0, 0)
		d.pay(id, pluraltest.Approve)
		check(wholeAmount, 0)
		d.capture(id, "capture-1", partAmount)
		check(0, partAmount)
		d.refund(id, "refund-1", 1000)
		check(0, partAmount-1000)
		d.srv.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.PendingResult)
		_, err := c.Refunds.Create(
			t.Context(),
			id,
			&plural.RefundRequest{MerchantOrderReference: "refund-2", OrderAmount: plural.INR(500)},
		)
		require.NoError(t, err)
		check(0, partAmount-1500)
	})
	for name, o := range map[string]*plural.Order{
		"a refund":  {Type: plural.OrderTypeRefund, Status: plural.OrderStatusProcessed},
		"pending":   {Status: plural.OrderStatusPending, OrderAmount: plural.INR(100)},
		"a new one": {Status: "SETTLED", OrderAmount: plural.INR(100)},
		"under way": {
			Status: plural.OrderStatusAuthorized, PreAuth: true, OrderAmount: plural.INR(100),
			Payments: []plural.Payment{{Status: plural.PaymentStatusPending}},
		},
	} {
		_, ok := o.CapturableAmount()
		require.False(t, ok, name)
		_, ok = o.RefundableAmount()
		if name != "under way" {
			require.False(t, ok, name)
		}
	}
	over := &plural.Order{
		Status: plural.OrderStatusPartiallyRefunded, OrderAmount: plural.INR(100),
		Payments: []plural.Payment{{
			Status: plural.PaymentStatusProcessed, PaymentAmount: plural.INR(100),
			CaptureData: []plural.CaptureData{{CaptureAmount: plural.INR(100)}},
		}},
		Refunds: []plural.Order{{Status: plural.OrderStatusProcessed, OrderAmount: plural.INR(200)}},
	}
	_, ok := over.RefundableAmount()
	require.False(t, ok, "more was refunded than captured")
}

// A webhook is confirmed from the books, whatever it says. A refund's webhook
// is about the order that was refunded.
func TestConfirmEvent(t *testing.T) {
	t.Parallel()
	want := plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(wholeAmount)}
	event := func(data string) *plural.Event {
		return &plural.Event{Type: plural.EventOrderAuthorized, Data: []byte(data)}
	}
	inBubble(t, func(t *testing.T, d *desk) {
		c, ctx := newClient(t, d.srv), t.Context()
		id := d.order("order-1", true)
		about := event(`{"order_id":"` + id + `","status":"PROCESSED"}`)
		var notPaid *plural.NotPaidError
		failed := &plural.Event{Type: plural.EventPaymentFailed, Data: about.Data}
		_, err := c.Orders.ConfirmEvent(ctx, failed, want)
		require.ErrorAs(t, err, &notPaid)
		require.True(t, notPaid.MayStillBePaid(), "what the event says of the order counts for nothing")

		// The event comes before the books show the payment: it has to come again.
		_, err = c.Orders.ConfirmEvent(ctx, about, want)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.NotErrorIs(t, err, plural.ErrNotPaid)
		var unknown *plural.OutcomeUnknownError
		require.ErrorAs(t, err, &unknown)
		require.Equal(t, plural.OrderStatusCreated, unknown.Last.Status)

		d.pay(id, pluraltest.Approve)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.StaleRead, pluraltest.StaleRead)
		o, err := c.Orders.ConfirmEvent(ctx, about, want)
		require.NoError(t, err, "a replica that lags for a second")
		require.Equal(t, id, o.OrderID)
		_, err = c.Orders.ConfirmEvent(
			ctx,
			about,
			plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(1)},
		)
		require.ErrorIs(t, err, plural.ErrNotPaid)

		d.capture(id, "capture-1", 0)
		d.refund(id, "refund-1", 1000)
		refund := d.srv.Refunds(id)[0].ID
		for _, data := range []string{
			`{"order_id":"` + refund + `","type":"REFUND","parent_order_id":"` + id + `","status":"PROCESSED"}`,
			`{"order_id":"` + refund + `","type":"REFUND","status":"PROCESSED"}`,
			`{"order_id":"` + refund + `"}`,
		} {
			_, err = c.Orders.ConfirmEvent(ctx, event(data), want)
			require.ErrorAs(t, err, &notPaid)
			require.Equal(t, id, notPaid.Order.OrderID, data)
			require.True(t, notPaid.WasPaid())
		}
		_, err = c.Orders.ConfirmEvent(ctx, event(`{"customer_id":"c"}`), want)
		require.ErrorIs(t, err, plural.ErrNoOrder)
		_, err = c.Orders.ConfirmEvent(ctx, nil, plural.Expected{})
		require.Len(t, fieldsOf(err), 4)
		d.srv.Inject(
			pluraltest.On(pluraltest.OpOrdersGet),
			repeated(pluraltest.StatusFault(http.StatusForbidden, "", pluraltest.ApplyNever), 1)...)
		_, err = c.Orders.ConfirmEvent(ctx, about, want)
		require.Error(t, err)
	})
}
