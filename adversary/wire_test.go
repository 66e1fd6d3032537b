package adversary_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

var errReset = errors.New("read: connection reset by peer")

type answer struct {
	status int
	body   string
	html   bool
	err    error
}

// RoundTrip passes a request to the gateway. Even if the client hangs up, the
// gateway finishes its work on the request.
func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		if err = r.Body.Close(); err != nil {
			return nil, err
		}
	}
	c := callOf(r.Context())
	answers := make(chan answer, 1)
	g.wg.Go(func() { g.serve(r, body, c, answers) })
	select {
	case <-r.Context().Done():
		g.mu.Lock()
		g.record(c.name(), "   %s %s: the client hangs up", r.Method, r.URL.Path)
		g.mu.Unlock()
		return nil, r.Context().Err()
	case a := <-answers:
		if a.err != nil {
			return nil, a.err
		}
		return g.respond(r, a), nil
	}
}

func (g *gateway) respond(r *http.Request, a answer) *http.Response {
	header := http.Header{"Content-Type": {"application/json"}}
	if a.html {
		header.Set("Content-Type", "text/html")
	}
	if !g.sc.noDate {
		header.Set("Date", time.Now().Add(g.sc.clock).UTC().Format(http.TimeFormat))
	}
	return &http.Response{
		StatusCode: a.status, Status: fmt.Sprint(a.status, " ", http.StatusText(a.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r,
	}
}

func (g *gateway) serve(r *http.Request, body []byte, c *call, answers chan<- answer) {
	path := strings.TrimPrefix(r.URL.Path, "/api/pay/v1/")
	if r.URL.Path == "/api/auth/v1/token" {
		time.Sleep(20 * time.Millisecond) // the time to the token endpoint and back
		expires := time.Now().Add(g.sc.clock + time.Hour).UTC().Format(time.RFC3339Nano)
		answers <- answer{status: 200, body: fmt.Sprintf(`{"access_token":"t","expires_at":%q}`, expires)}
		return
	}
	switch {
	case r.Method == http.MethodGet && strings.HasPrefix(path, "orders/reference/"):
		g.serveRead(c, r, "", strings.TrimPrefix(path, "orders/reference/"), answers)
	case r.Method == http.MethodGet && strings.HasPrefix(path, "orders/"):
		g.serveRead(c, r, strings.TrimPrefix(path, "orders/"), "", answers)
	default:
		g.serveWrite(c, r, path, body, answers)
	}
}

// serveRead handles one request to read an order or a refund. Each answer comes
// from its own replica.
func (g *gateway) serveRead(c *call, r *http.Request, id, reference string, answers chan<- answer) {
	g.mu.Lock()
	n := g.reads
	g.reads++
	rng := g.rng("read", n)
	f := g.sc.readFault(rng, g.well)
	g.mu.Unlock()

	time.Sleep(f.latency / 2) // the way there
	g.mu.Lock()
	a, what := g.look(c, id, reference, f)
	g.mu.Unlock()
	time.Sleep(f.latency / 2) // the way back

	g.mu.Lock()
	defer g.mu.Unlock()
	if a.err != nil {
		what = a.err.Error()
	}
	g.record(c.name(), "   GET %s -> %d %s", strings.TrimPrefix(r.URL.Path, "/api/pay/v1"), a.status, what)
	answers <- a
}

func (g *gateway) look(c *call, id, reference string, f readFault) (answer, string) {
	if f.answer != nil {
		return *f.answer, "fault: " + f.answer.body
	}
	at := time.Now().Add(-f.lag)
	lagging := ""
	if f.lag > 0 {
		lagging = fmt.Sprintf("(replica %.1f s behind) ", f.lag.Seconds())
	}
	type hit struct {
		o order
		r *refund
	}
	var hits []hit
	for _, live := range g.orders {
		o, ok := g.asOf(live.id, at)
		if !ok {
			continue
		}
		if o.id == id || o.reference == reference {
			hits = append(hits, hit{o: o})
		}
		for i := range o.refunds {
			if o.refunds[i].id == id || o.refunds[i].reference == reference {
				hits = append(hits, hit{o: o, r: &o.refunds[i]})
			}
		}
	}
	if len(hits) == 0 {
		return g.sc.notFound(), lagging + "not found"
	}
	h := hits[0]
	if g.sc.latestByReference {
		h = hits[len(hits)-1]
	}
	var doc map[string]any
	if h.r != nil {
		doc = g.refundDoc(h.o, *h.r, f.docFault)
	} else {
		doc = g.orderDoc(h.o, f.docFault)
	}
	return g.answerWith(c, h.o, h.r, doc, f.docFault), lagging + f.String() + summary(doc)
}

// answerWith makes an answer that contains the document doc. The gateway made
// doc from a true state. With checkClaims, answerWith also compares what the
// package reads from doc with this true state.
func (g *gateway) answerWith(c *call, o order, r *refund, doc map[string]any, f docFault) answer {
	data, err := json.Marshal(map[string]any{"data": doc})
	if err != nil {
		panic(err)
	}
	g.checkClaims(c, o, r, data[len(`{"data":`):len(data)-1], f)
	if c != nil {
		c.served = append(c.served, servedDocument{at: time.Now(), order: o, refund: r, fault: f})
	}
	return answer{status: 200, body: string(data)}
}

type writeBody struct {
	Capture string `json:"merchant_capture_reference"`
	Refund  string `json:"merchant_order_reference"`
	Taken   struct {
		Value int64 `json:"value"`
	} `json:"capture_amount"`
	Given struct {
		Value int64 `json:"value"`
	} `json:"order_amount"`
}

// serveWrite carries out a capture, cancel or refund, with the faults that the
// scenario has for this request.
func (g *gateway) serveWrite(c *call, r *http.Request, path string, body []byte, answers chan<- answer) {
	var in writeBody
	if len(body) > 0 {
		if err := json.Unmarshal(body, &in); err != nil {
			panic(err)
		}
	}
	arrived := time.Now()
	g.mu.Lock()
	n := g.writes
	g.writes++
	f := g.sc.writeFault(g.rng("write", n), n, g.well)
	if c != nil {
		c.sends++
		if c.op == "refund" && c.sawRefunds(1) {
			g.findings = append(g.findings, finding{"a refund is sent again, but the call has seen it", c.id})
		}
	}
	g.record(c.name(), "   %s %s %s arrives as write %d%s", r.Method, path, bytes.TrimSpace(body), n, f)
	g.mu.Unlock()

	honest := make(chan answer, 1)
	carryOut := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		honest <- g.apply(c, path, in, f, arrived)
	}
	time.Sleep(f.latency / 2) // the way there
	switch f.effect {
	case effectNone:
		g.mu.Lock()
		honest <- answer{status: 503, body: `{"code":"INTERNAL_ERROR","message":"try later"}`}
		g.mu.Unlock()
	case effectLate:
		g.runAfter(f.late, carryOut)
	case effectNow:
		carryOut()
	}
	time.Sleep(f.latency / 2) // the way back
	var a answer
	switch {
	case f.hang > 0:
		time.Sleep(f.hang) // no answer comes before the connection breaks
		a = answer{err: errReset}
	case f.answer != nil:
		a = *f.answer
	default:
		a = <-honest
	}
	g.mu.Lock()
	text := a.body
	if a.err != nil {
		text = a.err.Error()
	} else if a.status == 200 {
		text = brief(a.body)
	}
	if c != nil {
		c.answers += fmt.Sprintf("%d %s; ", a.status, text)
	}
	g.record(c.name(), "   %s %s (write %d) -> %d %s", r.Method, path, n, a.status, text)
	g.mu.Unlock()
	answers <- a
}

func (g *gateway) apply(c *call, path string, in writeBody, f writeFault, arrived time.Time) answer {
	now := time.Now()
	by := c.name()
	var no *refusal
	var refundID string
	var o *order
	switch {
	case strings.HasPrefix(path, "refunds/"):
		id := strings.TrimPrefix(path, "refunds/")
		if o = g.find(id); o != nil {
			no, refundID = g.applyRefund(o, in.Refund, in.Given.Value, f, by, arrived, now)
		}
	case strings.HasSuffix(path, "/capture"):
		id := strings.TrimSuffix(strings.TrimPrefix(path, "orders/"), "/capture")
		if o = g.find(id); o != nil {
			no = g.applyCapture(o, in.Capture, in.Taken.Value, f, by, arrived, now)
		}
	case strings.HasSuffix(path, "/cancel"):
		id := strings.TrimSuffix(strings.TrimPrefix(path, "orders/"), "/cancel")
		if o = g.find(id); o != nil {
			no = g.applyCancel(o, f, by, arrived, now)
		}
	}
	if o == nil {
		return g.sc.notFound()
	}
	if no != nil {
		g.record("[truth]", "refused what %s asked for: %s", by, no.code)
		return answer{status: no.status, body: errorBody(no.code)}
	}
	state := o.clone()
	if f.answerLag > 0 {
		if old, ok := g.asOf(o.id, now.Add(-f.answerLag)); ok {
			state = old
		}
	}
	if refundID == "" {
		return g.answerWith(c, state, nil, g.orderDoc(state, f.docFault), f.docFault)
	}
	for _, r := range o.refunds {
		if r.id == refundID {
			return g.answerWith(c, *o, &r, g.refundDoc(*o, r, f.docFault), f.docFault)
		}
	}
	panic("no such refund")
}

func errorBody(code string) string {
	return fmt.Sprintf(`{"code":%q,"message":"as the gateway says"}`, code)
}
