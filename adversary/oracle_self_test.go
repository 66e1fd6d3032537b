package adversary_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// TestOracle checks the type oracle with made-up results of calls. Some results
// have a known mistake, and the oracle must report this mistake. The other
// results are right, and the oracle must report nothing.
func TestOracle(t *testing.T) {
	t.Parallel()
	notApplied := &plural.StateError{Op: "x", Reason: "x"}
	conflict := &plural.StateError{Op: "x", Reason: "x", Conflict: true}
	reused := &plural.StateError{Op: "x", Reason: "x", Conflict: true, Reused: true}
	noHold := &plural.StateError{Op: "x", Reason: "x", Conflict: true, NoHold: true}
	double := &plural.DoubleRefundError{Refunds: []*plural.Order{{}, {}}}
	whole := plan{op: "capture", order: mainOrder, reference: "C-1"}
	part := plan{op: "capture", order: mainOrder, reference: "C-1", amount: 3000}
	void := plan{op: "cancel", order: mainOrder}
	back := plan{op: "refund", order: mainOrder, reference: "R-1", amount: 3000}

	tests := []struct {
		name  string
		setup string
		plan  plan
		fault writeFault
		sent  bool // the gateway carries out the plan's write, and then the oracle checks the call
		err   error
		kind  string // how the finding begins; "": the result is right
	}{
		{
			"nothing was captured",
			"authorized",
			whole,
			writeFault{},
			false,
			nil,
			"wrong success: capture, nothing was captured",
		},
		{"captured", "authorized", whole, writeFault{}, true, nil, ""},
		{"a paisa less", "authorized", whole, writeFault{delta: -1}, true, nil, "wrong success: capture, another amount"},
		{"a paisa less, and a conflict", "authorized", whole, writeFault{delta: -1}, true, conflict, ""},
		{"a leg failed", "authorized", whole, writeFault{legFails: true}, true, nil, "wrong success: capture, another amount"},
		{
			"captured after the success",
			"authorized",
			part,
			writeFault{late: time.Second},
			true,
			nil,
			"wrong success: capture, reported before",
		},
		{
			"captured, and denied",
			"authorized",
			part,
			writeFault{},
			true,
			notApplied,
			"wrong final: ErrNotApplied for a capture, but money",
		},
		{
			"captured late, and denied",
			"authorized",
			part,
			writeFault{late: time.Second},
			true,
			notApplied,
			"wrong final: ErrNotApplied for a capture, but money",
		},
		{
			"denied for an open order",
			"authorized",
			part,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied for a capture, but the order is open",
		},
		{
			"denied for an unpaid order",
			"created",
			part,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied for a capture, but the order is open",
		},
		{"denied for a cancelled order", "cancelled", part, writeFault{}, false, notApplied, ""},
		{"conflict, but the capture is right", "authorized", part, writeFault{}, true, conflict, "wrong conflict: capture"},
		{
			"reused, by this very call",
			"authorized",
			part,
			writeFault{delta: 1},
			true,
			reused,
			"wrong conflict: ErrReferenceReused",
		},
		{"reused", "captured by us, other figures", part, writeFault{}, false, reused, ""},
		{"no hold, but no money was taken", "cancelled", part, writeFault{}, false, noHold, "wrong conflict: ErrNoHold"},
		{"no hold for an order paid at once", "outright", part, writeFault{}, false, noHold, ""},
		{"not cancelled", "authorized", void, writeFault{}, false, nil, "wrong success: cancel"},
		{"cancelled", "authorized", void, writeFault{}, true, nil, ""},
		{
			"cancelled, and denied",
			"authorized",
			void,
			writeFault{},
			true,
			notApplied,
			"wrong final: ErrNotApplied for a cancel, but the order is cancelled",
		},
		{
			"cancel denied for an unpaid order",
			"created",
			void,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied for a cancel, but the order is open",
		},
		{"no refund", "captured", back, writeFault{}, false, nil, "wrong success: refund, none was made"},
		{"a refund", "captured", back, writeFault{}, true, nil, ""},
		{"a refund that is on its way", "captured", back, writeFault{fate: []string{pending}}, true, nil, ""},
		{
			"a refund that failed",
			"captured",
			back,
			writeFault{fate: []string{failed}},
			true,
			nil,
			"wrong success: refund, none was made",
		},
		{
			"a refund of another amount",
			"captured",
			back,
			writeFault{delta: -5},
			true,
			nil,
			"wrong success: refund, another amount",
		},
		{
			"a refund denied",
			"captured",
			back,
			writeFault{},
			true,
			notApplied,
			"wrong final: ErrNotApplied for a refund, but money went out",
		},
		{
			"a late refund denied",
			"captured",
			back,
			writeFault{late: time.Second},
			true,
			notApplied,
			"wrong final: ErrNotApplied for a refund, but money went out",
		},
		{
			"denied, but it can be refunded",
			"captured",
			back,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied for a refund that can still be made",
		},
		{
			"two refunds reported, but there is one", "captured", back,
			writeFault{},
			true, double,
			"wrong conflict: DoubleRefundError",
		},
		{"conflict, but the refund is right", "captured", back, writeFault{}, true, conflict, "wrong conflict: refund"},
		{
			"both",
			"cancelled",
			part,
			writeFault{},
			false,
			errors.Join(notApplied, conflict),
			"sentinels: ErrNotApplied and ErrConflict",
		},
		{
			"a final error of no type",
			"cancelled",
			part,
			writeFault{},
			false,
			plural.ErrNotApplied,
			"sentinels: a final error that is neither",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sc := &scenario{seed: 3, setup: tt.setup, age: time.Hour, legs: 2, plans: []plan{tt.plan}}
				o := &oracle{gateway: newGateway(sc)}
				o.setUp()
				time.Sleep(20 * time.Second)
				c := &call{plan: tt.plan, id: "p0.1", start: time.Now(), err: tt.err, got: &plural.Order{
					Type: "REFUND", MerchantOrderReference: tt.plan.reference, OrderAmount: plural.INR(tt.plan.amount),
				}}
				o.calls = []*call{c}
				time.Sleep(time.Second)
				if tt.sent {
					o.runAfter(tt.fault.late, func() { o.send(c, tt.fault, c.start) })
				}
				if tt.fault.late == 0 {
					time.Sleep(time.Second)
				}
				c.end = time.Now()
				o.wg.Wait()
				o.judge()
				var kinds []string
				for _, f := range o.findings {
					kinds = append(kinds, f.kind)
				}
				if tt.kind == "" {
					require.Empty(t, kinds)
					return
				}
				require.NotEmpty(t, kinds)
				require.Contains(t, kinds[0], tt.kind)
			})
		})
	}
}

func (o *oracle) send(c *call, f writeFault, arrived time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.find(c.order)
	switch c.op {
	case "capture":
		o.applyCapture(of, c.reference, c.amount, f, c.id, arrived, time.Now())
	case "cancel":
		o.applyCancel(of, f, c.id, arrived, time.Now())
	default:
		o.applyRefund(of, c.reference, c.amount, f, c.id, arrived, time.Now())
	}
}
