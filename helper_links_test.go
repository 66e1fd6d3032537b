package plural_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/racetest"
	"github.com/plural-go/plural/pluraltest"
)

// isOfLink reports whether an operation makes or cancels a payment link. A
// write that cancels a link has the link's id in its orderID field. In a write
// that makes a link, the field is "".
func isOfLink(op string) bool { return strings.HasPrefix(op, "payment_links.") }

var linkCustomer = json.RawMessage(`{"email_id":"meera.iyer@example.in"}`)

// runLink makes or cancels a payment link. It returns an order with the link's
// id, reference, amount and status, because tests compare these fields.
func (w write) runLink(ctx context.Context, c *plural.Client, opts ...plural.CallOption) (*plural.Order, error) {
	var link *plural.PaymentLink
	var err error
	switch w.op {
	case pluraltest.OpPaymentLinksCreate:
		link, err = c.PaymentLinks.Create(ctx, &plural.PaymentLinkRequest{
			MerchantPaymentLinkReference: w.reference, Amount: plural.INR(w.amount), PreAuth: true,
			Customer: &plural.Customer{EmailID: "meera.iyer@example.in"},
		}, opts...)
	case pluraltest.OpPaymentLinksCancel:
		link, err = c.PaymentLinks.Cancel(ctx, w.orderID, opts...)
	default:
		panic("no such write: " + w.op)
	}
	if link == nil {
		return nil, err
	}
	return &plural.Order{
		OrderID: link.PaymentLinkID, ParentOrderID: link.OrderID, MerchantOrderReference: link.MerchantPaymentLinkReference,
		OrderAmount: link.Amount, Status: plural.OrderStatus(link.Status),
	}, err
}

func (w write) linkEffects(srv *pluraltest.Server) (n int) {
	if w.op == pluraltest.OpPaymentLinksCancel {
		if l, _ := srv.Link(w.orderID); l.Status == pluraltest.StatusCancelled {
			n++
		}
		return n
	}
	for _, l := range srv.LinksByReference(w.reference) {
		if l.Amount == paise(w.amount) && l.PreAuth {
			n++
		}
	}
	return n
}

// isUntrueOfLink reports whether the error names a conflict that the books do
// not show. A call that makes a link may return a conflict only if the books
// have a link with the reference. A call that cancels a link may return a
// conflict only if the link's order has a payment.
func (o outcome) isUntrueOfLink(srv *pluraltest.Server) bool {
	var conflict *plural.PaymentLinkError
	switch {
	case !isOfLink(o.op):
		return false
	case !errors.As(o.err, &conflict) || conflict.Link == nil:
		return true
	case o.op == pluraltest.OpPaymentLinksCreate:
		return !errors.Is(o.err, plural.ErrReferenceReused) || len(srv.LinksByReference(o.reference)) == 0
	}
	l, _ := srv.Link(o.orderID)
	order, _ := srv.Order(l.OrderID)
	return conflict.Order == nil || conflict.Order.OrderID != l.OrderID || len(order.Payments) == 0
}

func (o outcome) misdocumentedLink(srv *pluraltest.Server) string {
	l, ok := srv.Link(o.order.OrderID)
	switch {
	case !ok || o.orderID != "" && o.orderID != l.ID:
		return fmt.Sprintf("%v: the document is about another link: %v", o.write, o.order)
	case o.order.MerchantOrderReference != l.Reference || o.order.ParentOrderID != l.OrderID:
		return fmt.Sprintf("%v: the document has another reference or order: %v", o.write, o.order)
	case o.op == pluraltest.OpPaymentLinksCreate && o.order.OrderAmount != plural.INR(o.amount):
		return fmt.Sprintf("%v: the document has another amount: %v", o.write, o.order)
	case o.op == pluraltest.OpPaymentLinksCancel && o.order.Status != pluraltest.StatusCancelled:
		return fmt.Sprintf("%v: the document has another status: %v", o.write, o.order)
	}
	return ""
}

// d.link(reference, value) makes a payment link that nobody has opened.
func (d *desk) link(reference string, value int64) string {
	d.t.Helper()
	id, err := d.srv.AddLink(pluraltest.LinkSpec{
		Reference: reference, Amount: paise(value), PreAuth: true, Customer: linkCustomer,
	})
	require.NoError(d.t, err)
	return id
}

// makeSubject makes the order or the payment link that a write will change. If
// the write itself makes a link, makeSubject makes nothing, and only returns a
// reference.
func (d *desk) makeSubject(op string, n int, preAuth bool) (id, reference string) {
	d.t.Helper()
	switch op {
	case pluraltest.OpPaymentLinksCreate:
		return "", fmt.Sprint("write-", n)
	case pluraltest.OpPaymentLinksCancel:
		return d.link(fmt.Sprint("link-", n), wholeAmount), ""
	case pluraltest.OpCancelsCreate:
		return d.order(fmt.Sprint("order-", n), preAuth), ""
	}
	return d.order(fmt.Sprint("order-", n), preAuth), fmt.Sprint("write-", n)
}

// orderOf returns the id of the order that a write changes. If the write
// changes a payment link, the result is the id of the link's order.
func (d *desk) orderOf(w write) string {
	if l, ok := d.srv.Link(w.orderID); ok {
		return l.OrderID
	}
	return w.orderID
}

// These are actions of the payer, or of another process, between two requests
// of the test. The tests treat each action as a fault, and the constant is the
// name of this fault. So a sequence of faults can contain the action. Such a
// fault changes neither the request nor its answer.
const (
	rivalMakesSame  = "another process makes the link"
	rivalMakesOther = "another process makes a link with another amount"
	payerOpens      = "the payer opens the link"
	payerBegins     = "the payer is at the bank"
	payerPays       = "the payer pays"
	dashboardVoids  = "somebody cancels the link"
)

func linkEvents(op string) (list []pluraltest.Fault) {
	names := []string{rivalMakesSame, rivalMakesOther}
	if op == pluraltest.OpPaymentLinksCancel {
		names = []string{payerOpens, payerBegins, payerPays, dashboardVoids}
	}
	for _, name := range names {
		list = append(list, pluraltest.Fault{Name: name})
	}
	return list
}

// playEvent carries out an action of the payer, or of another process, before a
// request arrives. The parameter event is one of the constants above, or the
// name of a real fault. If the event is a real fault, playEvent does nothing.
// If the action is not possible any more, playEvent does nothing either.
func (e *explorer) playEvent(event string) {
	srv, w := e.desk.srv, e.about
	spec := pluraltest.LinkSpec{Reference: w.reference, Amount: paise(w.amount), PreAuth: true, Customer: linkCustomer}
	switch event {
	case rivalMakesSame:
		_, _ = srv.AddLink(spec)
	case rivalMakesOther:
		spec.Amount.Value += 500
		_, _ = srv.AddLink(spec)
	case payerOpens:
		_ = srv.OpenLink(w.orderID)
	case payerBegins:
		_, _ = srv.Pay(e.desk.orderOf(w), pluraltest.LeavePending)
	case payerPays:
		_, _ = srv.Pay(e.desk.orderOf(w), pluraltest.Approve)
	case dashboardVoids:
		_ = srv.CancelLink(w.orderID)
	}
}

// linkFaults lists the faults that may come next in a sequence about a payment
// link. Such a sequence may have two faults.
func (e *explorer) linkFaults(op string, depth int) []pluraltest.Fault {
	used := 0
	for _, s := range e.path {
		if s.chosen > 0 {
			used++
		}
	}
	const longest = 5
	telling := append(tellingFaults(op), linkEvents(e.write.op)...)
	thorough := append(thoroughFaults(op), linkEvents(e.write.op)...)
	switch {
	case e.full && used < 2 && depth < longest, e.from.reachesMost && depth == 0:
		return thorough
	case e.from.reachesMost && used < 2 && depth < longest/2 && !racetest.Enabled, depth < 2 && used == 0:
		return telling
	}
	return nil
}

// linkStates returns the states of a payment link that matter to a write.
func linkStates(op string) []startingState {
	state := func(name string, prep func(d *desk, w write)) startingState {
		return startingState{name: name, prep: prep}
	}
	var states []startingState
	if op == pluraltest.OpPaymentLinksCreate {
		ours := func(name string, value int64, then func(d *desk, id string)) startingState {
			return state("made by us, "+name, func(d *desk, w write) {
				id := d.link(w.reference, value)
				if then != nil {
					then(d, id)
				}
			})
		}
		states = []startingState{
			state("new", func(*desk, write) {}),
			ours("the same", wholeAmount, nil),
			ours("another amount", wholeAmount+100, nil),
			ours("paid since", wholeAmount, func(d *desk, id string) {
				d.pay(d.orderOf(write{orderID: id}), pluraltest.Approve)
			}),
			ours("cancelled since", wholeAmount, func(d *desk, id string) { require.NoError(d.t, d.srv.CancelLink(id)) }),
		}
	} else {
		pay := func(name string, decisions ...pluraltest.Decision) startingState {
			return state(name, func(d *desk, w write) { d.pay(d.orderOf(w), decisions...) })
		}
		states = []startingState{
			state("created", func(*desk, write) {}),
			state("clicked", func(d *desk, w write) { require.NoError(d.t, d.srv.OpenLink(w.orderID)) }),
			pay("payment pending", pluraltest.LeavePending),
			pay("attempted", pluraltest.Decline("no")),
			pay("failed", pluraltest.Decline("no").Final()),
			pay("left by the payer", pluraltest.CancelPayment),
			pay("held", pluraltest.Approve),
			state("captured", func(d *desk, w write) {
				d.pay(d.orderOf(w), pluraltest.Approve)
				d.capture(d.orderOf(w), "someone-"+w.orderID, 0)
			}),
			state("held, and let go", func(d *desk, w write) {
				d.pay(d.orderOf(w), pluraltest.Approve)
				require.NoError(d.t, d.srv.Cancel(d.orderOf(w)))
			}),
			state("expired", func(*desk, write) { pass(25 * time.Hour) }),
			state("expired at the bank", func(d *desk, w write) {
				d.pay(d.orderOf(w), pluraltest.LeavePending)
				pass(25 * time.Hour)
			}),
			state("cancelled", func(d *desk, w write) { require.NoError(d.t, d.srv.CancelLink(w.orderID)) }),
		}
	}
	for i := range states {
		states[i].reachesMost = i == 0
	}
	return states
}
