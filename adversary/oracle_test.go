package adversary_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural"
)

// A value of the type call describes one call of a method of the package. It
// contains every document that the package received in an answer to this call.
type call struct {
	plan
	id         string
	well       bool
	start, end time.Time
	got        *plural.Order
	err        error
	served     []servedDocument
	sends      int
	answers    string // the answers to the call's writes
	reads      bool   // this is a call of Settle or Find; these methods send no write
}

// servedDocument describes one document that a call received. It has the true
// state that the document was made from.
type servedDocument struct {
	at     time.Time
	order  order
	refund *refund
	fault  docFault
}

func (c *call) name() string {
	if c == nil {
		return "-"
	}
	return c.id
}

// hasFinalResult reports whether the call's result is final.
func (c *call) hasFinalResult() bool {
	return c.err == nil || errors.Is(c.err, plural.ErrNotApplied) || errors.Is(c.err, plural.ErrConflict)
}

func (c *call) verdict() string {
	switch {
	case c.err == nil:
		return "nil"
	case errors.Is(c.err, plural.ErrReferenceReused):
		return "ErrReferenceReused"
	case errors.Is(c.err, plural.ErrNoHold):
		return "ErrNoHold"
	case errors.Is(c.err, plural.ErrConflict):
		return "ErrConflict"
	case errors.Is(c.err, plural.ErrNotApplied):
		return "ErrNotApplied"
	case plural.NeedsReview(c.err):
		return "NeedsReview"
	}
	return "unknown"
}

// oracle judges the calls at the end of a scenario.
type oracle struct {
	*gateway
	calls       []*call
	otherAmount int // how often a later write used a reference again, for another amount, after ErrNotApplied
}

func (o *oracle) report(c *call, kind, format string, args ...any) {
	o.findings = append(o.findings, finding{kind, fmt.Sprintf("%s: %s: ", c.id, c.plan) + fmt.Sprintf(format, args...)})
}

func (o *oracle) judge() {
	for _, c := range o.calls {
		o.checkError(c)
		switch {
		case c.err == nil:
			o.judgeSuccess(c)
		case errors.Is(c.err, plural.ErrNotApplied):
			o.judgeNotApplied(c)
		case errors.Is(c.err, plural.ErrConflict):
			o.judgeConflict(c)
		}
	}
	if o.sc.unique != notUnique {
		o.judgeReferences()
	}
}

// checkError checks that an error does not match two sentinels that contradict
// each other, such as ErrNotApplied and ErrConflict. It also checks that a
// final error has the right type. And it checks rules for all calls, such as
// the deadline.
func (o *oracle) checkError(c *call) {
	is := func(target error) bool { return errors.Is(c.err, target) }
	if is(plural.ErrNotApplied) && is(plural.ErrConflict) {
		o.report(c, "sentinels: ErrNotApplied and ErrConflict", "%v", c.err)
	}
	if (is(plural.ErrNoHold) || is(plural.ErrReferenceReused)) && !is(plural.ErrConflict) {
		o.report(c, "sentinels: ErrNoHold or ErrReferenceReused without ErrConflict", "%v", c.err)
	}
	final := is(plural.ErrNotApplied) || is(plural.ErrConflict)
	if final && (is(plural.ErrOutcomeUnknown) || plural.NeedsReview(c.err)) {
		o.report(c, "sentinels: both final and unknown", "%v", c.err)
	}
	_, state := errors.AsType[*plural.StateError](c.err)
	_, double := errors.AsType[*plural.DoubleRefundError](c.err)
	if final && !state && !double {
		o.report(c, "sentinels: a final error that is neither StateError nor DoubleRefundError", "%T %v", c.err, c.err)
	}
	if _, ok := errors.AsType[*plural.ValidationError](c.err); ok {
		o.report(c, "sentinels: ValidationError for a valid request", "%v", c.err)
	}
	if c.reads && c.sends > 0 {
		o.report(c, "Settle or Find sent a write", "%d", c.sends)
	}
	// After an answer with status 401 the request is sent again with a new
	// token.
	if again := strings.Count(c.answers, "401 "); c.op == "refund" && o.sc.single && c.sends > 1+min(again, 1) {
		o.report(c, "WithSingleRefundSend sent twice", "%d sends", c.sends)
	}
	if took := c.end.Sub(c.start); c.deadline > 0 && took > c.deadline+time.Second {
		o.report(c, "a call outlasts its deadline", "%s", took)
	}
}

// effectsUnder returns what was really carried out under the call's reference.
func (o *oracle) effectsUnder(c *call) (effects []effect, sum int64) {
	for _, e := range o.effects {
		if e.op == c.op && e.reference == c.reference && (e.op == "refund" || e.order == c.order) {
			effects = append(effects, e)
			sum += e.amount
		}
	}
	return effects, sum
}

// askedAmount returns the amount in the call, in paise.
func (o *oracle) askedAmount(c *call) int64 {
	if c.op != "capture" || c.amount > 0 {
		return c.amount
	}
	versions := o.versions[c.order]
	for i := len(versions) - 1; i >= 0; i-- {
		if held := versions[i].order.held(); held > 0 && !versions[i].order.hasBegunCapture() {
			return held
		}
	}
	return -1
}

// judgeSuccess checks a call that reported success. The gateway must have
// carried out the write exactly as the call asked.
func (o *oracle) judgeSuccess(c *call) {
	if c.got == nil {
		o.report(c, "wrong success: nil without a document", "")
		return
	}
	switch c.op {
	case "cancel":
		if s := o.find(c.order).status; s != cancelled {
			o.report(c, "wrong success: cancel", "the order is %s", s)
		}
	case "capture":
		effects, sum := o.effectsUnder(c)
		switch want := o.askedAmount(c); {
		case len(effects) == 0:
			o.report(c, "wrong success: capture, nothing was captured", "")
		case sum != want:
			o.report(c, "wrong success: capture, another amount", "captured %d, asked for %d", sum, want)
		case effects[len(effects)-1].at.After(c.end):
			o.report(c, "wrong success: capture, reported before it was carried out", "")
		default:
			if got, ok := c.got.CapturedAmount(); ok && got.Value != want {
				o.report(c, "nil, but CapturedAmount is another amount", "%d, asked for %d", got.Value, want)
			}
		}
	default:
		o.judgeRefunded(c)
	}
}

func (o *oracle) judgeRefunded(c *call) {
	exact, good, others := 0, 0, 0
	for _, v := range o.versions[c.order] {
		if v.at.After(c.end) {
			break
		}
		exact, good, others = 0, 0, 0
		for _, r := range v.order.refunds {
			if r.reference != c.reference {
				continue
			}
			// Some seconds after a refund has failed, a replica with an older
			// state may still show the refund as good. So a refund counts as
			// good if it was good at some moment of the last seconds before the
			// call ended.
			if o.wasGood(c.order, r.id, c.end) {
				good++
				if r.amount == c.amount {
					exact++
				} else {
					others++
				}
			}
		}
	}
	switch {
	case exact == 0 && others > 0:
		o.report(c, "wrong success: refund, another amount", "")
	case exact == 0:
		o.report(c, "wrong success: refund, none was made", "")
	case good > 1 && c.sawTwo():
		o.report(c, "wrong success: refund, nil, but the list showed two", "%d refunds under one reference", good)
	}
	if c.got.MerchantOrderReference != c.reference || c.got.OrderAmount != plural.INR(c.amount) || c.got.Type != "REFUND" {
		o.report(
			c,
			"nil with a document about something else",
			"%s %s %s",
			c.got.Type,
			c.got.MerchantOrderReference,
			c.got.OrderAmount,
		)
	}
}

// wasGood reports whether the refund was good at some moment of the last
// seconds before the call ended.
func (o *oracle) wasGood(orderID, id string, end time.Time) bool {
	versions := o.versions[orderID]
	for i, v := range versions {
		if v.at.After(end) || i+1 < len(versions) && versions[i+1].at.Before(end.Add(-8*time.Second)) {
			continue
		}
		if slices.ContainsFunc(v.order.refunds, func(r refund) bool { return r.id == id && r.isGood() }) {
			return true
		}
	}
	return false
}

// sawTwo reports whether the call received a list with at least two good
// refunds under the call's reference.
func (c *call) sawTwo() bool { return c.sawRefunds(2) }

// sawRefunds reports whether the call received a list that has at least minGood
// good refunds under the call's reference.
func (c *call) sawRefunds(minGood int) bool {
	return slices.ContainsFunc(c.served, func(s servedDocument) bool {
		if s.refund != nil || s.order.id != c.order || (s.fault.noRefunds || s.fault.emptyRefunds) &&
			(s.order.status == partiallyRefunded || s.order.status == fullyRefunded) {
			return false
		}
		n := 0
		for _, r := range s.order.refunds {
			if r.reference == c.reference && r.isGood() {
				n++
			}
		}
		return n >= minGood
	})
}

// judgeNotApplied checks that nothing was carried out, and that nothing can be
// carried out later.
func (o *oracle) judgeNotApplied(c *call) {
	of := o.find(c.order)
	switch c.op {
	case "cancel":
		if of.status == cancelled {
			o.report(c, "wrong final: ErrNotApplied for a cancel, but the order is cancelled", "%v", c.err)
		} else if of.open() {
			o.report(c, "wrong final: ErrNotApplied for a cancel, but the order is open", "it is %s; %v", of.status, c.err)
		}
	case "capture":
		effects, sum := o.effectsUnder(c)
		switch {
		case len(effects) > 0 && effects[0].arrived.After(c.end) && sum != c.amount:
			o.otherAmount++ // a later write of another amount: it is not the call's write, but has the same reference
		case len(effects) > 0 && c.amount > of.amount-of.coupon && effects[0].by != c.id:
			o.report(
				c,
				"question: wrong final: ErrNotApplied for a capture above the hold, "+
					"and a rival took another amount under the reference",
				"%d; %v",
				sum,
				c.err,
			)
		case len(effects) > 0:
			o.report(c, "wrong final: ErrNotApplied for a capture, but money was taken", "%d; %v", sum, c.err)
		case of.open() && !of.lapsed && c.amount <= total:
			o.report(c, "wrong final: ErrNotApplied for a capture, but the order is open", "it is %s; %v", of.status, c.err)
		}
	default:
		o.judgeNotRefunded(c, of)
	}
}

func (o *oracle) judgeNotRefunded(c *call, of *order) {
	effects, _ := o.effectsUnder(c)
	for _, e := range effects {
		i := slices.IndexFunc(o.find(e.order).refunds, func(r refund) bool { return r.id == e.refund })
		if r := o.find(e.order).refunds[i]; !r.isGood() {
			continue
		}
		if e.arrived.After(c.end) && e.amount != c.amount {
			o.otherAmount++
			continue
		}
		kind := "wrong final: ErrNotApplied for a refund, but money went out"
		switch {
		case e.order != c.order && of.takenSum() < c.amount:
			kind = "question: " + kind + ", for another order, and this order never had so much to give back"
		case e.order != c.order:
			kind += ", for another order"
		case e.arrived.After(c.end):
			kind = "question: " + kind + ", by a later request, after a refund that failed"
		case e.by == "an earlier run":
			kind += ", in an earlier run"
		case strings.Contains(c.answers, "DUPLICATE_REQUEST"):
			kind += ", and the call was told DUPLICATE_REQUEST"
		case e.amount != c.amount && e.by != c.id:
			kind = "question: " + kind + ", of another amount, by a rival under the same reference"
		case o.sc.unique == failedFrees && e.by != c.id:
			kind = "question: " + kind + ", by a rival request, after a failure that freed the reference"
		case o.sc.unique == notUnique && e.by != c.id:
			kind = "question: " + kind + ", by a rival request where references are not unique"
		}
		o.report(c, kind, "refund %s; %v", e.refund, c.err)
		return
	}
	if len(effects) == 0 && (of.takenSum()-of.refunded(refund.isGood) >= c.amount || of.open()) {
		o.report(c, "wrong final: ErrNotApplied for a refund that can still be made", "the order is %s; %v", of.status, c.err)
	}
}

// judgeConflict checks that the true state really differs from the state that
// the call asked for.
func (o *oracle) judgeConflict(c *call) {
	effects, sum := o.effectsUnder(c)
	of := o.find(c.order)
	if errors.Is(c.err, plural.ErrReferenceReused) &&
		!slices.ContainsFunc(effects, func(e effect) bool { return e.at.Before(c.start) }) {
		o.report(c, "wrong conflict: ErrReferenceReused, but nobody used the reference before this call", "%v", c.err)
	}
	if errors.Is(c.err, plural.ErrNoHold) {
		switch {
		case of.takenSum() == 0:
			o.report(c, "wrong conflict: ErrNoHold, but no money was taken", "the order is %s; %v", of.status, c.err)
		case c.op == "capture" && sum == o.askedAmount(c) && c.sawExact(sum):
			o.report(c, "wrong conflict: ErrNoHold, but the books show the capture", "%v", c.err)
		}
		return
	}
	switch c.op {
	case "cancel":
		o.report(c, "wrong conflict: cancel", "the order is %s; %v", of.status, c.err)
	case "capture":
		if sum == o.askedAmount(c) || len(effects) == 0 {
			o.report(c, "wrong conflict: capture"+o.repeatNote(), "captured %d in %d, asked for %d; %v",
				sum, len(effects), o.askedAmount(c), c.err)
		}
	default:
		good := 0
		for _, e := range effects {
			if o.wasGood(e.order, e.refund, c.end) {
				good++
			}
		}
		if _, ok := errors.AsType[*plural.DoubleRefundError](c.err); ok {
			if good < 2 {
				o.report(c, "wrong conflict: DoubleRefundError, but there are not two refunds", "%d; %v", good, c.err)
			}
			return
		}
		other := slices.ContainsFunc(effects, func(e effect) bool { return e.amount != c.amount || e.order != c.order })
		if !other && good < 2 {
			o.report(c, "wrong conflict: refund"+o.repeatNote(), "%d refunds; %v", len(effects), c.err)
		}
	}
}

// repeatNote returns the last part of a finding's kind. This part is empty,
// unless the gateway repeats entries in the lists of its documents.
func (o *oracle) repeatNote() string {
	if o.sc.leaves.entriesTwice || o.sc.leaves.entriesOnEveryLeg || o.sc.leaves.refundsTwice {
		return ", with lists that repeat entries"
	}
	return ""
}

// sawExact reports whether the call received a document that shows the call's
// capture. The parameter want is an amount. In the document, the captures under
// the call's reference must add up to this amount, and no money may be left on
// hold.
func (c *call) sawExact(want int64) bool {
	return slices.ContainsFunc(c.served, func(s servedDocument) bool {
		if s.refund != nil || s.fault.noCaptures || s.fault.noPayments || s.fault.noEntryReference {
			return false
		}
		sum := int64(0)
		for _, l := range s.order.legs {
			for _, e := range l.entries {
				if e.reference == c.reference {
					sum += e.amount
				}
			}
		}
		return sum == want && s.order.held() == 0
	})
}

// judgeReferences checks that no order has two good refunds with the same
// reference. The oracle does not call judgeReferences if the gateway lets two
// good refunds have the same reference.
func (o *oracle) judgeReferences() {
	for _, of := range o.orders {
		count := map[string]int{}
		for _, r := range of.refunds {
			if r.isGood() {
				count[r.reference]++
			}
		}
		for reference, n := range count {
			if n > 1 {
				o.findings = append(o.findings, finding{"double refund", fmt.Sprint(reference, " ", n)})
			}
		}
	}
}

// judgeFind checks the result of Find on a healthy gateway. Find does not know
// the amount of the refund or capture that it looks for.
func (o *oracle) judgeFind(c *call) {
	effects, sum := o.effectsUnder(c)
	if c.op == "refund" {
		effects = slices.DeleteFunc(effects, func(e effect) bool {
			r := o.find(e.order).refunds
			return !r[slices.IndexFunc(r, func(r refund) bool { return r.id == e.refund })].isGood()
		})
	}
	here := slices.ContainsFunc(effects, func(e effect) bool { return e.order == c.order })
	_, double := errors.AsType[*plural.DoubleRefundError](c.err)
	switch {
	case c.sends > 0:
		o.report(c, "Settle or Find sent a write", "%d", c.sends)
	case c.err == nil && !here:
		o.report(c, "Find: nil, but the write is not in the books", "")
	case c.err == nil && c.op == "refund" && len(effects) > 1 && c.sawTwo():
		o.report(c, "Find: nil, but the list showed two refunds", "")
	case double && len(effects) < 2:
		o.report(c, "Find: DoubleRefundError, but there are not two refunds", "%d", len(effects))
	case errors.Is(c.err, plural.ErrNotApplied) && len(effects) > 0:
		o.report(c, "Find: ErrNotApplied, but the write is in the books", "%d in %d; %v", sum, len(effects), c.err)
	case errors.Is(c.err, plural.ErrNotFound) && c.op == "refund" && c.sawRefunds(1):
		o.report(c, "Find: ErrNotFound, but the list showed the refund", "%d in %d; %v", sum, len(effects), c.err)
	case errors.Is(c.err, plural.ErrNotFound) && here && !o.sc.leavesAlways:
		o.report(c, "Find: ErrNotFound, but the write is in the books", "%d in %d; %v", sum, len(effects), c.err)
	case errors.Is(c.err, plural.ErrNoHold) && o.find(c.order).takenSum() == 0:
		o.report(c, "Find: ErrNoHold, but no money was taken", "%v", c.err)
	}
}
