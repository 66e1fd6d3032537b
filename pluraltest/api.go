package pluraltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The operations of the API, named as the SDK names them.
const (
	OpToken                = "token"
	OpOrdersCreate         = "orders.create"
	OpOrdersGet            = "orders.get"
	OpOrdersGetByReference = "orders.get_by_reference"
	OpCapturesCreate       = "captures.create"
	OpCancelsCreate        = "cancels.create"
	OpRefundsCreate        = "refunds.create"
	OpSettlementsList      = "settlements.list"
	OpSettlementsGet       = "settlements.get" // also for lines: both read one page after the other

	OpPaymentLinksCreate         = "payment_links.create"
	OpPaymentLinksGet            = "payment_links.get"
	OpPaymentLinksGetByReference = "payment_links.get_by_reference"
	OpPaymentLinksCancel         = "payment_links.cancel"
	OpPaymentLinksNotify         = "payment_links.notify"
)

// Request is a request that the server has received or is about to judge.
type Request struct {
	Seq       int    // 1 for the first request of the server
	Op        string // OpToken, OpOrdersCreate, ...; "" when the path is not one of the API
	Method    string
	Path      string // as sent, still escaped
	Proto     string // "HTTP/1.1", "HTTP/2.0"
	OrderID   string // from the path; the link's id in a request about a payment link
	Reference string // the merchant's, from the body or the path
	RequestID string // the Request-ID header
	Attempt   int    // 1 for the first request with this operation, order and reference, 2 for its repeat, ...
	Reused    bool   // the connection had carried a request before
	Header    http.Header
	Body      []byte // the first MiB: a longer body is refused
	At        time.Time
	Status    int // status of the answer; 0 when none was sent

	identity string
	query    url.Values
}

// call describes a request while its operation runs. s.mu must be held.
type call struct {
	*Request
	body     []byte
	view     view
	result   resultMode
	reads    int           // how many reads see PENDING before it is final; 0: final after delay
	delay    time.Duration // how long it stays PENDING, or the wait between two payments of a capture
	ends     string        // the final status of a refund; "": PROCESSED
	reversed bool          // points are captured before the card
	legs     int           // how many payments a capture by legs takes money from
	checking bool          // only checks whether a refund would be made
	insert   bool          // makes a refund even if its reference is taken by now
	record   *FaultRecord  // of the fault, if any
}

// resultMode says how a write ends.
type resultMode int

const (
	resultDone resultMode = iota
	resultPending
	resultPendingFails
	resultFailed
	resultByLegs      // one payment after the other
	resultByLegsFails // and the last fails
)

type operation func(s *Server, c *call) answer

type route struct {
	op     string
	method string
	run    operation
}

// match finds the operation of a path. If there is none, the route's run is
// nil.
func match(path string) (found route, orderID, reference string) {
	rest, ok := strings.CutPrefix(path, "/api/")
	if !ok {
		return route{}, "", ""
	}
	parts := strings.Split(rest, "/")
	last, err := url.PathUnescape(parts[len(parts)-1])
	if err != nil || last == "" {
		return route{}, "", ""
	}
	if path, ok := strings.CutPrefix(rest, "pay/v1/paymentlink"); ok {
		return matchLink(path)
	}
	switch {
	case rest == "auth/v1/token":
		return route{OpToken, http.MethodPost, (*Server).issueToken}, "", ""
	case rest == "checkout/v1/orders":
		return route{OpOrdersCreate, http.MethodPost, (*Server).createCheckoutOrder}, "", ""
	case rest == "pay/v1/orders":
		return route{OpOrdersCreate, http.MethodPost, (*Server).createPayOrder}, "", ""
	case rest == "settlements/v1/list":
		return route{OpSettlementsList, http.MethodGet, (*Server).listSettlements}, "", ""
	case len(parts) == 4 && strings.HasPrefix(rest, "settlements/v1/detail/"):
		return route{OpSettlementsGet, http.MethodGet, (*Server).getSettlement}, "", last
	case len(parts) == 4 && strings.HasPrefix(rest, "pay/v1/orders/"):
		return route{OpOrdersGet, http.MethodGet, (*Server).getOrder}, last, ""
	case len(parts) == 4 && strings.HasPrefix(rest, "pay/v1/refunds/"):
		return route{OpRefundsCreate, http.MethodPost, (*Server).createRefund}, last, ""
	case len(parts) == 5 && strings.HasPrefix(rest, "pay/v1/orders/reference/"):
		return route{OpOrdersGetByReference, http.MethodGet, (*Server).getByReference}, "", last
	case len(parts) == 5 && strings.HasPrefix(rest, "pay/v1/orders/"):
		id, err := url.PathUnescape(parts[3])
		if err != nil {
			return route{}, "", ""
		}
		switch last {
		case "capture":
			return route{OpCapturesCreate, http.MethodPut, (*Server).createCapture}, id, ""
		case "cancel":
			return route{OpCancelsCreate, http.MethodPut, (*Server).createCancel}, id, ""
		}
	}
	return route{}, "", ""
}

// matchLink does the work of match for a path below /api/pay/v1/paymentlink.
func matchLink(path string) (found route, linkID, reference string) {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" && i > 0 || i == 0 && plain != "" {
			return route{}, "", ""
		}
		parts[i] = plain
	}
	switch {
	case len(parts) == 1:
		return route{OpPaymentLinksCreate, http.MethodPost, (*Server).createLink}, "", ""
	case len(parts) == 2:
		return route{OpPaymentLinksGet, http.MethodGet, (*Server).getLink}, parts[1], ""
	case len(parts) == 3 && parts[1] == "ref":
		return route{OpPaymentLinksGetByReference, http.MethodGet, (*Server).getLinkByReference}, "", parts[2]
	case len(parts) == 3 && parts[2] == "cancel":
		return route{OpPaymentLinksCancel, http.MethodPut, (*Server).cancelLink}, parts[1], ""
	case len(parts) == 3 && parts[2] == "notify":
		return route{OpPaymentLinksNotify, http.MethodPatch, (*Server).notifyLink}, parts[1], ""
	}
	return route{}, "", ""
}

// maxRequestBody bounds what the server reads of a request.
const maxRequestBody = 1 << 20

// bodyTimeout bounds how long a client may take to send a request's body.
const bodyTimeout = 30 * time.Second

// decisionHeader carries the fault that a Transport has already chosen.
const decisionHeader = "Pluraltest-Decision"

// serve handles every request: it records it, lets the fault plan choose, runs
// the operation and answers as the fault says.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	conn := connOf(r.Context())
	reused := conn.countRequest()
	decision := r.Header.Get(decisionHeader)
	r.Header.Del(decisionHeader)

	run, orderID, reference := match(r.URL.EscapedPath())
	control := http.NewResponseController(w)
	if run.run == nil && !strings.HasPrefix(r.URL.Path, "/api/") || isPage(r.URL.Path) {
		if r.Method != http.MethodGet { // a page that updates live stays open
			_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		s.pages.ServeHTTP(w, r)
		return
	}
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // a connection in memory may have no deadline
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	_ = control.SetReadDeadline(time.Time{}) // faults may take long
	if tooLarge := new(http.MaxBytesError); err != nil && !errors.As(err, &tooLarge) {
		s.write(w, nil, errMalformed.answer())
		return
	}
	req := s.newRequest(r, run, orderID, reference, body)
	req.Reused = reused
	s.note(req)
	if err != nil {
		s.write(w, req, errMalformed.answer())
		return
	}
	if run.run == nil {
		s.write(w, req, s.notAPI())
		return
	}
	if run.method != r.Method {
		w.Header().Set("Allow", run.method)
		s.write(w, req, errMethod.answer())
		return
	}
	s.carryOut(w, r, conn, req, run, s.decide(req, decision))
}

// isPage reports whether a path is a page for the browser, and not a path of
// the API.
func isPage(path string) bool { return strings.HasPrefix(path, "/api/v3/") }

func (s *Server) notAPI() answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return gatewayError(http.StatusNotFound, s.newTraceID())
}

func (s *Server) unknownPath(w http.ResponseWriter, _ *http.Request) { s.write(w, nil, s.notAPI()) }

// newRequest describes a request, for the books and for the fault plan.
func (s *Server) newRequest(r *http.Request, run route, orderID, reference string, body []byte) *Request {
	req := &Request{
		Method:    r.Method,
		Path:      r.URL.EscapedPath(),
		Proto:     r.Proto,
		OrderID:   orderID,
		Reference: reference,
		RequestID: r.Header.Get("Request-ID"),
		Header:    r.Header.Clone(),
		Body:      body,
		query:     r.URL.Query(),
	}
	if run.method == r.Method {
		req.Op = run.op
	}
	if req.Reference == "" && len(body) > 0 {
		req.Reference = bodyReference(body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identify(req)
	return req
}

// identify gives a request a name from its operation, the order's reference and
// its own reference. The name depends neither on the time nor on which event
// came first.
func (s *Server) identify(req *Request) {
	subject := req.OrderID
	if o := s.orders[req.OrderID]; o != nil {
		subject = o.reference
	} else if l := s.links[req.OrderID]; l != nil {
		subject = l.reference
	}
	req.At = s.now()
	req.identity = req.Op + " " + subject + " " + req.Reference
	if len(req.query) > 0 {
		req.identity += " " + req.query.Encode() // each page is a request of its own
	}
}

func bodyReference(body []byte) string {
	var refs struct {
		Order   json.RawMessage `json:"merchant_order_reference"`
		Capture json.RawMessage `json:"merchant_capture_reference"`
		Refund  json.RawMessage `json:"merchant_refund_reference"`
		Link    json.RawMessage `json:"merchant_payment_link_reference"`
	}
	_ = decode(body, &refs) // what is not an object has none
	for _, raw := range []json.RawMessage{refs.Order, refs.Capture, refs.Refund, refs.Link} {
		if raw != nil {
			ref, _ := referenceText(raw)
			return ref
		}
	}
	return ""
}

// note records a request in the books.
func (s *Server) note(req *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req.Seq = len(s.requests) + 1
	s.requests = append(s.requests, req)
}

// refusal makes the checks that all operations share. It returns nil if they
// pass. s.mu must be held.
func (s *Server) refusal(c *call, run route) *apiError {
	switch {
	case run.op != OpToken && !s.authorized(c.Header):
		return &errUnauthorized
	case len(c.body) > 0 && !takesNoBody(run.op) && !isJSON(c.Header.Get("Content-Type")):
		return &errMalformed
	default:
		return nil
	}
}

// takesNoBody reports whether an operation writes without a body, and ignores a
// body that is sent.
func takesNoBody(op string) bool {
	return op == OpCancelsCreate || op == OpPaymentLinksCancel || op == OpPaymentLinksNotify
}

func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/json")
}

// write sends a complete answer.
func (s *Server) write(w http.ResponseWriter, req *Request, a answer) {
	s.writeHead(w, req, a, len(a.body))
	_, _ = io.Copy(w, bytes.NewReader(a.body))
}

func (s *Server) writeHead(w http.ResponseWriter, req *Request, a answer, length int) {
	s.mu.Lock()
	if req != nil {
		req.Status = a.status
	}
	date := s.now()
	s.mu.Unlock()
	h := w.Header()
	maps.Copy(h, a.header)
	maps.Copy(h, s.cfg.answerHeader)
	h.Set("Date", date.UTC().Format(http.TimeFormat))
	if s.cfg.withoutDate {
		h["Date"] = nil // otherwise net/http sets it
	}
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	} else {
		h["Content-Type"] = nil
	}
	if length >= 0 {
		h.Set("Content-Length", itoa(length))
	}
	w.WriteHeader(a.status)
}
