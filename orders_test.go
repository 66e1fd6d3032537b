package plural_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"syscall"
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
		o, err := unsent(t).Orders.Confirm(t.Context(), cb, test.want)
		requireChecked(t, err, test.fields...)
		require.Nil(t, o)
		requireChecked(t, test.want.Check(&plural.Order{}), test.fields...)
	}
	requireChecked(t, plural.Expected{MerchantOrderReference: "order-1", OrderAmount: plural.INR(100)}.Check(nil), "order")
}

// The id in a callback may lead to a document that is no payment: a refund, or
// an AUTHORIZED order that was not pre-authorised. Then Confirm fails, even if
// the callback reports a payment.
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
				c := newClient(t, d.srv, rewriting(t, pluraltest.OpOrdersGet, test.change))
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
			looks := len(d.srv.RequestsTo(pluraltest.OpOrdersGet))
			require.Greater(t, looks, 12)
			require.Less(t, looks, 30, "looks are up to ten seconds apart")
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
	t.Run("until a look fails", func(t *testing.T) {
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

func TestOrderCreateIsRepeatedAndCompared(t *testing.T) {
	t.Parallel()
	type result struct {
		orders int
		check  func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error)
	}
	linked := func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error) {
		t.Helper()
		require.NoError(t, err)
		booked := d.srv.OrdersByReference("order-1")
		last := booked[len(booked)-1]
		require.Equal(t, last.ID, o.OrderID)
		require.Equal(t, last.RedirectURL, o.RedirectURL)
	}
	duplicate := func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error) {
		t.Helper()
		require.Nil(t, o)
		require.ErrorIs(t, err, plural.ErrDuplicateRequest)
		var dup *plural.DuplicateOrderError
		require.ErrorAs(t, err, &dup)
		require.Equal(t, d.srv.OrdersByReference("order-1")[0].ID, dup.Order.OrderID)
	}
	lost := map[string]pluraltest.Fault{
		"reset":        pluraltest.ResetAfterApply,
		"hang":         pluraltest.HangAfterApply,
		"500":          pluraltest.ServerErrorAfterApply,
		"empty":        pluraltest.EmptyOKAfterApply,
		"error in 200": pluraltest.ErrorInOKAfterApply,
	}
	for mode, want := range map[pluraltest.DuplicateMode]result{
		pluraltest.DuplicateReturnsExisting: {orders: 1, check: linked},
		pluraltest.DuplicateRejected:        {orders: 1, check: duplicate},
		pluraltest.DuplicateAccepted:        {orders: 2, check: linked},
	} {
		for name, fault := range lost {
			t.Run(fmt.Sprintf("mode %d, %s", mode, name), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), fault)
					o, err := newClient(t, d.srv).Orders.Create(t.Context(), checkout(wholeAmount, true))
					want.check(t, d, o, err)
					require.Len(t, d.srv.OrdersByReference("order-1"), want.orders)
					d.doubles = want.orders - 1 // two orders may exist, but the caller has the link of only one
				}, pluraltest.WithDuplicateOrders(mode))
			})
		}
	}
}

func TestOrderCreateUnderAReferenceInUse(t *testing.T) {
	t.Parallel()
	rejected := pluraltest.WithDuplicateOrders(pluraltest.DuplicateRejected)
	create := func(t *testing.T, d *desk, req *plural.CreateOrderRequest,
		opts ...plural.CallOption,
	) (*plural.CheckoutOrder, error) {
		t.Helper()
		return newClient(t, d.srv).Orders.Create(t.Context(), req, opts...)
	}
	t.Run("the same order", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			d.order("order-1", true)
			_, err := create(t, d, checkout(wholeAmount, true))
			var dup *plural.DuplicateOrderError
			require.ErrorAs(t, err, &dup)
			require.Len(t, d.srv.RequestsTo(pluraltest.OpOrdersCreate), 1)
		}, rejected)
	})
	for name, req := range map[string]*plural.CreateOrderRequest{
		"another amount":     checkout(wholeAmount+100, true),
		"no hold":            checkout(wholeAmount, false),
		"the same, a refund": checkout(partAmount, true),
	} {
		for mode, lost := range map[pluraltest.DuplicateMode]bool{
			pluraltest.DuplicateRejected:        false,
			pluraltest.DuplicateReturnsExisting: true,
		} {
			t.Run(fmt.Sprintf("%s, mode %d", name, mode), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					if name == "the same, a refund" {
						w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
						d.refund(w.orderID, "order-1", partAmount)
					} else {
						d.order("order-1", true)
					}
					if lost {
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
					}
					o, err := create(t, d, req)
					require.Nil(t, o)
					reused := stateError(t, err, plural.ErrReferenceReused)
					require.Equal(t, "order-1", reused.Reference)
					require.Equal(t, pluraltest.OpOrdersCreate, reused.Op)
				}, pluraltest.WithDuplicateOrders(mode))
			})
		}
	}
	t.Run("duplicate that cannot be looked up", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			d.order("order-1", true)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
			_, err := create(t, d, checkout(wholeAmount, true))
			unknown := unknownError(t, err)
			requireLastCause(t, err, plural.CodeDuplicateRequest)
			require.ErrorContains(t, err, "INTERNAL_ERROR")
			require.Equal(t, "order-1", unknown.Reference)
			require.Empty(t, unknown.OrderID)
			require.Nil(t, unknown.Last)
		}, rejected)
	})
}

func TestOrderCreateRunsOut(t *testing.T) {
	t.Parallel()
	create := func(t *testing.T, d *desk, faults []pluraltest.Fault, opts ...plural.CallOption) (*plural.CheckoutOrder,
		error,
	) {
		t.Helper()
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), faults...)
		o, err := newClient(t, d.srv).Orders.Create(t.Context(), checkout(wholeAmount, true), opts...)
		d.srv.ClearFaults()
		return o, err
	}
	tests := map[string]struct {
		faults []pluraltest.Fault
		opts   []plural.CallOption
		sends  int
		check  func(t *testing.T, err error)
	}{
		"never arrives": {
			faults: repeated(pluraltest.ResetBeforeApply, 4), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				requireUnknown(t, err)
				require.ErrorContains(t, err, "ORDER_NOT_FOUND", "the answer of the look-up")
			},
		},
		"arrives without an answer": {
			faults: append(repeated(pluraltest.ResetBeforeApply, 3), pluraltest.ResetAfterApply), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, plural.ErrDuplicateRequest)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"one try": {
			faults: []pluraltest.Fault{pluraltest.ResetAfterApply}, opts: []plural.CallOption{plural.WithoutRetry()}, sends: 1,
			check: func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, plural.ErrDuplicateRequest) },
		},
		"nothing is sent": {
			faults: repeated(pluraltest.Refuse, 4),
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"too many requests": {
			faults: repeated(pluraltest.RateLimited, 4), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, plural.ErrRateLimited)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"lost, then too many requests": {
			faults: append([]pluraltest.Fault{pluraltest.ResetAfterApply}, repeated(pluraltest.RateLimited, 3)...), sends: 4,
			check: func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, plural.ErrDuplicateRequest) },
		},
		"rejected": {
			faults: []pluraltest.Fault{pluraltest.StatusFault(400, "INVALID_REQUEST", pluraltest.ApplyNever)}, sends: 1,
			check: func(t *testing.T, err error) { t.Helper(); rejection(t, err, plural.CodeInvalidRequest) },
		},
		"lost, then rejected": {
			faults: []pluraltest.Fault{
				pluraltest.ApplyLateReset.After(time.Hour),
				pluraltest.StatusFault(400, "INVALID_REQUEST", pluraltest.ApplyNever),
			},
			sends: 2,
			check: func(t *testing.T, err error) { t.Helper(); requireUnknown(t, err) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				o, err := create(t, d, test.faults, test.opts...)
				require.Nil(t, o)
				require.Error(t, err)
				test.check(t, err)
				require.Len(t, d.srv.RequestsTo(pluraltest.OpOrdersCreate), test.sends)
			})
		})
	}
}

// If the answer to Create has a link that does not lead to the order with the
// reference, Create does not return that link.
func TestOrderCreateLinkToAnotherOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), pluraltest.NoFault)
		elsewhere := rewriting(
			t,
			pluraltest.OpOrdersGetByReference,
			func(data map[string]any) any { data["order_id"] = "v1-elsewhere"; return data },
		)
		o, err := newClient(t, d.srv, elsewhere).Orders.Create(t.Context(), checkout(wholeAmount, true))
		require.Nil(t, o)
		unknown := unknownError(t, err)
		require.Equal(t, "v1-elsewhere", unknown.Last.OrderID)
	})
}

func TestOrderCreateContextEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.HangAfterApply)
		_, err := newClient(t, d.srv).Orders.Create(ctx, checkout(wholeAmount, true))
		require.NoError(t, err, "there was enough time left for another try")

		hung, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		d.srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == pluraltest.OpToken {
				return pluraltest.NoFault
			}
			return pluraltest.HangAfterApply
		})
		_, err = newClient(t, d.srv).Orders.Create(hung, checkout(wholeAmount, true))
		requireUnknown(t, err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		d.srv.ClearFaults()
	})
}

// If the checkout answers 2xx without a link, the call has not succeeded, but
// the order may exist.
func TestCheckoutAnswersWithoutALink(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no redirect_url": `{"token":"x","order_id":"v1-1-aa-b","response_code":200}`,
		"no order_id":     `{"redirect_url":"https://checkout.example.in/x","response_code":200}`,
		"another code": `{"order_id":"v1-1-aa-b","redirect_url":"https://checkout.example.in/x",` +
			`"response_code":400,"response_message":"no"}`,
		"another, as a text": `{"order_id":"v1-1-aa-b","redirect_url":"https://checkout.example.in/x","response_code":"500"}`,
		"wrapped, no link":   `{"data":{"order_id":"v1-1-aa-b"}}`,
		"data no object":     `{"data":7}`,
		"a list":             `[]`,
		"a server's fault":   `{"code":"INTERNAL_ERROR"}`,

		"a script":       withLink(`javascript:alert(1)`),
		"data":           withLink(`data:text/html,<script>s3cret()</script>`),
		"no scheme":      withLink(`//evil.example/pay`),
		"a path":         withLink(`/pay`),
		"a name":         withLink(`checkout.example.in/pay`),
		"plain http":     withLink(`http://checkout.example.in/pay`),
		"an app":         withLink(`upi://pay?pa=shop@bank`),
		"no host":        withLink(`https:///pay`),
		"only a port":    withLink(`https://:443/pay`),
		"user info":      withLink(`https://checkout.pluralpay.in@evil.example/pay`),
		"backslashes":    withLink(`https:\\evil.example\pay`),
		"a space before": withLink(` https://checkout.example.in/pay`),
		"a line break":   withLink(`https://checkout.example.in/\nSet-Cookie: a`),
		"no URL":         withLink(`https://%zz/`),
		"wrapped script": `{"data":` + withLink(`javascript:alert(1)`) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return answer(http.StatusOK, body), nil
				}
				return answer(http.StatusBadGateway, ""), nil
			})
			_, err := client.Orders.Create(t.Context(), minimalOrder())
			requireIsOnly(t, err, "unknown")
			requireTidy(t, err.Error())
			require.NotContains(t, err.Error(), "evil")
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func withLink(address string) string {
	return `{"token":"x","order_id":"v1-1-aa-b","response_code":200,"redirect_url":"` + address + `"}`
}

func TestCheckoutLinksThatAPayerCanBeSentTo(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"https://checkout.pluralpay.in/v2/?token=a%2Bb", "HTTPS://checkout.example.in", "https://checkout.example.in:8443/x",
		"http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:80/x", "https://[2001:db8::1]/x",
	} {
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			return answer(http.StatusOK, withLink(address)), nil
		})
		o, err := client.Orders.Create(t.Context(), minimalOrder())
		require.NoError(t, err, address)
		require.Equal(t, address, o.RedirectURL, "as it came")
	}
}

// An order with a bad link can still be decoded, because the page that shows
// the link has to check it.
func TestOrdersWithAnyURLDecode(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"upi://pay?pa=x", "javascript:alert(1)", "//evil", "%zz"} {
		var o plural.Order
		require.NoError(t, o.UnmarshalJSON([]byte(
			`{"order_id":"v1-1","challenge_url":"`+address+`","image_url":"`+address+`"}`)))
		require.Equal(t, address, o.ChallengeURL)
		require.Equal(t, address, o.ImageURL)
	}
}

// If the checkout's answer breaks off, the error does not quote it.
func TestCheckoutAnswersThatBreakOffAreNotQuoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return answer(http.StatusOK, `{"token":"s3cret-link","order_id":"v1-1`), nil
			}
			return answer(http.StatusBadGateway, ""), nil
		})
		_, err := client.Orders.Create(t.Context(), minimalOrder())
		requireIsOnly(t, err, "unknown")
		require.NotContains(t, err.Error(), "s3cret")
	})
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

		// If the event comes before the books show the payment, the error is
		// one after which Plural has to deliver the event again.
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
