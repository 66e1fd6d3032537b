package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural"
)

// The payments that a person makes.
const (
	partTaken   = "A" // captured in part, then refunded
	twoTaken    = "B" // two captures at the same time
	heldPayment = "C" // cancelled
	keptPayment = "D" // kept, with -keep-hold
)

// The sums, in paise.
const (
	unpaidSum  = 100  // the sum of an order that nobody pays
	paidSum    = 1000 // the sum of a payment
	partSum    = 600  // the partial capture of A
	eachOfTwo  = 400  // each of the two captures of B
	refundSum  = 100
	tooMuchSum = 2000
)

// newReference makes a new reference for this run.
func (p *Probe) newReference(kind string) string {
	return p.memory.Name + "-" + kind + "-" + strings.ToLower(rand.Text()[:6])
}

// orderRequest makes a request for an order of the given sum.
func orderRequest(reference string, paise int64) map[string]any {
	return map[string]any{
		"merchant_order_reference": reference,
		"order_amount":             sum(paise),
		"allowed_payment_methods":  onlyCards(),
	}
}

// onlyCards returns the payment methods of every order and link. UPI is never
// one of them, because on UAT it can move real money.
func onlyCards() []string { return []string{"CARD"} }

func sum(paise int64) map[string]any { return map[string]any{"value": paise, "currency": "INR"} }

// createOrder makes an order that nobody pays.
func (p *Probe) createOrder(ctx context.Context, request map[string]any) (r *reply, orderID string, err error) {
	r, err = p.wire.send(ctx, http.MethodPost, checkoutPath, request)
	if err != nil {
		return nil, "", err
	}
	if orderID = checkoutID(r); orderID != "" {
		p.recordChange(func() {
			if !slices.Contains(p.memory.Unpaid, orderID) {
				p.memory.Unpaid = append(p.memory.Unpaid, orderID)
			}
		})
	}
	return r, orderID, nil
}

// mustCreate calls createOrder. If Plural has made no order, mustCreate returns
// an error.
func (p *Probe) mustCreate(ctx context.Context, kind string) (reference, orderID string, err error) {
	reference = p.newReference(kind)
	r, orderID, err := p.createOrder(ctx, orderRequest(reference, unpaidSum))
	if err == nil && orderID == "" {
		err = r.notDone("an order")
	}
	return reference, orderID, err
}

// The method collect asks the person to make the payments that the questions
// need, and waits for the payments.
func (p *Probe) collect(ctx context.Context, names []string) error {
	var open []string
	for _, name := range names {
		made, err := p.prepare(ctx, name)
		if err != nil {
			return err
		}
		if made.HeldAt.IsZero() {
			open = append(open, name)
		}
	}
	if len(open) == 0 {
		return nil
	}
	p.show.Ask(open, p.link, p.listener.url+webhookPath, p.takesWebhooks())
	ctx, cancel := context.WithTimeout(ctx, p.options.PayWithin)
	defer cancel()
	for len(open) > 0 {
		select {
		case <-p.changed: // the run has recorded something new, for example that a browser came back
		case <-time.After(p.options.Pace):
		case <-ctx.Done():
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			p.show.Say("Not all payments were made in time, so the questions that need them are not asked.")
			return nil
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
		open = slices.DeleteFunc(open, func(name string) bool { return p.isHeld(ctx, name) })
	}
	return p.waitForBrowsers(ctx, names)
}

// backWithin is how long the probe waits for a browser to come back from the
// bank's page to this machine.
const backWithin = 5 * time.Second

// waitForBrowsers waits until the payers' browsers have come back to this
// machine from the given payments. It waits for at most backWithin and for at
// most Options.Patience. The listener must be open until then.
func (p *Probe) waitForBrowsers(ctx context.Context, names []string) error {
	for begun := time.Now(); time.Since(begun) < min(backWithin, p.options.Patience); {
		areBack := true
		p.memory.withLock(func() {
			for _, name := range names {
				made := p.memory.Payments[name]
				areBack = areBack && (made.IsBack || made.StaysAway)
			}
		})
		if areBack {
			return nil
		}
		select {
		case <-p.changed:
		case <-time.After(p.options.Pace):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *Probe) link(name string) string { return p.memory.Payments[name].Link }

// The method prepare makes the order of a payment, unless an earlier run has
// made it.
func (p *Probe) prepare(ctx context.Context, name string) (*payment, error) {
	if made := p.memory.Payments[name]; made != nil {
		return made, nil
	}
	made := &payment{Reference: p.newReference("pay" + strings.ToLower(name))}
	request := orderRequest(made.Reference, paidSum)
	request["pre_auth"] = true
	request["callback_url"] = p.listener.url + returnPath
	r, err := p.wire.send(ctx, http.MethodPost, checkoutPath, request)
	if err == nil && r.status == http.StatusForbidden && p.options.PublicURL == "" {
		p.show.Say("A firewall refuses a callback URL on this machine: give -public-url to ask about callbacks.")
		delete(request, "callback_url")
		made.StaysAway = true
		r, err = p.wire.send(ctx, http.MethodPost, checkoutPath, request)
	}
	if err != nil {
		return nil, err
	}
	made.OrderID, made.Link = checkoutID(r), checkoutLink(r)
	if made.OrderID == "" || made.Link == "" {
		return nil, r.notDone("the order of payment " + name)
	}
	return made, p.memory.changeAndSave(func() { p.memory.Payments[name] = made })
}

// isHeld reads the order, and reports whether its payment was made.
func (p *Probe) isHeld(ctx context.Context, name string) bool {
	made := p.memory.Payments[name]
	r, err := p.wire.send(ctx, http.MethodGet, ordersPath+made.OrderID, nil)
	if err != nil || r.readOrder().Status != plural.OrderStatusAuthorized {
		return false
	}
	p.recordChange(func() { made.HeldAt = time.Now().UTC().Truncate(time.Second) })
	p.show.Say("Payment " + name + " is made: the money is held.")
	return true
}

// madePayment returns a payment, or an error if nobody has made that payment.
func (p *Probe) madePayment(name string) (*payment, error) {
	made := p.memory.Payments[name]
	if made == nil || made.HeldAt.IsZero() {
		return nil, unmet("payment " + name + " was not made")
	}
	return made, nil
}

// A question may need a payment in a certain state. errCarriedOn means that the
// payment may be in another state, because an earlier request may have changed
// it. Either the run was stopped after that request, or the request has failed.
const errCarriedOn askError = "an earlier request was cut off or has failed: run -clean, and then run the probe again"

// capturedPayment returns payment A, of which a part is captured. If no part is
// captured yet, capturedPayment first captures that part.
func (p *Probe) capturedPayment(ctx context.Context) (*payment, error) {
	made, err := p.madePayment(partTaken)
	if err != nil || made.Step == stepDone {
		return made, err
	}
	if made.Step == stepSent {
		return nil, errCarriedOn
	}
	if err := p.memory.changeAndSave(func() { made.Step = stepSent }); err != nil {
		return nil, err
	}
	reference := made.Reference + "-c"
	r, err := p.capture(ctx, made, reference, partSum)
	if err != nil {
		return nil, err
	}
	if !r.hasOrder() {
		return nil, r.notDone("the partial capture")
	}
	order := r.readOrder()
	said := &captureAnswer{Status: string(order.Status), HasReference: hasCapture(order, reference)}
	return made, p.memory.changeAndSave(func() { made.Step, made.Said = stepDone, said })
}

// The method capture captures a part of a payment. The argument paise is the
// amount. If Plural's answer shows the order, the method adds the amount to
// made.Taken, which is the total that was taken from the payment.
func (p *Probe) capture(ctx context.Context, made *payment, reference string, paise int64) (*reply, error) {
	r, err := p.wire.send(ctx, http.MethodPut, ordersPath+made.OrderID+"/capture", map[string]any{
		"merchant_capture_reference": reference, "capture_amount": sum(paise),
	})
	if err == nil && r.hasOrder() {
		p.recordChange(func() { made.Taken += paise })
	}
	return r, err
}

// hasCapture reports whether the document of an order shows a capture with this
// reference.
func hasCapture(order *plural.Order, reference string) bool {
	return slices.ContainsFunc(order.Captures(), func(c plural.Capture) bool {
		return c.MerchantCaptureReference == reference
	})
}

// cancelledPayment returns payment C. If that payment is not cancelled yet,
// cancelledPayment first cancels it.
func (p *Probe) cancelledPayment(ctx context.Context) (*payment, error) {
	made, err := p.madePayment(heldPayment)
	if err != nil || made.Step == stepDone {
		return made, err
	}
	r, err := p.cancel(ctx, made.OrderID)
	if err != nil {
		return nil, err
	}
	if !r.hasOrder() {
		return nil, r.notDone("the cancel")
	}
	return made, p.memory.changeAndSave(func() { made.Step = stepDone })
}

func (p *Probe) cancel(ctx context.Context, orderID string) (*reply, error) {
	return p.wire.send(ctx, http.MethodPut, ordersPath+orderID+"/cancel", nil)
}

// The method refund gives refundSum back, and records the refund.
func (p *Probe) refund(ctx context.Context, made *payment, reference string) (*reply, error) {
	r, err := p.sendRefund(ctx, made.OrderID, reference, refundSum)
	if err != nil {
		return nil, err
	}
	if id := r.readOrder().OrderID; id != "" {
		p.recordChange(func() {
			if !slices.Contains(made.Refunds, id) {
				made.Refunds = append(made.Refunds, id)
			}
		})
	}
	return r, nil
}

func (p *Probe) sendRefund(ctx context.Context, orderID, reference string, paise int64) (*reply, error) {
	return p.wire.send(ctx, http.MethodPost, refundsPath+orderID, map[string]any{
		"merchant_order_reference": reference, "order_amount": sum(paise),
	})
}

// giveBack cancels the holds and refunds the taken money. It uses the SDK,
// because the SDK finds out what happened if an answer is unclear. It returns a
// text for each payment whose money could not be given back.
func (p *Probe) giveBack(ctx context.Context) (left []string) {
	for _, name := range []string{partTaken, twoTaken, heldPayment, keptPayment} {
		made := p.memory.Payments[name]
		isKept := name == keptPayment && p.options.KeepHold
		if made == nil || made.IsOver || isKept && !made.HeldAt.IsZero() {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		err := p.giveBackOne(ctx, made)
		cancel()
		if err != nil {
			left = append(left, fmt.Sprintf("payment %s (order %s)", name, made.OrderID))
			continue
		}
		p.recordChange(func() { made.IsOver = true })
	}
	if kept := p.memory.Kept; kept != nil && !kept.IsOver && !p.options.KeepHold {
		if err := p.giveBackOne(ctx, kept); err != nil {
			left = append(left, "the kept hold (order "+kept.OrderID+")")
		} else {
			p.recordChange(func() { kept.IsOver = true })
		}
	}
	return left
}

// errUnclear means that an order does not show how much money has to be given
// back.
const errUnclear askError = "the order does not show what is left"

// giveBackOne gives the money of one payment back. It returns nil if the cancel
// or the refund has succeeded, or if the order shows that nothing is left to
// give back.
func (p *Probe) giveBackOne(ctx context.Context, made *payment) error {
	order, err := p.client.Orders.Get(ctx, made.OrderID)
	if err != nil {
		return err
	}
	if order.CanCancel() {
		_, err := p.client.Cancels.Create(ctx, made.OrderID)
		return err
	}
	rest, isKnown := order.RefundableAmount()
	switch {
	case order.Status.IsTerminal():
		return nil
	case isKnown && isUnpaid(order):
		p.show.Say("Nobody has paid order " + made.OrderID + ". Please do not pay it any more.")
		return nil
	case isKnown && rest.Value == 0 && order.Status != plural.OrderStatusAuthorized:
		return nil
	case !order.CanRefund():
		return errUnclear
	}
	if !isKnown {
		// The order does not show its captures. So the rest is calculated from
		// the answers to the captures and refunds of this run.
		rest = plural.INR(made.Taken - refundSum*int64(len(made.Refunds)))
		if rest.Value <= 0 || made.Step == stepSent {
			return errUnclear
		}
	}
	_, err = p.client.Refunds.Create(ctx, made.OrderID, &plural.RefundRequest{
		MerchantOrderReference: made.Reference + "-back", OrderAmount: rest,
	})
	return err
}

func isUnpaid(order *plural.Order) bool {
	return order.Status == plural.OrderStatusCreated || order.Status == plural.OrderStatusAttempted
}
