package adversary_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// These statuses exist only for payment links, and not for orders.
const (
	clicked          = "CLICKED"
	paymentInitiated = "PAYMENT_INITIATED"
	partialProcessed = "PARTIAL_PROCESSED"
	expired          = "EXPIRED"
)

// linkState is the true state of one payment link and of the link's order. Each
// change makes a new version, and replicas serve old versions. One replica
// shows the link, and another replica shows the link's order.
type linkState struct {
	id, reference, status string
	amount                int64
	preAuth               bool

	orderID, orderStatus string
	paid                 int64  // all money that was held or taken, even if it was released later
	withPayment          string // the status of the order's payment; "": there is no payment
	made                 time.Time
}

type linkVersion struct {
	at   time.Time
	link linkState
}

// linkScenario describes one run of the test for payment links. The seed
// decides the values of the scenario before the run begins.
type linkScenario struct {
	*scenario

	isUnique      bool
	setup         string
	heldReads     string   // the status of a link while the money of its order is on hold
	cancels       []string // the statuses from which a link can be cancelled
	voidsOrder    bool     // the order of a cancelled link is CANCELLED
	saysPreAuth   string   // how documents write pre_auth: "", "bool", "text"
	wraps         bool
	withoutAmount float64 // how many of the links' documents have no amount; 0: none, 1: all
	withoutList   float64 // how many of the orders' documents have no list of payments; 0: none, 1: all
	lifetime      time.Duration
	plans         []linkPlan
	events        []outsideAction
}

// linkPlan is the plan of one process. The process either makes a link or
// cancels a link.
type linkPlan struct {
	plan

	preAuth bool
}

const mainLink = "pl-v1-main"

func newLinkScenario(seed uint64) *linkScenario {
	rng := rand.New(rand.NewPCG(seed, 77))
	sc := &linkScenario{scenario: &scenario{seed: seed, writeEvents: map[int][]func(*writeFault){}}}
	sc.isUnique = chance(rng, 0.7)
	sc.duplicateAnswers = chance(rng, 0.5)
	sc.latestByReference = chance(rng, 0.7)
	sc.single = chance(rng, 0.2)
	sc.noMatchingRecords = rng.IntN(3)
	sc.heldReads = pick(rng, processed, processed, paymentInitiated, clicked)
	sc.cancels = pick(rng, []string{created}, []string{created, clicked}, []string{created, clicked, paymentInitiated})
	sc.voidsOrder = chance(rng, 0.5)
	sc.saysPreAuth = pick(rng, "", "bool", "text")
	sc.wraps = chance(rng, 0.2)
	sc.noDate = chance(rng, 0.1)
	sc.withoutAmount = pick(rng, 0, 0, 0, 0.3)
	sc.withoutList = pick(rng, 0, 0, 0, 0.5, 1)
	sc.lifetime = pick(rng, time.Hour, time.Hour, between(rng, time.Second, 30*time.Second))
	sc.record("unique %t; a duplicate answers %t; the latest by reference %t; single send %t; held links read %s; "+
		"cancelled from %v, with the order %t; pre_auth as %q; without an amount %.1f, without payments %.1f; lives %.1f s",
		sc.isUnique, sc.duplicateAnswers, sc.latestByReference, sc.single, sc.heldReads, sc.cancels, sc.voidsOrder,
		sc.saysPreAuth, sc.withoutAmount, sc.withoutList, sc.lifetime.Seconds())
	first := linkPlan{plan: plan{op: "create", reference: "L-1", amount: total}, preAuth: chance(rng, 0.5)}
	if chance(rng, 0.5) {
		first = linkPlan{plan: plan{op: "cancel", order: mainLink}}
		sc.setup = pick(rng, created, created, created, clicked, pending, attempted, "held", "taken", "captured", "part",
			cancelled, expired, failed, "held, then void", "left")
		for range pick(rng, 0, 1, 1, 2) {
			what := pick(rng, "click", "begin", "pay", "pay", "pay", "fail", "cancel")
			sc.events = append(sc.events, outsideAction{between(rng, 0, 12*time.Second), what})
		}
	} else {
		sc.setup = pick(rng, "none", "none", "none", "ours", "ours, another amount", "ours, another pre_auth")
	}
	timing := func(p *linkPlan) {
		p.deadline = pick(rng, time.Minute, time.Minute, time.Minute, 0, 10*time.Second, 5*time.Second, 2*time.Second)
		p.times = pick(rng, 1, 2, 3)
		p.gap = pick(rng, 0, between(rng, 0, 10*time.Second), time.Minute)
	}
	timing(&first)
	sc.plans = []linkPlan{first}
	if chance(rng, 0.5) {
		second := first
		timing(&second)
		second.process, second.at = 1, pick(rng, 0, between(rng, 0, 8*time.Second))
		if first.op == "create" && chance(rng, 0.4) {
			second.amount = 5000
		}
		sc.plans = append(sc.plans, second)
	}
	for _, p := range sc.plans {
		sc.record("process %d, after %.1f s: %s; up to %d calls, %.1f s between, deadline %s",
			p.process, p.at.Seconds(), p.plan, p.times, p.gap.Seconds(), p.deadline)
	}
	sc.record("before: %s", sc.setup)
	for range pick(rng, 0, 1, 1, 2, 2, 3, 3) {
		if chance(rng, 0.6) {
			n := pick(rng, 0, 0, 0, 1, 1, 2)
			sc.writeEvents[n] = append(sc.writeEvents[n], writeEvent(rng))
			var f writeFault
			sc.writeEvents[n][len(sc.writeEvents[n])-1](&f)
			sc.record("event: write %d:%s", n, f)
			continue
		}
		sc.record("event: %s", sc.readEvent(rng))
	}
	for _, e := range sc.events {
		sc.record("event: after %.1f s the payer, or somebody else: %s", e.at.Seconds(), e.what)
	}
	return sc
}

// linkGateway answers requests about payment links as Plural might, and keeps
// its links in memory.
type linkGateway struct {
	sc    *linkScenario
	start time.Time

	mu       sync.Mutex
	links    []*linkState
	versions map[string][]linkVersion
	n        int
	writes   int
	reads    int
	well     bool
	trace    []string
	lateRunner
}

func (g *linkGateway) rng(class string, n int) *rand.Rand {
	return (&gateway{sc: g.sc.scenario}).rng(class, n)
}

func (g *linkGateway) record(who, format string, args ...any) {
	g.trace = append(g.trace,
		fmt.Sprintf("%9.3fs %-9s ", time.Since(g.start).Seconds(), who)+fmt.Sprintf(format, args...))
}

func (g *linkGateway) commit(l *linkState) {
	g.versions[l.id] = append(g.versions[l.id], linkVersion{time.Now(), *l})
	g.record("[truth]", "%s is %s, its order %s, paid %d", l.id, l.status, l.orderStatus, l.paid)
}

func (g *linkGateway) setUp() {
	sc := g.sc
	age := pick(g.rng("age", 0), 3*time.Hour, time.Second)
	first := sc.plans[0]
	if first.op == "create" {
		switch sc.setup {
		case "ours":
			g.make(first.reference, first.amount, first.preAuth)
		case "ours, another amount":
			g.make(first.reference, first.amount+100, first.preAuth)
		case "ours, another pre_auth":
			g.make(first.reference, first.amount, !first.preAuth)
		}
		for _, l := range g.links {
			l.made = l.made.Add(-age)
			g.versions[l.id][0] = linkVersion{l.made, *l}
		}
		return
	}
	l := g.make("L-main", total, true)
	l.id, l.made = mainLink, l.made.Add(-age)
	g.versions[mainLink] = []linkVersion{{l.made, *l}}
	switch sc.setup {
	case clicked, cancelled, expired:
		l.status = sc.setup
	case pending:
		g.applyEvent(l, "begin")
	case attempted:
		g.applyEvent(l, "fail")
	case failed:
		l.status, l.orderStatus, l.withPayment = clicked, failed, failed
	case "held":
		g.applyEvent(l, "pay")
	case "taken", "captured":
		g.applyEvent(l, "pay")
		l.orderStatus, l.withPayment, l.status = processed, processed, processed
	case "part":
		l.status, l.orderStatus, l.withPayment, l.paid = partialProcessed, attempted, processed, 5000
	case "held, then void":
		g.applyEvent(l, "pay")
		l.orderStatus, l.withPayment = cancelled, cancelled
	case "left":
		l.status, l.orderStatus = clicked, cancelled
	}
	if sc.setup != created {
		at := l.made.Add(age / 2)
		g.versions[mainLink] = append(g.versions[mainLink][:1], linkVersion{at, *l})
	}
	g.runAfter(sc.lifetime, func() { g.applyEventTo(mainLink, "expire") })
}

func (g *linkGateway) make(reference string, amount int64, preAuth bool) *linkState {
	g.n++
	l := &linkState{
		id: fmt.Sprintf("pl-v1-%d", g.n), orderID: fmt.Sprintf("v1-of-%d", g.n), reference: reference, status: created,
		amount: amount, preAuth: preAuth, orderStatus: created, made: time.Now(),
	}
	g.links = append(g.links, l)
	g.commit(l)
	return l
}

func (g *linkGateway) find(id string) *linkState {
	i := slices.IndexFunc(g.links, func(l *linkState) bool { return l.id == id })
	if i < 0 {
		return nil
	}
	return g.links[i]
}

func (g *linkGateway) applyEventTo(id, what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.find(id); l != nil && g.applyEvent(l, what) {
		g.commit(l)
	}
}

// applyEvent changes a link and the link's order after something has happened:
// the payer or a person at the dashboard has done something, or the link's time
// is over. A payment may begin before the link ends, and succeed after the link
// has ended. applyEvent returns true if it changed the link or the order.
func (g *linkGateway) applyEvent(l *linkState, what string) bool {
	isOver := l.status == cancelled || l.status == expired
	isOpen := l.orderStatus == created || l.orderStatus == attempted
	switch {
	case what == "click" && l.status == created:
		l.status = clicked
	case what == "begin" && isOpen && !isOver:
		l.status, l.orderStatus, l.withPayment = paymentInitiated, pending, pending
	case what == "pay" && (isOpen && !isOver || l.orderStatus == pending):
		l.orderStatus, l.withPayment, l.paid = authorized, authorized, l.amount
		if !isOver {
			l.status = g.sc.heldReads
		}
	case what == "fail" && (isOpen && !isOver || l.orderStatus == pending):
		l.orderStatus, l.withPayment = attempted, failed
		if !isOver {
			l.status = clicked
		}
	case what == "cancel":
		return g.applyCancel(l) == nil
	case what == "expire" && l.paid == 0 && !isOver && l.status != processed:
		l.status = expired
	default:
		return false
	}
	return true
}

// applyCancel carries out a request to cancel a link. Like Plural, it refuses
// the request if money was held or paid, or if a link with this status cannot
// be cancelled.
func (g *linkGateway) applyCancel(l *linkState) *refusal {
	if l.paid > 0 || !slices.Contains(g.sc.cancels, l.status) {
		return &refusal{422, "OPERATION_NOT_ALLOWED"}
	}
	l.status = cancelled
	if g.sc.voidsOrder && l.orderStatus != pending {
		l.orderStatus = cancelled
	}
	return nil
}

func (g *linkGateway) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // the body is in memory, so there is no read error
		_ = r.Body.Close()
	}
	c, _ := r.Context().Value(callKey{}).(*linkCall)
	answers := make(chan linkAnswer, 1)
	g.wg.Go(func() { g.serve(r, body, c, answers) })
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case a := <-answers:
		if a.err != nil {
			return nil, a.err
		}
		if c != nil && a.shows != nil {
			c.shown = append(c.shown, *a.shows)
		}
		return (&gateway{sc: g.sc.scenario}).respond(r, a.answer), nil
	}
}

// linkAnswer has an answer of the gateway, and the link that this answer shows.
type linkAnswer struct {
	answer

	shows *linkState
}

func plain(status int, body string) linkAnswer {
	return linkAnswer{answer: answer{status: status, body: body}}
}

func (g *linkGateway) serve(r *http.Request, body []byte, c *linkCall, answers chan<- linkAnswer) {
	path := strings.TrimPrefix(r.URL.Path, "/api/pay/v1/")
	switch {
	case r.URL.Path == "/api/auth/v1/token":
		time.Sleep(20 * time.Millisecond) // the time to the token endpoint and back
		expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
		answers <- plain(200, fmt.Sprintf(`{"access_token":"t","expires_at":%q}`, expires))
	case r.Method == http.MethodGet:
		g.serveRead(c, path, answers)
	default:
		g.serveWrite(c, r.Method, path, body, answers)
	}
}

// serveRead handles one request to read a link or an order. Each answer comes
// from its own replica.
func (g *linkGateway) serveRead(c *linkCall, path string, answers chan<- linkAnswer) {
	g.mu.Lock()
	rng := g.rng("read", g.reads)
	g.reads++
	f := g.sc.readFault(rng, g.well)
	g.mu.Unlock()
	time.Sleep(f.latency) // the time to the gateway and back
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.look(path, f, rng)
	text := a.body
	if a.err != nil {
		text = a.err.Error()
	}
	g.record(c.name(), "   GET %s (%.1f s behind) -> %d %.150s", path, f.lag.Seconds(), a.status, text)
	answers <- a
}

func (g *linkGateway) look(path string, f readFault, rng *rand.Rand) linkAnswer {
	if f.answer != nil {
		return linkAnswer{answer: *f.answer}
	}
	at := time.Now().Add(-f.lag)
	var hits []linkState
	for _, live := range g.links {
		for _, v := range slices.Backward(g.versions[live.id]) {
			if v.at.After(at) {
				continue
			}
			l := v.link
			if path == "paymentlink/"+l.id || path == "paymentlink/ref/"+l.reference || path == "orders/"+l.orderID {
				hits = append(hits, l)
			}
			break
		}
	}
	if len(hits) == 0 {
		return linkAnswer{answer: g.sc.notFound()}
	}
	l := hits[0]
	if g.sc.latestByReference {
		l = hits[len(hits)-1]
	}
	if strings.HasPrefix(path, "orders/") {
		return linkAnswer{answer: g.orderDoc(l, rng)}
	}
	return g.linkDoc(l, rng)
}

func (g *linkGateway) linkDoc(l linkState, rng *rand.Rand) linkAnswer {
	doc := map[string]any{
		"payment_link": "https://short.example.com/" + l.id, "payment_link_id": l.id, "status": l.status,
		"amount": amountDoc(l.amount), "amount_due": amountDoc(l.amount - l.paid), "order_id": l.orderID,
		"merchant_payment_link_reference": l.reference, "expire_by": "2030-01-01T00:00Z",
	}
	switch g.sc.saysPreAuth {
	case "bool":
		doc["pre_auth"] = l.preAuth
	case "text":
		doc["pre_auth"] = strconv.FormatBool(l.preAuth)
	}
	if chance(rng, g.sc.withoutAmount) && !g.well {
		delete(doc, "amount")
	}
	return linkAnswer{jsonDoc(doc, g.sc.wraps), &l}
}

func (g *linkGateway) orderDoc(l linkState, rng *rand.Rand) answer {
	doc := map[string]any{
		"order_id": l.orderID, "merchant_order_reference": "of-" + l.id, "type": "CHARGE", "status": l.orderStatus,
		"order_amount": amountDoc(l.amount), "pre_auth": l.preAuth,
	}
	if l.withPayment != "" && (g.well || !chance(rng, g.sc.withoutList)) {
		amount := l.amount
		if l.paid > 0 {
			amount = l.paid
		}
		doc["payments"] = []any{map[string]any{
			"id": l.orderID + "-cc-a", "status": l.withPayment, "payment_amount": amountDoc(amount), "payment_method": "CARD",
		}}
	}
	return jsonDoc(doc, true)
}

func amountDoc(value int64) map[string]any { return map[string]any{"value": value, "currency": "INR"} }

func jsonDoc(doc map[string]any, wraps bool) answer {
	if wraps {
		doc = map[string]any{"data": doc}
	}
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return answer{status: 200, body: string(data)}
}

// serveWrite handles one request to make or cancel a link, with the faults that
// the scenario has for this request.
func (g *linkGateway) serveWrite(c *linkCall, method, path string, body []byte, answers chan<- linkAnswer) {
	g.mu.Lock()
	n := g.writes
	g.writes++
	f := g.sc.writeFault(g.rng("write", n), n, g.well)
	if c != nil {
		c.sends++
		if c.op == "create" && slices.ContainsFunc(c.shown, func(l linkState) bool { return l.reference == c.reference }) {
			c.again = true
		}
	}
	g.record(c.name(), "   %s %s %s arrives as write %d%s", method, path, body, n, f)
	g.mu.Unlock()
	honest := make(chan linkAnswer, 1)
	carryOut := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		honest <- g.apply(path, body, f)
	}
	time.Sleep(f.latency / 2) // the way there
	switch f.effect {
	case effectNone:
		honest <- plain(503, errorBody("INTERNAL_ERROR"))
	case effectLate:
		g.runAfter(f.late, carryOut)
	case effectNow:
		carryOut()
	}
	time.Sleep(f.latency / 2) // the way back
	var a linkAnswer
	switch {
	case f.hang > 0:
		time.Sleep(f.hang) // no answer comes before the connection breaks
		a.err = errReset
	case f.answer != nil:
		a.answer = *f.answer
	default:
		a = <-honest
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c != nil && a.status == 401 {
		c.refused++
	}
	text := a.body
	if a.err != nil {
		text = a.err.Error()
	}
	g.record(c.name(), "   write %d -> %d %.150s", n, a.status, text)
	answers <- a
}

func (g *linkGateway) apply(path string, body []byte, f writeFault) linkAnswer {
	rng := g.rng("doc", len(g.trace))
	if path == "paymentlink" {
		var in struct {
			Reference string `json:"merchant_payment_link_reference"`
			PreAuth   string `json:"pre_auth"`
			Amount    struct {
				Value int64 `json:"value"`
			} `json:"amount"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			panic(err)
		}
		for _, l := range g.links {
			switch {
			case l.reference != in.Reference || !g.sc.isUnique:
			case g.sc.duplicateAnswers:
				return g.linkDoc(*l, rng)
			default:
				return plain(422, errorBody("DUPLICATE_REQUEST"))
			}
		}
		return g.linkDoc(*g.make(in.Reference, in.Amount.Value+f.delta, in.PreAuth == "true"), rng)
	}
	l := g.find(strings.TrimSuffix(strings.TrimPrefix(path, "paymentlink/"), "/cancel"))
	if l == nil {
		return linkAnswer{answer: g.sc.notFound()}
	}
	before := *l
	if no := g.applyCancel(l); no != nil {
		return plain(no.status, errorBody(no.code))
	}
	g.commit(l)
	if f.answerLag > 0 {
		return g.linkDoc(before, rng)
	}
	return g.linkDoc(*l, rng)
}
