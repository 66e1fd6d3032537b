package pluraltest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The paths of the checkout page: one for redirect_url and one for
// challenge_url.
const (
	checkoutPath  = "/api/v3/checkout-bff/redirect/checkout"
	challengePath = "/web/auth/landing/"
)

// maxCheckoutForm is the size of the largest form that the payer's browser may
// post, in bytes.
const maxCheckoutForm = 64 << 10

// addCheckout puts the hosted checkout page among the server's pages. The page
// shows what the books say. The page has no state of its own, so it does no
// harm if the payer reloads it, goes back or opens a second tab. Only a POST
// changes the books.
func (s *Server) addCheckout() {
	page := http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.checkout))
	s.pages.Handle(checkoutPath, page)
	s.pages.Handle(challengePath+"{$}", page)
}

func (s *Server) checkout(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.showCheckout(w, r, nil)
	case http.MethodPost:
		s.decideCheckout(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		renderCheckout(w, http.StatusMethodNotAllowed, messagePage(
			"This page does not accept "+r.Method, "Open the payment link in a browser to pay."))
	}
}

// showCheckout shows the present state of the order. If form is not nil, it is
// a payment form that was refused, and the page lists what is wrong with it.
func (s *Server) showCheckout(w http.ResponseWriter, r *http.Request, form *payForm) {
	query := r.URL.Query()
	page := s.checkoutPage(query.Get("token"), form)
	if page == nil {
		renderCheckout(w, http.StatusNotFound, messagePage(
			"This payment link is not known",
			"A part of the link may be missing, or it belongs to another run of the emulator, "+
				"which forgets its orders when it ends. Ask the shop for a new link.",
		))
		return
	}
	if page.Return.URL != "" && query.Get("return") != "" {
		page.Name = "return"
	}
	status := http.StatusOK
	if form != nil {
		status = http.StatusUnprocessableEntity
	}
	renderCheckout(w, status, page)
}

// decideCheckout carries out the payer's decision and sends the browser to the
// page that shows the outcome. A decision that comes too late changes nothing.
// For example, a second click changes nothing.
func (s *Server) decideCheckout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxCheckoutForm)
	formErr := r.ParseForm()
	token := r.URL.Query().Get("token")
	known, over, form := s.payFromPage(token, r.PostForm, formErr == nil)
	switch {
	case known && formErr != nil:
		refuseForm(w, formErr)
	case !known || form != nil:
		s.showCheckout(w, r, form)
	default:
		next := r.URL.Path + "?token=" + url.QueryEscape(token)
		if over {
			next += "&return=1"
		}
		http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // the path is one of the two checkout paths
	}
}

// payFromPage carries out a posted decision, if the posted form is readable.
// These are its results:
//   - isKnown reports whether an order has the token.
//   - isOver reports whether the payer should go back to the shop.
//   - If the payer filled in the payment form wrongly, badForm is that form
//     with its faults. Otherwise badForm is nil.
func (s *Server) payFromPage(token string, posted url.Values, readable bool) (isKnown, isOver bool, badForm *payForm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	o := s.byPage[token]
	if o == nil || !readable {
		return o != nil, false, nil
	}
	d, badForm := o.readDecision(posted)
	if d != nil {
		_ = s.applyDecision(o, *d) // if the order is no longer open, the page shows its state
	}
	return true, !o.isPayable() && s.returnOf(o).URL != "", badForm
}

// refuseForm answers the request when its form cannot be read.
func refuseForm(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	renderCheckout(w, status, messagePage("This form cannot be read", "Go back and try again."))
}

// readDecision reads the payer's decision from a form. If there is nothing to
// decide, the decision is nil. If the payer filled in the payment form
// wrongly, the decision is nil, and readDecision returns that form with its
// faults.
func (o *order) readDecision(form url.Values) (*Decision, *payForm) {
	if !o.isPayable() {
		return nil, nil
	}
	action := form.Get("action")
	if action == "cancel" {
		return &CancelPayment, nil
	}
	if o.status != StatusPending {
		if action != "pay" {
			return nil, nil
		}
		filled := readPayForm(form, o.offeredMethods())
		if len(filled.Faults) > 0 {
			return nil, filled
		}
		return &Decision{kind: payerWaits, method: filled.Method}, nil
	}
	return bankDecision(o, action, form), nil
}

// bankDecision reads the decision from the bank's page, while a payment is
// under way.
func bankDecision(o *order, action string, form url.Values) *Decision {
	switch action {
	case "approve":
		if usesOTP(o.currentPayment().method) && strings.TrimSpace(form.Get("otp")) != testOTP {
			return &FailOTP
		}
		return &Approve
	case "decline":
		d := DeclineFor(declineReason(form.Get("reason"), form.Get("message")))
		d.final = form.Get("final") != ""
		return &d
	case "expire":
		return &LetExpire
	default:
		return nil
	}
}

// currentPayment returns the payment that waits for the bank.
func (o *order) currentPayment() *payment {
	if live := o.openPayments(); len(live) > 0 {
		return live[0]
	}
	return &payment{amount: o.amount}
}

// offeredMethods returns the payment methods that the page shows. For a hold,
// the hosted checkout takes only cards.
func (o *order) offeredMethods() []string {
	var list []string
	for _, method := range checkoutMethods() {
		if o.allows(method.Code) && (!o.preAuth || method.Code == "CARD") {
			list = append(list, method.Code)
		}
	}
	return list
}

func (o *order) allows(method string) bool {
	return len(o.methods) == 0 || slices.Contains(o.methods, method)
}
