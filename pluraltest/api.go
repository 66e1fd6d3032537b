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

// The operations of the API, with the names that the SDK uses for them.
const (
	OpToken                = "token"
	OpOrdersCreate         = "orders.create"
	OpOrdersGet            = "orders.get"
	OpOrdersGetByReference = "orders.get_by_reference"
	OpCapturesCreate       = "captures.create"
	OpCancelsCreate        = "cancels.create"
	OpRefundsCreate        = "refunds.create"
	OpSettlementsList      = "settlements.list"
	OpSettlementsGet       = "settlements.get" // also the operation of Settlements.Lines

	OpPaymentLinksCreate         = "payment_links.create"
	OpPaymentLinksGet            = "payment_links.get"
	OpPaymentLinksGetByReference = "payment_links.get_by_reference"
	OpPaymentLinksCancel         = "payment_links.cancel"
	OpPaymentLinksNotify         = "payment_links.notify"
)

// Request is a request that the server has received. A fault plan may see a
// Request before it is sent.
type Request struct {
	Seq       int    // 1 for the first request that the server received; 0 before it arrives
	Op        string // OpToken, OpOrdersCreate, ...; "" if the path is not one of the API
	Method    string
	Path      string // as the client sent it, still escaped
	Proto     string // "HTTP/1.1", "HTTP/2.0"
	OrderID   string // the id of an order or of a payment link, from the path
	Reference string // the merchant's reference, from the body or the path
	RequestID string // the Request-ID header
	Attempt   int    // 1 for the first request with this operation, order and reference, 2 for its repeat, ...
	Reused    bool   // the connection had carried a request before
	Header    http.Header
	Body      []byte // the first MiB: a longer body is refused
	At        time.Time
	Status    int // status of the answer; 0 if no answer was sent

	identity string
	query    url.Values
}

// A value of the type call describes a request while the request's operation
// runs. s.mu must be held.
type call struct {
	*Request
	body     []byte
	view     view
	result   resultMode
	reads    int           // how many reads see PENDING before the write is final; if 0, only the field delay counts
	delay    time.Duration // how long the write stays PENDING, or the wait between two payments of a capture
	ends     string        // the final status of a refund; "" means PROCESSED
	reversed bool          // with resultByLegs and resultByLegsFails: the points are captured before the card
	legs     int           // with resultByLegs and resultByLegsFails: how many payments the capture takes money from
	checking bool          // the operation only checks whether it would make a refund
	insert   bool          // the operation makes a refund even if its reference has been used by now
	record   *FaultRecord  // the log entry of the fault; nil without a fault
}

// resultMode says how a write ends.
type resultMode int

const (
	resultDone resultMode = iota
	resultPending
	resultPendingFails
	resultFailed
	resultByLegs      // the capture takes money from one payment after the other
	resultByLegsFails // the same, but the last payment fails
)

type operation func(s *Server, c *call) answer

type route struct {
	op     string
	method string
	run    operation
}

// matchPath finds the operation of a path. If the path has no operation,
// matchPath returns an empty route.
func matchPath(path string) (found route, orderID, reference string) {
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

// matchLink finds the operation of a path that begins with
// /api/pay/v1/paymentlink. The parameter rest is the part of the path after
// this beginning.
func matchLink(rest string) (found route, linkID, reference string) {
	parts := strings.Split(rest, "/")
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

// maxRequestBody is the size of the largest request body that the server reads,
// in bytes.
const maxRequestBody = 1 << 20

// bodyTimeout is the time that a client has to send a request's body.
const bodyTimeout = 30 * time.Second

// decisionHeader is a header that a Transport adds to a request, if the fault
// plan has chosen a fault before the request is sent. The server keeps the
// chosen fault under a name. The value of the header is this name.
const decisionHeader = "Pluraltest-Decision"

// serve handles every request. It records the request, lets the fault plan
// choose a fault, runs the operation, and answers as the fault says.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	conn := connOf(r.Context())
	reused := conn.countRequest()
	decision := r.Header.Get(decisionHeader)
	r.Header.Del(decisionHeader)

	run, orderID, reference := matchPath(r.URL.EscapedPath())
	control := http.NewResponseController(w)
	if run.run == nil && !strings.HasPrefix(r.URL.Path, "/api/") || isPage(r.URL.Path) {
		// A GET has no time limit, because a page may keep a GET open
		// to receive updates.
		if r.Method != http.MethodGet {
			_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		s.pages.ServeHTTP(w, r)
		return
	}
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every connection has deadlines
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	_ = control.SetReadDeadline(time.Time{}) // a fault may delay the answer for long
	if tooLarge := new(http.MaxBytesError); err != nil && !errors.As(err, &tooLarge) {
		s.writeAnswer(w, nil, errMalformed.answer())
		return
	}
	req := s.newRequest(r, run, orderID, reference, body)
	req.Reused = reused
	s.recordRequest(req)
	if err != nil {
		s.writeAnswer(w, req, errMalformed.answer())
		return
	}
	if run.run == nil {
		s.writeAnswer(w, req, s.notAPI())
		return
	}
	if run.method != r.Method {
		w.Header().Set("Allow", run.method)
		s.writeAnswer(w, req, errMethod.answer())
		return
	}
	s.carryOut(w, r, conn, req, run, s.chooseFault(req, decision))
}

// isPage reports whether a path is a page for the browser, and not a path of
// the API.
func isPage(path string) bool { return strings.HasPrefix(path, "/api/v3/") }

func (s *Server) notAPI() answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return gatewayError(http.StatusNotFound, s.newTraceID())
}

func (s *Server) unknownPath(w http.ResponseWriter, _ *http.Request) {
	s.writeAnswer(w, nil, s.notAPI())
}

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

// The method identify sets the time and the identity of a request. The identity
// has the operation, the reference of the order or the payment link, and the
// request's own reference. The identity depends neither on the time nor on
// which requests came before.
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
		req.identity += " " + req.query.Encode() // a request for another page is not a repeat
	}
}

func bodyReference(body []byte) string {
	var refs struct {
		Order   json.RawMessage `json:"merchant_order_reference"`
		Capture json.RawMessage `json:"merchant_capture_reference"`
		Refund  json.RawMessage `json:"merchant_refund_reference"`
		Link    json.RawMessage `json:"merchant_payment_link_reference"`
	}
	_ = decode(body, &refs) // a body that is not an object has no references
	for _, raw := range []json.RawMessage{refs.Order, refs.Capture, refs.Refund, refs.Link} {
		if raw != nil {
			ref, _ := referenceText(raw)
			return ref
		}
	}
	return ""
}

// recordRequest adds a request to the books, and sets the request's number.
func (s *Server) recordRequest(req *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req.Seq = len(s.requests) + 1
	s.requests = append(s.requests, req)
}

// checkRequest makes the checks that all operations share. If a check fails,
// checkRequest returns the error. Otherwise it returns nil. s.mu must be held.
func (s *Server) checkRequest(c *call, run route) *apiError {
	switch {
	case run.op != OpToken && !s.hasValidToken(c.Header):
		return &errUnauthorized
	case len(c.body) > 0 && !takesNoBody(run.op) && !isJSON(c.Header.Get("Content-Type")):
		return &errMalformed
	default:
		return nil
	}
}

// takesNoBody reports whether an operation is a write that needs no body. Such
// an operation ignores a body.
func takesNoBody(op string) bool {
	return op == OpCancelsCreate || op == OpPaymentLinksCancel || op == OpPaymentLinksNotify
}

func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/json")
}

// writeAnswer sends a complete answer.
func (s *Server) writeAnswer(w http.ResponseWriter, req *Request, a answer) {
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
		h["Date"] = nil // without this entry net/http adds a date
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
