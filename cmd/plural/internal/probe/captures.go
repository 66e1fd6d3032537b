package probe

import (
	"context"
	"errors"
	"net/http"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

// askCaptureDocument captures a part of the hold, and looks for our reference
// in the order.
func askCaptureDocument(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.capturedPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	when := "our reference at once"
	var facts []fact.Fact
	if !made.Said.HasReference {
		when = "our reference later"
		took, _, err := p.waitUntil(ctx, func() (bool, error) {
			r, err := p.wire.send(ctx, http.MethodGet, ordersPath+made.OrderID, nil)
			return err == nil && hasCapture(r.readOrder(), made.Reference+"-c"), err
		})
		switch {
		case err == nil:
			facts = append(facts, fact.Took("after", took))
		case errors.Is(err, errNotSeen):
			when = "our reference never"
		default:
			return Found{}, err
		}
	}
	return Found{Answer: fact.Code(made.Said.Status) + ", " + when, Facts: facts}, nil
}

// askSameAgain sends the same capture again.
func askSameAgain(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.capturedPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	if err := p.pause(ctx); err != nil {
		return Found{}, err
	}
	r, err := p.wire.send(ctx, http.MethodPut, ordersPath+made.OrderID+"/capture", map[string]any{
		"merchant_capture_reference": made.Reference + "-c", "capture_amount": sum(partSum),
	})
	if err != nil {
		return Found{}, err
	}
	found, err := r.refusalAnswer()
	if r.hasOrder() {
		found.Answer = "the unchanged order"
	}
	return found, err
}

// askOtherAgain tries to capture a second part of the hold, under another
// reference.
func askOtherAgain(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.capturedPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	r, err := p.capture(ctx, made, p.newReference("cap"), refundSum)
	if err != nil {
		return Found{}, err
	}
	found, err := r.refusalAnswer()
	if r.hasOrder() {
		found.Answer = "it takes more"
	}
	return found, err
}

// askTwoCaptures tries to capture two parts of one hold at the same time.
func askTwoCaptures(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.madePayment(twoTaken)
	if err != nil {
		return Found{}, err
	}
	if made.Step != "" {
		return Found{}, errCarriedOn
	}
	if err := p.memory.changeAndSave(func() { made.Step = stepSent }); err != nil {
		return Found{}, err
	}
	references := [2]string{made.Reference + "-c", made.Reference + "-d"}
	both, err := sendTwo(func(i int) (*reply, error) { return p.capture(ctx, made, references[i], eachOfTwo) })
	if err != nil {
		return Found{}, err
	}
	read, err := p.wire.send(ctx, http.MethodGet, ordersPath+made.OrderID, nil)
	if err != nil {
		return Found{}, err
	}
	order := read.readOrder()
	found := Found{Answer: "one goes through", Facts: []fact.Fact{both[0].fact("one"), both[1].fact("the other")}}
	switch {
	case both[0].hasOrder() && both[1].hasOrder(), hasCapture(order, references[0]) && hasCapture(order, references[1]):
		found.Answer = "both go through"
	case both[0].isRefusal() && both[1].isRefusal():
		found.Answer = ""
	default:
		for _, r := range both {
			if !r.hasOrder() && !r.isRefusal() {
				return Found{}, r.unclearFailure()
			}
		}
	}
	return found, p.memory.changeAndSave(func() { made.Step = stepDone })
}

// askAboveHold tries to capture more than is held.
func askAboveHold(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.madePayment(heldPayment)
	if err != nil {
		return Found{}, err
	}
	if made.Step != "" {
		return Found{}, errCarriedOn
	}
	r, err := p.capture(ctx, made, made.Reference+"-more", tooMuchSum)
	if err != nil {
		return Found{}, err
	}
	return r.refusalAnswer()
}

// askCancelTwice sends two cancels of one hold, one after the other.
func askCancelTwice(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.cancelledPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	r, err := p.cancel(ctx, made.OrderID)
	if err != nil {
		return Found{}, err
	}
	found, err := r.refusalAnswer()
	if r.readOrder().Status == plural.OrderStatusCancelled {
		found.Answer = "the unchanged order"
	}
	return found, err
}

// askAfterCancel tries to capture a hold that was cancelled.
func askAfterCancel(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.cancelledPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	r, err := p.capture(ctx, made, made.Reference+"-late", partSum)
	if err != nil {
		return Found{}, err
	}
	return r.refusalAnswer()
}

// An earlier run has left the money of one order on hold. askKeptHold reads
// this order.
func askKeptHold(ctx context.Context, p *Probe) (Found, error) {
	kept := p.memory.Kept
	r, err := p.wire.send(ctx, http.MethodGet, ordersPath+kept.OrderID, nil)
	if err != nil {
		return Found{}, err
	}
	if r.readOrder().OrderID != kept.OrderID {
		return Found{}, askError("the order could not be read: " + r.fact("").Text())
	}
	status := r.readOrder().Status
	found := Found{Answer: fact.Code(string(status)), Facts: []fact.Fact{fact.Took("held for", r.at.Sub(kept.HeldAt))}}
	switch status {
	case plural.OrderStatusAuthorized:
		found.Answer = "still held"
	case plural.OrderStatusCancelled, plural.OrderStatusFailed:
		return found, p.memory.changeAndSave(func() { kept.IsOver = true })
	default: // the order may still show a hold later
	}
	return found, nil
}
