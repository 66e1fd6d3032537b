// Package agreement_test compares what package plural says about an order's
// document with what an oracle says. It compares amounts, predicates such as
// CanCapture, and the results of calls. The oracle follows only the
// documentation of package plural.
package agreement_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The tests build their documents from the parts that these functions return.
// Other functions combine the parts.

func orderStatuses() []string {
	return []string{
		"CREATED", "PENDING", "ATTEMPTED", "AUTHORIZED", "PROCESSED", "PARTIALLY_CAPTURED",
		"CANCELLED", "FAILED", "PARTIALLY_REFUNDED", "FULLY_REFUNDED", "SETTLED", "",
	}
}

func paymentStatuses() []string {
	return []string{"PENDING", "AUTHORIZED", "PROCESSED", "FAILED", "CANCELLED", "SETTLED"}
}

const (
	offered   = `,"offer_data":{"offer_details":{"id":"own-offer","discount":{"amount":{"value":300,"currency":"INR"}}}}`
	charged   = `,"convenience_fee_breakdown":{"applicable_fee_amount":{"value":200,"currency":"INR"}}`
	noOffer   = `,"offer_data":{},"convenience_fee_breakdown":{}`
	ours      = "capture-1"
	another   = "capture-2"
	ourRefund = "refund-1"
)

// The function worths returns payments with different amounts and without other
// data. Some amounts are in a foreign currency, with or without a base amount.
// One amount cannot be read. The last payment has no amount.
func worths() []leg {
	return []leg{
		{amount: rupees(2000)},
		{amount: rupees(1700)},
		{amount: rupees(500)},
		{amount: rupees(1500)},
		{amount: rupees(2200)},
		{amount: money{paise: 24, currency: "USD"}, base: rupees(2000)},
		{amount: money{paise: 24, currency: "USD"}, base: rupees(1700)},
		{amount: money{paise: 2000, currency: "USD"}},
		{amount: money{currency: "INR", garbled: true}},
		{},
	}
}

func entryLists() [][]bookEntry {
	one := func(reference string, paise int64) []bookEntry { return []bookEntry{{reference, rupees(paise)}} }
	return [][]bookEntry{
		nil,
		{},
		one(ours, 2000), one(ours, 1700), one(ours, 500), one(ours, 499), one(ours, 1999), one(ours, 2200),
		one(another, 2000), one(another, 500),
		one("", 2000), one("", 500),
		{{ours, rupees(500)}, {ours, rupees(500)}},
		{{ours, rupees(2000)}, {ours, rupees(2000)}},
		{{ours, rupees(500)}, {another, rupees(1500)}},
		{{ours, money{currency: "INR", garbled: true}}},
		{{ours, money{}}},
		{{ours, money{paise: 500, currency: "USD"}}},
	}
}

// singlePayments yields lists of one payment, for orders with one attempt to
// pay.
func singlePayments(yield func([]leg) bool) {
	extras := []leg{{}, {extra: noOffer}, {extra: offered, explains: true}, {extra: charged, explains: true}}
	for _, method := range []string{"CARD", "UPI", "POINTS"} {
		for _, status := range paymentStatuses() {
			for _, worth := range worths() {
				for i, entries := range entryLists() {
					for j, extra := range extras {
						if i > 3 && j > 0 && (i+j)%3 > 0 {
							continue
						}
						l := worth
						l.method, l.status, l.entries = method, status, entries
						l.extra, l.explains = extra.extra, extra.explains
						if !yield([]leg{l}) {
							return
						}
					}
				}
			}
		}
	}
}

// paymentPairs yields lists of two payments. In some lists the payer paid with
// points and a card together. In the others the payer tried twice to pay by
// UPI.
func paymentPairs(yield func([]leg) bool) {
	garbled, dollars := money{currency: "INR", garbled: true}, money{paise: 18, currency: "USD"}
	worths := [][2]leg{
		{{amount: rupees(500)}, {amount: rupees(1500)}},
		{{amount: rupees(500)}, {amount: rupees(1200)}},
		{{amount: rupees(500)}, {amount: rupees(1700)}},
		{{amount: rupees(500)}, {amount: dollars, base: rupees(1500)}},
		{{amount: rupees(500)}, {amount: garbled}},
		{{amount: rupees(2000)}, {amount: rupees(2000)}},
		{{amount: garbled}, {amount: rupees(2000)}},
	}
	one := func(reference string, paise int64) []bookEntry { return []bookEntry{{reference, rupees(paise)}} }
	entries := [][2][]bookEntry{
		{},
		{one(ours, 500), one(ours, 1500)},
		{one(ours, 500), nil},
		{nil, one(ours, 1500)},
		{nil, one(ours, 2000)},
		{one(ours, 200), one(ours, 300)},
		{one(ours, 300), nil},
		{one(ours, 2000), one(ours, 2000)},
		{one(ours, 500), one(ours, 500)},
		{one(ours, 500), one(another, 1500)},
		{one(another, 500), one(another, 1500)},
		{one("", 500), one("", 1500)},
		{one(ours, 500), one(ours, 1499)},
		{one(ours, 500), {{ours, garbled}}},
		{{{ours, rupees(200)}, {ours, rupees(300)}}, {{ours, rupees(200)}, {ours, rupees(300)}}},
	}
	for _, methods := range [][2]string{{"POINTS", "CARD"}, {"UPI", "UPI"}} {
		for _, first := range paymentStatuses() {
			for _, second := range paymentStatuses() {
				for _, worth := range worths {
					for _, e := range entries {
						a, b := worth[0], worth[1]
						a.method, a.status, a.entries = methods[0], first, e[0]
						b.method, b.status, b.entries = methods[1], second, e[1]
						if !yield([]leg{a, b}) {
							return
						}
					}
				}
			}
		}
	}
}

// fewLegs returns a few typical lists of payments. The tests combine these
// lists with lists of refunds.
func fewLegs() [][]leg {
	paid := func(method string, paise int64, entries ...bookEntry) leg {
		return leg{method: method, status: "PROCESSED", amount: rupees(paise), entries: entries}
	}
	entry := func(paise int64) bookEntry { return bookEntry{ours, rupees(paise)} }
	held, failed, foreign := paid("CARD", 2000), paid("CARD", 2000), paid("CARD", 24, entry(2000))
	held.status, failed.status = "AUTHORIZED", "FAILED"
	foreign.amount.currency, foreign.base = "USD", rupees(2000)
	return [][]leg{
		nil,
		{},
		{held},
		{failed},
		{held, failed},
		{paid("CARD", 2000, entry(2000))},
		{paid("CARD", 2000, entry(500))},
		{paid("CARD", 2000)},
		{paid("CARD", 1500, entry(1500))},
		{paid("CARD", 2000, entry(1999))},
		{foreign},
		{paid("UPI", 2000)},
		{paid("UPI", 1500)},
		{paid("UPI", 1700)},
		{paid("UPI", 2200)},
		{failed, paid("UPI", 2000)},
		{held, paid("CARD", 500, entry(500))},
		{paid("POINTS", 500, entry(500)), paid("CARD", 1500, entry(1500))},
		{paid("POINTS", 500, entry(500)), paid("CARD", 1500)},
		{paid("POINTS", 500, entry(200)), paid("CARD", 1500, entry(300))},
	}
}

func refundLists() [][]bookRefund {
	r := func(id, reference, status string, paise int64) bookRefund {
		return bookRefund{id, reference, status, rupees(paise)}
	}
	list := func(refunds ...bookRefund) []bookRefund { return refunds }
	lists := [][]bookRefund{nil, {}}
	for _, status := range []string{"PROCESSED", "PENDING", "CREATED", "FAILED", "CANCELLED", "REJECTED", ""} {
		for _, paise := range []int64{499, 500, 1500, 2000, 2500} {
			lists = append(lists, list(r("v1-r1", ourRefund, status, paise)))
		}
		lists = append(
			lists,
			list(r("v1-r1", ourRefund, "PROCESSED", 500), r("v1-r2", ourRefund, status, 500)),
			list(r("v1-r1", ourRefund, "PROCESSED", 500), r("v1-r1", ourRefund, status, 500)),
			list(r("v1-r1", ourRefund, status, 500), r("v1-r2", "refund-2", "PROCESSED", 1500)),
			list(r("v1-r2", "refund-2", status, 2000)),
			list(r("v1-r2", "refund-2", status, 1800)),
			list(r("v1-r1", ourRefund, status, 1000), r("v1-r1", ourRefund, status, 1000)),
			list(r("v1-r1", ourRefund, status, 1000), r("v1-r2", ourRefund, status, 1000)),
		)
	}
	return append(lists, list(bookRefund{"v1-r1", ourRefund, "PROCESSED", money{paise: 500, currency: "USD"}}))
}

func coupons() []money { return []money{{}, rupees(500)} }

// booksWithoutRefunds yields documents of orders without refunds. It combines
// each list from singlePayments and paymentPairs with each status of an order.
func booksWithoutRefunds(yield func(books) bool) {
	n := 0
	for _, legs := range []func(func([]leg) bool){singlePayments, paymentPairs} {
		for list := range legs {
			for _, status := range orderStatuses() {
				// The counter n selects one coupon and one value of pre_auth.
				// The function booksWithCoupons combines every coupon with
				// every value of pre_auth.
				n++
				d := books{status: status, legs: list, coupon: coupons()[n/3%2], preAuth: []string{"true", "false", ""}[n%3]}
				if !yield(d) {
					return
				}
			}
		}
	}
}

// booksWithRefunds yields documents of orders with refunds. It combines lists
// of payments with lists of refunds, each status of an order, and each coupon.
func booksWithRefunds(yield func(books) bool) {
	for _, legs := range fewLegs() {
		for _, refunds := range refundLists() {
			for _, status := range orderStatuses() {
				for _, coupon := range coupons() {
					if !yield(books{status: status, legs: legs, coupon: coupon, refunds: refunds}) {
						return
					}
				}
			}
		}
	}
}

// booksWithCoupons yields documents of orders that differ in their coupon and
// in pre_auth.
func booksWithCoupons(yield func(books) bool) {
	unread := money{paise: 500, currency: "USD"}
	garbled := money{currency: "INR", garbled: true}
	for list := range singlePayments {
		if e := list[0].entries; len(e) > 1 || len(e) == 1 && e[0] != (bookEntry{ours, rupees(2000)}) || e == nil {
			continue
		}
		for _, status := range []string{"AUTHORIZED", "PROCESSED"} {
			for _, coupon := range append(coupons(), unread, garbled) {
				for _, preAuth := range []string{"true", "false", ""} {
					if !yield(books{status: status, legs: list, coupon: coupon, preAuth: preAuth, refunds: []bookRefund{}}) {
						return
					}
				}
			}
		}
	}
}

// findings collects the package's wrong statements about documents. They are
// grouped by the rule that is broken and by what is unusual about the document.
type findings struct {
	seen  int
	count map[string]int
	first map[string]map[string]string
}

func (f *findings) note(d books, rule, got, want string) {
	if f.count == nil {
		f.count, f.first = map[string]int{}, map[string]map[string]string{}
	}
	f.count[rule]++
	if f.first[rule] == nil {
		f.first[rule] = map[string]string{}
	}
	odd := oddities(d)
	if _, found := f.first[rule][odd]; !found {
		f.first[rule][odd] = fmt.Sprintf("%s\n      says %s; the contract: %s", d.json(), got, want)
	}
}

// brokenRules returns a text about the broken rules. For each rule the text
// shows the simplest documents that break the rule.
func (f *findings) brokenRules() string {
	var b strings.Builder
	for _, rule := range slices.Sorted(maps.Keys(f.count)) {
		fmt.Fprintf(&b, "\n%s: %d documents, such as", rule, f.count[rule])
		kinds := slices.SortedFunc(maps.Keys(f.first[rule]), func(x, y string) int {
			return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
		})
		for _, kind := range kinds[:min(len(kinds), 6)] {
			fmt.Fprintf(&b, "\n    (%s) %s", kind, f.first[rule][kind])
		}
	}
	return b.String()
}

func toldOf(a plural.Amount, known bool) told {
	if known && a.Currency != plural.CurrencyINR {
		return told{-1, true} // an amount in another currency is never right
	}
	return told{a.Value, known}
}

// Every amount that the package reads from a document is right, and the amounts
// of a document agree with each other.
func TestAmountsAgreeOnEveryDocument(t *testing.T) {
	t.Parallel()
	for name, documents := range map[string]func(func(books) bool){
		"taken": booksWithoutRefunds, "given back": booksWithRefunds, "expected": booksWithCoupons,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f findings
			for d := range documents {
				if f.seen++; f.seen%sampleEvery() != 0 {
					continue
				}
				o := new(plural.Order)
				if err := json.Unmarshal([]byte(d.json()), o); err != nil {
					f.note(d, "decodes", err.Error(), "no error")
					continue
				}
				f.judge(d, o)
			}
			require.Greater(t, f.seen, 10_000)
			t.Logf("%d documents%s", f.seen, f.brokenRules())
			require.Empty(t, f.count)
		})
	}
}

func (f *findings) judge(d books, o *plural.Order) {
	v := truthOf(d)
	captured, held := toldOf(o.CapturedAmount()), toldOf(o.CapturableAmount())
	refunded, refunding := toldOf(o.RefundedAmount()), toldOf(o.RefundingAmount())
	refundable := toldOf(o.RefundableAmount())
	for _, x := range []struct {
		name      string
		got, want told
	}{
		{"CapturedAmount", captured, v.captured},
		{"CapturableAmount", held, v.held},
		{"RefundedAmount", refunded, v.refunded},
		{"RefundingAmount", refunding, v.refunding},
		{"RefundableAmount", refundable, v.refundable},
	} {
		if x.got.known && x.got != x.want {
			f.note(d, x.name, x.got.String(), x.want.String())
		}
	}
	f.cross(d, o, captured, held, refunded, refunding, refundable)
	f.check(d, v, o, captured, held)
}

func (f *findings) cross(d books, o *plural.Order, captured, held, refunded, refunding, refundable told) {
	canRefund := slices.Contains([]string{"PROCESSED", "PARTIALLY_CAPTURED", "PARTIALLY_REFUNDED"}, d.status) &&
		(len(d.legs) == 0 || slices.ContainsFunc(d.legs, func(l leg) bool { return l.is("PROCESSED") })) &&
		refundable != knownToBe(0)
	for _, x := range []struct {
		rule   string
		broken bool
	}{
		{"it is capturable, but CanCapture is false", held.known && held.paise > 0 && (!o.CanCapture() || !o.CanCancel())},
		{"nothing is capturable, but CanCapture is true", held == knownToBe(0) && o.CanCapture()},
		{"CanCapture and CanCancel differ", o.CanCapture() != o.CanCancel()},
		{"CanCapture without a hold", o.CanCapture() && d.status != "AUTHORIZED"},
		{"CanRefund", o.CanRefund() != canRefund},
		{"refundable is not captured less refunded", refundable.known &&
			(!captured.known || !refunded.known || refundable.paise != captured.paise-refunded.paise)},
		{"captured and refunded are known, but refundable is not", !refundable.known && captured.known && refunded.known},
		{"refunding is not part of refunded", refunding.known && (!refunded.known || refunding.paise > refunded.paise)},
	} {
		if x.broken {
			f.note(d, x.rule, fmt.Sprintf(
				"captured %v, capturable %v, refunded %v, refunding %v, refundable %v; can capture %t, cancel %t, refund %t",
				captured, held, refunded, refunding, refundable, o.CanCapture(), o.CanCancel(), o.CanRefund()), "the rule")
		}
	}
}

func (f *findings) check(d books, v documentFacts, o *plural.Order, captured, held told) {
	err := plural.Expected{OrderID: "v1-agreed", OrderAmount: plural.INR(wholePrice)}.Check(o)
	if err != nil {
		return
	}
	explained := slices.ContainsFunc(d.legs, func(l leg) bool { return l.explains })
	less := func(x told) bool { return x.known && v.price.known && x.paise != v.price.paise }
	for _, x := range []struct {
		rule   string
		broken bool
	}{
		{"Check nil: status", d.status != "AUTHORIZED" && d.status != "PROCESSED"},
		{"Check nil: a hold without pre_auth", d.status == "AUTHORIZED" && d.preAuth == "false"},
		{"Check nil: payments fall short", v.isShort},
		{"Check nil: no payment succeeded", v.noneAlive},
		{"Check nil: captured another amount", d.status == "PROCESSED" && less(captured) && !explained},
		{"Check nil: captured another amount, with an offer", d.status == "PROCESSED" && less(captured) && explained},
		{"Check nil: really captured another amount", d.status == "PROCESSED" && less(v.captured) && !explained},
		{"Check nil: holds another amount", d.status == "AUTHORIZED" && less(held)},
	} {
		if x.broken {
			f.note(d, x.rule, fmt.Sprintf("nil, captured %v, capturable %v", captured, held),
				fmt.Sprintf("captured %v, capturable %v, price %v", v.captured, v.held, v.price))
		}
	}
}
