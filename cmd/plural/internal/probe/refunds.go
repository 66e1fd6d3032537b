package probe

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

func refundID(r *reply) string { return r.readOrder().OrderID }

func askRefundDuplicate(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.capturedPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	reference := p.newReference("ref")
	first, err := p.refund(ctx, made, reference)
	if err != nil {
		return Found{}, err
	}
	if err := p.pause(ctx); err != nil {
		return Found{}, err
	}
	second, err := p.refund(ctx, made, reference)
	if err != nil {
		return Found{}, err
	}
	answer, err := compareTwo(first, second, refundID)
	return Found{Answer: answer, Facts: []fact.Fact{first.fact("the first"), second.fact("the second")}}, err
}

func askTwoRefunds(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.capturedPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	reference := p.newReference("two")
	both, err := sendTwo(func(int) (*reply, error) { return p.refund(ctx, made, reference) })
	if err != nil {
		return Found{}, err
	}
	answer, err := compareTwo(both[0], both[1], refundID)
	if err != nil {
		return Found{}, err
	}
	found := Found{Facts: []fact.Fact{both[0].fact("one"), both[1].fact("the other")}}
	switch answer {
	case theSame, refused:
		found.Answer = "one refund"
	case aSecond:
		found.Answer = "two refunds"
	}
	return found, nil
}

// askRefundListed looks for a new refund in its parent's list, and also by the
// refund's reference.
func askRefundListed(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.capturedPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	reference := p.newReference("list")
	r, err := p.refund(ctx, made, reference)
	if err != nil {
		return Found{}, err
	}
	if refundID(r) == "" {
		return Found{}, r.notDone("the refund")
	}
	found := Found{Answer: "at once"}
	took, looks, err := p.waitUntil(ctx, func() (bool, error) {
		r, err := p.wire.send(ctx, http.MethodGet, byReference+reference, nil)
		return err == nil && r.readOrder().Type == plural.OrderTypeRefund, err
	})
	if err != nil {
		return Found{}, err
	}
	if looks > 1 {
		found.Answer = "later"
	}
	found.Facts = append(found.Facts, fact.Took("by reference", took))
	took, looks, err = p.waitUntil(ctx, func() (bool, error) {
		r, err := p.wire.send(ctx, http.MethodGet, ordersPath+made.OrderID, nil)
		return err == nil && slices.ContainsFunc(r.readOrder().Refunds, func(o plural.Order) bool {
			return o.MerchantOrderReference == reference
		}), err
	})
	switch {
	case errors.Is(err, errNotSeen):
		found.Answer = "not listed"
	case err != nil:
		return Found{}, err
	default:
		found.Facts = append(found.Facts, fact.Took("in the parent", took))
		if looks > 1 {
			found.Answer = "later"
		}
	}
	return found, nil
}

// askRefundOfHold tries to refund a hold before anything was captured.
func askRefundOfHold(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.madePayment(heldPayment)
	if err != nil {
		return Found{}, err
	}
	if made.Step != "" {
		return Found{}, errCarriedOn
	}
	return p.askRefund(ctx, made, refundSum)
}

// askRefundAbove tries to refund more than was captured.
func askRefundAbove(ctx context.Context, p *Probe) (Found, error) {
	made, err := p.capturedPayment(ctx)
	if err != nil {
		return Found{}, err
	}
	return p.askRefund(ctx, made, tooMuchSum)
}

func (p *Probe) askRefund(ctx context.Context, made *payment, paise int64) (Found, error) {
	r, err := p.sendRefund(ctx, made.OrderID, p.newReference("not"), paise)
	if err != nil {
		return Found{}, err
	}
	return r.refusalAnswer()
}
