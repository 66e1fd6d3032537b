package pluraltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// orderRequest is the body of requests to both order endpoints. Unknown fields
// are ignored.
type orderRequest struct {
	Reference       json.RawMessage `json:"merchant_order_reference"`
	Amount          json.RawMessage `json:"order_amount"`
	IntegrationMode string          `json:"integration_mode"`
	PreAuth         bool            `json:"pre_auth"`
	Methods         []string        `json:"allowed_payment_methods"`
	Notes           string          `json:"notes"`
	CallbackURL     string          `json:"callback_url"`
	FailureURL      string          `json:"failure_callback_url"`
	PurchaseDetails json.RawMessage `json:"purchase_details"`
	PartPayment     *bool           `json:"part_payment"`
}

var knownMethods = []string{
	"CARD", "UPI", "POINTS", "NETBANKING", "WALLET", "CREDIT_EMI", "DEBIT_EMI", "BNPL", "CARDLESS_EMI",
}

var (
	referencePattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	currencyPattern  = regexp.MustCompile(`^[A-Z]{3}$`)
)

const maxAmount = 100_000_000

// requestLimits has the rules for references and amounts in requests.
type requestLimits struct {
	maxReference int
	minAmount    int64
	reference    *regexp.Regexp
}

var (
	// The guide's tables say that the smallest amount is 100. The published
	// error message says that it is 1.
	documentedLimits = requestLimits{50, 100, referencePattern}
	looseLimits      = requestLimits{100, 1, regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)}
)

// createCheckoutOrder serves POST /api/checkout/v1/orders.
func (s *Server) createCheckoutOrder(c *call) answer {
	spec, apiErr := s.cfg.limits.parseOrder(c.body)
	if apiErr != nil {
		return s.checkoutAnswer(apiErr)
	}
	if s.cfg.waf && (isLocal(spec.CallbackURL) || isLocal(spec.FailureURL)) {
		return answer{status: http.StatusForbidden, contentType: "text/html", body: []byte(htmlForbidden)}
	}
	o, isNew, apiErr := s.createOrder(spec, c.RequestID)
	if apiErr != nil {
		return s.checkoutAnswer(apiErr)
	}
	id := o.id
	if c.view.otherOrder {
		id = s.newID("order", "another", id)
	}
	token := url.QueryEscape(o.token)
	a := jsonAnswer(http.StatusOK, marshal(struct {
		Token    string `json:"token"`
		OrderID  string `json:"order_id"`
		Redirect string `json:"redirect_url"`
		Code     int    `json:"response_code"`
		Message  string `json:"response_message"`
	}{token, id, s.redirectURL(o), http.StatusOK, "Order Creation Successful."}))
	a.applied = isNew
	return a
}

// createPayOrder serves POST /api/pay/v1/orders.
func (s *Server) createPayOrder(c *call) answer {
	spec, apiErr := s.cfg.limits.parseOrder(c.body)
	if apiErr != nil {
		return apiErr.answer()
	}
	spec.seamless = true
	o, isNew, apiErr := s.createOrder(spec, c.RequestID)
	if apiErr != nil {
		return apiErr.answer()
	}
	a := jsonAnswer(http.StatusOK, envelope(s.document(o, c.view)))
	a.applied = isNew
	return a
}

// OrderSpec describes an order to [Server.AddOrder].
type OrderSpec struct {
	Reference       string // merchant_order_reference
	Amount          Amount
	PreAuth         bool
	Methods         []string // allowed_payment_methods; none means all
	CallbackURL     string
	FailureURL      string
	Notes           string
	PurchaseDetails json.RawMessage
	PartPayment     *bool

	seamless bool
}

// AddOrder creates an order and returns the id of the order. It creates the
// order as POST /api/checkout/v1/orders does. Use AddOrder to prepare the state
// in which a test starts.
func (s *Server) AddOrder(spec OrderSpec) (string, error) {
	if err := s.cfg.limits.checkReference("Merchant Order Reference", spec.Reference); err != nil {
		return "", errors.New("pluraltest: " + err.message)
	}
	if err := s.cfg.limits.checkAmount(spec.Amount); err != nil {
		return "", errors.New("pluraltest: " + err.message)
	}
	if err := checkMethods(spec.Methods); err != nil {
		return "", errors.New("pluraltest: " + err.message)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, _, apiErr := s.createOrder(spec, "")
	if apiErr != nil {
		return "", fmt.Errorf("pluraltest: %s: %s", apiErr.code, apiErr.message)
	}
	return o.id, nil
}

func (s *Server) createOrder(spec OrderSpec, requestID string) (o *order, isNew bool, apiErr *apiError) {
	if taken := s.findByReference(spec.Reference); len(taken) > 0 && s.cfg.orderDup != DuplicateAccepted {
		first := taken[0]
		if s.cfg.orderDup == DuplicateRejected || first.typ != typeCharge {
			return nil, false, &errDuplicate
		}
		return first, false, nil
	}
	now := s.now()
	o = &order{
		id:              s.newID("order", spec.Reference, itoa(len(s.byRef[spec.Reference]))),
		reference:       spec.Reference,
		typ:             typeCharge,
		status:          StatusCreated,
		amount:          spec.Amount,
		preAuth:         spec.PreAuth,
		integrationMode: "REDIRECT",
		methods:         slices.Clone(spec.Methods),
		notes:           spec.Notes,
		callbackURL:     spec.CallbackURL,
		failureURL:      spec.FailureURL,
		purchaseDetails: s.withoutProducts(spec.PurchaseDetails),
		partPayment:     spec.PartPayment,
		retries:         s.cfg.retries,
		requestID:       requestID,
		created:         now,
		updated:         now,
	}
	o.token = s.newPageToken(o.id)
	if spec.seamless {
		o.integrationMode = "SEAMLESS"
		o.challengeURL = s.URL + challengePath + "?token=" + url.QueryEscape(o.token)
	}
	s.addToBooks(o)
	s.byPage[o.token] = o
	return o, true, nil
}

// findByReference returns the orders and refunds that the server finds when it
// checks whether a reference is taken. With WithCheckLag, this check does not
// find the latest orders and refunds.
func (s *Server) findByReference(reference string) []*order {
	if s.cfg.checkLag == 0 {
		return s.byRef[reference]
	}
	since := s.now().Add(-s.cfg.checkLag)
	return slices.DeleteFunc(slices.Clone(s.byRef[reference]), func(o *order) bool { return o.created.After(since) })
}

// withoutProducts checks the fields "product" and "products" of the purchase
// details. It removes a field if the list of [WithProductNames] does not have
// the field's name.
func (s *Server) withoutProducts(details json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(details, &fields) != nil {
		return details // the details are not an object, so there is nothing to remove
	}
	kept := len(fields)
	for _, name := range []string{"product", "products"} {
		if !slices.Contains(s.cfg.productNames, name) {
			delete(fields, name)
		}
	}
	if len(fields) == kept {
		return details
	}
	return marshal(fields)
}

// addToBooks adds a new order or refund to the books.
func (s *Server) addToBooks(o *order) {
	s.orders[o.id] = o
	s.inOrder = append(s.inOrder, o)
	s.byRef[o.reference] = append(s.byRef[o.reference], o)
}

// redirectURL returns the address of the page on which the payer pays.
func (s *Server) redirectURL(o *order) string {
	return s.URL + checkoutPath + "?token=" + url.QueryEscape(o.token)
}

// getOrder serves GET /api/pay/v1/orders/{order_id}.
func (s *Server) getOrder(c *call) answer {
	o := s.orders[c.OrderID]
	if o == nil {
		return s.notFound()
	}
	return s.read(c, o)
}

// getByReference serves GET
// /api/pay/v1/orders/reference/{merchant_order_reference}. Orders and refunds
// share one namespace. If several orders or refunds have the reference, the
// answer shows the newest.
func (s *Server) getByReference(c *call) answer {
	found := s.byRef[c.Reference]
	if len(found) == 0 {
		return s.noRecords()
	}
	return s.read(c, found[len(found)-1])
}

func (s *Server) read(c *call, o *order) answer {
	s.countRead(o)
	return jsonAnswer(http.StatusOK, envelope(s.document(o, c.view)))
}

// readStale shows an old version of an order. If the parameter lag is zero, the
// answer has the version before the last change. Otherwise the parameter is an
// age, and the answer has the version that was valid that long ago. If there is
// no such version, the answer is "not found".
func (s *Server) readStale(c *call, lag time.Duration) answer {
	o := s.orders[c.OrderID]
	missing := s.notFound
	if c.Op == OpOrdersGetByReference {
		missing, o = s.noRecords, nil
		for _, one := range s.byRef[c.Reference] {
			if !one.created.After(s.now().Add(-lag)) {
				o = one
			}
		}
	}
	switch {
	case o == nil:
		return missing()
	case lag > 0:
		s.countRead(o)
		document, there := s.asOf(o, s.now().Add(-lag), c.view)
		if !there {
			return missing()
		}
		return jsonAnswer(http.StatusOK, document)
	case len(o.older) == 0:
		return missing()
	}
	return jsonAnswer(http.StatusOK, o.older[len(o.older)-1].document)
}

func (s *Server) notFound() answer {
	e := errOrderNotFound
	if s.cfg.notFound == NotFound404 {
		e.status = http.StatusNotFound
	}
	return e.answer()
}

func (s *Server) noRecords() answer {
	if s.cfg.notFound == NotFoundInquiry {
		return errNoRecords.answer()
	}
	return s.notFound()
}

// parseOrder reads and checks an order request. It returns the error for the
// first mistake that it finds, as the real service does.
func (l requestLimits) parseOrder(body []byte) (OrderSpec, *apiError) {
	var req orderRequest
	if !decode(body, &req) {
		return OrderSpec{}, &errMalformed
	}
	reference, apiErr := l.parseReference("Merchant Order Reference", req.Reference)
	if apiErr != nil {
		return OrderSpec{}, apiErr
	}
	amount, apiErr := l.parseAmount(req.Amount)
	if apiErr != nil {
		return OrderSpec{}, apiErr
	}
	if apiErr = unreadMoney(body, "order_amount"); apiErr != nil {
		return OrderSpec{}, apiErr
	}
	if apiErr = checkMethods(req.Methods); apiErr != nil {
		return OrderSpec{}, apiErr
	}
	switch req.IntegrationMode {
	case "", "REDIRECT", "IFRAME", "SDK":
	default:
		return OrderSpec{}, invalid("Integration mode is invalid")
	}
	for _, link := range []string{req.CallbackURL, req.FailureURL} {
		if link != "" && !isWebURL(link) {
			return OrderSpec{}, invalid("Callback url is invalid")
		}
	}
	if raw := req.PurchaseDetails; len(raw) > 0 && raw[0] != '{' {
		if string(raw) != "null" {
			return OrderSpec{}, &errMalformed
		}
		req.PurchaseDetails = nil
	}
	return OrderSpec{
		Reference: reference, Amount: amount, PreAuth: req.PreAuth, Methods: req.Methods,
		CallbackURL: req.CallbackURL, FailureURL: req.FailureURL, Notes: req.Notes,
		PurchaseDetails: req.PurchaseDetails, PartPayment: req.PartPayment,
	}, nil
}

// referenceText reads a reference. It accepts a string. It also accepts a
// number, because the vendor's cURL sample sends a number.
func referenceText(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", true
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	if _, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
		return string(raw), true
	}
	return "", false
}

func (l requestLimits) parseReference(name string, raw json.RawMessage) (string, *apiError) {
	ref, ok := referenceText(raw)
	if !ok {
		return "", &errMalformed
	}
	return ref, l.checkReference(name, ref)
}

func (l requestLimits) checkReference(name, ref string) *apiError {
	switch {
	case ref == "":
		return invalid(name + " must not be empty")
	case utf8.RuneCountInString(ref) > l.maxReference:
		return invalid(fmt.Sprintf("%s must be less than or equal to %d characters", name, l.maxReference))
	case !l.reference.MatchString(ref):
		return invalid(name + " contains invalid characters")
	}
	return nil
}

func (l requestLimits) parseAmount(raw json.RawMessage) (Amount, *apiError) {
	var doc struct {
		Value    json.RawMessage `json:"value"`
		Currency string          `json:"currency"`
	}
	if len(raw) > 0 && !decode(raw, &doc) {
		return Amount{}, &errMalformed
	}
	value, err := strconv.ParseInt(string(doc.Value), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return Amount{}, tooSmall(1)
	}
	amount := Amount{Value: value, Currency: doc.Currency}
	return amount, l.checkAmount(amount)
}

func (l requestLimits) checkAmount(amount Amount) *apiError {
	switch {
	case amount.Value < 1:
		return tooSmall(1)
	case amount.Value < l.minAmount:
		return tooSmall(l.minAmount)
	case amount.Value > maxAmount:
		return invalid("Amount must be an Integer value less than or equal to 100000000")
	case !currencyPattern.MatchString(amount.Currency):
		return invalid("Currency is missing/invalid")
	}
	return nil
}

func tooSmall(least int64) *apiError {
	return invalid("Amount must be an Integer value greater than or equal to " + strconv.FormatInt(least, 10))
}

func checkMethods(methods []string) *apiError {
	for _, method := range methods {
		if !slices.Contains(knownMethods, method) {
			return invalid("Payment method is missing/invalid")
		}
	}
	return nil
}

func isWebURL(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func isLocal(link string) bool {
	u, err := url.Parse(link)
	if err != nil || link == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsPrivate())
}

func itoa(n int) string { return strconv.Itoa(n) }
