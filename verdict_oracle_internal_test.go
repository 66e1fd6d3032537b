package plural

import (
	"fmt"
	"slices"
	"strings"
)

func allOrderStatuses() []OrderStatus {
	return []OrderStatus{
		OrderStatusCreated,
		OrderStatusPending,
		OrderStatusAttempted,
		OrderStatusAuthorized,
		OrderStatusProcessed,
		OrderStatusPartiallyCaptured,
		OrderStatusCancelled,
		OrderStatusFailed,
		OrderStatusPartiallyRefunded,
		OrderStatusFullyRefunded,
		"ON_HOLD",
		"",
	}
}

func allPaymentStatuses() []PaymentStatus {
	return []PaymentStatus{
		PaymentStatusPending,
		PaymentStatusAuthorized,
		PaymentStatusCancelled,
		PaymentStatusProcessed,
		PaymentStatusFailed,
		"ON_HOLD",
	}
}

// allEntries returns many different lists of capture data. The lists are for a
// payment of the given amount.
func allEntries(amount int64) [][]CaptureData {
	entry := func(reference string, value int64, currency Currency) CaptureData {
		return CaptureData{MerchantCaptureReference: reference, CaptureAmount: Amount{Value: value, Currency: currency}}
	}
	return [][]CaptureData{
		nil,
		{entry(ours, amount, "INR")},
		{entry(ours, amount-100, "INR")},
		{entry(ours, amount+100, "INR")},
		{entry(ours, 0, "INR")},
		{entry(ours, -amount, "INR")},
		{entry(ours, amount, "USD")},
		{{MerchantCaptureReference: ours}},
		{entry(ours, amount, "")},
		{entry(ours, 100, "INR"), entry(ours, amount-100, "INR")},
		{entry(theirs, amount, "INR")},
		{entry(theirs, amount, "INR"), entry(ours, amount-100, "INR")},
		{entry("", amount, "INR")},
		{{}},
		{entry("", 100, "INR"), entry(ours, amount-100, "INR")},
	}
}

// allPayments returns payments of the given amount. There are three payments
// for each status and each list of allEntries. The first payment shows the
// amount in rupees. The second payment shows it in dollars and in rupees, and
// the third payment in dollars only.
func allPayments(amount int64) []Payment {
	var all []Payment
	for _, status := range allPaymentStatuses() {
		for _, entries := range allEntries(amount) {
			all = append(
				all,
				Payment{Status: status, PaymentAmount: INR(amount), CaptureData: entries},
				Payment{
					Status:        status,
					PaymentAmount: Amount{Value: amount / 80, Currency: "USD"},
					BaseAmount:    INR(amount),
					CaptureData:   entries,
				},
				Payment{Status: status, PaymentAmount: Amount{Value: amount, Currency: "USD"}, CaptureData: entries},
			)
		}
	}
	return all
}

// forEachCapturable calls the function visit with orders in every status. Some
// orders have no payment, and some have a card payment of 700. The others have
// a card payment of 700, and a payment with points of 300. Every payment that
// allPayments returns is used as the card payment. The amount of a payment with
// points is always in rupees, and its captures have positive amounts in rupees.
func forEachCapturable(visit func(o *Order)) {
	cards := allPayments(700)
	points := slices.DeleteFunc(allPayments(300), func(p Payment) bool {
		return p.PaymentAmount.Currency != CurrencyINR || slices.ContainsFunc(p.CaptureData, func(c CaptureData) bool {
			return c.CaptureAmount.Value <= 0 || c.CaptureAmount.Currency != CurrencyINR
		})
	})
	for _, status := range allOrderStatuses() {
		o := &Order{OrderID: "v1-1", Status: status, OrderAmount: INR(1000)}
		visit(o)
		for _, card := range cards {
			o.OrderAmount, o.Payments = INR(700), []Payment{card}
			visit(o)
			o.OrderAmount = INR(1000) // now the order's amount is more than the sum of its payments
			visit(o)
			for _, p := range points {
				o.Payments = []Payment{p, card}
				visit(o)
			}
		}
	}
}

// A ruling is a verdict. If the verdict is final, the field row is the row of
// the table in evidence.go that led to the verdict. Otherwise the field row is
// nil.
type ruling struct {
	verdict verdictKind
	row     *evidence
}

func rulingOf(f finding) ruling { return ruling{f.verdict, f.row} }

func (r ruling) String() string {
	if r.row != nil {
		return fmt.Sprintf("%v (%v: %s)", r.verdict, r.row.is, r.row.shows)
	}
	return r.verdict.String()
}

// oracleCapture must give the same result as judgeCapture. It checks the
// conditions in the documentation one after the other. The first condition that
// is true decides the result.
func oracleCapture(o *Order, reference string, amount Amount) ruling {
	const settled, underWay, ended, strange = "settled", "under way", "ended", "strange"
	kind := func(p Payment) string {
		switch p.Status {
		case "PROCESSED":
			return settled
		case "PENDING", "AUTHORIZED":
			return underWay
		case "FAILED", "CANCELLED":
			return ended
		}
		return strange
	}
	anyPayment := func(is func(Payment) bool) bool { return slices.ContainsFunc(o.Payments, is) }
	entriesOf := func(p Payment, is func(reference string) bool) []CaptureData {
		var list []CaptureData
		for _, c := range p.CaptureData {
			if is(c.MerchantCaptureReference) {
				list = append(list, c)
			}
		}
		return list
	}
	isOurs := func(r string) bool { return r == reference }
	isNameless := func(r string) bool { return r == "" }
	isTheirs := func(r string) bool { return !isOurs(r) && !isNameless(r) }
	hasOurs := func(p Payment) bool { return len(entriesOf(p, isOurs)) > 0 }
	hasNameless := func(p Payment) bool { return len(entriesOf(p, isNameless)) > 0 }
	hasAny := func(p Payment) bool { return len(p.CaptureData) > 0 }
	isSettled := func(p Payment) bool { return kind(p) == settled }
	isStrange := func(p Payment) bool { return kind(p) == strange }
	isUnderWay := func(p Payment) bool { return kind(p) == underWay }
	hasLive := func(p Payment) bool { return kind(p) != ended && hasAny(p) }
	countsForOthers := func(p Payment) bool { return kind(p) != ended && len(entriesOf(p, isTheirs)) > 0 }
	amountOf := func(p Payment, c Currency) int64 {
		for _, a := range []Amount{p.PaymentAmount, p.BaseAmount} {
			if a.Currency == c {
				return a.Value
			}
		}
		return 0
	}
	unclear := ruling{verdict: verdictUnclear}

	switch o.Status {
	case "CANCELLED", "FAILED":
		if anyPayment(hasAny) {
			return unclear
		}
		return ruling{verdictFinal, rowCaptureOfEnded}
	case "CREATED", "ATTEMPTED":
		if anyPayment(func(p Payment) bool { return kind(p) != ended }) {
			return unclear
		}
		return ruling{verdict: verdictNotYet}
	case "AUTHORIZED":
		// The money is still on hold if each payment is AUTHORIZED or has ended
		// without success.
		if anyPayment(hasLive) || anyPayment(func(p Payment) bool { return p.Status != "AUTHORIZED" && kind(p) != ended }) {
			return unclear
		}
		held, isKnown := int64(0), false
		for _, p := range o.Payments {
			if p.Status == "AUTHORIZED" {
				isKnown = true
				if amountOf(p, o.OrderAmount.Currency) == 0 {
					return ruling{verdict: verdictOpen}
				}
				held += amountOf(p, o.OrderAmount.Currency)
			}
		}
		if isKnown && amount.Currency == o.OrderAmount.Currency && amount.Value > held && amount.Value > o.OrderAmount.Value {
			return ruling{verdictFinal, rowCaptureTooMuch}
		}
		return ruling{verdict: verdictOpen}
	case "PROCESSED", "PARTIALLY_CAPTURED", "PARTIALLY_REFUNDED", "FULLY_REFUNDED":
	default:
		return unclear
	}
	switch {
	case anyPayment(isStrange), anyPayment(isUnderWay):
		return unclear // the payment may still change, or its status is not known
	case anyPayment(func(p Payment) bool { return kind(p) == ended && hasOurs(p) }):
		return unclear
	case !anyPayment(isSettled):
		return unclear // the order is paid, but no payment is settled
	case anyPayment(hasNameless):
		return unclear // the capture without a reference may be ours
	case !anyPayment(hasOurs) && !anyPayment(countsForOthers):
		return ruling{verdictFinal, rowNoHold}
	case !anyPayment(hasOurs) && anyPayment(func(p Payment) bool { return isSettled(p) && !hasAny(p) }):
		return unclear // a payment has no capture data, so our capture of it may be missing in the document
	case !anyPayment(hasOurs):
		return ruling{verdictFinal, rowCaptureByOther}
	case anyPayment(countsForOthers):
		return unclear // an order is captured once, but this one has our capture and another capture
	}
	sum, currency := int64(0), Currency("none yet")
	var with []Payment
	parts := map[int64]bool{}
	for _, p := range o.Payments {
		part := int64(0)
		if isSettled(p) && len(entriesOf(p, isOurs)) > 1 {
			return unclear // an order has one capture, and here it is listed twice
		}
		for _, c := range entriesOf(p, isOurs) {
			if c.CaptureAmount.Value <= 0 || c.CaptureAmount.Currency == "" ||
				currency != "none yet" && currency != c.CaptureAmount.Currency {
				return unclear
			}
			currency, part = c.CaptureAmount.Currency, part+c.CaptureAmount.Value
		}
		if part > 0 {
			with, sum, parts[part] = append(with, p), sum+part, true
		}
	}
	isMissing := anyPayment(func(p Payment) bool { return isSettled(p) && !hasOurs(p) })
	partOf := func(p Payment) (part int64) {
		for _, c := range entriesOf(p, isOurs) {
			part += c.CaptureAmount.Value
		}
		return part
	}
	// heldAmount returns the amount of a payment, in the currency of the
	// captures. If the payment shows no such amount, the result is 0.
	heldAmount := func(p Payment) int64 { return amountOf(p, currency) }
	isAbove := func(p Payment) bool { return hasOurs(p) && heldAmount(p) > 0 && partOf(p) > heldAmount(p) }
	differs := ruling{verdictFinal, rowCaptureDiffers}
	if len(with) > 1 || isMissing {
		differs.row = rowCapturesDiffer
	}
	switch {
	case amount != Amount{} && currency != amount.Currency:
		return unclear
	case amount != Amount{} && sum != amount.Value:
		switch {
		case isMissing && sum < amount.Value:
			return unclear // the rest may be from a settled payment that does not show our capture
		case len(with) > 1 && (anyPayment(isAbove) || len(parts) == 1):
			return unclear // this may be one capture that is listed with each payment
		}
		return differs
	case amount != Amount{}:
		return ruling{verdict: verdictApplied}
	}
	// The rest of this function is for calls that ask for the full amount.
	isWhole := o.OrderAmount == Amount{Value: sum, Currency: currency}
	isPart := o.OrderAmount.Currency == currency && sum < o.OrderAmount.Value
	switch {
	case anyPayment(isAbove):
		return unclear
	case anyPayment(func(p Payment) bool { return hasOurs(p) && partOf(p) < heldAmount(p) }),
		o.Status == "PARTIALLY_CAPTURED" && isPart:
		if isMissing {
			return unclear
		}
		return differs
	case o.Status == "PARTIALLY_CAPTURED":
		return unclear // the document contradicts itself
	case isWhole:
		return ruling{verdict: verdictApplied}
	case anyPayment(func(p Payment) bool { return hasOurs(p) && heldAmount(p) == 0 }):
		return unclear
	case anyPayment(func(p Payment) bool { return !hasOurs(p) }):
		return unclear // a payment does not show our capture, so perhaps only a part of the order is captured
	}
	return ruling{verdict: verdictApplied}
}

// refundDocuments returns refunds of every kind.
func refundDocuments() []Order {
	var all []Order
	for _, typ := range []OrderType{OrderTypeRefund, OrderTypeCharge, "OTHER", ""} {
		for _, status := range append(allOrderStatuses(), "REVERSED") {
			for _, reference := range []string{"refund-1", "refund-2", ""} {
				for _, parentID := range []string{parent, "v1-other", ""} {
					for _, amount := range []Amount{INR(500), INR(499), INR(501), INR(0), {500, "USD"}, {500, ""}, {}} {
						all = append(all, Order{
							OrderID:                "v1-r",
							Type:                   typ,
							Status:                 status,
							MerchantOrderReference: reference,
							ParentOrderID:          parentID,
							OrderAmount:            amount,
						})
					}
				}
			}
		}
	}
	return all
}

func oracleRefund(r Order) ruling {
	complete := r.Type != "" && r.Status != "" && r.MerchantOrderReference != "" && r.OrderAmount.Value != 0 &&
		r.OrderAmount.Currency != ""
	unclear := ruling{verdict: verdictUnclear}
	switch {
	case !complete || r.MerchantOrderReference != "refund-1":
		return unclear
	case r.Type == "CHARGE":
		return ruling{verdictFinal, rowRefundIsOther}
	case r.Type != "REFUND":
		return unclear // a new type may be a kind of refund
	case r.ParentOrderID == "":
		return unclear // only the refunded order can show whose refund this is
	case r.ParentOrderID != parent:
		return ruling{verdictFinal, rowRefundIsOther}
	case r.OrderAmount != INR(500):
		return ruling{verdictFinal, rowRefundDiffers}
	}
	switch r.Status {
	case "PROCESSED", "PENDING", "CREATED":
		return ruling{verdict: verdictApplied}
	case "FAILED", "CANCELLED":
		return ruling{verdictFinal, rowRefundFailed}
	default:
		return unclear
	}
}

// isUnderWay reports whether the order may still change. If it may, a later
// read may show more.
func isUnderWay(o *Order) bool {
	return o.Status == OrderStatusPending || o.Status == OrderStatusAuthorized ||
		slices.ContainsFunc(o.Payments, func(p Payment) bool {
			return p.Status == PaymentStatusPending || p.Status == PaymentStatusAuthorized
		})
}

func describe(o *Order) string {
	var b strings.Builder
	fmt.Fprintf(&b, "order %s of %v", o.Status, o.OrderAmount)
	for _, p := range o.Payments {
		fmt.Fprintf(&b, "\n  payment %s of %v (%v):", p.Status, p.PaymentAmount, p.BaseAmount)
		for _, c := range p.CaptureData {
			fmt.Fprintf(&b, " %s %v", c.MerchantCaptureReference, c.CaptureAmount)
		}
	}
	return b.String()
}

// contradictsCapturedAmount reports whether a document shows another captured
// amount than the call asked for. If a document shows no captured amount, the
// function returns false.
func contradictsCapturedAmount(o *Order, amount Amount) bool {
	captured, ok := o.CapturedAmount()
	if !ok {
		return false
	}
	if amount.Value == 0 {
		total := Amount{Currency: captured.Currency}
		for _, c := range o.Captures() {
			if c.IsSettled() {
				total.Value += c.CaptureAmount.Value
			}
		}
		return captured != total
	}
	return captured != amount
}
