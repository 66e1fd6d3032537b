// Package adversary_test runs package plural against a gateway that answers
// with an older state or with wrong codes, loses answers, and leaves things out
// of its documents. It compares the result of each call with what the gateway
// really carried out.
//
// The gateway is written from the published API alone. It shares no code with
// the emulator in pluraltest, so an error in one cannot hide an error in the
// other.
//
// Each scenario runs in a bubble of testing/synctest. All sleeps in its tests
// use the bubble's clock, so they take no real time.
//
//	PLURAL_SEED=7        the first seed (1 by default)
//	PLURAL_ADVERSARY=n   n scenarios; "full" is 150,000
//	PLURAL_ADVERSARY=replay  runs the one seed, up to 300 times, until it fails
package adversary_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const (
	defaultScenarios = 3000
	fullScenarios    = 150_000
	replays          = 300
)

// tally has the counts of a run.
type tally struct {
	verdicts  map[string]int // results of the calls made before the gateway is healthy, counted by kind
	wellEnds  map[string]int
	settled   map[string]int // results of the calls of Settle
	minutes   int            // calls with a deadline of a minute
	unknown   int            // calls with a deadline of a minute that ended with neither a final answer nor NeedsReview
	unknownOf map[string]int // the calls in unknown, counted by the order's state at the start of the scenario
	later     int            // the sum of otherAmount over all oracles
	kinds     map[string]int
	shortest  map[string]string // the shortest trace for each kind of finding
}

func TestAdversary(t *testing.T) {
	t.Parallel()
	first, n, replay := settings(t)
	got := tally{
		verdicts:  map[string]int{},
		wellEnds:  map[string]int{},
		settled:   map[string]int{},
		kinds:     map[string]int{},
		unknownOf: map[string]int{},
		shortest:  map[string]string{},
	}
	for i := range n {
		seed := first + uint64(i)
		if replay {
			seed = first
		}
		got.run(t, seed)
		if replay && len(got.kinds) > 0 {
			break
		}
	}
	got.report(t)
	if got.minutes > 1_000 { // in a smaller run, chance alone can exceed the limit
		require.LessOrEqual(t, got.unknown*20, got.minutes, "more than 5 %% of calls with a deadline of a minute are unknown")
	}
}

func settings(t *testing.T) (first uint64, n int, replay bool) {
	t.Helper()
	first, n = 1, defaultScenarios
	if s := os.Getenv("PLURAL_SEED"); s != "" {
		var err error
		first, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	switch s := os.Getenv("PLURAL_ADVERSARY"); s {
	case "":
		if testing.Short() {
			n /= 10
		}
	case "full":
		n = fullScenarios
	case "replay":
		return first, replays, true
	default:
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	return first, n, false
}

func (y *tally) run(t *testing.T, seed uint64) {
	t.Helper()
	sc := newScenario(seed)
	var o *oracle
	synctest.Test(t, func(t *testing.T) { o = playScenario(t, sc) })
	for _, c := range o.calls {
		if c.reads {
			y.settled[c.verdict()]++
			continue
		}
		if c.well {
			y.wellEnds[c.verdict()]++
			continue
		}
		y.verdicts[c.verdict()]++
		if c.deadline == time.Minute {
			y.minutes++
			if c.verdict() == "unknown" {
				y.unknown++
				y.unknownOf[sc.setup]++
				if os.Getenv("PLURAL_ADVERSARY_UNKNOWN") == sc.setup {
					t.Logf("unknown: %s: %v\n%s\n%s", c.id, c.err, sc, strings.Join(o.trace, "\n"))
				}
			}
		}
	}
	y.later += o.otherAmount
	for _, f := range o.findings {
		y.kinds[f.kind]++
		text := fmt.Sprintf("seed %d: %s\n%s\n%s\n", seed, f.detail, sc, strings.Join(o.trace, "\n"))
		if old, ok := y.shortest[f.kind]; !ok || len(text) < len(old) {
			y.shortest[f.kind] = text
		}
	}
}

// playScenario runs one scenario in a synctest bubble of its own.
func playScenario(t *testing.T, sc *scenario) *oracle {
	t.Helper()
	g := newGateway(sc)
	g.setUp()
	o := &oracle{gateway: g}
	for _, e := range sc.outside {
		g.runAfter(e.at, func() { g.actAsSomebody(e.what) })
	}
	var wg sync.WaitGroup
	clients := make([]*plural.Client, len(sc.plans))
	for i, p := range sc.plans {
		clients[i] = newClient(t, g, sc)
		wg.Go(func() {
			p.makeCalls(func(n int) bool {
				c := o.call(clients[i], p, n, false)
				return o.askSettle(c) || c.hasFinalResult()
			})
		})
	}
	wg.Wait()
	g.wg.Wait() // now all late effects have happened
	g.mu.Lock()
	g.well = true
	g.record("-", "the gateway is healthy")
	g.mu.Unlock()
	for i, p := range sc.plans {
		o.settlePlan(clients[i], p)
	}
	for i, p := range sc.plans {
		o.checkFind(clients[i], p)
	}
	g.wg.Wait()
	o.judge()
	return o
}

// makeCalls makes the calls of a plan. It waits until the plan begins, and it
// also waits after each call. If callOnce returns true, the plan has ended:
// makeCalls returns true, and makes no more calls. Otherwise makeCalls returns
// false after the last call.
func (p plan) makeCalls(callOnce func(n int) bool) bool {
	time.Sleep(p.at) // wait until the plan begins
	for n := range p.times {
		if callOnce(n) {
			return true
		}
		time.Sleep(p.gap) // wait until the shop calls again
	}
	return false
}

// tenMore is the plan of a shop that calls ten more times, once a minute, when
// the gateway is healthy.
var tenMore = plan{times: 10, gap: time.Minute}

// settlePlan does nothing if the last call of the plan had a final result.
// Otherwise it makes up to ten more calls to the gateway, which is healthy now.
// One of these calls must give a final answer, or NeedsReview must report its
// error.
func (o *oracle) settlePlan(client *plural.Client, p plan) {
	p.deadline = time.Minute
	for _, c := range slices.Backward(o.calls) {
		if c.process == p.process {
			if c.hasFinalResult() {
				return
			}
			break
		}
	}
	if tenMore.makeCalls(func(n int) bool {
		c := o.call(client, p, n, true)
		return c.hasFinalResult() || plural.NeedsReview(c.err)
	}) {
		return
	}
	c := o.calls[len(o.calls)-1]
	kind := "not settled by ten calls to a healthy gateway"
	switch {
	case o.find(p.order).status == pending:
		kind += ", with an order that stays PENDING"
	case strings.Contains(c.err.Error(), "a new one needs a new reference"):
		kind += ", with an old refund that failed"
	default:
		kind += ", " + p.op + ", the order is " + o.find(p.order).status
	}
	o.report(c, kind, "%v", c.err)
}

// If the outcome of the call c is unknown, askSettle sometimes calls Settle.
// Settle only reads the books, and sends no write. askSettle returns true if
// Settle gave a final answer.
func (o *oracle) askSettle(c *call) bool {
	unknown, ok := errors.AsType[*plural.OutcomeUnknownError](c.err)
	if !ok || !chance(o.rng("settle "+c.id, 0), 0.3) {
		return false
	}
	again := &call{plan: c.plan, id: c.id + ".settle", start: time.Now(), reads: true}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), callKey{}, again), time.Minute)
	defer cancel()
	again.deadline = time.Minute
	again.got, again.err = unknown.Settle(ctx)
	o.answered(again)
	return again.hasFinalResult()
}

// checkFind calls Find on the healthy gateway, and checks the result. For a
// cancel it does nothing, because there is no Find for cancels.
func (o *oracle) checkFind(client *plural.Client, p plan) {
	if p.op == "cancel" {
		return
	}
	c := &call{plan: p, id: fmt.Sprintf("p%d.find", p.process), start: time.Now(), well: true, reads: true}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), callKey{}, c), time.Minute)
	defer cancel()
	c.deadline = time.Minute
	if p.op == "capture" {
		c.got, c.err = client.Captures.Find(ctx, p.order, p.reference)
	} else {
		c.got, c.err = client.Refunds.Find(ctx, p.order, p.reference)
	}
	c.end = time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.record(c.id, "=> %s: %v", c.verdict(), c.err)
	o.judgeFind(c)
}

func newClient(t *testing.T, g *gateway, sc *scenario) *plural.Client {
	t.Helper()
	opts := []plural.Option{plural.WithHTTPClient(&http.Client{Transport: g})}
	if sc.single {
		opts = append(opts, plural.WithSingleRefundSend())
	}
	client, err := plural.NewClient(plural.Credentials{ClientID: "shop", ClientSecret: "secret"}, opts...)
	require.NoError(t, err)
	return client
}

func (o *oracle) call(client *plural.Client, p plan, n int, well bool) *call {
	c := &call{plan: p, id: fmt.Sprintf("p%d.%d", p.process, n+1), well: well, start: time.Now()}
	if well {
		c.id = fmt.Sprintf("p%d.well%d", p.process, n+1)
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), callKey{}, c))
	if p.deadline > 0 {
		ctx, cancel = context.WithTimeout(ctx, p.deadline)
	}
	defer cancel()
	o.mu.Lock()
	o.record(c.id, "%s, deadline %s", p, p.deadline)
	o.mu.Unlock()
	switch p.op {
	case "capture":
		req := &plural.CaptureRequest{MerchantCaptureReference: p.reference, FullAmount: p.amount == 0}
		if p.amount > 0 {
			req.CaptureAmount = plural.INR(p.amount)
		}
		c.got, c.err = client.Captures.Create(ctx, p.order, req)
	case "cancel":
		c.got, c.err = client.Cancels.Create(ctx, p.order)
	default:
		c.got, c.err = client.Refunds.Create(ctx, p.order, &plural.RefundRequest{
			MerchantOrderReference: p.reference, OrderAmount: plural.INR(p.amount),
		})
	}
	o.answered(c)
	return c
}

func (o *oracle) answered(c *call) {
	c.end = time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, c)
	o.record(c.id, "=> %s: %v", c.verdict(), c.err)
}

func (y *tally) report(t *testing.T) {
	t.Helper()
	t.Logf("before the gateway is healthy: %v", y.verdicts)
	t.Logf("after: %v", y.wellEnds)
	t.Logf("unknown outcomes, settled by reading: %v", y.settled)
	t.Logf("calls with a deadline of a minute: %d, unknown without NeedsReview: %d", y.minutes, y.unknown)
	t.Logf("the unknown ones, by the order's earlier state: %v", y.unknownOf)
	t.Logf("ErrNotApplied, and later another amount under the same reference: %d", y.later)
	for _, kind := range slices.Sorted(maps.Keys(y.kinds)) {
		if isBeyondACall(kind) {
			t.Logf("%d x %s\n%s", y.kinds[kind], kind, y.shortest[kind])
			continue
		}
		t.Errorf("%d x %s\n%s", y.kinds[kind], kind, y.shortest[kind])
	}
}

// A call cannot prevent some wrong answers. isBeyondACall reports whether the
// given kind of finding is such a wrong answer. docs/finals.md explains the
// reasons:
//
//   - Another process may use the same reference.
//   - Perhaps Plural does not enforce that references are unique. Or perhaps
//     Plural allows a reference to be used again after a refund has failed.
//   - A final answer is about one order and one amount: those in the call. The
//     reference may also belong to another order.
//
// In the first two cases, another request may arrive at the same time as the
// call's request, or after the call's answer. A final answer is not about such
// a request.
func isBeyondACall(kind string) bool {
	return strings.HasPrefix(kind, "question: ") && (strings.Contains(kind, "rival") ||
		strings.Contains(kind, "later request") || strings.Contains(kind, "for another order"))
}
