package plural_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestRejections(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		"OPERATION_NOT_ALLOWED", "ORDER_CANCELLED", "DUPLICATE_REQUEST",
		"PAYMENT_PENDING", "PAYMENT_NOT_AUTHORIZED", "PAYMENT_EXPIRED", "PAYMENT_RATE_LIMIT",
		"AMOUNT_LIMIT_EXCEEDED", "INVALID_REQUEST", "RISK_CHECK_FAILED", "PAYMENT_DECLINED", "INVALID_USER_ACCOUNT",
		"ORDER_NOT_FOUND", "NEVER_HEARD_OF", "",
	} {
		for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate} {
			t.Run(code+"/"+op, func(t *testing.T) {
				t.Parallel()
				t.Run("over open books", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.readyWrite(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						began := time.Now()
						o := d.agrees(t.Context(), w, newClient(t, d.srv))
						rejection(t, o.err, plural.ErrorCode(code))
						require.NotErrorIs(t, o.err, plural.ErrNotApplied, "a code alone proves nothing")
						require.NotErrorIs(t, o.err, plural.ErrConflict)
						require.True(t, plural.NeedsReview(o.err), "somebody is told")
						require.Equal(t, 1, w.touches(d.srv))
						require.GreaterOrEqual(t, len(d.srv.RequestsTo(pluraltest.OpOrdersGet)), 4)
						require.GreaterOrEqual(t, time.Since(began), 3*time.Second, "replicas may show an older state")
					})
				})
				t.Run("after a try whose outcome is not known", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.readyWrite(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), append([]pluraltest.Fault{pluraltest.ApplyLateReset.After(time.Hour)},
							repeated(pluraltest.StatusFault(422, code, pluraltest.ApplyNever), 3)...)...)
						o := d.agrees(t.Context(), w, newClient(t, d.srv))
						requireUnknown(t, o.err)
						require.True(t, plural.NeedsReview(o.err), "somebody is told")
						d.srv.Flush()
						require.Equal(t, 1, w.countEffects(d.srv))
					})
				})
				t.Run("caused by an earlier call", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.readyWrite(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.NoFault, pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						c := newClient(t, d.srv)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
						// At first the reads show an older state.
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.StaleRead, 3)...)
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.StaleRead, 3)...)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
					})
				})
				t.Run("with one attempt", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.readyWrite(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.NoFault, pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						c := newClient(t, d.srv, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
						require.NoError(t, d.agrees(t.Context(), w, c).err)
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.StaleRead, 3)...)
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.StaleRead, 3)...)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
					})
				})
				t.Run("while the books cannot be read", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.readyWrite(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
						err := d.agrees(t.Context(), w, newClient(t, d.srv)).err
						requireUnknown(t, err)
						require.False(t, plural.NeedsReview(err), "calling again may settle it")
					})
				})
				t.Run("with too little time", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.readyWrite(op, amountFor(op))
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
						defer cancel()
						d.srv.Inject(pluraltest.On(op), pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						d.srv.Inject(
							pluraltest.On(pluraltest.OpOrdersGet),
							pluraltest.NoFault,
							pluraltest.SlowHeaders.After(4900*time.Millisecond),
							pluraltest.HangBeforeApply,
						)
						err := d.agrees(ctx, w, newClient(t, d.srv)).err
						requireUnknown(t, err)
						require.False(t, plural.NeedsReview(err), "the books were not read for long enough")
						d.srv.ClearFaults()
					})
				})
			})
		}
	}
}

// The SDK counts a rejection as confirmed only if at least four reads of the
// books, one after the other, confirm the rejection. Here most reads show that
// a capture is under way. Then three reads show an older state, and these three
// are not enough.
func TestRejectionAfterPendingAndStale(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.PendingResult.After(40*time.Second))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		requireUnknown(t, d.agrees(short, w, newClient(t, d.srv)).err)

		// Plural rejects the second call's capture. For almost the
		// whole call, the books show PENDING. Then they show the state
		// from before the capture.
		d.srv.Inject(
			pluraltest.On(pluraltest.OpOrdersGet),
			append(repeated(pluraltest.NoFault, 5), repeated(pluraltest.StaleRead, 3)...)...)
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
}

// If Plural rejected the write and the books confirm that, the StateError wraps
// the rejection. If an earlier try of the call may have reached Plural, the
// StateError wraps no rejection.
func TestRuledOutAndRejected(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w, c := d.readyWrite(pluraltest.OpCapturesCreate, partAmount), newClient(t, d.srv)
		require.NoError(t, d.srv.Cancel(w.orderID))
		state := stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
		require.Equal(t, plural.OrderStatusCancelled, state.Order.Status)
		var rejected *plural.Error
		require.ErrorAs(t, state, &rejected)
		require.Equal(t, plural.CodeOrderCancelled, rejected.Code)

		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
		state = stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
		require.NotErrorAs(t, state, &rejected)
	})
}

// Before the payer has paid, no capture or cancel can have been carried out.
// But a lost request may still arrive after the payment.
func TestUnpaidOrders(t *testing.T) {
	t.Parallel()
	for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate} {
		for name, decisions := range map[string][]pluraltest.Decision{
			"CREATED":   nil,
			"ATTEMPTED": {pluraltest.Decline("no")},
		} {
			t.Run(op+"/"+name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					w := write{op: op, orderID: d.order("order-1", true), amount: amountFor(op)}
					if op == pluraltest.OpCapturesCreate {
						w.reference = "capture-1"
					}
					d.pay(w.orderID, decisions...)
					rejection(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err, plural.CodeOperationNotAllowed)
					d.srv.Inject(pluraltest.On(op), pluraltest.ApplyLateReset.After(time.Hour))
					requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
					require.Equal(t, 2, w.touches(d.srv), "the write is not repeated for an order that is not paid")
					d.pay(w.orderID, pluraltest.Approve)
					d.srv.Flush()
					require.Equal(t, 1, w.countEffects(d.srv))
				})
			})
		}
	}
}

func TestFailedResults(t *testing.T) {
	t.Parallel()
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(pluraltest.On(w.op), pluraltest.FailedResult)
		c := newClient(t, d.srv)
		first := stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
		require.Equal(t, plural.OrderStatusFailed, first.Order.Status)
		require.Equal(t, w.op, first.Op)
		require.Equal(t, w.reference, first.Reference)
		require.NoError(t, first.Unwrap(), "the answer was not a rejection")
		require.NotErrorIs(t, first, plural.ErrReferenceReused)
		if w.op != pluraltest.OpRefundsCreate {
			require.Zero(t, d.reads(), "the answer alone shows the result")
			requireRuledOut(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
			return
		}
		require.Positive(t, d.reads(), "there may be another refund with the reference")
		time.Sleep(time.Minute)
		again := d.agrees(t.Context(), w, c).err
		require.NotErrorIs(t, again, plural.ErrNotApplied, "the failed refund is older than this call")
		require.True(t, plural.NeedsReview(again))
	})
}

// Some answers prove that a refund does not exist. Others look similar, but do
// not prove it.
func TestEvidenceOfAbsence(t *testing.T) {
	t.Parallel()
	for _, form := range []pluraltest.NotFoundShape{
		pluraltest.NotFound422, pluraltest.NotFound404,
		pluraltest.NotFoundInquiry,
	} {
		t.Run(fmt.Sprint("form ", form), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
				require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				require.Equal(t, 2, w.touches(d.srv))
			}, pluraltest.WithNotFound(form))
		})
	}
	for _, fault := range []pluraltest.Fault{
		pluraltest.StatusFault(404, "", pluraltest.ApplyNow), pluraltest.StatusFault(400, "INVALID_REQUEST",
			pluraltest.ApplyNow),
		pluraltest.StatusFault(200, "ORDER_NOT_FOUND", pluraltest.ApplyNow),
		pluraltest.StatusFault(404, "UNAUTHORIZED", pluraltest.ApplyNow),
		{Name: "HTML 404", Answer: pluraltest.AnswerHTML, Status: 404},
		{Name: "HTML 403", Answer: pluraltest.AnswerHTML, Status: 403},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ApplyLateReset.After(time.Hour))
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(fault, 40)...)
				requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				require.Equal(t, 1, w.touches(d.srv), "not sent again, because nothing proves that the refund does not exist")
				d.srv.ClearFaults()
			})
		})
	}
}

// If the answer to a write has a 2xx status and an error code, the code makes
// it a rejection. The call succeeds only if the answer's data shows that the
// write was carried out.
func TestCodeInATwoHundredOfAWrite(t *testing.T) {
	t.Parallel()
	open := `{"order_id":"v1-1","status":"AUTHORIZED","order_amount":{"value":1000,"currency":"INR"}}`
	captured := `{"order_id":"v1-1","status":"PROCESSED","order_amount":{"value":1000,"currency":"INR"},` +
		`"payments":[{"status":"PROCESSED",` +
		`"payment_amount":{"value":1000,"currency":"INR"},"capture_data":[{"merchant_capture_reference":"c",` +
		`"capture_amount":{"value":1000,"currency":"INR"}}]}]}`
	for data, applied := range map[string]bool{
		`{}`: false, "{\n}": false, `[]`: false, `""`: false, `null`: false,
		open: false, captured: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			writes := 0
			g := &gateway{api: func(s sent) (*http.Response, error) {
				if s.Method == http.MethodPut {
					writes++
					return answer(200, `{"code":"PAYMENT_DECLINED","message":"declined","data":`+data+`}`), nil
				}
				return answer(200, `{"data":`+open+`}`), nil
			}}
			_, err := g.client(t).Captures.Create(
				t.Context(), "v1-1", &plural.CaptureRequest{MerchantCaptureReference: "c", FullAmount: true},
			)
			if applied {
				require.NoError(t, err)
			} else {
				rejection(t, err, plural.CodePaymentDeclined)
				require.True(t, plural.NeedsReview(err))
			}
			require.Equal(t, 1, writes, data)
		})
	}
}

// Plural answers each write with a 2xx status, but the answer's document and
// the books show that nothing was done. Calling again may never help, so a
// person has to look.
func TestSuccessThatDoesNothingReachesAPerson(t *testing.T) {
	t.Parallel()
	const held = `{"data":{"order_id":"v1-o","merchant_order_reference":"order-1","type":"CHARGE","status":"AUTHORIZED",` +
		`"pre_auth":true,"order_amount":{"value":1000,"currency":"INR"},"payments":[{"id":"p","status":"AUTHORIZED",` +
		`"payment_method":"CARD","payment_amount":{"value":1000,"currency":"INR"}}]}}`
	link := payload(t, "link_created.json")
	for name, write := range map[string]func(context.Context, *plural.Client) error{
		"capture": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Captures.Create(ctx, "v1-o",
				&plural.CaptureRequest{MerchantCaptureReference: "capture-1", FullAmount: true})
			return err
		},
		"cancel": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Cancels.Create(ctx, "v1-o")
			return err
		},
		"refund, answered in the older form": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Refunds.Create(ctx, "v1-o",
				&plural.RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: plural.INR(1000)})
			return err
		},
		"cancel of a link": func(ctx context.Context, c *plural.Client) error {
			_, err := c.PaymentLinks.Cancel(ctx, bookedLink)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case strings.Contains(r.URL.Path, "/reference/"):
						return answer(http.StatusUnprocessableEntity, `{"code":"ORDER_NOT_FOUND","message":"no"}`), nil
					case strings.Contains(r.URL.Path, "/paymentlink/"):
						return answer(http.StatusOK, link), nil
					case strings.HasSuffix(r.URL.Path, bookedOrder):
						return answer(http.StatusOK, orderDocument("CREATED", "")), nil
					}
					return answer(http.StatusOK, held), nil
				})
				err := write(t.Context(), client)
				requireUnknown(t, err)
				require.True(t, plural.NeedsReview(err))

				short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err = write(short, client)
				requireUnknown(t, err)
				require.False(t, plural.NeedsReview(err), "there was too little time for enough reads of the books")
			})
		})
	}
}
