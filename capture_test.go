package plural_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// Find reports what the books say about a capture, and sends no capture.
func TestFindCapture(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prep func(d *desk, w write)
		is   error // nil: found
	}{
		"captured in part":          {func(d *desk, w write) { d.capture(w.orderID, w.reference, partAmount) }, nil},
		"captured whole":            {func(d *desk, w write) { d.capture(w.orderID, w.reference, 0) }, nil},
		"not captured":              {func(*desk, write) {}, plural.ErrNotFound},
		"captured by somebody else": {func(d *desk, w write) { d.capture(w.orderID, "someone", 0) }, plural.ErrNotApplied},
		"cancelled": {
			func(d *desk, w write) { require.NoError(d.t, d.srv.Cancel(w.orderID)) },
			plural.ErrNotApplied,
		},
		"the books are out of reach": {nil, plural.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
				if test.prep != nil {
					test.prep(d, w)
				} else {
					d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 40)...)
				}
				o, err := newClient(t, d.srv).Captures.Find(t.Context(), w.orderID, w.reference)
				require.Empty(t, d.srv.RequestsTo(pluraltest.OpCapturesCreate), "no capture may be sent")
				if test.is != nil {
					require.ErrorIs(t, err, test.is)
					return
				}
				require.NoError(t, err)
				require.Equal(t, w.reference, o.Captures()[0].MerchantCaptureReference)
				require.True(t, o.Captures()[0].IsSettled())
			})
		})
	}
	_, err := newSilentClient(t).Captures.Find(t.Context(), "a/b", "not a reference")
	require.Len(t, fieldsOf(err), 2)
}

// If an order was paid without a hold, no money is on hold. Then a capture of
// the order fails with a final error, although the books show no capture.
func TestCaptureWithoutAHold(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		id := d.order("order-1", false)
		d.pay(id, pluraltest.Approve)
		w := write{op: pluraltest.OpCapturesCreate, orderID: id, reference: "capture-1"}
		c := newClient(t, d.srv)
		state := stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrNoHold)
		require.NotErrorIs(t, state, plural.ErrNotApplied, "an earlier run of the call may have taken the money")
		require.NotErrorIs(t, state, plural.ErrOperationNotAllowed)
		require.Equal(t, id, state.Order.OrderID)

		// The next capture gets no answer, so Plural may have carried it out,
		// and the books do not show whether it did. The outcome of this call is
		// unknown. But the call after it gets a final error.
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
		requireUnknown(t, d.agrees(t.Context(), w, c).err)
		require.ErrorIs(t, d.agrees(t.Context(), w, c).err, plural.ErrNoHold)
	})
}

// The method Settle can find out an unknown outcome later. It only reads, and
// sends no write.
func TestSettleAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		unknown := unknownError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		sent := w.touches(d.srv)
		o, err := unknown.Settle(t.Context())
		require.NoError(t, err)
		require.Equal(t, plural.INR(partAmount), o.Captures()[0].CaptureAmount)
		require.Equal(t, sent, w.touches(d.srv), "Settle may send no capture")
	})
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), repeated(pluraltest.ApplyLateReset.After(time.Hour), 4)...)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		unknown := unknownError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		_, err := unknown.Settle(t.Context())
		requireUnknown(t, err) // the capture may still happen
		d.srv.Flush()
		_, err = unknown.Settle(t.Context())
		require.NoError(t, err)
	})
	byHand := &plural.OutcomeUnknownError{}
	_, err := byHand.Settle(t.Context())
	require.Same(t, byHand, err)
}

// Plural may reject a capture while the books still show an older state. Then
// the SDK does not return the rejection at once, but keeps reading the books.
// Here all reads show an older state for two and a half seconds. So they do not
// show the capture of an earlier call yet.
func TestRejectionOverBooksThatLag(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		c := newClient(t, d.srv)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.NoFault, pluraltest.StatusFault(403, "", pluraltest.ApplyNever))
		require.NoError(t, d.agrees(t.Context(), w, c).err)
		began := time.Now()
		d.srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == pluraltest.OpOrdersGet && time.Since(began) < 2500*time.Millisecond {
				return pluraltest.StaleRead
			}
			return pluraltest.NoFault
		})
		require.NoError(t, d.agrees(t.Context(), w, c).err)
	})
}

func TestCaptureDataAbsent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.CaptureDataAbsent)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.CaptureDataAbsent, 3)...)
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.CaptureDataAbsent)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.CaptureDataAbsent, 40)...)
		unknown := unknownError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		require.Equal(t, plural.OrderStatusPartiallyCaptured, unknown.Last.Status)
		require.GreaterOrEqual(t, d.reads(), 4)
		d.srv.ClearFaults()
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
}

// If the books show a capture without a reference, the capture may belong to
// this call. So this capture neither settles the call nor counts as a conflict.
// The outcome of the call is unknown, and the SDK does not send the capture
// again.
func TestCaptureDataWithoutAReference(t *testing.T) {
	t.Parallel()
	entries := func(data map[string]any, change func(payment map[string]any)) any {
		payments, _ := data["payments"].([]any)
		for _, p := range payments {
			change(p.(map[string]any))
		}
		return data
	}
	nameless := func(data map[string]any) any {
		return entries(data, func(p map[string]any) {
			list, _ := p["capture_data"].([]any)
			for _, c := range list {
				delete(c.(map[string]any), "merchant_capture_reference")
			}
		})
	}
	empty := func(data map[string]any) any {
		return entries(data, func(p map[string]any) {
			if p["status"] == "AUTHORIZED" {
				p["capture_data"] = []any{map[string]any{}}
			}
		})
	}
	t.Run("captured", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			for _, amount := range []int64{0, partAmount, cardAmount} {
				w := d.readyWrite(pluraltest.OpCapturesCreate, amount)
				o := d.agrees(
					t.Context(),
					w,
					newClient(
						t, d.srv,
						rewriteAnswers(t, pluraltest.OpCapturesCreate, nameless), rewriteAnswers(t, pluraltest.OpOrdersGet, nameless),
					),
				)
				requireUnknown(t, o.err)
				require.ErrorContains(t, o.err, "the order does not say under which reference all of it was captured")
				require.Equal(t, 1, w.touches(d.srv))
			}
		})
	})
	t.Run("not captured yet", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ApplyLateReset.After(time.Hour))
			c := newClient(t, d.srv, rewriteAnswers(t, pluraltest.OpOrdersGet, empty))
			requireUnknown(t, d.agrees(t.Context(), w, c).err)
		})
	})
}

// A capture with the same reference and another amount is a conflict, and the
// error says so.
func TestReferenceUsedForAnotherAmount(t *testing.T) {
	t.Parallel()
	captured := strings.Replace(
		string(payload(t, "capture_response_partially_captured.json")),
		`"PARTIALLY_CAPTURED"`,
		`"PROCESSED"`,
		1,
	)
	var o plural.Order
	require.NoError(t, o.UnmarshalJSON(dataOf(t, []byte(captured))))
	synctest.Test(t, func(t *testing.T) {
		dated := true
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			resp := answer(http.StatusOK, captured)
			if dated {
				resp.Header.Set("Date", o.Payments[0].CaptureData[0].CreatedAt.Add(time.Hour).UTC().Format(http.TimeFormat))
			}
			return resp, nil
		})
		capture := func() error {
			_, err := client.Captures.Create(t.Context(), o.OrderID, &plural.CaptureRequest{
				MerchantCaptureReference: o.Payments[0].CaptureData[0].MerchantCaptureReference, CaptureAmount: plural.INR(100),
			})
			return err
		}
		err := capture()
		requireIsOnly(t, err, "reused", "conflict")
		var state *plural.StateError
		require.ErrorAs(t, err, &state)
		require.Equal(t, o.OrderID, state.Order.OrderID)

		// Now the answers have no Date header. So nothing shows that
		// the capture in the books is older than this call. This call
		// itself may have made the capture, and Plural may have rounded
		// or discounted the amount. This case is a conflict as well, so
		// a person has to check it.
		dated = false
		requireIsOnly(t, capture(), "conflict")
	})
}

// If an order was paid with two payments, Plural captures one after the other.
// The call waits until both are captured, no matter which is first.
func TestCaptureOfTwoPayments(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  pluraltest.Fault
		amount int64 // 0: the whole order
		is     error // nil: carried out
	}{
		"whole, the card first":    {pluraltest.CardThenPoints, 0, nil},
		"whole, points first":      {pluraltest.PointsThenCard, 0, nil},
		"in part, the card first":  {pluraltest.CardThenPoints, cardAmount + 1000, nil},
		"in part, points first":    {pluraltest.PointsThenCard, cardAmount + 1000, nil},
		"in part, from the card":   {pluraltest.CardThenPoints, partAmount, nil},
		"whole, the points fail":   {pluraltest.CardThenPointsFails, 0, plural.ErrOutcomeUnknown},
		"whole, the card fails":    {pluraltest.PointsThenCardFails, 0, plural.ErrOutcomeUnknown},
		"in part, the points fail": {pluraltest.CardThenPointsFails, cardAmount + 1000, plural.ErrReferenceReused},
		"in part, the points come too late": {
			pluraltest.CardThenPoints.After(time.Hour), cardAmount + 1000,
			plural.ErrOutcomeUnknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := write{
					op:        pluraltest.OpCapturesCreate,
					orderID:   d.order("order-1", true),
					reference: "capture-1",
					amount:    test.amount,
				}
				d.pay(w.orderID, pluraltest.ApproveWithPoints(pointsAmount))
				d.srv.Inject(pluraltest.On(w.op), test.fault)
				c := newClient(t, d.srv)
				o := d.agrees(t.Context(), w, c)
				if test.is == nil {
					require.NoError(t, o.err)
					return
				}
				d.srv.Flush()
				if !errors.Is(o.err, test.is) { // ask again, because nothing is under way any more
					o = d.agrees(t.Context(), w, c)
				}
				require.ErrorIs(t, o.err, test.is)
			})
		})
	}
}

// If the books are unclear and no capture is under way, a person must check the
// order.
func TestCaptureThatNeedsReview(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := write{op: pluraltest.OpCapturesCreate, orderID: d.order("order-1", true), reference: "capture-1"}
		d.pay(w.orderID, pluraltest.ApproveWithPoints(pointsAmount))
		d.srv.Inject(pluraltest.On(w.op), pluraltest.CardThenPointsFails)
		c := newClient(t, d.srv)
		for range 2 {
			unknown := unknownError(t, d.agrees(t.Context(), w, c).err)
			require.True(t, unknown.NeedsReview)
			require.ErrorContains(t, unknown, "look at it in Plural's dashboard")
			require.NotContains(t, unknown.Error(), "settle it")
			require.Equal(t, plural.OrderStatusProcessed, unknown.Last.Status)
		}
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 40)...)
		require.False(t, unknownError(t, d.agrees(t.Context(), w, c).err).NeedsReview, "nothing was read")
	})
}

func TestCaptureAgainstCancel(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		for range 20 {
			capture := d.readyWrite(pluraltest.OpCapturesCreate, 0)
			cancel := write{op: pluraltest.OpCancelsCreate, orderID: capture.orderID}
			c := newClient(t, d.srv)
			results := make(chan outcome)
			for _, w := range []write{capture, cancel} {
				go func() {
					o := outcome{write: w}
					o.order, o.err = w.run(t.Context(), c)
					results <- o
				}()
			}
			done := 0
			for range 2 {
				o := <-results
				require.Empty(t, o.contradictsLater(d.srv))
				if o.err == nil {
					done++
				} else {
					requireRuledOut(t, o.err, plural.ErrOperationNotAllowed)
				}
			}
			require.Equal(t, 1, done)
		}
	})
}
