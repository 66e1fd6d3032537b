package pluraltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

var errDuplicateLink = apiError{
	status:  http.StatusUnprocessableEntity,
	code:    "DUPLICATE_REQUEST",
	message: "Duplicate Merchant Reference ID received",
}

// linkRequest is the body of POST /api/pay/v1/paymentlink. The server ignores
// an unknown field, unless the name of the field contains "amount". With such a
// field, the request is refused.
type linkRequest struct {
	Reference   json.RawMessage `json:"merchant_payment_link_reference"`
	Amount      json.RawMessage `json:"amount"`
	Description string          `json:"description"`
	ExpireBy    string          `json:"expire_by"`
	Methods     json.RawMessage `json:"allowed_payment_methods"`
	PreAuth     json.RawMessage `json:"pre_auth"`
	MCC         json.RawMessage `json:"is_mcc_transaction"`
	CallbackURL string          `json:"callback_url"`
	FailureURL  string          `json:"failure_callback_url"`
	PartPayment *bool           `json:"part_payment"`
	Customer    json.RawMessage `json:"customer"`
	Products    json.RawMessage `json:"product_details"`
	Coupon      json.RawMessage `json:"cart_coupon_discount_amount"`
	Metadata    json.RawMessage `json:"merchant_metadata"`
	Split       json.RawMessage `json:"split_info"`
	Account     json.RawMessage `json:"account_details"`
}

// LinkSpec describes a payment link to [Server.AddLink].
type LinkSpec struct {
	Reference   string // merchant_payment_link_reference
	Amount      Amount
	Customer    json.RawMessage // an object with an email_id or a mobile_number
	Description string
	ExpireBy    time.Time // if it is zero, the link expires after 24 hours
	PreAuth     bool
	PartPayment *bool
	Methods     []string // allowed_payment_methods; none means all
	CallbackURL string
	FailureURL  string
	Metadata    json.RawMessage

	echo linkSpec
}

// AddLink makes a payment link and returns the id of the link. It makes the
// link as POST /api/pay/v1/paymentlink does. Use AddLink to prepare the state
// in which a test starts. If another link has the reference, AddLink returns an
// error, unless [WithDuplicateLinks] has selected [DuplicateAccepted].
func (s *Server) AddLink(spec LinkSpec) (string, error) {
	refused := func(e *apiError) (string, error) { return "", errors.New("pluraltest: " + e.message) }
	if e := s.cfg.limits.checkReference("Merchant Payment Link Reference", spec.Reference); e != nil {
		return refused(e)
	}
	if e := s.cfg.limits.checkAmount(spec.Amount); e != nil {
		return refused(e)
	}
	if e := checkMethods(spec.Methods); e != nil {
		return refused(e)
	}
	if e := checkCustomer(spec.Customer); e != nil {
		return refused(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.checkExpiry(spec.ExpireBy); e != nil {
		return refused(e)
	}
	if len(s.linksByRef[spec.Reference]) > 0 && s.cfg.linkDup != DuplicateAccepted {
		return "", fmt.Errorf("pluraltest: the reference %s is taken", spec.Reference)
	}
	return s.makeLink(spec, "").id, nil
}

// parseLink reads and checks a request for a link. It returns the error for the
// first mistake that it finds.
func (s *Server) parseLink(body []byte) (LinkSpec, *apiError) {
	var req linkRequest
	if !decode(body, &req) {
		return LinkSpec{}, &errMalformed
	}
	spec := LinkSpec{
		Customer: req.Customer, Description: req.Description, PartPayment: req.PartPayment,
		CallbackURL: req.CallbackURL, FailureURL: req.FailureURL, Metadata: rawObject(req.Metadata),
		echo: linkSpec{products: rawList(req.Products), split: rawObject(req.Split), account: rawObject(req.Account)},
	}
	var isPreAuth, isMCC *bool
	for _, check := range []func() *apiError{
		func() (e *apiError) {
			spec.Reference, e = s.cfg.limits.parseReference("Merchant Payment Link Reference", req.Reference)
			return e
		},
		func() (e *apiError) { spec.Amount, e = s.cfg.limits.parseAmount(req.Amount); return e },
		func() *apiError { return unreadMoney(body, "amount", "cart_coupon_discount_amount") },
		func() *apiError { return checkCustomer(req.Customer) },
		func() (e *apiError) { spec.ExpireBy, e = s.parseExpiry(req.ExpireBy); return e },
		func() (e *apiError) { spec.Methods, e = parseMethods(req.Methods); return e },
		func() (e *apiError) { isPreAuth, e = parseTextBool("pre_auth", req.PreAuth); return e },
		func() (e *apiError) { isMCC, e = parseTextBool("is_mcc_transaction", req.MCC); return e },
		func() (e *apiError) { spec.echo.coupon, e = parseCoupon(req.Coupon, spec.Amount); return e },
		func() *apiError { return checkURLs(req.CallbackURL, req.FailureURL) },
	} {
		if e := check(); e != nil {
			return LinkSpec{}, e
		}
	}
	spec.PreAuth = isPreAuth != nil && *isPreAuth
	spec.echo.mcc = isMCC
	return spec, nil
}

func checkURLs(links ...string) *apiError {
	for _, link := range links {
		if link != "" && !isWebURL(link) {
			return invalid("Callback url is invalid")
		}
	}
	return nil
}

// parseTextBool reads a boolean that the request has as a string.
func parseTextBool(name string, raw json.RawMessage) (*bool, *apiError) {
	yes, no := true, false
	switch string(raw) {
	case "", "null":
		return nil, nil
	case `"true"`:
		return &yes, nil
	case `"false"`:
		return &no, nil
	}
	return nil, invalid(name + ` must be "true" or "false"`)
}

// parseMethods reads a list of methods. It also reads a single string with
// commas between the methods, because one of the vendor's own clients sends
// such a string.
func parseMethods(raw json.RawMessage) ([]string, *apiError) {
	var methods []string
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if json.Unmarshal(raw, &methods) != nil {
		var joined string
		if json.Unmarshal(raw, &joined) != nil {
			return nil, &errMalformed
		}
		for method := range strings.SplitSeq(joined, ",") {
			if method = strings.TrimSpace(method); method != "" {
				methods = append(methods, method)
			}
		}
	}
	return methods, checkMethods(methods)
}

func parseCoupon(raw json.RawMessage, amount Amount) (Amount, *apiError) {
	var coupon Amount
	if len(raw) == 0 || string(raw) == "null" {
		return coupon, nil
	}
	switch {
	case json.Unmarshal(raw, &coupon) != nil:
		return coupon, &errMalformed
	case coupon.Value < 0 || coupon.Value >= amount.Value || coupon.Currency != amount.Currency:
		return coupon, invalid("Cart coupon discount amount is invalid")
	}
	return coupon, nil
}

var phonePattern = regexp.MustCompile(`^[0-9]{10,20}$`)

// checkCustomer requires an email address or a mobile number for the link's
// message. The documentation calls both optional, but the vendor's own tools
// require one.
func checkCustomer(raw json.RawMessage) *apiError {
	var customer struct {
		Email  string `json:"email_id"`
		Mobile string `json:"mobile_number"`
	}
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return invalid("Customer details are missing/invalid")
	case json.Unmarshal(raw, &customer) != nil:
		return &errMalformed
	case customer.Email == "" && customer.Mobile == "":
		return invalid("Email or mobile number of the customer is required")
	case customer.Mobile != "" && !phonePattern.MatchString(customer.Mobile):
		return invalid("Mobile number must be 10 to 20 digits")
	}
	return nil
}

// parseExpiry reads an ISO 8601 time in UTC, with or without seconds.
func (s *Server) parseExpiry(text string) (time.Time, *apiError) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), s.checkExpiry(t)
		}
	}
	return time.Time{}, invalid("Expire by is missing/invalid")
}

func (s *Server) checkExpiry(t time.Time) *apiError {
	now := s.now()
	switch {
	case t.IsZero():
	case !t.After(now):
		return invalid("Expire by must be in the future")
	case t.Sub(now) > maxLinkLifetime:
		return invalid("Expire by must be within 180 days")
	}
	return nil
}

// rawObject returns its argument unchanged if the argument is a JSON object.
// Otherwise it returns nil.
func rawObject(raw json.RawMessage) json.RawMessage { return startingWith('{', raw) }

// rawList returns its argument unchanged if the argument is a JSON list.
// Otherwise it returns nil.
func rawList(raw json.RawMessage) json.RawMessage { return startingWith('[', raw) }

func startingWith(first byte, raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || raw[0] != first {
		return nil
	}
	return raw
}
