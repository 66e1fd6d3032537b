package agreement_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/racetest"
)

// fixedGateway is a gateway whose books never change.
type fixedGateway struct {
	books books
	write func(r *http.Request) *http.Response // the answer to a capture, cancel or refund
}

func (s *fixedGateway) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return s.write(r), nil
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if name == "v1-agreed" || name == "order-1" {
		return answer(200, `{"data":`+s.books.json()+`}`), nil
	}
	for _, refund := range s.books.refunds {
		if refund.id == name || refund.reference == name {
			return answer(200, `{"data":`+refund.json()+`}`), nil
		}
	}
	return answer(404, `{"code":"ORDER_NOT_FOUND","message":"no such order"}`), nil
}

// answerRejected answers a write with a rejection.
func (s *fixedGateway) answerRejected(*http.Request) *http.Response {
	return answer(422, `{"code":"OPERATION_NOT_ALLOWED","message":"not allowed"}`)
}

// answerLost answers a write with status 504, which leaves the outcome open.
func (s *fixedGateway) answerLost(*http.Request) *http.Response { return answer(504, `{}`) }

// answerShown answers a capture or a cancel with the order from the books, and
// a refund request with the refund from the books. If the books do not have the
// refund, answerShown returns the same answer as answerLost.
func (s *fixedGateway) answerShown(r *http.Request) *http.Response {
	if r.Method == http.MethodPut {
		return answer(200, `{"data":`+s.books.json()+`}`)
	}
	for _, refund := range s.books.refunds {
		if refund.reference == ourRefund {
			return answer(200, `{"data":`+refund.json()+`}`)
		}
	}
	return s.answerLost(r)
}

// question is a call whose result depends on the books.
type question struct {
	name string
	ask  func(context.Context, *plural.Client) (*plural.Order, error)
}

func questions() []question {
	capture := func(req plural.CaptureRequest) func(context.Context, *plural.Client) (*plural.Order, error) {
		return func(ctx context.Context, c *plural.Client) (*plural.Order, error) {
			req.MerchantCaptureReference = ours
			return c.Captures.Create(ctx, "v1-agreed", &req)
		}
	}
	return []question{
		{"capture part", capture(plural.CaptureRequest{CaptureAmount: plural.INR(500)})},
		{"capture all", capture(plural.CaptureRequest{FullAmount: true})},
		{"find capture", func(ctx context.Context, c *plural.Client) (*plural.Order, error) {
			return c.Captures.Find(ctx, "v1-agreed", ours)
		}},
		{"cancel", func(ctx context.Context, c *plural.Client) (*plural.Order, error) {
			return c.Cancels.Create(ctx, "v1-agreed")
		}},
		{"refund", func(ctx context.Context, c *plural.Client) (*plural.Order, error) {
			req := plural.RefundRequest{MerchantOrderReference: ourRefund, OrderAmount: plural.INR(500)}
			return c.Refunds.Create(ctx, "v1-agreed", &req)
		}},
		{"find refund", func(ctx context.Context, c *plural.Client) (*plural.Order, error) {
			return c.Refunds.Find(ctx, "v1-agreed", ourRefund)
		}},
	}
}

// sampleEvery returns a number. The larger this number is, the fewer documents
// the tests check. With PLURAL_EXHAUSTIVE=full the number is 1. Under the race
// detector the number is larger than without it.
func sampleEvery() int {
	switch {
	case os.Getenv("PLURAL_EXHAUSTIVE") == "full":
		return 1
	case racetest.Enabled:
		return 16
	}
	return 4
}

// sampled returns every n-th document.
func sampled(n int, documents func(func(books) bool)) []books {
	var list []books
	i := 0
	for d := range documents {
		if i++; i%n == 0 {
			list = append(list, d)
		}
	}
	return list
}

// The result of each call agrees with what the document in the books shows
// about money.
func TestVerdictsAgreeWithAmounts(t *testing.T) {
	t.Parallel()
	sample := sampled(127*sampleEvery(), booksWithoutRefunds)
	sample = append(sample, sampled(31*sampleEvery(), booksWithRefunds)...)
	for _, d := range plainlyGood() {
		sample = append(sample, d.books)
	}
	synctest.Test(t, func(t *testing.T) {
		var f findings
		for i, d := range sample {
			s := &fixedGateway{books: d}
			mode := i % 3
			s.write = []func(*http.Request) *http.Response{s.answerRejected, s.answerLost, s.answerShown}[mode]
			c := newPeerClient(t, s.RoundTrip)
			for _, q := range questions() {
				f.seen++
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				o, err := q.ask(ctx, c)
				cancel()
				f.verdict(d, q.name, mode, o, err)
			}
		}
		t.Logf("%d questions%s", f.seen, f.brokenRules())
		require.Empty(t, f.count)
	})
}

// The type ofCapture describes the captures of an order, as a document shows
// them. Payments that failed or were cancelled do not count.
type ofCapture struct {
	ours, others   int  // the number of captures with our reference, and of all other captures
	sum            told // the sum of the captures with our reference
	once           told // like sum, but if one payment lists equal captures, only the first of them is added
	without        bool // at least one payment lists no capture
	underWay, odd  bool
	settled, named bool // named: each capture has a reference
}

func captureOf(d books) ofCapture {
	c := ofCapture{sum: knownToBe(0), once: knownToBe(0), named: true}
	for _, l := range d.legs {
		if l.hasEnded() {
			continue
		}
		c.settled = c.settled || l.is("PROCESSED")
		c.underWay = c.underWay || l.is("PENDING", "AUTHORIZED")
		c.odd = c.odd || !l.is("PENDING", "AUTHORIZED", "PROCESSED")
		c.without = c.without || len(l.entries) == 0
		for i, e := range l.entries {
			c.named = c.named && e.reference != ""
			if e.reference != ours {
				c.others++
				continue
			}
			c.ours++
			again := slices.ContainsFunc(l.entries[:i], func(x bookEntry) bool { return x.reference == ours })
			if !e.amount.isTold() || again {
				c.sum.known = false
			}
			c.once.known = c.once.known && e.amount.isTold()
			if !slices.Contains(l.entries[:i], e) {
				c.once.paise += e.amount.paise
			}
			c.sum.paise += e.amount.paise
		}
	}
	return c
}

func (f *findings) verdict(d books, name string, mode int, o *plural.Order, err error) {
	v := truthOf(d)
	parent := new(plural.Order)
	if json.Unmarshal([]byte(d.json()), parent) != nil || d.status == "" {
		return // a call cannot use such a document; TestAmountsAgreeOnEveryDocument tests such documents
	}
	notApplied, conflict := errors.Is(err, plural.ErrNotApplied), errors.Is(err, plural.ErrConflict)
	noHold := errors.Is(err, plural.ErrNoHold)
	var twice *plural.DoubleRefundError
	doubled := errors.As(err, &twice)
	broken := map[string]bool{
		"two finals":                            notApplied && conflict,
		"ErrNoHold without ErrConflict":         noHold && !conflict,
		"final, but NeedsReview":                (notApplied || conflict) && plural.NeedsReview(err),
		"both final and unknown":                (notApplied || conflict) && errors.Is(err, plural.ErrOutcomeUnknown),
		"nil without a document":                err == nil && o == nil,
		"DoubleRefundError without ErrConflict": doubled && !conflict,
		"ErrNoHold, but no money was taken":     noHold && (v.noneAlive || !v.isPaid || v.hasEntries),
		"ErrNoHold without a rejection":         noHold && mode != 0 && name != "find capture",
	}
	c := captureOf(d)
	closed := (d.status == "CANCELLED" || d.status == "FAILED") && !v.hasEntries
	byAnother := v.isPaid && c.settled && c.others > 0 && c.ours == 0 && !c.underWay && !c.without && !c.odd && c.named
	price := v.price
	if !price.known {
		price = knownToBe(wholePrice)
	}
	switch name {
	case "capture part", "capture all", "find capture":
		asked := knownToBe(500)
		if name == "capture all" {
			asked = wholeHold(d, price)
		}
		other := func(x told) bool {
			whole := name == "capture all" && x.paise == wholePrice
			return name != "find capture" && asked.known && x.known && x != asked && !whole
		}
		broken["nil, not in the books"] = err == nil && (c.ours == 0 || !c.settled || !v.isPaid)
		broken["nil, captured another amount"] = err == nil && (other(toldOf(parent.CapturedAmount())) || other(v.captured))
		broken["nil, entries of another amount"] = err == nil && name != "find capture" && other(c.sum)
		broken["not applied without evidence"] = notApplied && !closed && !byAnother
		broken["conflict without our entry"] = conflict && !noHold && c.ours == 0
		isSole := conflict && !noHold && c.others == 0
		broken["conflict, but the capture is as asked for"] = isSole && name == "capture part" && c.sum == asked
		broken["conflict, but one entry is only listed twice"] = conflict && !noHold && !c.sum.known && c.once == asked
		broken["conflict, but the whole price was captured"] = isSole && name == "capture all" && c.sum == v.price
		broken["conflict while a payment is under way"] = conflict && (c.underWay || c.odd)
	case "cancel":
		taken := toldOf(parent.CapturedAmount())
		whole := func(x told) bool { return x.known && (x == price || x.paise == wholePrice) }
		broken["cancel: nil"] = (err == nil) != (d.status == "CANCELLED")
		broken["cancel: conflict"] = conflict
		broken["cancel: not applied"] = notApplied && (d.status != "FAILED" || v.hasEntries) &&
			(!v.isPaid || !whole(taken) || !whole(v.captured))
	case "refund", "find refund":
		f.refundVerdict(d, name, v, toldOf(parent.RefundableAmount()), err, broken)
	}
	for rule, is := range broken {
		if is {
			f.note(d, name+": "+rule,
				fmt.Sprintf("%v after %s", err, []string{"a rejection", "504", "an answer with this document"}[mode]),
				fmt.Sprintf("captured %v, refunded %v", v.captured, v.refunded))
		}
	}
}

// wholeHold returns the amount of a full capture. This is the sum of the
// payments on hold, or the order's price if a payment has ended without
// success.
func wholeHold(d books, price told) told {
	hold, failed := knownToBe(0), false
	for _, l := range d.legs {
		if failed = failed || l.hasEnded(); l.hasEnded() {
			continue
		}
		hold.known = hold.known && l.inRupees().isTold()
		hold.paise += l.inRupees().paise
	}
	if failed {
		return price
	}
	return hold
}

func (f *findings) refundVerdict(d books, name string, v documentFacts, left told, err error, broken map[string]bool) {
	good := map[string]money{}
	var first *bookRefund
	var done int64
	doneOnce := map[string]bool{}
	for _, r := range d.refunds {
		if r.status == "PROCESSED" && !doneOnce[r.id] {
			doneOnce[r.id] = true
			done += r.amount.paise
		}
		if r.reference != ourRefund {
			continue
		}
		if first == nil {
			first = &r
		}
		if r.isGood() {
			good[r.id] = r.amount
		}
	}
	var twice *plural.DoubleRefundError
	doubled, finding := errors.As(err, &twice), name == "find refund"
	notApplied := errors.Is(err, plural.ErrNotApplied)
	figures := first != nil && first.amount == rupees(500)
	nothing := (d.status == "CANCELLED" || d.status == "FAILED") && v.captured == knownToBe(0)
	less := !finding && left.known && left.paise < 500 && v.captured.known && v.captured.paise-done < 500
	one := first != nil && first.isGood() && len(good) == 1 && (figures || finding)
	conflicting := slices.ContainsFunc(d.refunds, func(r bookRefund) bool {
		return r.reference == ourRefund && r.id == d.refunds[0].id && r.isGood() != d.refunds[0].isGood()
	})
	broken["nil, not in the books"] = err == nil && len(good) == 0
	broken["nil, but there are two refunds"] = err == nil && len(good) > 1
	broken["nil, but the amount is another one"] = err == nil && !finding && !figures
	broken["not nil, but there is one good refund"] = err != nil && one && !conflicting
	broken["DoubleRefundError for one refund"] = doubled && len(good) < 2
	broken["two refunds without DoubleRefundError"] = len(good) > 1 && first.isGood() && (figures || finding) && !doubled
	broken["not applied without evidence"] = notApplied && !nothing && !less
	broken["not applied, but there is a refund"] = notApplied && len(good) > 0
	broken["conflict, but the books have nothing else"] = errors.Is(err, plural.ErrConflict) && !doubled &&
		(first == nil || figures || finding)
}
