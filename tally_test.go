package plural_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// payment(status, paid, captured...) makes a payment with this status, this
// amount and these captures.
func payment(status plural.PaymentStatus, paid plural.Amount, captured ...plural.Amount) plural.Payment {
	p := plural.Payment{Status: status, PaymentAmount: paid}
	for _, amount := range captured {
		p.CaptureData = append(p.CaptureData, plural.CaptureData{MerchantCaptureReference: "c", CaptureAmount: amount})
	}
	return p
}

func TestCapturedAmount(t *testing.T) {
	t.Parallel()
	type orders = []plural.Payment
	const (
		processed = plural.PaymentStatusProcessed
		hold      = plural.PaymentStatusAuthorized
	)
	usd := plural.Amount{Value: 3075, Currency: "USD"}
	exchanged := plural.Payment{Status: processed, PaymentAmount: usd, BaseAmount: plural.INR(250000)}
	cases := map[string]struct {
		order plural.Order
		want  int64
		known bool
	}{
		"full capture": {
			plural.Order{
				Status:   "PROCESSED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(2000), plural.INR(2000))},
			},
			2000,
			true,
		},
		"partial capture": {
			plural.Order{
				Status:   "PARTIALLY_CAPTURED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))},
			},
			1200,
			true,
		},
		"partial capture, pre_auth false": {
			plural.Order{Status: "PARTIALLY_CAPTURED", Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))}},
			1200,
			true,
		},
		"partial capture with status PROCESSED": {
			plural.Order{Status: "PROCESSED", Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))}},
			1200,
			true,
		},
		"points and card": {
			plural.Order{
				Status: "PROCESSED",
				Payments: orders{
					payment(processed, plural.INR(100), plural.INR(100)),
					payment(processed, plural.INR(100), plural.INR(100)),
				},
			},
			200,
			true,
		},
		"points and card, in part": {
			plural.Order{
				Status: "PARTIALLY_CAPTURED",
				Payments: orders{
					payment(processed, plural.INR(100), plural.INR(100)),
					payment(processed, plural.INR(100), plural.INR(20)),
				},
			},
			120,
			true,
		},
		"after a partial refund": {
			plural.Order{
				Status:   "PARTIALLY_REFUNDED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))},
			},
			1200,
			true,
		},
		"captured, with status AUTHORIZED": {
			plural.Order{
				Status:   "AUTHORIZED",
				PreAuth:  true,
				Payments: orders{payment(hold, plural.INR(2000), plural.INR(1200))},
			},
			0,
			false,
		},
		"a failed attempt before": {
			plural.Order{
				Status:  "PROCESSED",
				PreAuth: true,
				Payments: orders{
					payment("FAILED", plural.INR(2000), plural.INR(2000)),
					payment(processed, plural.INR(2000), plural.INR(2000)),
				},
			},
			2000,
			true,
		},
		"a cancelled part": {
			plural.Order{
				Status:  "PROCESSED",
				PreAuth: true,
				Payments: orders{
					payment("CANCELLED", plural.INR(50), plural.INR(50)),
					payment(processed, plural.INR(2000), plural.INR(2000)),
				},
			},
			2000,
			true,
		},

		"a purchase": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment("FAILED", plural.INR(2000)), payment(processed, plural.INR(2000))},
			},
			0,
			false, // a partial capture has the same status
		},
		"a purchase from points and card": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment(processed, plural.INR(300)), payment(processed, plural.INR(1700))},
			},
			0,
			false,
		},
		"a purchase, refunded": {
			plural.Order{Status: "FULLY_REFUNDED", Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"a purchase in another currency": {plural.Order{Status: "PROCESSED", Payments: orders{exchanged}}, 0, false},
		"a purchase by UPI": {
			plural.Order{
				Status: "PROCESSED",
				Payments: orders{
					{Status: "FAILED", PaymentMethod: plural.PaymentMethodCard, PaymentAmount: plural.INR(2000)},
					{Status: processed, PaymentMethod: plural.PaymentMethodUPI, PaymentAmount: plural.INR(2000)},
				},
			},
			2000,
			true,
		},
		"another payment in an unknown status": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment(processed, plural.INR(300), plural.INR(300)), payment("ON_HOLD", plural.INR(1700))},
			},
			0,
			false,
		},
		"nothing paid yet": {plural.Order{Status: "CREATED"}, 0, true},
		"a failed attempt only": {
			plural.Order{Status: "ATTEMPTED", Payments: orders{payment("FAILED", plural.INR(2000))}},
			0,
			true,
		},
		"failed": {
			plural.Order{Status: "FAILED", Payments: orders{payment("FAILED", plural.INR(2000))}},
			0,
			true,
		},
		"on hold": {
			plural.Order{Status: "AUTHORIZED", PreAuth: true, Payments: orders{payment(hold, plural.INR(2000))}},
			0,
			true,
		},
		"cancelled": {
			plural.Order{Status: "CANCELLED", PreAuth: true, Payments: orders{payment("CANCELLED", plural.INR(2000))}},
			0,
			true,
		},

		"under way": {
			plural.Order{Status: "PENDING", Payments: orders{payment("PENDING", plural.INR(2000))}},
			0,
			false,
		},
		"a capture under way": {
			plural.Order{
				Status:  "PROCESSED",
				PreAuth: true,
				Payments: orders{
					payment(processed, plural.INR(100), plural.INR(100)),
					payment("PENDING", plural.INR(100), plural.INR(100)),
				},
			},
			0,
			false,
		},
		"after a hold, without capture data": {
			plural.Order{Status: "PROCESSED", PreAuth: true, Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"in part, without capture data": {
			plural.Order{Status: "PARTIALLY_CAPTURED", Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"cancelled, but its payments are not": {
			plural.Order{
				Status:   "CANCELLED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(100)), payment(processed, plural.INR(100))},
			},
			0,
			false,
		},
		"cancelled with capture data": {
			plural.Order{
				Status:   "CANCELLED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(100), plural.INR(100))},
			},
			0,
			false,
		},
		"an unknown status": {
			plural.Order{Status: "SETTLED", Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"processed without payments": {plural.Order{Status: "PROCESSED"}, 0, false},
		"captured in two currencies": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment(processed, usd, plural.INR(100)), payment(processed, usd, usd)},
			},
			0,
			false,
		},
		"captured in another currency": {
			plural.Order{Status: "PROCESSED", PreAuth: true, Payments: orders{payment(processed, usd, usd)}},
			0,
			false,
		},
		"paid in a currency without a rate": {
			plural.Order{Status: "PROCESSED", Payments: orders{payment(processed, usd)}},
			0,
			false,
		},
		"a negative capture": {
			plural.Order{
				Status:   "PROCESSED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(100), plural.INR(-5))},
			},
			0,
			false,
		},
		"more than an int64 can hold": {
			plural.Order{
				Status:   "PROCESSED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(1), plural.INR(math.MaxInt64), plural.INR(1))},
			},
			0,
			false,
		},
		"a refund": {
			plural.Order{
				Type:     plural.OrderTypeRefund,
				Status:   "PROCESSED",
				Payments: orders{payment(processed, plural.INR(400))},
			},
			0,
			false,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.order.OrderAmount = plural.INR(2000)
			got, known := tc.order.CapturedAmount()
			require.Equal(t, tc.known, known)
			require.Equal(t, tc.want, got.Value)
			if known {
				require.Equal(t, plural.CurrencyINR, got.Currency)
			}
		})
	}
}

func TestRefundedAmount(t *testing.T) {
	t.Parallel()
	refund := func(status plural.OrderStatus, a plural.Amount) plural.Order {
		return plural.Order{Type: plural.OrderTypeRefund, Status: status, OrderAmount: a}
	}
	cases := map[string]struct {
		status  plural.OrderStatus
		refunds []plural.Order
		want    int64
		known   bool
	}{
		"none": {"PROCESSED", nil, 0, true},
		"two": {
			"PARTIALLY_REFUNDED",
			[]plural.Order{refund("PROCESSED", plural.INR(100)), refund("PROCESSED", plural.INR(250))},
			350,
			true,
		},
		"with refunds under way": {
			"PARTIALLY_REFUNDED",
			[]plural.Order{
				refund("PENDING", plural.INR(100)),
				refund("FAILED", plural.INR(9)),
				refund("CREATED", plural.INR(9)),
				refund("PROCESSED", plural.INR(250)),
			},
			359,
			true,
		},
		"all under way":              {"PROCESSED", []plural.Order{refund("PENDING", plural.INR(100))}, 100, true},
		"an unknown status":          {"PROCESSED", []plural.Order{refund("ON_HOLD", plural.INR(100))}, 0, false},
		"cancelled":                  {"PROCESSED", []plural.Order{refund("CANCELLED", plural.INR(100))}, 0, true},
		"refunded, refunds left out": {"FULLY_REFUNDED", nil, 0, false},
		"refunded, none carried out": {"PARTIALLY_REFUNDED", []plural.Order{refund("FAILED", plural.INR(100))}, 0, false},
		"in two currencies": {
			"PARTIALLY_REFUNDED",
			[]plural.Order{refund("PROCESSED", plural.INR(100)), refund("PROCESSED", plural.Amount{Value: 1, Currency: "USD"})},
			0,
			false,
		},
		"negative": {"PARTIALLY_REFUNDED", []plural.Order{refund("PROCESSED", plural.INR(-100))}, 0, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := plural.Order{Status: tc.status, OrderAmount: plural.INR(2000), Refunds: tc.refunds}
			got, known := o.RefundedAmount()
			require.Equal(t, tc.known, known)
			require.Equal(t, tc.want, got.Value)
		})
	}
}

func TestWhatCanBeDoneToAnOrder(t *testing.T) {
	t.Parallel()
	captured := []plural.Payment{payment(plural.PaymentStatusProcessed, plural.INR(100), plural.INR(100))}
	cases := map[string]struct {
		order                   plural.Order
		capture, cancel, refund bool
	}{
		"a hold":                     {plural.Order{Status: "AUTHORIZED", PreAuth: true}, true, true, false},
		"a hold, pre_auth false":     {plural.Order{Status: "AUTHORIZED"}, true, true, false},
		"a hold with capture data":   {plural.Order{Status: "AUTHORIZED", Payments: captured}, false, false, false},
		"processed":                  {plural.Order{Status: "PROCESSED"}, false, false, true},
		"captured in part":           {plural.Order{Status: "PARTIALLY_CAPTURED", Payments: captured}, false, false, true},
		"refunded in part":           {plural.Order{Status: "PARTIALLY_REFUNDED"}, false, false, true},
		"refunded in full":           {plural.Order{Status: "FULLY_REFUNDED"}, false, false, false},
		"created":                    {plural.Order{Status: "CREATED"}, false, false, false},
		"cancelled":                  {plural.Order{Status: "CANCELLED", Payments: captured}, false, false, false},
		"an unknown status":          {plural.Order{Status: "SETTLED"}, false, false, false},
		"a refund that is processed": {plural.Order{Type: plural.OrderTypeRefund, Status: "PROCESSED"}, false, false, false},
		"a refund on hold":           {plural.Order{Type: plural.OrderTypeRefund, Status: "AUTHORIZED"}, false, false, false},
	}
	for name, tc := range cases {
		require.Equal(t, tc.capture, tc.order.CanCapture(), name)
		require.Equal(t, tc.cancel, tc.order.CanCancel(), name)
		require.Equal(t, tc.refund, tc.order.CanRefund(), name)
	}
}

// Plural has published these documents. It is easy to read a wrong amount from
// them.
func TestAmountsOfPayloads(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		captured        int64
		known           bool
		refunded        int64
		refundedIsKnown bool
	}{
		"event_order_processed_partial_capture.json":       {1200 * 37, true, 0, true},
		"event_order_processed_points_camelcase.json":      {200 * 37, true, 0, true},
		"event_order_authorized_points_camelcase.json":     {0, true, 0, true},
		"event_order_cancelled_points_camelcase.json":      {0, false, 0, true},
		"event_order_processed_foreign_card.json":          {0, false, 0, true},
		"event_order_processed_card_preauth_captured.json": {200 * 37, true, 0, true},
		"event_order_processed_card_purchase.json":         {0, false, 0, true},
		"event_refund_processed_parent_order.json":         {61000, true, 61000, true},
		"event_refund_processed_card.json":                 {0, false, 0, false}, // the document is that of a refund
		"refund_response_older_shape.json":                 {0, false, 8800, true},
		"capture_response_capture_data_object.json":        {1100 * 37, true, 0, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o plural.Order
			require.NoError(t, o.UnmarshalJSON(dataOf(t, payload(t, name))))
			captured, known := o.CapturedAmount()
			require.Equal(t, tc.known, known)
			require.Equal(t, tc.captured, captured.Value)
			refunded, known := o.RefundedAmount()
			require.Equal(t, tc.refundedIsKnown, known)
			require.Equal(t, tc.refunded, refunded.Value)
		})
	}
}

// TestWhatIsLeft checks the amounts that are left to capture and to refund,
// from the start to the end of an order.
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
			t.Context(), id, &plural.RefundRequest{MerchantOrderReference: "refund-2", OrderAmount: plural.INR(500)},
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
	require.False(t, ok, "more was refunded than captured, so the amount is unknown")
}

// If the amount of a failed payment cannot be read, the amounts of the order
// are still known.
func TestUnreadableAmountOfAFailedAttempt(t *testing.T) {
	t.Parallel()
	for _, amount := range []string{
		`{"value":"19.995","currency":"INR"}`, `{"value":19.995,"currency":"INR"}`, `{"value":"","currency":"INR"}`,
		`{"value":null,"currency":"INR"}`, `{"value":1e400,"currency":"INR"}`,
		`{"value":99999999999999999999,"currency":"INR"}`,
		`{"value":true,"currency":"INR"}`, `{"value":{},"currency":"INR"}`, `{"value":[2000],"currency":"INR"}`,
		`{"value":2000,"currency":7}`, `{"currency":"INR"}`, `{"value":2000}`, `{}`, `[]`, `null`,
		`""`, `"20.00"`, `20.5`, `true`,
	} {
		for _, where := range []string{
			`"payment_amount":%s`, `"payment_amount":{"value":24,"currency":"USD"},"base_amount":%s`,
			`"paymentAmount":%s`,
			`"payment_amount":{"value":2000,"currency":"INR"},` +
				`"capture_data":[{"merchant_capture_reference":"capture-1","capture_amount":%s}]`,
		} {
			document := fmt.Sprintf(`{"order_id":"v1-agreed","type":"CHARGE","status":"PROCESSED",`+
				`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"},"payments":[`+
				`{"id":"v1-agreed-1","status":"FAILED","payment_method":"CARD",`+where+`},`+
				`{"id":"v1-agreed-2","status":"PROCESSED","payment_method":"UPI",`+
				`"payment_amount":{"value":2000,"currency":"INR"}}]}`, amount)
			c := newPeerClient(t, func(*http.Request) (*http.Response, error) {
				return answer(200, `{"data":`+document+`}`), nil
			})
			o, err := c.Orders.Get(t.Context(), "v1-agreed")
			require.NoError(t, err, document)
			taken, known := o.CapturedAmount()
			require.True(t, known, document)
			require.Equal(t, plural.INR(2000), taken, document)
			require.NoError(t, plural.Expected{OrderID: "v1-agreed", OrderAmount: plural.INR(2000)}.Check(o), document)
		}
	}
}

// Expected.Check does not treat an absent pre_auth as false.
func TestCheckOfAHoldWithoutPreAuth(t *testing.T) {
	t.Parallel()
	for field, paid := range map[string]bool{
		`"pre_auth":true,`: true, `"preAuth":true,`: true, `"pre_auth":"true",`: true, ``: true, `"pre_auth":null,`: true,
		`"pre_auth":false,`: false, `"preAuth":false,`: false, `"pre_auth":"false",`: false,
	} {
		o := new(plural.Order)
		require.NoError(t, json.Unmarshal([]byte(`{"order_id":"v1-agreed","type":"CHARGE","status":"AUTHORIZED",`+field+
			`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"},"payments":[{"id":"v1-agreed-1",`+
			`"status":"AUTHORIZED","payment_method":"CARD","payment_amount":{"value":2000,"currency":"INR"}}]}`), o))
		err := plural.Expected{OrderID: "v1-agreed", OrderAmount: plural.INR(2000)}.Check(o)
		if paid {
			require.NoError(t, err, field)
		} else {
			require.ErrorIs(t, err, plural.ErrNotPaid, field)
		}
	}
}
