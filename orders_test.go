package plural_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestOrderLookups(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c, ctx := newClient(t, d.srv), t.Context()
		id := d.order("order-1", true)
		d.srv.Inject(
			pluraltest.Match{},
			pluraltest.NoFault,
			pluraltest.ResetBeforeApply,
			pluraltest.ServerErrorBeforeApply,
			pluraltest.Refuse,
		)
		byID, err := c.Orders.Get(ctx, id)
		require.NoError(t, err)
		require.Equal(t, plural.OrderStatusCreated, byID.Status)
		byReference, err := c.Orders.GetByReference(ctx, "order-1")
		require.NoError(t, err)
		require.Equal(t, byID.RawJSON(), byReference.RawJSON())

		_, err = c.Orders.Get(ctx, "v1-never")
		require.ErrorIs(t, err, plural.ErrNotFound)
		_, err = c.Orders.GetByReference(ctx, "never")
		require.ErrorIs(t, err, plural.ErrNotFound)
		for _, bad := range []string{"", "..", "a/b", "a?b"} {
			_, err = c.Orders.Get(ctx, bad)
			require.ErrorIs(t, err, plural.ErrInvalidRequest)
			_, err = c.Orders.GetByReference(ctx, bad)
			require.ErrorIs(t, err, plural.ErrInvalidRequest)
		}

		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.OtherOrder)
		_, err = c.Orders.Get(ctx, id)
		require.ErrorContains(t, err, "another order")
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), pluraltest.OtherOrder)
		_, err = c.Orders.GetByReference(ctx, "order-1")
		require.ErrorContains(t, err, "another reference")
	})
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	want := plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(wholeAmount)}
	tests := map[string]struct {
		sale      bool
		decisions []pluraltest.Decision
		want      plural.Expected
		then      func(d *desk, id string)
		notPaid   string // why the order is not paid; "": it is paid
	}{
		"held": {decisions: []pluraltest.Decision{pluraltest.Approve}, want: want},
		"paid": {sale: true, decisions: []pluraltest.Decision{pluraltest.Approve}, want: want},
		"captured meanwhile": {
			decisions: []pluraltest.Decision{pluraltest.Approve},
			want:      want,
			then:      func(d *desk, id string) { d.capture(id, "capture-1", 0) },
		},
		"captured in part meanwhile": {
			decisions: []pluraltest.Decision{
				pluraltest.Approve,
			},
			want:    want,
			then:    func(d *desk, id string) { d.capture(id, "capture-1", partAmount) },
			notPaid: "PARTIALLY_CAPTURED",
		},
		"cancelled meanwhile": {
			decisions: []pluraltest.Decision{pluraltest.Approve}, want: want,
			then: func(d *desk, id string) { require.NoError(d.t, d.srv.Cancel(id)) }, notPaid: "CANCELLED",
		},
		"declined": {decisions: []pluraltest.Decision{pluraltest.Decline("no")}, want: want, notPaid: "ATTEMPTED"},
		"declined for good": {
			decisions: []pluraltest.Decision{pluraltest.Decline("no").Final()},
			want:      want,
			notPaid:   "FAILED",
		},
		"pending": {decisions: []pluraltest.Decision{pluraltest.LeavePending}, want: want, notPaid: "PENDING"},
		"another reference": {
			decisions: []pluraltest.Decision{pluraltest.Approve}, notPaid: "another merchant_order_reference",
			want: plural.Expected{MerchantOrderReference: "order-2", OrderAmount: plural.INR(wholeAmount)},
		},
		"another amount": {
			decisions: []pluraltest.Decision{pluraltest.Approve}, notPaid: "INR 100.00, not for INR 99.00",
			want: plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(9900)},
		},
		"another currency": {
			decisions: []pluraltest.Decision{pluraltest.Approve},
			notPaid:   "not for USD 100.00",
			want: plural.Expected{
				MerchantOrderReference: "order-1",
				OrderAmount:            plural.Amount{Value: wholeAmount, Currency: "USD"},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.order("order-1", !test.sale)
				var back pluraltest.Return
				for _, decision := range test.decisions {
					var err error
					back, err = d.srv.Pay(id, decision)
					require.NoError(t, err)
				}
				if test.then != nil {
					test.then(d, id)
				}
				v, err := plural.NewVerifier(d.srv.ClientSecret)
				require.NoError(t, err)
				cb, err := v.VerifyCallback(back.Form)
				require.NoError(t, err)
				o, err := newClient(t, d.srv).Orders.Confirm(t.Context(), cb, test.want)
				if test.notPaid == "" {
					require.NoError(t, err)
					require.Equal(t, id, o.OrderID)
					return
				}
				require.Nil(t, o)
				var notPaid *plural.NotPaidError
				require.ErrorAs(t, err, &notPaid)
				require.Equal(t, id, notPaid.Order.OrderID)
				require.Contains(t, notPaid.Error(), test.notPaid)
			})
		})
	}
}

// Even a genuine callback only has the status that Plural's page reported. The
// books may have another status.
func TestConfirmDoesNotTrustTheCallbacksStatus(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		id := d.order("order-1", false)
		d.pay(id, pluraltest.Decline("no"))
		v, err := plural.NewVerifier(d.srv.ClientSecret)
		require.NoError(t, err)
		c := newClient(t, d.srv)
		for _, status := range []string{"PROCESSED", "AUTHORIZED"} {
			cb, err := v.VerifyCallback(d.srv.SignForm(url.Values{"order_id": {id}, "status": {status}}))
			require.NoError(t, err)
			o, err := c.Orders.Confirm(
				t.Context(), cb, plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(wholeAmount)},
			)
			require.ErrorIs(t, err, plural.ErrNotPaid)
			require.Nil(t, o)
		}
	})
}

// If the caller does not give the expected order completely, nothing is read.
func TestExpectedIsRequired(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	defer srv.Close()
	v, err := plural.NewVerifier(srv.ClientSecret)
	require.NoError(t, err)
	cb, err := v.VerifyCallback(srv.SignForm(url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}}))
	require.NoError(t, err)
	for _, test := range []struct {
		want   plural.Expected
		fields []string
	}{
		{plural.Expected{}, []string{"merchant_order_reference", "order_amount.value", "order_amount.currency"}},
		{plural.Expected{OrderAmount: plural.INR(100)}, []string{"merchant_order_reference"}},
		{plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(0)}, []string{"order_amount.value"}},
		{plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(-1)}, []string{"order_amount.value"}},
		{
			plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.Amount{Value: 100}},
			[]string{"order_amount.currency"},
		},
	} {
		o, err := newSilentClient(t).Orders.Confirm(t.Context(), cb, test.want)
		requireChecked(t, err, test.fields...)
		require.Nil(t, o)
		requireChecked(t, test.want.Check(&plural.Order{}), test.fields...)
	}
	requireChecked(t, plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(100)}.Check(nil), "order")
}

// The id in a callback may lead to a document that is not a payment: a refund,
// or an AUTHORIZED order that was not pre-authorised. Then Confirm fails, even
// if the callback reports a payment.
func TestConfirmOddDocuments(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(data map[string]any) any
		reason string
	}{
		"a refund":          {func(data map[string]any) any { data["type"] = "REFUND"; return data }, "refund"},
		"a hold that isn't": {func(data map[string]any) any { data["pre_auth"] = false; return data }, "not pre-authorised"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.order("order-1", true)
				back, err := d.srv.Pay(id, pluraltest.Approve)
				require.NoError(t, err)
				v, err := plural.NewVerifier(d.srv.ClientSecret)
				require.NoError(t, err)
				cb, err := v.VerifyCallback(back.Form)
				require.NoError(t, err)
				c := newClient(t, d.srv, rewriteAnswers(t, pluraltest.OpOrdersGet, test.change))
				_, err = c.Orders.Confirm(
					t.Context(), cb, plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(wholeAmount)},
				)
				var notPaid *plural.NotPaidError
				require.ErrorAs(t, err, &notPaid)
				require.Contains(t, notPaid.Reason, test.reason)

				_, err = c.Orders.Confirm(t.Context(), cb, plural.Expected{})
				require.ErrorIs(t, err, plural.ErrInvalidRequest, "the call needs an expected order")
				_, err = c.Orders.Confirm(t.Context(), &plural.Callback{OrderID: id}, plural.Expected{})
				require.ErrorIs(t, err, plural.ErrInvalidSignature)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
				_, err = c.Orders.Confirm(
					t.Context(), cb, plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(wholeAmount)},
				)
				require.NotErrorAs(t, err, &notPaid)
				require.Error(t, err)
			})
		})
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	later := func(d *desk, id string, after time.Duration, decision pluraltest.Decision) {
		time.AfterFunc(after, func() { d.pay(id, decision) })
	}
	t.Run("until the payer has paid", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			id := d.order("order-1", true)
			later(d, id, 30*time.Second, pluraltest.LeavePending)
			later(d, id, 90*time.Second, pluraltest.Decline("no"))
			later(d, id, 2*time.Minute, pluraltest.Approve)
			start := time.Now()
			o, err := newClient(t, d.srv).Orders.Wait(t.Context(), id, nil)
			require.NoError(t, err)
			require.Equal(t, plural.OrderStatusAuthorized, o.Status)
			require.GreaterOrEqual(t, time.Since(start), 2*time.Minute)
			require.LessOrEqual(t, time.Since(start), 2*time.Minute+10*time.Second)
			reads := len(d.srv.RequestsTo(pluraltest.OpOrdersGet))
			require.Greater(t, reads, 12)
			require.Less(t, reads, 30, "the reads are up to ten seconds apart")
		})
	})
	t.Run("until the caller's condition is met", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			id := d.order("order-1", true)
			later(d, id, 30*time.Second, pluraltest.Decline("no"))
			o, err := newClient(t, d.srv).Orders.Wait(
				t.Context(), id, func(o *plural.Order) bool { return o.Status == plural.OrderStatusAttempted },
			)
			require.NoError(t, err)
			require.Equal(t, plural.OrderStatusAttempted, o.Status)
		})
	})
	t.Run("until the context ends", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			id := d.order("order-1", true)
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
			defer cancel()
			start := time.Now()
			o, err := newClient(t, d.srv).Orders.Wait(ctx, id, nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 25*time.Second, time.Since(start))
			require.Equal(t, plural.OrderStatusCreated, o.Status, "the order as it was read last")
		})
	})
	t.Run("until a read fails", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			c := newClient(t, d.srv)
			o, err := c.Orders.Wait(t.Context(), "v1-never", nil)
			require.ErrorIs(t, err, plural.ErrNotFound)
			require.Nil(t, o)
			id := d.order("order-1", true)
			d.srv.Inject(
				pluraltest.On(pluraltest.OpOrdersGet),
				append(repeated(pluraltest.NoFault, 2), repeated(pluraltest.ServerErrorBeforeApply, 4)...)...)
			o, err = c.Orders.Wait(t.Context(), id, nil)
			require.Error(t, err)
			require.Equal(t, plural.OrderStatusCreated, o.Status, "the order as it was read last")
		})
	})
	t.Run("without leaving anything behind", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			id := d.order("order-1", true)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			c := newClient(t, d.srv)
			go func() {
				_, err := c.Orders.Wait(ctx, id, nil)
				done <- err
			}()
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
		})
	})
}

func checkout(amount int64, preAuth bool) *plural.CreateOrderRequest {
	return &plural.CreateOrderRequest{MerchantOrderReference: "order-1", OrderAmount: plural.INR(amount), PreAuth: preAuth}
}

// ConfirmEvent reads the order from the books, no matter which status the
// webhook's event has. The event of a refund is about the order that was
// refunded.
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
		require.True(t, notPaid.MayStillBePaid(), "the books count, and not the status in the event")

		// The event may come before the books show the payment. Then
		// the error is an ErrOutcomeUnknown, and Plural has to deliver
		// the event again.
		_, err = c.Orders.ConfirmEvent(ctx, about, want)
		require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
		require.NotErrorIs(t, err, plural.ErrNotPaid)
		var unknown *plural.OutcomeUnknownError
		require.ErrorAs(t, err, &unknown)
		require.Equal(t, plural.OrderStatusCreated, unknown.Last.Status)

		d.pay(id, pluraltest.Approve)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.StaleRead, pluraltest.StaleRead)
		o, err := c.Orders.ConfirmEvent(ctx, about, want)
		require.NoError(t, err, "a replica shows an older state for a second")
		require.Equal(t, id, o.OrderID)
		_, err = c.Orders.ConfirmEvent(
			ctx, about, plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(1)},
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

// If a document has no pre_auth field, the order may still be a hold. The field
// is compared only while the order is unpaid.
func TestAbsentPreAuthIsNotNo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		asked  bool
		status string
		field  string
		same   bool
	}{
		"yes, yes":               {true, "CREATED", `"pre_auth":true,`, true},
		"yes, no":                {true, "CREATED", `"pre_auth":false,`, false},
		"yes, no in quotes":      {true, "CREATED", `"pre_auth":"false",`, false},
		"yes, absent":            {true, "CREATED", ``, true},
		"yes, null":              {true, "CREATED", `"pre_auth":null,`, true},
		"no, no":                 {false, "CREATED", `"pre_auth":false,`, true},
		"no, yes":                {false, "CREATED", `"pre_auth":true,`, false},
		"no, absent":             {false, "CREATED", ``, true},
		"yes, no, in camelCase":  {true, "CREATED", `"preAuth":false,`, false},
		"yes, no, but attempted": {true, "ATTEMPTED", `"pre_auth":false,`, false},
		"yes, no, but captured":  {true, "PROCESSED", `"pre_auth":false,`, true},
		"yes, absent, held":      {true, "AUTHORIZED", ``, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost {
						return answer(422, `{"code":"DUPLICATE_REQUEST","message":"used"}`), nil
					}
					return answer(200, fmt.Sprintf(`{"data":{"order_id":"v1-agreed","type":"CHARGE","status":%q,%s`+
						`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"}}}`,
						tc.status, tc.field)), nil
				})
				_, err := c.Orders.Create(t.Context(), &plural.CreateOrderRequest{
					MerchantOrderReference: "order-1", OrderAmount: plural.INR(2000), PreAuth: tc.asked,
				})
				if tc.same {
					var duplicate *plural.DuplicateOrderError
					require.ErrorAs(t, err, &duplicate)
					require.NotErrorIs(t, err, plural.ErrConflict)
				} else {
					require.ErrorIs(t, err, plural.ErrReferenceReused)
				}
			})
		})
	}
}
