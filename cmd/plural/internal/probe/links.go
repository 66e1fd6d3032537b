package probe

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

const linksPath = "/api/pay/v1/paymentlink"

// linkAnswer reads the ids of a link and of its order from an answer. If the
// answer does not have one of the ids, that result is "".
func linkAnswer(r *reply) (linkID, orderID string) {
	type answer struct {
		LinkID  string `json:"payment_link_id"`
		OrderID string `json:"order_id"`
	}
	var doc struct {
		answer
		Data answer `json:"data"`
	}
	if !r.isOK() || json.Unmarshal(r.body, &doc) != nil {
		return "", ""
	}
	if doc.LinkID == "" {
		doc.answer = doc.Data
	}
	return doc.LinkID, doc.OrderID
}

// createLink makes a payment link. Plural may send the link to the customer, so
// the e-mail address is one that nobody reads.
func (p *Probe) createLink(ctx context.Context, reference string) (*reply, error) {
	return p.wire.send(ctx, http.MethodPost, linksPath, map[string]any{
		"merchant_payment_link_reference": reference,
		"amount":                          sum(unpaidSum),
		"customer":                        map[string]any{"email_id": "probe@example.com"},
		"allowed_payment_methods":         onlyCards(),
	})
}

func askLinkDuplicate(ctx context.Context, p *Probe) (Found, error) {
	reference := p.newReference("link")
	first, err := p.createLink(ctx, reference)
	if err != nil {
		return Found{}, err
	}
	if err := p.pause(ctx); err != nil {
		return Found{}, err
	}
	second, err := p.createLink(ctx, reference)
	if err != nil {
		return Found{}, err
	}
	idOf := func(r *reply) string { id, _ := linkAnswer(r); return id }
	answer, err := compareTwo(first, second, idOf)
	return Found{
		Answer: answer, Facts: []fact.Fact{first.fact("the first"), second.fact("the second")},
	}, err
}

// askLinkReference looks for a link's reference in the link's order.
func askLinkReference(ctx context.Context, p *Probe) (Found, error) {
	reference := p.newReference("lref")
	r, err := p.createLink(ctx, reference)
	if err != nil {
		return Found{}, err
	}
	_, orderID := linkAnswer(r)
	if orderID == "" {
		return Found{}, r.notDone("a payment link")
	}
	found := Found{Answer: "has one of Plural's"}
	_, _, err = p.waitUntil(ctx, func() (bool, error) {
		read, err := p.wire.send(ctx, http.MethodGet, ordersPath+orderID, nil)
		if err != nil || read.readOrder().OrderID != orderID {
			return false, err
		}
		found.Facts = []fact.Fact{read.fact("the order")}
		if read.readOrder().MerchantOrderReference == reference {
			found.Answer = "has the link's"
		}
		return true, nil
	})
	return found, err
}
