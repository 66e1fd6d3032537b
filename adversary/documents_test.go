package adversary_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// docFault says what an order's document leaves out, and what it lists twice.
type docFault struct {
	noCaptures, noPayments  bool
	emptyRefunds, noRefunds bool // used only if the order's status shows that there are refunds
	noEntryReference        bool
	noParent                bool
	noPreAuth               bool
	entriesTwice            bool // each payment lists its capture twice
	entriesOnEveryLeg       bool // each payment lists the captures from all payments
	refundsTwice            bool // the order lists a refund once for each payment
}

func (f docFault) String() string {
	type fields docFault
	s := strings.Trim(fmt.Sprintf("%+v", fields(f)), "{}")
	var on []string
	for word := range strings.FieldsSeq(s) {
		if name, ok := strings.CutSuffix(word, ":true"); ok {
			on = append(on, name)
		}
	}
	if len(on) == 0 {
		return ""
	}
	return "[" + strings.Join(on, " ") + "] "
}

func inr(v int64) map[string]any { return map[string]any{"value": v, "currency": "INR"} }

func (g *gateway) stamp(doc map[string]any, at time.Time) {
	if g.sc.noStamps {
		return
	}
	doc["created_at"] = at.Add(g.sc.clock + g.sc.stampSkew).UTC().Format("2006-01-02T15:04:05.000Z")
}

func (g *gateway) orderDoc(o order, f docFault) map[string]any {
	doc := map[string]any{
		"order_id": o.id, "merchant_order_reference": o.reference, "type": "CHARGE", "status": o.status,
		"merchant_id": "111077", "order_amount": inr(o.amount), "pre_auth": o.preAuth,
		"allowed_payment_methods": []string{"CARD", "POINTS", "UPI"},
	}
	if f.noPreAuth {
		delete(doc, "pre_auth")
	}
	g.stamp(doc, o.created)
	if g.sc.updates {
		doc["updated_at"] = o.changed.Add(g.sc.clock).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if o.coupon > 0 {
		doc["cart_coupon_discount_amount"] = inr(o.coupon)
	}
	if !f.noPayments {
		doc["payments"] = g.paymentDocs(o, f)
	}
	refunded := o.status == partiallyRefunded || o.status == fullyRefunded
	switch {
	case refunded && f.noRefunds:
	case refunded && f.emptyRefunds:
		doc["refunds"] = []any{}
	case len(o.refunds) > 0:
		var list []any
		for _, r := range o.refunds {
			list = append(list, g.refundDoc(o, r, f))
			if f.refundsTwice {
				list = append(list, g.refundDoc(o, r, f))
			}
		}
		doc["refunds"] = list
	}
	return doc
}

func (g *gateway) paymentDocs(o order, f docFault) []any {
	var all []any
	entries := func(l leg) []any {
		var list []any
		for _, e := range l.entries {
			doc := map[string]any{"merchant_capture_reference": e.reference, "capture_amount": inr(e.amount)}
			if f.noEntryReference {
				delete(doc, "merchant_capture_reference")
			}
			g.stamp(doc, e.at)
			list = append(list, doc)
			if f.entriesTwice {
				list = append(list, doc)
			}
		}
		return list
	}
	for _, l := range o.legs {
		all = append(all, entries(l)...)
	}
	docs := []any{}
	for _, l := range o.legs {
		doc := map[string]any{
			"id": l.id, "status": l.status, "payment_amount": inr(l.amount), "payment_method": l.method,
			"acquirer_data": map[string]any{"approval_code": "000000", "rrn": "420145000226"},
		}
		if l.status == failed {
			doc["error_detail"] = map[string]any{"code": "PAYMENT_DECLINED", "message": "declined"}
		}
		if o.fee > 0 {
			doc["convenience_fee_breakdown"] = map[string]any{"fee_amount": inr(o.fee)}
		}
		if o.offer > 0 {
			doc["offer_data"] = map[string]any{"discount_amount": inr(o.offer)}
		}
		own := entries(l)
		if f.entriesOnEveryLeg && len(own) > 0 {
			own = all
		}
		if len(own) > 0 && !f.noCaptures {
			doc["capture_data"] = own
		}
		docs = append(docs, doc)
	}
	return docs
}

func (g *gateway) refundDoc(o order, r refund, f docFault) map[string]any {
	doc := map[string]any{
		"order_id": r.id, "parent_order_id": o.id, "merchant_order_reference": r.reference,
		"type": "REFUND", "status": r.status, "merchant_id": "111077", "order_amount": inr(r.amount),
	}
	if f.noParent {
		delete(doc, "parent_order_id")
	}
	g.stamp(doc, r.at)
	var legs []any
	left := r.amount
	for i, l := range o.legs {
		if part := min(left, l.taken); part > 0 {
			left -= part
			leg := map[string]any{
				"id": fmt.Sprintf("%s-l%d", r.id, i), "status": r.status,
				"payment_amount": inr(part), "payment_method": l.method,
			}
			if r.status == rejected {
				leg["status"] = failed
			}
			legs = append(legs, leg)
		}
	}
	doc["payments"] = legs
	return doc
}

// summary describes a document in one line, for traces.
func summary(doc map[string]any) string {
	data, err := json.Marshal(doc)
	if err != nil {
		return err.Error()
	}
	return brief(string(data))
}

func brief(body string) string {
	var doc struct {
		Data json.RawMessage `json:"data"`
	}
	raw := []byte(body)
	if json.Unmarshal(raw, &doc) == nil && doc.Data != nil {
		raw = doc.Data
	}
	type money struct {
		Value int64 `json:"value"`
	}
	var o struct {
		ID       string `json:"order_id"`
		Ref      string `json:"merchant_order_reference"`
		Parent   string `json:"parent_order_id"`
		Type     string `json:"type"`
		Status   string `json:"status"`
		Created  string `json:"created_at"`
		Amount   money  `json:"order_amount"`
		Payments *[]struct {
			Status   string `json:"status"`
			Method   string `json:"payment_method"`
			Amount   money  `json:"payment_amount"`
			Captures []struct {
				Ref     string `json:"merchant_capture_reference"`
				Amount  money  `json:"capture_amount"`
				Created string `json:"created_at"`
			} `json:"capture_data"`
		} `json:"payments"`
		Refunds *[]struct {
			ID      string `json:"order_id"`
			Ref     string `json:"merchant_order_reference"`
			Status  string `json:"status"`
			Created string `json:"created_at"`
			Amount  money  `json:"order_amount"`
		} `json:"refunds"`
	}
	if json.Unmarshal(raw, &o) != nil || o.ID == "" {
		return body
	}
	clock := func(s string) string {
		if len(s) < 23 {
			return "unstamped"
		}
		return s[11:23]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s ref=%s %s %d %s", o.Type, o.ID, o.Ref, o.Status, o.Amount.Value, clock(o.Created))
	if o.Type == "REFUND" {
		fmt.Fprintf(&b, " parent=%q", o.Parent)
		return b.String()
	}
	if o.Payments == nil {
		b.WriteString(" payments absent")
	} else {
		for _, p := range *o.Payments {
			fmt.Fprintf(&b, " | %s %s %d", p.Method, p.Status, p.Amount.Value)
			for _, c := range p.Captures {
				fmt.Fprintf(&b, " captured{%s %d %s}", c.Ref, c.Amount.Value, clock(c.Created))
			}
		}
	}
	if o.Refunds != nil {
		b.WriteString(" | refunds:")
		for _, r := range *o.Refunds {
			fmt.Fprintf(&b, " {%s %s %s %d %s}", r.ID, r.Ref, r.Status, r.Amount.Value, clock(r.Created))
		}
	}
	return b.String()
}
