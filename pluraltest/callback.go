package pluraltest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Return is the signed form with which the payer's browser comes back to the
// merchant. The browser posts it to the order's callback_url or
// failure_callback_url.
type Return struct {
	OrderID string
	URL     string // "" if the order has no callback URL
	Form    url.Values
}

// Request makes the browser's request. The headers are those that a browser
// sends when a page of another site posts a form.
func (r Return) Request(ctx context.Context) (*http.Request, error) {
	target := r.URL
	if target == "" {
		target = "/"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(r.Form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("pluraltest: callback: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	return req, nil
}

// Callback makes the signed form about the present state of the order. The
// payer's browser would bring this form back to the merchant.
func (s *Server) Callback(orderID string) (Return, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	if o == nil || o.typ != typeCharge {
		return Return{}, fmt.Errorf("pluraltest: callback: no order %q", orderID)
	}
	return s.returnOf(o), nil
}

// CallbackForm returns only the signed form fields of the [Return] that
// [Server.Callback] makes. It returns nil if the order does not exist.
func (s *Server) CallbackForm(orderID string) url.Values {
	r, err := s.Callback(orderID)
	if err != nil {
		return nil
	}
	return r.Form
}

// CallbackJSON returns the fields of CallbackForm as the JSON object that the
// handlers of the IFRAME and SDK integrations get. It returns nil if the order
// does not exist.
func (s *Server) CallbackJSON(orderID string) []byte {
	form := s.CallbackForm(orderID)
	if form == nil {
		return nil
	}
	fields := map[string]string{}
	for name := range form {
		fields[name] = form.Get(name)
	}
	return marshal(fields)
}

// CallbackRequest makes the browser's request to the order's callback URL,
// ready for a handler under test. If the order has no callback URL, the request
// goes to the path "/". A mux whose only pattern is the shop's callback path
// does not serve that request.
func (s *Server) CallbackRequest(ctx context.Context, orderID string) (*http.Request, error) {
	r, err := s.Callback(orderID)
	if err != nil {
		return nil, err
	}
	req, err := r.Request(ctx)
	if err == nil {
		req.Header.Set("Origin", s.URL)
	}
	return req, err
}

// PostCallback sends the browser's request to the order's callback URL and
// returns the merchant's answer. It does not follow a redirect. The caller must
// close the answer's body.
func (s *Server) PostCallback(ctx context.Context, orderID string) (*http.Response, error) {
	r, err := s.Callback(orderID)
	if err != nil {
		return nil, err
	}
	if r.URL == "" {
		return nil, fmt.Errorf("pluraltest: callback: order %s has no callback_url", orderID)
	}
	req, err := s.CallbackRequest(ctx, orderID)
	if err != nil {
		return nil, err
	}
	client := *s.outboundClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client.Do(req)
}

// returnOf builds the [Return] for an order. s.mu must be held.
func (s *Server) returnOf(o *order) Return {
	status, target := o.status, o.callbackURL
	switch o.status {
	case StatusAttempted, StatusFailed:
		status = StatusFailed
	}
	if (status == StatusFailed || status == StatusCancelled) && o.failureURL != "" {
		target = o.failureURL
	}
	form := url.Values{"order_id": {o.id}, s.cfg.statusName: {status}}
	if s.cfg.emptyFields != emptyLeftOut {
		form.Set("error_code", "")
		form.Set("error_message", "")
	}
	if o.lastError != nil && status == StatusFailed {
		form.Set("error_code", o.lastError.Code)
		form.Set("error_message", o.lastError.Message)
	}
	return Return{OrderID: o.id, URL: target, Form: s.SignForm(form)}
}
