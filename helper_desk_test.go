package plural_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// The orders of these tests are for 100 rupees. If an order is paid with
// points, 30 rupees are points and 70 are from a card.
const (
	wholeAmount  = 10_000
	pointsAmount = 3_000
	cardAmount   = wholeAmount - pointsAmount
	partAmount   = 4_000
)

func paise(value int64) pluraltest.Amount {
	return pluraltest.Amount{Value: value, Currency: "INR"}
}

// write is a call that moves money, or makes or cancels a payment link.
type write struct {
	op        string // pluraltest.OpCapturesCreate and so on
	orderID   string
	reference string
	amount    int64 // 0 for a full capture or a cancel
}

func (w write) String() string {
	return fmt.Sprintf("%s of %d under %q on %s", w.op, w.amount, w.reference, w.orderID)
}

func (w write) run(ctx context.Context, c *plural.Client, opts ...plural.CallOption) (*plural.Order, error) {
	switch w.op {
	case pluraltest.OpCapturesCreate:
		req := &plural.CaptureRequest{MerchantCaptureReference: w.reference, FullAmount: w.amount == 0}
		if w.amount != 0 {
			req.CaptureAmount = plural.INR(w.amount)
		}
		return c.Captures.Create(ctx, w.orderID, req, opts...)
	case pluraltest.OpCancelsCreate:
		return c.Cancels.Create(ctx, w.orderID, opts...)
	case pluraltest.OpRefundsCreate:
		return c.Refunds.Create(
			ctx,
			w.orderID,
			&plural.RefundRequest{MerchantOrderReference: w.reference, OrderAmount: plural.INR(w.amount)},
			opts...)
	}
	return w.runLink(ctx, c, opts...)
}

// countEffects counts how often the write w was carried out, according to the
// emulator's books.
func (w write) countEffects(srv *pluraltest.Server) int {
	n := 0
	switch w.op {
	case pluraltest.OpCapturesCreate:
		for _, c := range srv.Captures(w.orderID) {
			if c.Reference == w.reference && (c.Amount == paise(w.amount) || w.amount == 0 && c.Full) {
				n++
			}
		}
	case pluraltest.OpCancelsCreate:
		if o, _ := srv.Order(w.orderID); o.Status == pluraltest.StatusCancelled {
			n++
		}
	case pluraltest.OpRefundsCreate:
		for _, r := range srv.Refunds(w.orderID) {
			if r.Reference == w.reference && r.Amount == paise(w.amount) && isAlive(r) {
				n++
			}
		}
	default:
		n = w.linkEffects(srv)
	}
	return n
}

// isAlive reports whether a refund has given money back or may still do so.
func isAlive(r pluraltest.Refund) bool {
	return slices.Contains(
		[]string{pluraltest.StatusCreated, pluraltest.StatusPending, pluraltest.StatusProcessed},
		r.Status,
	)
}

// w.touches(srv) counts how often the write w was sent. Requests that were
// refused count too.
func (w write) touches(srv *pluraltest.Server) int {
	n := 0
	for _, r := range srv.RequestsTo(w.op) {
		if r.OrderID == w.orderID && (w.reference == "" || r.Reference == w.reference) {
			n++
		}
	}
	return n
}

// outcome is what a call returned to its caller.
type outcome struct {
	write
	order *plural.Order
	err   error
}

// isOpen reports whether the outcome is still open. If it is open, the caller
// has to call again.
func (o outcome) isOpen() bool {
	return o.err != nil && !errors.Is(o.err, plural.ErrNotApplied) && !errors.Is(o.err, plural.ErrConflict)
}

// o.contradicts(srv) compares the result of a call with the books, right after
// the call has returned. It returns a text if the two disagree, and "" if they
// agree.
func (o outcome) contradicts(srv *pluraltest.Server) string {
	return o.contradictsWith(o.countEffects(srv), srv)
}

// o.contradictsLater(srv) also compares the result of a call with the books.
// Tests call it after everything that was under way has ended. By then, a
// refund that was PENDING may have failed.
func (o outcome) contradictsLater(srv *pluraltest.Server) string {
	return o.contradictsLaterWith(o.countEffects(srv), srv)
}

// The method contradictsLaterWith makes the same comparison as the method
// contradictsLater. The caller passes n, the number of effects in the books.
// The caller counts the effects only once, because with a real socket a refund
// may fail between two counts.
func (o outcome) contradictsLaterWith(n int, srv *pluraltest.Server) string {
	if o.err == nil && o.op == pluraltest.OpRefundsCreate && o.order.Status == plural.OrderStatusPending && n == 0 {
		return "" // the refund was accepted, as its document said, and has failed since then
	}
	return o.contradictsWith(n, srv)
}

// The method contradictsWith makes the same comparison as the method
// contradicts. The caller passes n, the number of effects in the books.
func (o outcome) contradictsWith(n int, srv *pluraltest.Server) string {
	switch {
	case n > 1:
		return fmt.Sprintf("%v was applied %d times", o.write, n)
	case o.err == nil && n != 1:
		return fmt.Sprintf("%v: the call succeeded (%v), but the books do not have the write", o.write, o.order)
	case errors.Is(o.err, plural.ErrNotApplied) && n != 0:
		return fmt.Sprintf("%v: the error says not applied, but the books have the write: %v", o.write, o.err)
	case errors.Is(o.err, plural.ErrConflict) && !errors.Is(o.err, plural.ErrNoHold) && n == 1:
		return fmt.Sprintf("%v: the error says conflict, but the books have exactly this write: %v", o.write, o.err)
	case errors.Is(o.err, plural.ErrConflict) && o.isUntrueOfLink(srv):
		return fmt.Sprintf("%v: the error says conflict, but the books show no conflict: %v", o.write, o.err)
	case errors.Is(o.err, plural.ErrNotApplied) && errors.Is(o.err, plural.ErrConflict),
		!o.isOpen() && plural.NeedsReview(o.err):
		return fmt.Sprintf("%v: a final error that contradicts itself: %v", o.write, o.err)
	case o.err == nil:
		return o.misdocumented(srv)
	}
	return ""
}

// misdocumented says what is wrong with the document that a successful call
// returned.
func (o outcome) misdocumented(srv *pluraltest.Server) string {
	wrong := func(what string) string {
		return fmt.Sprintf("%v: the returned document has a wrong %s: %s", o.write, what, o.order.RawJSON())
	}
	switch {
	case o.order == nil:
		return fmt.Sprintf("%v: the call succeeded without a document", o.write)
	case isOfLink(o.op):
		return o.misdocumentedLink(srv)
	case o.op == pluraltest.OpRefundsCreate:
		switch {
		case o.order.Type != plural.OrderTypeRefund:
			return wrong("type")
		case o.order.ParentOrderID != o.orderID:
			return wrong("parent")
		case o.order.MerchantOrderReference != o.reference:
			return wrong("reference")
		case o.order.OrderAmount != plural.INR(o.amount):
			return wrong("amount")
		}
		if _, exists := srv.Order(o.order.OrderID); !exists {
			return wrong("id")
		}
		return ""
	case o.order.OrderID != o.orderID:
		return wrong("id")
	case o.op == pluraltest.OpCancelsCreate:
		if o.order.Status != plural.OrderStatusCancelled {
			return wrong("status")
		}
		return ""
	}
	want := o.amount
	if want == 0 {
		held, _ := srv.Order(o.orderID)
		want = held.Amount.Value
	}
	if got, ok := o.order.CapturedAmount(); !ok || got != plural.INR(want) {
		return wrong("captured amount")
	}
	return ""
}

// startingState brings a new order of 100 rupees to the state in which a test
// begins. w is the write that the test will make.
type startingState struct {
	name string
	prep func(d *desk, w write)
	sale bool // the order is not a hold

	reachesMost bool // most outcomes can be reached from this state
}

// A desk acts for the payer, and for a merchant who uses the dashboard. Faults
// never disturb the actions of a desk.
type desk struct {
	t   testing.TB
	srv *pluraltest.Server

	doubles int // the test expects that this many writes are carried out twice
}

// d.order(reference, preAuth) makes an order that nobody has paid yet.
func (d *desk) order(reference string, preAuth bool) string {
	d.t.Helper()
	id, err := d.srv.AddOrder(pluraltest.OrderSpec{Reference: reference, Amount: paise(wholeAmount), PreAuth: preAuth})
	require.NoError(d.t, err)
	return id
}

func (d *desk) pay(id string, decisions ...pluraltest.Decision) {
	d.t.Helper()
	for _, decision := range decisions {
		_, err := d.srv.Pay(id, decision)
		require.NoError(d.t, err)
	}
}

func (d *desk) capture(id, reference string, amount int64) {
	d.t.Helper()
	a := pluraltest.Amount{}
	if amount != 0 {
		a = paise(amount)
	}
	require.NoError(d.t, d.srv.Capture(id, reference, a))
}

func (d *desk) refund(id, reference string, amount int64) {
	d.t.Helper()
	_, err := d.srv.Refund(id, reference, paise(amount))
	require.NoError(d.t, err)
}

// startingStates returns the states of an order that matter to a write. It
// leaves out states that only a fault in the write itself can bring about.
func startingStates(op string) []startingState {
	if isOfLink(op) {
		return linkStates(op)
	}
	paid := func(name string, decisions ...pluraltest.Decision) startingState {
		return startingState{name: name, prep: func(d *desk, w write) { d.pay(w.orderID, decisions...) }}
	}
	then := func(s startingState, name string, more func(d *desk, w write)) startingState {
		return startingState{name: s.name + ", " + name, prep: func(d *desk, w write) {
			s.prep(d, w)
			more(d, w)
		}}
	}
	someone := func(w write) string { return "someone-" + w.orderID }
	us := func(w write) string { return w.reference }
	held := paid("authorized from points and card", pluraltest.ApproveWithPoints(pointsAmount))
	captured := func(name string, reference func(w write) string, amount int64) startingState {
		return then(held, "captured "+name, func(d *desk, w write) { d.capture(w.orderID, reference(w), amount) })
	}
	refundPart := func(d *desk, w write) { d.refund(w.orderID, someone(w), 1000) }
	whole, part := captured("whole by someone else", someone, 0), captured("in part by someone else", someone, partAmount)
	states := []startingState{
		paid("created"),
		paid("payment pending", pluraltest.LeavePending),
		paid("attempted", pluraltest.Decline("no")),
		paid("failed", pluraltest.Decline("no").Final()),
		paid("cancelled by the payer", pluraltest.CancelPayment),
		then(held, "cancelled", func(d *desk, w write) { require.NoError(d.t, d.srv.Cancel(w.orderID)) }),
		paid("authorized", pluraltest.Approve),
		paid("authorized at the second try", pluraltest.Decline("no"), pluraltest.Approve),
		held, whole, part,
	}
	switch op {
	case pluraltest.OpCapturesCreate:
		ours := []startingState{
			captured("whole by us", us, 0),
			captured("in part by us", us, partAmount),
			captured("the card's part by us", us, cardAmount),
		}
		states = append(states, ours...)
		for _, s := range append(ours, whole) {
			states = append(states, then(s, "refunded in part", refundPart))
		}
	case pluraltest.OpCancelsCreate:
		states = append(states, then(whole, "refunded in part", refundPart))
	case pluraltest.OpRefundsCreate:
		ours := func(name string, more int64) startingState {
			return then(
				whole, "refunded by us: "+name, func(d *desk, w write) { d.refund(w.orderID, w.reference, w.amount+more) },
			)
		}
		sale := paid("paid without a hold", pluraltest.Approve)
		sale.sale = true
		states = append(states,
			sale,
			then(whole, "refunded in part", refundPart),
			then(whole, "refunded whole", func(d *desk, w write) { d.refund(w.orderID, someone(w), wholeAmount) }),
			ours("the same amount", 0),
			ours("another amount", -100),
			then(whole, "our reference is another order's", func(d *desk, w write) { d.order(w.reference, true) }),
		)
	}
	telling := map[string][]string{
		pluraltest.OpCapturesCreate: {
			"authorized from points and card",
			"authorized from points and card, captured in part by us",
		},
		pluraltest.OpCancelsCreate: {"authorized", "payment pending"},
		pluraltest.OpRefundsCreate: {"authorized from points and card, captured whole by someone else"},
	}
	for i := range states {
		states[i].reachesMost = slices.Contains(telling[op], states[i].name)
	}
	return states
}

// inBubble runs a test with its own server and its own clock.
func inBubble(t *testing.T, test func(t *testing.T, d *desk), opts ...pluraltest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(opts...)
		t.Cleanup(srv.Close)
		d := &desk{t: t, srv: srv}
		test(t, d)
		srv.Flush()
		require.Len(t, srv.Doubles(), d.doubles, "%q", srv.Doubles())
	})
}

// readyWrite makes an order that allows the operation op. It returns a write
// that carries out this operation on that order.
func (d *desk) readyWrite(op string, amount int64) write {
	d.t.Helper()
	w := write{op: op, orderID: d.order("order-"+strconv.Itoa(len(d.srv.Orders())), true), amount: amount}
	d.pay(w.orderID, pluraltest.Approve)
	switch op {
	case pluraltest.OpCapturesCreate:
		w.reference = "capture-1"
	case pluraltest.OpRefundsCreate:
		w.reference = "refund-1"
		d.capture(w.orderID, "someone", 0)
	}
	return w
}

// forEachWrite runs a test for captures, cancels and refunds, in whole and in
// part.
func forEachWrite(t *testing.T, test func(t *testing.T, d *desk, w write), opts ...pluraltest.Option) {
	t.Helper()
	for _, w := range []write{
		{op: pluraltest.OpCapturesCreate},
		{op: pluraltest.OpCapturesCreate, amount: partAmount},
		{op: pluraltest.OpCancelsCreate},
		{op: pluraltest.OpRefundsCreate, amount: wholeAmount},
		{op: pluraltest.OpRefundsCreate, amount: partAmount},
	} {
		t.Run(fmt.Sprintf("%s %d", w.op, w.amount), func(t *testing.T) {
			inBubble(t, func(t *testing.T, d *desk) { test(t, d, d.readyWrite(w.op, w.amount)) }, opts...)
		})
	}
}

// d.agrees(ctx, w, c) makes the call w. If the result contradicts the books,
// the test fails.
func (d *desk) agrees(ctx context.Context, w write, c *plural.Client, opts ...plural.CallOption) outcome {
	d.t.Helper()
	o := outcome{write: w}
	o.order, o.err = w.run(ctx, c, opts...)
	require.Empty(d.t, o.contradicts(d.srv))
	return o
}

func (d *desk) reads() int {
	return len(d.srv.RequestsTo(pluraltest.OpOrdersGet)) + len(d.srv.RequestsTo(pluraltest.OpOrdersGetByReference))
}

func repeated(f pluraltest.Fault, times int) []pluraltest.Fault {
	var list []pluraltest.Fault
	for range times {
		list = append(list, f)
	}
	return list
}

func amountFor(op string) int64 {
	if op == pluraltest.OpCancelsCreate {
		return 0
	}
	return partAmount
}
