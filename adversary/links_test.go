package adversary_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// linkCall is one call about a payment link, together with the links that the
// gateway has shown to the call.
type linkCall struct {
	linkPlan

	id         string
	well       bool
	start, end time.Time
	got        *plural.PaymentLink
	err        error
	shown      []linkState // the states of the links in the documents that the call received
	sends      int
	refused    int  // number of answers with status 401; after such an answer, the SDK sends again with a new token
	again      bool // the call asked for a new link after an answer had shown a link with its reference
}

func (c *linkCall) name() string {
	if c == nil {
		return "-"
	}
	return c.id
}

func (c *linkCall) hasFinalResult() bool { return (&call{err: c.err}).hasFinalResult() }

func (c *linkCall) verdict() string { return (&call{err: c.err}).verdict() }

// TestLinks makes and cancels payment links while the payer pays. The gateway
// answers with an older state, loses answers, and gives false answers.
// PLURAL_ADVERSARY sets the number of scenarios, as for TestAdversary.
func TestLinks(t *testing.T) {
	t.Parallel()
	first, n, replay := settings(t)
	verdicts, kinds, shortest := map[string]int{}, map[string]int{}, map[string]string{}
	for i := range n {
		seed := first + uint64(i)
		if replay {
			seed = first
		}
		sc := newLinkScenario(seed)
		var o *linkOracle
		synctest.Test(t, func(t *testing.T) { o = playLinks(t, sc) })
		for _, c := range o.calls {
			verdicts[c.op+" "+c.verdict()]++
		}
		for _, f := range o.findings {
			kinds[f.kind]++
			text := fmt.Sprintf("seed %d: %s\n%s\n%s\n", seed, f.detail, sc, strings.Join(o.trace, "\n"))
			if old, ok := shortest[f.kind]; !ok || len(text) < len(old) {
				shortest[f.kind] = text
			}
		}
	}
	t.Logf("answers: %v", verdicts)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Errorf("%d x %s\n%s", kinds[kind], kind, shortest[kind])
	}
	for _, each := range []string{
		"create nil", "create ErrReferenceReused", "cancel nil", "cancel ErrConflict", "cancel ErrNotApplied",
	} {
		require.True(t, replay || verdicts[each] > 0, "no call ended as %s", each)
	}
}

func playLinks(t *testing.T, sc *linkScenario) *linkOracle {
	t.Helper()
	g := &linkGateway{sc: sc, start: time.Now(), versions: map[string][]linkVersion{}}
	g.setUp()
	o := &linkOracle{linkGateway: g}
	for _, e := range sc.events {
		g.runAfter(e.at, func() { g.applyEventTo(mainLink, e.what) })
	}
	opts := []plural.Option{plural.WithHTTPClient(&http.Client{Transport: g})}
	if sc.single {
		opts = append(opts, plural.WithSingleRefundSend())
	}
	var wg sync.WaitGroup
	clients := make([]*plural.Client, len(sc.plans))
	for i, p := range sc.plans {
		client, err := plural.NewClient(plural.Credentials{ClientID: "shop", ClientSecret: "secret"}, opts...)
		require.NoError(t, err)
		clients[i] = client
		wg.Go(func() {
			p.makeCalls(func(n int) bool { return o.call(client, p, n, false).hasFinalResult() })
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
	g.wg.Wait()
	for _, c := range o.calls {
		o.judge(c)
	}
	return o
}

// settlePlan does nothing if the last call of the plan had a final result.
// Otherwise it makes up to ten more calls. By now the gateway is healthy, and
// the payer does nothing more. One of these calls must give a final answer, or
// NeedsReview must report its error.
func (o *linkOracle) settlePlan(client *plural.Client, p linkPlan) {
	for _, c := range slices.Backward(o.calls) {
		if c.process == p.process {
			if c.hasFinalResult() {
				return
			}
			break
		}
	}
	p.deadline = time.Minute
	if tenMore.makeCalls(func(n int) bool {
		c := o.call(client, p, n, true)
		return c.hasFinalResult() || plural.NeedsReview(c.err)
	}) {
		return
	}
	c := o.calls[len(o.calls)-1]
	o.bad(c, "not settled by ten calls to a healthy gateway", "%v", c.err)
}

func (o *linkOracle) call(client *plural.Client, p linkPlan, n int, well bool) *linkCall {
	c := &linkCall{linkPlan: p, id: fmt.Sprintf("p%d.%d", p.process, n+1), well: well, start: time.Now()}
	if well {
		c.id = fmt.Sprintf("p%d.well%d", p.process, n+1)
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), callKey{}, c))
	if p.deadline > 0 {
		ctx, cancel = context.WithTimeout(ctx, p.deadline)
	}
	defer cancel()
	o.mu.Lock()
	o.record(c.id, "%s, pre_auth %t, deadline %s", p.plan, p.preAuth, p.deadline)
	o.mu.Unlock()
	if p.op == "create" {
		c.got, c.err = client.PaymentLinks.Create(ctx, &plural.PaymentLinkRequest{
			MerchantPaymentLinkReference: p.reference, Amount: plural.INR(p.amount), PreAuth: p.preAuth,
			Customer: &plural.Customer{EmailID: "payer@example.com"},
		})
	} else {
		c.got, c.err = client.PaymentLinks.Cancel(ctx, p.order)
	}
	c.end = time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, c)
	o.record(c.id, "=> %s: %v", c.verdict(), c.err)
	return c
}

// linkOracle judges the calls at the end of a scenario. It compares each result
// with the promises in the documentation of PaymentLinkService, and with what
// was really carried out.
type linkOracle struct {
	*linkGateway
	calls    []*linkCall
	findings []finding
}

func (o *linkOracle) bad(c *linkCall, kind, format string, args ...any) {
	o.findings = append(o.findings, finding{kind, fmt.Sprintf("%s: %s: ", c.id, c.plan) + fmt.Sprintf(format, args...)})
}

func (o *linkOracle) judge(c *linkCall) {
	o.checkError(c)
	switch {
	case c.op == "create":
		o.judgeCreate(c)
	case c.err == nil && c.got == nil:
		o.bad(c, "nil without a document", "")
	default:
		o.judgeCancel(c)
	}
}

// checkError checks that an error is not of two kinds at once, and that the
// error has the right type for its kind. It also checks rules for all calls,
// such as the deadline.
func (o *linkOracle) checkError(c *linkCall) {
	is := func(target error) bool { return errors.Is(c.err, target) }
	final := is(plural.ErrNotApplied) || is(plural.ErrConflict)
	_, isState := errors.AsType[*plural.StateError](c.err)
	_, isOfLink := errors.AsType[*plural.PaymentLinkError](c.err)
	switch {
	case is(plural.ErrNotApplied) && is(plural.ErrConflict):
		o.bad(c, "sentinels: ErrNotApplied and ErrConflict", "%v", c.err)
	case final && (is(plural.ErrOutcomeUnknown) || plural.NeedsReview(c.err)):
		o.bad(c, "sentinels: both final and unknown", "%v", c.err)
	case is(plural.ErrConflict) != isOfLink, is(plural.ErrNotApplied) != isState:
		o.bad(c, "sentinels: a final error of another type", "%T %v", c.err, c.err)
	case is(plural.ErrReferenceReused) != (is(plural.ErrConflict) && c.op == "create"):
		o.bad(c, "sentinels: ErrReferenceReused and conflict of a create must go together", "%v", c.err)
	}
	if _, ok := errors.AsType[*plural.ValidationError](c.err); ok {
		o.bad(c, "sentinels: ValidationError for a valid request", "%v", c.err)
	}
	if took := c.end.Sub(c.start); c.deadline > 0 && took > c.deadline+time.Second {
		o.bad(c, "a call outlasts its deadline", "%s", took)
	}
	if c.op == "create" && o.sc.single && c.sends > 1+min(c.refused, 1) {
		o.bad(c, "WithSingleRefundSend sent twice", "%d sends", c.sends)
	}
	if c.again {
		o.bad(c, "a create is sent again, but the call has seen the link", "")
	}
}

// judgeCreate checks the result of a call that makes a link.
//
//   - A success is wrong if there is no link with the id in the result, or if
//     this link does not have the values of the call.
//   - A success is also wrong if the answers to the call showed two links with
//     the call's reference.
//   - A conflict is right if there are two links with the reference and the
//     values of the call. A conflict is also right if there is a link with the
//     reference, but with other values than the call.
func (o *linkOracle) judgeCreate(c *linkCall) {
	same, others := 0, 0
	for _, l := range o.links {
		switch {
		case l.reference != c.reference || l.made.After(c.end):
		case l.amount == c.amount && (l.preAuth == c.preAuth || o.sc.saysPreAuth == ""):
			same++
		default:
			others++
		}
	}
	seen := map[string]bool{}
	for _, l := range c.shown {
		if l.reference == c.reference {
			seen[l.id] = true
		}
	}
	switch {
	case errors.Is(c.err, plural.ErrNotApplied):
		o.bad(c, "wrong final: ErrNotApplied for a create, without evidence", "%v", c.err)
	case errors.Is(c.err, plural.ErrConflict) && others == 0 && same < 2:
		o.bad(c, "wrong conflict: there is no other link", "%v", c.err)
	case c.err != nil:
	case c.got == nil:
		o.bad(c, "nil without a document", "")
	case len(seen) > 1:
		o.bad(c, "wrong success: nil for two links that the call has seen", "%v", slices.Sorted(maps.Keys(seen)))
	default:
		l := o.find(c.got.PaymentLinkID)
		switch {
		case l == nil || l.made.After(c.end):
			o.bad(c, "wrong success: there is no such link", "%s", c.got.PaymentLinkID)
		case l.reference != c.reference || l.amount != c.amount || l.preAuth != c.preAuth && o.sc.saysPreAuth != "":
			o.bad(c, "wrong success: a link with other values", "%d", l.amount)
		case c.got.OrderID != l.orderID || c.got.Amount != plural.INR(c.amount):
			o.bad(c, "nil with a document about something else", "%s %s", c.got.OrderID, c.got.Amount)
		}
	}
}

// judgeCancel checks the result of a call that cancels a link. It compares the
// result with the link's true state at the end of the call.
//
//   - A result without an error is right only if the link is CANCELLED.
//   - A conflict is right only if the payer has paid through the link.
//   - ErrNotApplied is right only if the link is EXPIRED.
func (o *linkOracle) judgeCancel(c *linkCall) {
	var now linkState
	wasPaid := false
	for _, v := range o.versions[c.order] {
		if !v.at.After(c.end) {
			now = v.link
			wasPaid = wasPaid || v.link.paid > 0
		}
	}
	conflict, _ := errors.AsType[*plural.PaymentLinkError](c.err)
	switch {
	case c.err == nil && now.status != cancelled:
		o.bad(c, "wrong success: the link is not cancelled", "it is %s", now.status)
	case c.err == nil && (c.got.PaymentLinkID != c.order || c.got.Status != cancelled):
		o.bad(c, "nil with a document about something else", "%s %s", c.got.PaymentLinkID, c.got.Status)
	case errors.Is(c.err, plural.ErrNotApplied) && now.status != expired:
		o.bad(c, "wrong final: ErrNotApplied for a link that has not expired", "it is %s; %v", now.status, c.err)
	case conflict != nil && !wasPaid:
		o.bad(c, "wrong conflict: nobody has paid", "the order is %s; %v", now.orderStatus, c.err)
	case conflict != nil && (conflict.Order == nil || conflict.Order.OrderID != now.orderID || conflict.Link == nil):
		o.bad(c, "a conflict without the link and its order", "%v", c.err)
	}
}

// TestLinkOracle checks the type linkOracle with made-up results of calls. Some
// results have a known mistake, and the oracle must report this mistake. The
// other results are right, and the oracle must report nothing.
func TestLinkOracle(t *testing.T) {
	t.Parallel()
	conflict := func(op string) error {
		return &plural.PaymentLinkError{
			Op: "payment_links." + op, Link: &plural.PaymentLink{}, Order: &plural.Order{OrderID: "v1-of-1"},
		}
	}
	notApplied := &plural.StateError{Op: "payment_links.cancel", Reason: "x"}
	good := &plural.PaymentLink{
		PaymentLinkID: "pl-v1-1", OrderID: "v1-of-1", Amount: plural.INR(total), Status: cancelled,
	}
	for name, tc := range map[string]struct {
		op     string
		happen func(l *linkState)
		got    *plural.PaymentLink
		err    error
		with   func(c *linkCall)
		kind   string
	}{
		"made":         {op: "create", got: good},
		"nothing came": {op: "create", kind: "nil without"},
		"another link": {
			op: "create", got: &plural.PaymentLink{PaymentLinkID: "pl-v1-9"},
			kind: "wrong success: there is no",
		},
		"another amount": {
			op: "create", got: good, happen: func(l *linkState) { l.amount++ },
			kind: "wrong success: a link with other",
		},
		"another pre_auth": {
			op: "create", got: good, happen: func(l *linkState) { l.preAuth = true },
			kind: "wrong success: a link with other",
		},
		"made later": {
			op: "create", got: good, happen: func(l *linkState) { l.made = l.made.Add(time.Hour) },
			kind: "wrong success: there is no",
		},
		"a conflict over nothing": {op: "create", err: conflict("create"), kind: "wrong conflict"},
		"a conflict": {
			op: "create", err: conflict("create"), happen: func(l *linkState) { l.amount++ },
		},
		"the conflict of a cancel": {
			op: "create", err: conflict("cancel"), happen: func(l *linkState) { l.amount++ },
			kind: "sentinels: ErrReferenceReused",
		},
		"denied": {op: "create", err: notApplied, kind: "wrong final"},
		"two were shown": {
			op: "create", got: good, kind: "wrong success: nil for two",
			with: func(c *linkCall) { c.shown = []linkState{{id: "a", reference: "L-1"}, {id: "b", reference: "L-1"}} },
		},
		"sent twice": {
			op: "create", got: good,
			with: func(c *linkCall) { c.sends = 2 },
			kind: "WithSingleRefundSend",
		},
		"sent though shown": {
			op: "create", got: good,
			with: func(c *linkCall) { c.again = true },
			kind: "a create is sent again",
		},
		"cancelled":     {op: "cancel", got: good, happen: func(l *linkState) { l.status = cancelled }},
		"not cancelled": {op: "cancel", got: good, kind: "wrong success: the link"},
		"expired":       {op: "cancel", err: notApplied, happen: func(l *linkState) { l.status = expired }},
		"not expired":   {op: "cancel", err: notApplied, kind: "wrong final"},
		"paid":          {op: "cancel", err: conflict("cancel"), happen: func(l *linkState) { l.paid = 1 }},
		"not paid":      {op: "cancel", err: conflict("cancel"), kind: "wrong conflict"},
		"paid, without order": {
			op: "cancel", err: &plural.PaymentLinkError{}, happen: func(l *linkState) { l.paid = 1 },
			kind: "a conflict without",
		},
		"late": {
			op: "cancel", got: good, happen: func(l *linkState) { l.status = cancelled },
			with: func(c *linkCall) { c.end = c.end.Add(time.Hour) },
			kind: "a call outlasts",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newLinkScenario(1)
			sc.saysPreAuth, sc.single = "bool", true
			o := &linkOracle{linkGateway: &linkGateway{sc: sc, start: time.Now(), versions: map[string][]linkVersion{}}}
			l := o.make("L-1", total, false)
			if tc.happen != nil {
				tc.happen(l)
				o.commit(l)
			}
			c := &linkCall{got: tc.got, err: tc.err, start: time.Now(), end: time.Now(), sends: 1}
			c.linkPlan = linkPlan{plan: plan{
				op: tc.op, order: l.id, reference: "L-1", amount: total, deadline: time.Minute,
			}}
			if tc.with != nil {
				tc.with(c)
			}
			o.judge(c)
			if tc.kind == "" {
				require.Empty(t, o.findings)
				return
			}
			require.NotEmpty(t, o.findings)
			require.Contains(t, o.findings[0].kind, tc.kind)
		})
	}
}
