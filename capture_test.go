package plural_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// What the books say of a capture, asked without sending anything.
func TestFindCapture(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prep func(d *desk, w write)
		is   error // nil: found
	}{
		"captured in part":           {func(d *desk, w write) { d.capture(w.orderID, w.reference, partAmount) }, nil},
		"captured whole":             {func(d *desk, w write) { d.capture(w.orderID, w.reference, 0) }, nil},
		"not captured":               {func(*desk, write) {}, plural.ErrNotFound},
		"captured by somebody else":  {func(d *desk, w write) { d.capture(w.orderID, "someone", 0) }, plural.ErrNotApplied},
		"cancelled":                  {func(d *desk, w write) { require.NoError(d.t, d.srv.Cancel(w.orderID)) }, plural.ErrNotApplied},
		"the books are out of reach": {nil, plural.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.ready(pluraltest.OpCapturesCreate, partAmount)
				if test.prep != nil {
					test.prep(d, w)
				} else {
					d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 40)...)
				}
				o, err := newClient(t, d.srv).Captures.Find(t.Context(), w.orderID, w.reference)
				require.Empty(t, d.srv.RequestsTo(pluraltest.OpCapturesCreate), "nothing may be sent")
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
	_, err := unsent(t).Captures.Find(t.Context(), "a/b", "not a reference")
	require.Len(t, fieldsOf(err), 2)
}

// An order that was paid outright, or whose capture the books do not name, ends
// in an answer: the money is not on hold any more.
func TestCaptureWithoutAHold(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		id := d.order("order-1", false)
		d.pay(id, pluraltest.Approve)
		w := write{op: pluraltest.OpCapturesCreate, orderID: id, reference: "capture-1"}
		c := newClient(t, d.srv)
		state := stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrNoHold)
		require.NotErrorIs(t, state, plural.ErrNotApplied, "an earlier life of the call may have taken the money")
		require.NotErrorIs(t, state, plural.ErrOperationNotAllowed)
		require.Equal(t, id, state.Order.OrderID)

		// After a try that may have been carried out the books cannot tell. Calling
		// again ends it.
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
		requireUnknown(t, d.agrees(t.Context(), w, c).err)
		require.ErrorIs(t, d.agrees(t.Context(), w, c).err, plural.ErrNoHold)
	})
}

// An unknown outcome can be settled later without sending anything.
func TestSettleAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		unknown := unknownError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		sent := w.touches(d.srv)
		o, err := unknown.Settle(t.Context())
		require.NoError(t, err)
		require.Equal(t, plural.INR(partAmount), o.Captures()[0].CaptureAmount)
		require.Equal(t, sent, w.touches(d.srv), "nothing may be sent")
	})
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), repeated(pluraltest.ApplyLateReset.After(time.Hour), 4)...)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		unknown := unknownError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		_, err := unknown.Settle(t.Context())
		requireUnknown(t, err) // it may still come
		d.srv.Flush()
		_, err = unknown.Settle(t.Context())
		require.NoError(t, err)
	})
	byHand := &plural.OutcomeUnknownError{}
	_, err := byHand.Settle(t.Context())
	require.Same(t, byHand, err)
}

// A rejection is not believed while the books may be behind: a replica that
// lags for two and a half seconds, a process that died a second ago.
func TestRejectionOverBooksThatLag(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
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
