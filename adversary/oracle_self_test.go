package adversary_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// An oracle that finds nothing is only useful if it can find something.
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
		sent  bool // the gateway carries out the plan
		err   error
		kind  string // "" if the answer is right
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
		{"a paisa less", "authorized", whole, writeFault{delta: -1}, true, nil, "wrong success: capture, other figures"},
		{"a paisa less, and said so", "authorized", whole, writeFault{delta: -1}, true, conflict, ""},
		{"a leg failed", "authorized", whole, writeFault{legFails: true}, true, nil, "wrong success: capture, other figures"},
		{
			"captured later than said",
			"authorized",
			part,
			writeFault{late: time.Second},
			true,
			nil,
			"wrong success: capture, said before",
		},
		{
			"captured, and denied",
			"authorized",
			part,
			writeFault{},
			true,
			notApplied,
			"wrong final: ErrNotApplied of a capture, and money",
		},
		{
			"captured late, and denied",
			"authorized",
			part,
			writeFault{late: time.Second},
			true,
			notApplied,
			"wrong final: ErrNotApplied of a capture, and money",
		},
		{
			"denied of an open order",
			"authorized",
			part,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied of a capture, and the order is open",
		},
		{
			"denied of an unpaid order",
			"created",
			part,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied of a capture, and the order is open",
		},
		{"denied of a cancelled order", "cancelled", part, writeFault{}, false, notApplied, ""},
		{"conflict over what is right", "authorized", part, writeFault{}, true, conflict, "wrong conflict: of a capture"},
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
		{"no hold where none was taken", "cancelled", part, writeFault{}, false, noHold, "wrong conflict: ErrNoHold"},
		{"no hold of an order paid outright", "outright", part, writeFault{}, false, noHold, ""},
		{"not cancelled", "authorized", void, writeFault{}, false, nil, "wrong success: cancel"},
		{"cancelled", "authorized", void, writeFault{}, true, nil, ""},
		{
			"cancelled, and denied",
			"authorized",
			void,
			writeFault{},
			true,
			notApplied,
			"wrong final: ErrNotApplied of a cancel, and the order is cancelled",
		},
		{
			"cancel denied of an unpaid order",
			"created",
			void,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied of a cancel, and the order is open",
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
			"wrong success: refund, other figures",
		},
		{
			"a refund denied",
			"captured",
			back,
			writeFault{},
			true,
			notApplied,
			"wrong final: ErrNotApplied of a refund, and money went out",
		},
		{
			"a late refund denied",
			"captured",
			back,
			writeFault{late: time.Second},
			true,
			notApplied,
			"wrong final: ErrNotApplied of a refund, and money went out",
		},
		{
			"denied of what can be refunded",
			"captured",
			back,
			writeFault{},
			false,
			notApplied,
			"wrong final: ErrNotApplied of a refund that can still be made",
		},
		{"two refunds where there is one", "captured", back, writeFault{}, true, double, "wrong conflict: DoubleRefundError"},
		{"conflict over a right refund", "captured", back, writeFault{}, true, conflict, "wrong conflict: of a refund"},
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
			"a final of no type",
			"cancelled",
			part,
			writeFault{},
			false,
			plural.ErrNotApplied,
			"sentinels: a final that is neither",
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
					o.after(tt.fault.late, func() { o.send(c, tt.fault, c.start) })
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
		o.capture(of, c.reference, c.amount, f, c.id, arrived, time.Now())
	case "cancel":
		o.cancel(of, f, c.id, arrived, time.Now())
	default:
		o.refund(of, c.reference, c.amount, f, c.id, arrived, time.Now())
	}
}
