package agreement_test

import (
	"fmt"
	"slices"
	"strings"
)

// This file has the oracle, which says what a document shows about money. The
// oracle follows only the documentation of package plural. It has its own model
// of a document, and shares no code with the package.

// wholePrice is the order's amount in every document, in paise.
const wholePrice = 2000

// money is an amount in a document. Its zero value means that the document has
// no such amount.
type money struct {
	paise    int64
	currency string
	garbled  bool // the document has "19.995" instead of paise
}

func rupees(paise int64) money { return money{paise: paise, currency: "INR"} }

func (m money) isTold() bool { return m.currency == "INR" && !m.garbled }

func (m money) write(b *strings.Builder, name string) {
	switch {
	case m.currency == "":
	case m.garbled:
		fmt.Fprintf(b, `,%q:{"value":"19.995","currency":%q}`, name, m.currency)
	default:
		fmt.Fprintf(b, `,%q:{"value":%d,"currency":%q}`, name, m.paise, m.currency)
	}
}

// bookEntry is one capture in a payment's list of captures.
type bookEntry struct {
	reference string
	amount    money
}

// leg is one payment.
type leg struct {
	method, status string
	amount, base   money
	extra          string // further JSON fields
	explains       bool   // the payment has an offer or a fee, so the amount paid may differ from the price
	entries        []bookEntry
}

func (l leg) is(statuses ...string) bool { return slices.Contains(statuses, l.status) }
func (l leg) hasEnded() bool             { return l.is("FAILED", "CANCELLED") }

// inRupees returns the payment's amount in rupees, the currency of every order
// here.
func (l leg) inRupees() money {
	if l.amount.currency == "INR" || l.amount.garbled {
		return l.amount
	}
	return l.base
}

// bookRefund is one refund in an order's list of refunds.
type bookRefund struct {
	id, reference, status string
	amount                money
}

func (r bookRefund) isUnderWay() bool { return r.status == "PENDING" || r.status == "CREATED" }
func (r bookRefund) isGood() bool     { return r.status == "PROCESSED" || r.isUnderWay() }

func (r bookRefund) json() string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"order_id":%q,"parent_order_id":"v1-agreed","type":"REFUND","status":%q,`+
		`"merchant_order_reference":%q,"created_at":"1999-12-01T00:00:00Z"`, r.id, r.status, r.reference)
	r.amount.write(&b, "order_amount")
	return b.String() + "}"
}

// A struct of type books has the parts of one document about an order.
type books struct {
	status  string
	preAuth string // "": the field is absent
	coupon  money
	legs    []leg        // nil: the list is absent
	refunds []bookRefund // nil: the list is absent
}

func (d books) json() string {
	var b strings.Builder
	b.WriteString(`{"order_id":"v1-agreed","merchant_order_reference":"order-1","type":"CHARGE"`)
	if d.status != "" {
		fmt.Fprintf(&b, `,"status":%q`, d.status)
	}
	rupees(wholePrice).write(&b, "order_amount")
	if d.preAuth != "" {
		fmt.Fprintf(&b, `,"pre_auth":%s`, d.preAuth)
	}
	d.coupon.write(&b, "cart_coupon_discount_amount")
	if d.legs != nil {
		b.WriteString(`,"payments":[`)
		for i, l := range d.legs {
			if i > 0 {
				b.WriteByte(',')
			}
			l.write(&b, i+1)
		}
		b.WriteByte(']')
	}
	if d.refunds != nil {
		list := make([]string, 0, len(d.refunds))
		for _, r := range d.refunds {
			list = append(list, r.json())
		}
		fmt.Fprintf(&b, `,"refunds":[%s]`, strings.Join(list, ","))
	}
	return b.String() + "}"
}

func (l leg) write(b *strings.Builder, n int) {
	fmt.Fprintf(b, `{"id":"v1-agreed-%d","status":%q,"payment_method":%q`, n, l.status, l.method)
	l.amount.write(b, "payment_amount")
	l.base.write(b, "base_amount")
	b.WriteString(l.extra)
	if l.entries != nil {
		b.WriteString(`,"capture_data":[`)
		for i, e := range l.entries {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`{"created_at":"1999-12-01T00:00:00Z"`)
			if e.reference != "" {
				fmt.Fprintf(b, `,"merchant_capture_reference":%q`, e.reference)
			}
			e.amount.write(b, "capture_amount")
			b.WriteByte('}')
		}
		b.WriteByte(']')
	}
	b.WriteByte('}')
}

// A struct of type told holds an amount in paise. If the document does not show
// the amount, the field known is false, as in the zero value told{}.
type told struct {
	paise int64
	known bool
}

func knownToBe(paise int64) told { return told{paise, true} }

func (v told) String() string {
	if v.known {
		return fmt.Sprintf("%d, true", v.paise)
	}
	return "false"
}

// documentFacts has the amounts and facts that a document really shows.
type documentFacts struct {
	price                                             told // the order's amount less its coupon
	captured, held, refunded, refunding, refundable   told
	isPaid, hasEntries, noneAlive, isShort, undecided bool
}

// truthOf is the oracle: it returns what a document really shows.
func truthOf(d books) documentFacts {
	var v documentFacts
	if d.coupon.currency == "" || d.coupon.isTold() {
		v.price = knownToBe(wholePrice - d.coupon.paise)
	}
	v.isPaid = slices.Contains(
		[]string{"PROCESSED", "PARTIALLY_CAPTURED", "PARTIALLY_REFUNDED", "FULLY_REFUNDED"}, d.status)
	v.noneAlive = !slices.ContainsFunc(d.legs, func(l leg) bool { return !l.hasEnded() })
	v.hasEntries = slices.ContainsFunc(d.legs, func(l leg) bool { return len(l.entries) > 0 })
	v.undecided = !slices.Contains([]string{"AUTHORIZED", "CANCELLED", "FAILED"}, d.status) && !v.isPaid
	v.captured = capturedTruth(d, v)
	v.held = heldTruth(d, v)
	v.refunded, v.refunding = refundedTruth(d, v)
	if v.captured.known && v.refunded.known && v.captured.paise >= v.refunded.paise {
		v.refundable = knownToBe(v.captured.paise - v.refunded.paise)
	}
	v.isShort = fallsShort(d, v)
	return v
}

// capturedTruth adds up the captures from the PROCESSED payments. The sum is
// not known in the cases that the documentation of CapturedAmount names.
func capturedTruth(d books, v documentFacts) told {
	if v.undecided && d.status != "CREATED" && d.status != "ATTEMPTED" {
		return told{}
	}
	var settled, underWay []leg
	entries := 0
	for _, l := range d.legs {
		switch {
		case l.hasEnded():
			continue // captures from such a payment do not count either
		case l.is("PROCESSED"):
			settled = append(settled, l)
		case l.is("PENDING", "AUTHORIZED"):
			underWay = append(underWay, l)
		default:
			return told{} // the payment has an unknown status
		}
		entries += len(l.entries)
	}
	switch {
	case !v.isPaid && entries > 0:
		return told{} // a payment has captures, but the order says that nothing was taken
	case d.status == "CANCELLED":
		return knownToBe(0) // even if a payment still has the status PROCESSED
	case !v.isPaid && len(settled) > 0:
		return told{}
	case d.status == "FAILED":
		return knownToBe(0)
	case !v.isPaid && slices.ContainsFunc(underWay, func(l leg) bool { return l.is("PENDING") }):
		return told{} // a payment is under way
	case !v.isPaid:
		return knownToBe(0)
	case len(underWay) > 0 || len(settled) == 0:
		return told{}
	case entries > 0:
		return entriesTruth(settled)
	}
	return saleTruth(d, v, settled)
}

func entriesTruth(settled []leg) told {
	var sum int64
	for _, l := range settled {
		if len(l.entries) == 0 {
			return told{} // this payment shows no capture, but another one does
		}
		var own int64
		for i, e := range l.entries {
			again := slices.ContainsFunc(l.entries[:i], func(x bookEntry) bool { return x.reference == e.reference })
			if !e.amount.isTold() || again {
				return told{} // the amount cannot be read, or this capture is listed twice or in two parts
			}
			own += e.amount.paise
		}
		if worth := l.inRupees(); worth.isTold() && own > worth.paise {
			return told{} // the capture is more than its payment
		}
		sum += own
	}
	if sum > wholePrice {
		// The captures are more than the order's amount. A fee may explain
		// this, but a fee must not raise the amount that can be refunded.
		return told{}
	}
	return knownToBe(sum)
}

func saleTruth(d books, v documentFacts, settled []leg) told {
	if d.status == "PARTIALLY_CAPTURED" {
		return told{} // there was a capture, but no payment lists it
	}
	var sum int64
	for _, l := range settled {
		if !slices.Contains([]string{"UPI", "NETBANKING", "WALLET"}, l.method) || !l.inRupees().isTold() {
			return told{}
		}
		sum += l.inRupees().paise
	}
	if !v.price.known || sum != v.price.paise {
		return told{} // the payments do not add up to OrderAmount less the coupon
	}
	return knownToBe(sum)
}

// If the order is AUTHORIZED and nothing was captured, heldTruth returns the
// whole amount on hold. For any other order the amount is zero or not known.
func heldTruth(d books, v documentFacts) told {
	switch {
	case v.undecided && d.status != "CREATED" && d.status != "ATTEMPTED":
		return told{}
	case d.status != "AUTHORIZED":
		return knownToBe(0)
	case !v.price.known:
		return told{}
	}
	var sum int64
	captured := false
	for _, l := range d.legs {
		if l.hasEnded() {
			continue
		}
		if !l.is("AUTHORIZED") || !l.inRupees().isTold() {
			return told{} // this payment does not fit an AUTHORIZED order
		}
		captured = captured || len(l.entries) > 0
		sum += l.inRupees().paise
	}
	switch {
	case sum != v.price.paise:
		return told{}
	case captured:
		return knownToBe(0)
	}
	return knownToBe(sum)
}

// refundedTruth adds up the refunds that are PROCESSED, PENDING or CREATED.
// Refunds that are listed with the same id count once. If the sum does not fit
// the order's status, both results are told{}.
func refundedTruth(d books, v documentFacts) (refunded, refunding told) {
	if v.undecided && !slices.Contains([]string{"CREATED", "ATTEMPTED", "PENDING"}, d.status) {
		return told{}, told{}
	}
	var done, underWay int64
	seen, moving := map[string]bookRefund{}, false
	for _, r := range d.refunds {
		before, again := seen[r.id]
		seen[r.id] = r
		switch {
		case again && (before.amount != r.amount || before.isGood() != r.isGood()):
			return told{}, told{} // the two entries of this refund contradict each other
		case again && before.isUnderWay() != r.isUnderWay():
			moving = true
		case again || r.status == "FAILED" || r.status == "CANCELLED":
		case !r.isGood() || !r.amount.isTold():
			return told{}, told{}
		case r.isUnderWay():
			underWay += r.amount.paise
		default:
			done += r.amount.paise
		}
	}
	most := int64(wholePrice)
	if v.captured.known {
		most = v.captured.paise
	} else if v.price.known && d.status == "FULLY_REFUNDED" && done+underWay < most {
		most = v.price.paise
	}
	sum := done + underWay
	var addsUp bool
	switch d.status {
	case "PARTIALLY_REFUNDED":
		addsUp = sum > 0 && done < most && sum <= most
	case "FULLY_REFUNDED":
		addsUp = sum > 0 && sum == most
	case "PROCESSED", "PARTIALLY_CAPTURED":
		addsUp = done == 0 && sum <= most
	default:
		addsUp = sum == 0
	}
	if !addsUp {
		return told{}, told{}
	}
	if moving {
		return knownToBe(sum), told{} // a refund is listed twice: once as on its way, and once as done
	}
	return knownToBe(sum), knownToBe(underWay)
}

// oddities lists what is unusual about a document.
func oddities(d books) string {
	odd := map[string]bool{
		"coupon unreadable": d.coupon.garbled, "coupon foreign": d.coupon.currency == "USD", "no payments": len(d.legs) == 0,
	}
	var total int64
	for _, l := range d.legs {
		if l.hasEnded() {
			odd["a "+l.status+" payment"] = true
			continue
		}
		odd["a payment "+l.status] = !l.is("PROCESSED")
		total += l.inRupees().paise
		odd["amount unreadable"] = odd["amount unreadable"] || l.amount.garbled
		odd["amount absent"] = odd["amount absent"] || l.amount.currency == ""
		odd["no base amount"] = odd["no base amount"] || l.amount.currency == "USD" && l.base.currency == ""
		for i, e := range l.entries {
			odd["several entries"] = odd["several entries"] || i > 0
			odd["entry unreadable"] = odd["entry unreadable"] || !e.amount.isTold()
			odd["entry above payment"] = odd["entry above payment"] ||
				l.inRupees().isTold() && e.amount.paise > l.inRupees().paise
			odd["entry above price"] = odd["entry above price"] || e.amount.paise > wholePrice
		}
	}
	odd["payments above price"] = total > wholePrice-d.coupon.paise
	seen := map[string]string{}
	for _, r := range d.refunds {
		before, again := seen[r.id]
		const otherwise = "refund listed again with another status"
		odd[otherwise] = odd[otherwise] || again && before != r.status
		odd["refund "+r.status] = r.status == "REJECTED" || r.status == ""
		odd["refund foreign"] = odd["refund foreign"] || !r.amount.isTold()
		seen[r.id] = r.status
	}
	var names []string
	for name, is := range odd {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// fallsShort reports whether the held or paid amount is certainly less than the
// price, and no offer or fee explains the difference.
func fallsShort(d books, v documentFacts) bool {
	var sum int64
	for _, l := range d.legs {
		switch {
		case l.hasEnded() || l.is("PENDING"):
			continue
		case !l.is("AUTHORIZED", "PROCESSED") || !l.inRupees().isTold() || l.explains:
			return false
		}
		sum += l.inRupees().paise
	}
	return v.price.known && sum < v.price.paise
}
