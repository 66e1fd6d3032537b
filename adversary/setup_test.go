package adversary_test

import (
	"time"
)

// total is the amount, in paise, of the order that the calls are about.
const total = int64(20000)

// setUp makes the orders in the states that they have before the first call.
func (g *gateway) setUp() {
	sc := g.sc
	day := g.start.Add(-24 * time.Hour)
	past := g.start.Add(-sc.age)
	o := &order{id: mainOrder, reference: "O-1", amount: total, preAuth: true, created: day, status: created}
	g.orders = append(g.orders, o)
	rng := g.rng("setup", 0)
	if sc.setup == "created" {
		g.commit(o, day)
		return
	}
	if sc.setup == "attempted" || sc.setup == "after failed attempt" || sc.setup == "failed" || chance(rng, 0.1) {
		o.legs = append(o.legs, leg{id: "v1-main-cc-0", method: "CARD", status: failed, amount: total})
	}
	switch sc.setup {
	case "attempted", "failed":
		o.status = map[string]string{"attempted": attempted, "failed": failed}[sc.setup]
		g.commit(o, day)
		return
	case "pending":
		o.status = pending
		o.legs = append(o.legs, leg{id: "v1-main-cc-1", method: "CARD", status: pending, amount: total})
		g.commit(o, day)
		o.legs = o.legs[:len(o.legs)-1]
		return
	case "outright":
		g.payWithoutHold(o, day)
		return
	}
	if chance(rng, 0.1) {
		o.coupon = 1000
	}
	hold := total - o.coupon
	if sc.legs == 2 {
		o.legs = append(o.legs, leg{id: "v1-main-pt-1", method: "POINTS", status: authorized, amount: 5000, held: 5000})
		hold -= 5000
	}
	o.legs = append(o.legs, leg{id: "v1-main-cc-2", method: "CARD", status: authorized, amount: hold, held: hold})
	o.status = authorized
	g.commit(o, day)

	capture := func(reference string, amount int64, at time.Time) {
		if no := g.applyCapture(o, reference, amount, writeFault{}, "an earlier run", at, at); no != nil {
			panic(no.code)
		}
	}
	refund := func(of *order, reference string, amount int64, fate ...string) {
		f := writeFault{fate: fate, fateGap: between(rng, time.Second, 15*time.Second)}
		if no, _ := g.applyRefund(of, reference, amount, f, "an earlier run", past, past); no != nil {
			panic(no.code)
		}
	}
	first := sc.plans[0]
	switch sc.setup {
	case "authorized", "after failed attempt":
	case "lapsed":
		o.lapsed = true
		g.commit(o, past)
	case "cancelled":
		g.applyCancel(o, writeFault{}, "an earlier run", past, past)
	case "captured":
		capture("C-other", 0, past)
	case "partial":
		capture("C-other", 12000, past)
	case "captured by us":
		if first.op != "capture" || first.amount > o.held() {
			first.reference, first.amount = "C-1", 0
		}
		capture(first.reference, first.amount, past)
	case "captured by us, other figures":
		capture("C-1", 7000, past)
	default:
		capture("C-other", pick[int64](rng, 0, 0, 15000), day)
		switch sc.setup {
		case "refunded in part":
			refund(o, "R-other", 4000, processed)
		case "refunded in full":
			refund(o, "R-other", o.takenSum(), processed)
		case "refunded by us":
			refund(o, "R-1", min(first.amount, o.takenSum()), pick(rng, processed, pending))
		case "refunded by us, other figures":
			refund(o, "R-1", 2500, processed)
		case "refund failed":
			refund(o, "R-1", min(first.amount, o.takenSum()), pick(rng, failed, cancelled))
		case "refund rejected":
			refund(o, "R-1", min(first.amount, o.takenSum()), rejected)
		case "refund pending elsewhere":
			refund(o, "R-other", 10000, pending, pick(rng, failed, processed))
		case "refund pending, will fail":
			refund(o, "R-1", min(first.amount, o.takenSum()), pending, failed)
		case "refund of another order":
			other := &order{id: otherOrder, reference: "O-2", amount: total, preAuth: true, created: day, status: authorized}
			other.legs = []leg{{id: "v1-other-cc-1", method: "CARD", status: authorized, amount: total, held: total}}
			g.orders = append(g.orders, other)
			g.commit(other, day)
			if no := g.applyCapture(other, "C-else", 0, writeFault{}, "an earlier run", day, day); no != nil {
				panic(no.code)
			}
			refund(other, "R-1", min(first.amount, total), processed)
		default:
			panic("unknown setup " + sc.setup)
		}
	}
}

// payWithoutHold sets the order o to the state of an order that was paid
// without a hold. The order may have a coupon, an offer or a fee. The payer may
// have paid with points and a second method.
func (g *gateway) payWithoutHold(o *order, at time.Time) {
	rng := g.rng("outright", 0)
	method := pick(rng, "CARD", "UPI", "NETBANKING", "WALLET")
	o.preAuth = false
	amount := total
	switch rng.IntN(5) {
	case 0:
		o.coupon = 1000
		amount -= o.coupon
	case 1:
		o.offer = 1500
		amount -= o.offer
	case 2:
		o.fee = 300
		amount += o.fee
	}
	if g.sc.legs == 2 {
		o.legs = append(o.legs, leg{id: "v1-main-pt-1", method: "POINTS", status: processed, amount: 5000, taken: 5000})
		amount -= 5000
	}
	o.legs = append(o.legs, leg{id: "v1-main-x-2", method: method, status: processed, amount: amount, taken: amount})
	o.status, o.paidStatus = processed, processed
	g.commit(o, at)
}

// actAsSomebody does what the payer, the bank or a person at the dashboard
// would do.
func (g *gateway) actAsSomebody(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, o := time.Now(), g.orders[0]
	by := "somebody else"
	switch what {
	case "pay":
		g.payOrder(o, now)
	case "cancel":
		g.applyCancel(o, writeFault{}, by, now, now)
	case "capture":
		g.applyCapture(o, "C-desk", 9000, writeFault{}, by, now, now)
	case "refund":
		g.applyRefund(o, "R-desk", 6000, writeFault{fate: []string{processed}}, by, now, now)
	case "lapse":
		if o.status == authorized && !o.hasBegunCapture() {
			o.lapsed = true
			g.record("[truth]", "the bank released the hold of %s", o.id)
			g.commit(o, now)
		}
	}
}
