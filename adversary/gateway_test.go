package adversary_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// These are the statuses that the gateway uses. They are written out here
// again, so they do not depend on the package under test.
const (
	created           = "CREATED"
	attempted         = "ATTEMPTED"
	pending           = "PENDING"
	authorized        = "AUTHORIZED"
	processed         = "PROCESSED"
	partiallyCaptured = "PARTIALLY_CAPTURED"
	partiallyRefunded = "PARTIALLY_REFUNDED"
	fullyRefunded     = "FULLY_REFUNDED"
	cancelled         = "CANCELLED"
	failed            = "FAILED"
	rejected          = "REJECTED"
)

// order is the true state of one order. Each change makes a new version, and
// replicas serve old versions.
type order struct {
	id, reference string
	amount        int64 // the amount in the request that created the order
	coupon        int64
	offer, fee    int64 // a bank's offer and a fee, which change the amounts of the payments
	status        string
	paidStatus    string // the status before the first refund
	preAuth       bool
	lapsed        bool // the bank has released the hold, but the order does not show that
	busy          bool // a capture or a cancel is PENDING
	legs          []leg
	refunds       []refund
	created       time.Time
	changed       time.Time
}

// leg is one payment of an order, or a failed attempt to pay.
type leg struct {
	id, method, status string
	amount             int64
	held, taken        int64
	entries            []entry
}

// entry is one element of capture_data.
type entry struct {
	reference string
	amount    int64
	at        time.Time
}

type refund struct {
	id, reference, status string
	amount                int64
	at                    time.Time
}

// isGood reports whether the refund's money is on its way or has arrived.
func (r refund) isGood() bool {
	return r.status == processed || r.status == pending || r.status == created
}

type version struct {
	at    time.Time
	order order
}

// effect is a write that was really carried out. The oracle compares the
// results of the calls with these effects.
type effect struct {
	op, order, reference, by string // by: the id of the call, "somebody else" or "an earlier run"
	refund                   string
	amount                   int64
	arrived, at              time.Time
}

// gateway answers requests as Plural might, and keeps its orders in memory. Its
// decisions depend only on the scenario's seed and on the sequence in which the
// requests arrive.
type gateway struct {
	sc    *scenario
	start time.Time

	mu       sync.Mutex
	orders   []*order
	versions map[string][]version
	effects  []effect
	writes   int
	reads    int
	ids      int
	well     bool
	trace    []string
	last     string
	again    int
	findings []finding
	lateRunner
}

// lateRunner runs functions at a later time. To wait for all of these
// functions, use the field wg.
type lateRunner struct{ wg sync.WaitGroup }

// runAfter waits in the background until the time d has passed on the test's
// clock. Then it calls the function f.
func (b *lateRunner) runAfter(d time.Duration, f func()) {
	b.wg.Go(func() {
		time.Sleep(d) // f is a late effect, or an action of somebody else
		f()
	})
}

func newGateway(sc *scenario) *gateway {
	return &gateway{sc: sc, start: time.Now(), versions: map[string][]version{}}
}

func (g *gateway) rng(class string, n int) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, b := range []byte(class) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(g.sc.seed, h+uint64(n)*0x9e3779b97f4a7c15))
}

// Call record to add a line to the trace. If the new line repeats the last
// line, the trace keeps only one of the two lines, and shows the number of
// repetitions.
func (g *gateway) record(who, format string, args ...any) {
	line := fmt.Sprintf("%-9s ", who) + fmt.Sprintf(format, args...)
	if line == g.last {
		g.again++
		g.trace[len(g.trace)-1] = fmt.Sprintf("%9.3fs %s (%d times more)", time.Since(g.start).Seconds(), line, g.again)
		return
	}
	g.last, g.again = line, 0
	g.trace = append(g.trace, fmt.Sprintf("%9.3fs %s", time.Since(g.start).Seconds(), line))
}

func (g *gateway) find(id string) *order {
	for _, o := range g.orders {
		if o.id == id {
			return o
		}
	}
	return nil
}

// The method commit saves a copy of o, in its present state, as a new version.
func (g *gateway) commit(o *order, at time.Time) {
	o.changed = at
	g.versions[o.id] = append(g.versions[o.id], version{at: at, order: o.clone()})
}

// asOf returns the order as it was at the given time.
func (g *gateway) asOf(id string, at time.Time) (order, bool) {
	for _, v := range slices.Backward(g.versions[id]) {
		if !v.at.After(at) {
			return v.order, true
		}
	}
	return order{}, false
}

func (o *order) clone() order {
	c := *o
	c.legs = slices.Clone(o.legs)
	for i := range c.legs {
		c.legs[i].entries = slices.Clone(c.legs[i].entries)
	}
	c.refunds = slices.Clone(o.refunds)
	return c
}

func (o *order) held() (sum int64) {
	for _, l := range o.legs {
		sum += l.held
	}
	return sum
}

func (o *order) takenSum() (sum int64) {
	for _, l := range o.legs {
		sum += l.taken
	}
	return sum
}

// hasBegunCapture reports whether a capture of the order has begun.
func (o *order) hasBegunCapture() bool {
	return o.busy || slices.ContainsFunc(o.legs, func(l leg) bool { return len(l.entries) > 0 })
}

func (o *order) refunded(count func(refund) bool) (sum int64) {
	for _, r := range o.refunds {
		if count(r) {
			sum += r.amount
		}
	}
	return sum
}

func (o *order) open() bool {
	return o.status == created || o.status == attempted || o.status == pending ||
		o.status == authorized && !o.hasBegunCapture()
}

// refusal is the answer to a write that the gateway really does not carry out.
type refusal struct {
	status int
	code   string
}

// applyCapture takes the money from one payment after the other.
func (g *gateway) applyCapture(
	o *order, reference string, amount int64, f writeFault, by string, arrived, now time.Time,
) *refusal {
	held := o.held()
	switch {
	case o.status == cancelled:
		return &refusal{422, g.sc.codeOf("ORDER_CANCELLED", "OPERATION_NOT_ALLOWED")}
	case o.hasBegunCapture():
		return &refusal{422, g.sc.codeOf("OPERATION_NOT_ALLOWED", "DUPLICATE_REQUEST")}
	case o.status != authorized:
		return &refusal{422, g.sc.codeOf("OPERATION_NOT_ALLOWED", "PAYMENT_NOT_AUTHORIZED")}
	case o.lapsed:
		return &refusal{422, g.sc.codeOf("PAYMENT_EXPIRED", "PAYMENT_DECLINED")}
	case amount > held:
		return &refusal{422, g.sc.codeOf("AMOUNT_LIMIT_EXCEEDED", "INVALID_REQUEST")}
	}
	if amount == 0 {
		amount = held
	}
	if f.pendingFor > 0 {
		g.makePending(o, reference, amount, f, now, func() {
			f.pendingFor = 0
			if no := g.applyCapture(o, reference, amount, f, by, arrived, time.Now()); no != nil {
				panic(no.code)
			}
		})
		return nil
	}
	left := min(max(amount+f.delta, 1), held)
	whole := left == held
	var active []int
	for i := range o.legs {
		if o.legs[i].held > 0 {
			active = append(active, i)
		}
	}
	take := func(n int, now time.Time) {
		l := &o.legs[active[n]]
		part := min(left, l.held)
		left -= part
		l.held = 0
		switch {
		case part == 0:
			l.status = cancelled
		case f.legFails && n == len(active)-1 && n > 0:
			l.status = failed
			whole = false
		default:
			l.status, l.taken = processed, part
			l.entries = []entry{{reference: reference, amount: part, at: now}}
			g.effects = append(g.effects, effect{
				op: "capture", order: o.id, reference: reference, by: by, amount: part, arrived: arrived, at: now,
			})
			g.record("[truth]", "leg %d of %s: %d captured under %q, asked by %s", active[n], o.id, part, reference, by)
		}
		if n < len(active)-1 {
			o.status = f.midStatus
			if o.status == "" {
				o.status = authorized
			}
			return
		}
		o.status = processed
		if !whole && !g.sc.partialReadsProcessed {
			o.status = partiallyCaptured
		}
		o.paidStatus = o.status
	}
	for n := range active {
		if n == 0 || f.legGap == 0 {
			take(n, now)
			continue
		}
		g.runAfter(time.Duration(n)*f.legGap, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			take(n, time.Now())
			g.commit(o, time.Now())
		})
	}
	g.commit(o, now)
	return nil
}

// makePending sets an order to PENDING for some time. Afterwards one of three
// things happens: the write is carried out, the order fails, or the order is
// AUTHORIZED again.
func (g *gateway) makePending(o *order, reference string, amount int64, f writeFault, now time.Time, carryOut func()) {
	o.busy, o.status = true, pending
	left := amount
	for i := range o.legs {
		if l := &o.legs[i]; l.held > 0 {
			l.status = pending
			if part := min(left, l.held); part > 0 && f.pendingEntry {
				left -= part
				l.entries = []entry{{reference: reference, amount: part, at: now}}
			}
		}
	}
	g.record("[truth]", "%s is PENDING, then %s", o.id, f.pendingEnd)
	g.commit(o, now)
	g.runAfter(f.pendingFor, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		o.busy = false
		if f.pendingEnd == failed {
			for i := range o.legs {
				if l := &o.legs[i]; l.held > 0 {
					l.status, l.held = failed, 0
				}
			}
			o.status = failed
			g.record("[truth]", "%s FAILED", o.id)
			g.commit(o, time.Now())
			return
		}
		for i := range o.legs {
			if l := &o.legs[i]; l.held > 0 {
				l.status, l.entries = authorized, nil
			}
		}
		o.status = authorized
		if f.pendingEnd == processed {
			carryOut()
			return
		}
		g.record("[truth]", "%s is AUTHORIZED again", o.id)
		g.commit(o, time.Now())
	})
}

func (g *gateway) applyCancel(o *order, f writeFault, by string, arrived, now time.Time) *refusal {
	switch {
	case o.status == cancelled:
		return &refusal{422, g.sc.codeOf("ORDER_CANCELLED", "OPERATION_NOT_ALLOWED")}
	case o.status != authorized || o.hasBegunCapture():
		return &refusal{422, "OPERATION_NOT_ALLOWED"}
	}
	if f.pendingFor > 0 {
		g.makePending(o, "", 0, f, now, func() {
			if no := g.applyCancel(o, writeFault{}, by, arrived, time.Now()); no != nil {
				panic(no.code)
			}
		})
		return nil
	}
	for i := range o.legs {
		if o.legs[i].status == authorized {
			o.legs[i].status, o.legs[i].held = cancelled, 0
		}
	}
	o.status = cancelled
	g.effects = append(g.effects, effect{op: "cancel", order: o.id, by: by, arrived: arrived, at: now})
	g.record("[truth]", "%s cancelled, asked by %s", o.id, by)
	g.commit(o, now)
	return nil
}

// applyRefund gives money back. Its second result is the id of the refund that
// the answer shows.
func (g *gateway) applyRefund(
	o *order, reference string, amount int64, f writeFault, by string, arrived, now time.Time,
) (*refusal, string) {
	for _, other := range g.orders {
		if other.reference == reference {
			return &refusal{422, "DUPLICATE_REQUEST"}, ""
		}
		if g.sc.unique == notUnique {
			continue
		}
		for _, r := range other.refunds {
			if r.reference != reference || g.sc.unique == failedFrees && !r.isGood() {
				continue
			}
			if g.sc.duplicateAnswers && other == o && r.amount == amount {
				return nil, r.id
			}
			return &refusal{422, "DUPLICATE_REQUEST"}, ""
		}
	}
	switch {
	case o.takenSum() == 0 || o.status == authorized || o.status == pending:
		return &refusal{422, "OPERATION_NOT_ALLOWED"}, ""
	case o.takenSum()-o.refunded(refund.isGood) < amount:
		return &refusal{422, g.sc.codeOf("AMOUNT_LIMIT_EXCEEDED", "INVALID_REQUEST")}, ""
	}
	amount = min(max(amount+f.delta, 1), o.takenSum()-o.refunded(refund.isGood))
	g.ids++
	r := refund{id: fmt.Sprintf("v1-r%d", g.ids), reference: reference, status: processed, amount: amount, at: now}
	if len(f.fate) > 0 {
		r.status = f.fate[0]
	}
	g.setRefund(o, r, by, now)
	g.effects = append(g.effects, effect{
		op: "refund", order: o.id, reference: reference, refund: r.id, by: by, amount: amount, arrived: arrived, at: now,
	})
	for i, next := range f.fate[min(1, len(f.fate)):] {
		g.runAfter(time.Duration(i+1)*f.fateGap, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			r.status = next
			g.setRefund(o, r, "the bank", time.Now())
		})
	}
	return nil, r.id
}

func (g *gateway) setRefund(o *order, r refund, by string, now time.Time) {
	i := slices.IndexFunc(o.refunds, func(x refund) bool { return x.id == r.id })
	if i < 0 {
		o.refunds = append(o.refunds, r)
	} else {
		o.refunds[i] = r
	}
	switch done := o.refunded(func(r refund) bool { return r.status == processed }); {
	case done == 0:
		o.status = o.paidStatus
	case done == o.takenSum():
		o.status = fullyRefunded
	default:
		o.status = partiallyRefunded
	}
	g.record(
		"[truth]",
		"refund %s of %s under %q: %d %s, by %s; the order is %s",
		r.id,
		o.id,
		r.reference,
		r.amount,
		r.status,
		by,
		o.status,
	)
	g.commit(o, now)
}

// payOrder acts for the payer. If the order can still be paid, the payer pays
// by card, and the money is held.
func (g *gateway) payOrder(o *order, now time.Time) {
	if o.status != created && o.status != attempted && o.status != pending || o.busy {
		return
	}
	o.legs = append(
		o.legs,
		leg{id: o.id + "-cc-p", method: "CARD", status: authorized, amount: o.amount - o.coupon, held: o.amount - o.coupon},
	)
	o.status = authorized
	g.record("[truth]", "the payer paid %s: AUTHORIZED", o.id)
	g.commit(o, now)
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}
