package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/plural-go/plural"
)

// The handler checkout makes an order from the cart, and sends the customer to
// pay it.
func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	c := s.cartOf(w, r)
	lines, total := c.pricedLines()
	if len(lines) == 0 || c.number == "" || r.PostFormValue("number") != c.number {
		http.Redirect(w, r, "/cart", http.StatusSeeOther) // the form comes from an old page
		return
	}
	o, err := s.till.place(r.Context(), &order{Number: c.number, Lines: lines, Amount: total})
	if err != nil {
		s.showError(w, r, "place order", err)
		return
	}
	if o.Amount != total { // prices have changed since the order was made
		s.writeCart(w, c)
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return
	}
	s.sendToPayment(w, r, o)
}

// payOrder sends the customer to pay an order that was made before.
func (s *shop) payOrder(w http.ResponseWriter, r *http.Request) {
	o, err := s.customersOrder(r)
	if err != nil {
		s.showError(w, r, "pay order", err)
		return
	}
	s.sendToPayment(w, r, o)
}

// orderOf returns the order that the request's path names. If Plural has
// several orders under one number, the path may name any of them: see twins.go.
func (s *shop) orderOf(r *http.Request) (*order, error) {
	number := r.PathValue("number")
	if !orderNumber.MatchString(number) {
		return nil, errUnknownOrder
	}
	return s.db.order(r.Context(), s.db, number)
}

// customersOrder does the same as orderOf, but only for the first order under a
// number. Customers do not see a second order under the same number: see
// twins.go.
func (s *shop) customersOrder(r *http.Request) (*order, error) {
	if number := r.PathValue("number"); firstNumber(number) != number {
		return nil, errUnknownOrder
	}
	return s.orderOf(r)
}

// sendToPayment sends the customer to the payment page. If the order does not
// exist at Plural yet, sendToPayment first makes it there. If the browser
// closes the connection in the meantime, the work still goes on.
func (s *shop) sendToPayment(w http.ResponseWriter, r *http.Request, o *order) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), createTimeout)
	defer cancel()
	to := "/orders/" + o.Number // the order's page shows its state
	if o.isPayable() {
		link, err := s.till.wayToPay(ctx, o)
		switch {
		case errors.Is(err, errLinkLost) && readCart(r).number == o.Number:
			s.writeCart(w, readCart(r)) // no customer has the link, so the cart gets the number of a new order
			to = "/cart"
		case err != nil:
			s.log.ErrorContext(ctx, "create order", "order", o.Number, "error", err)
			to += "?" + unreachableQuery
		case link != "":
			to = link
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// unreachableQuery is a URL query for an order's page. With this query, the
// page explains why the customer did not get to the payment.
const unreachableQuery = "unreachable=1"

// comeBack handles the request with which the payer's browser comes back from
// the checkout. It verifies the signature, and then compares Plural's books
// with the shop's order. It answers with 303, so the browser asks the shop for
// the next page with a GET. The browser sends the shop's cookies with that GET,
// and can reload the page.
func (s *shop) comeBack(w http.ResponseWriter, r *http.Request) {
	callback, err := s.verifier.VerifyCallbackRequest(r)
	if err != nil {
		s.log.WarnContext(r.Context(), "return refused", "error", err)
		s.showMessage(w, http.StatusBadRequest, "Nothing here", "This page is for returns from the checkout.")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 20*time.Second)
	defer cancel()
	o, err := s.till.orderAtPlural(ctx, callback.OrderID)
	if errors.Is(err, errAskedJustNow) {
		s.showMessage(
			w, http.StatusServiceUnavailable, "One moment", "We are looking at this payment. Come back in a minute.",
		)
		return
	}
	if err != nil {
		s.showError(w, r, "find the order of a return", err)
		return
	}
	isNews, err := s.till.isNews(ctx, o, callback.Status)
	if err == nil && isNews {
		err = s.till.confirmReturn(ctx, o, callback)
	}
	if err != nil {
		s.log.WarnContext(ctx, "not confirmed", "order", o.Number, "error", err)
	}
	http.Redirect(w, r, "/orders/"+firstNumber(o.Number), http.StatusSeeOther)
}

// orderView is the customer's page of an order. Anybody who knows its number
// may see it.
type orderView struct {
	*order

	Head, Text string
	Mood       string // good, bad or ""
	CanPay     bool
	Twice      bool // a second order under the same number is paid as well: see twins.go
}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	o, err := s.customersOrder(r)
	if err != nil {
		s.showError(w, r, "show order", err)
		return
	}
	v, err := s.viewOrder(r.Context(), o)
	if err != nil {
		s.showError(w, r, "show order", err)
		return
	}
	c := s.cartOf(w, r)
	page := view{Title: v.Head, InCart: c.count(), Data: v}
	if r.URL.RawQuery == unreachableQuery && v.CanPay {
		page.Problem = "We cannot reach the payment page just now. Nothing was paid. Try again in a minute."
	}
	isRecent := time.Since(o.CreatedAt) < time.Hour
	if isRecent && o.Unsettled && o.Status != plural.OrderStatusAuthorized {
		page.reloadAfter(r, 5) // the customer may be paying it now
	}
	s.show(w, http.StatusOK, "order.html", page)
}

func (s *shop) viewOrder(ctx context.Context, o *order) (orderView, error) {
	decisions, err := s.db.listDecisions(ctx, s.db, o.Number)
	if err != nil {
		return orderView{}, err
	}
	twins, err := s.db.listTwins(ctx, s.db, o.Number)
	if err != nil {
		return orderView{}, err
	}
	v := describeOrder(o, decisions)
	v.Twice = slices.ContainsFunc(twins, func(t *order) bool {
		return t.isPaid() && (t.Captured.Value == 0 || t.Refunded.Value < t.Captured.Value)
	})
	return v, nil
}

// describeOrder makes the text that tells the customer the state of an order.
// It uses what Plural's books said, and not what the browser sent. If the shop
// does not know what happened to a capture or a cancel, the text does not
// promise anything about the hold.
func describeOrder(o *order, decisions []*decision) orderView {
	v := orderView{order: o, CanPay: o.isPayable()}
	left := plural.INR(o.Captured.Value - o.Refunded.Value)
	isInDoubt := slices.ContainsFunc(decisions, func(d *decision) bool {
		return d.Kind != kindRefund && (d.Troubled() || d.State == stateWrittenOff)
	})
	switch {
	case o.Refunded.Value > 0 && left.Value <= 0:
		v.Head, v.Text = "Refunded", "You have all of your money back, or will have in a few days."
	case o.Refunded.Value > 0:
		v.Head, v.Mood = "Refunded in part", "good"
		v.Text = "We gave back " + o.Refunded.Display() + " and keep " + left.Display() + "."
	case o.Captured.Value > 0:
		v.Head, v.Text, v.Mood = "On its way", "We have shipped your order and taken "+o.Captured.Display()+".", "good"
	case o.Status == plural.OrderStatusAuthorized && isInDoubt:
		v.Head = "We are looking into this order"
		v.Text = "There is a question about its payment. Please get in touch with us."
	case o.Status == plural.OrderStatusAuthorized:
		v.Head, v.Mood = "Thank you", "good"
		v.Text = "Your bank holds " + o.Amount.Display() + " for us. We take it when we ship, and not before."
	case o.Status == plural.OrderStatusCancelled:
		v.Head, v.Text = "Cancelled", "Nothing was taken. If your bank held the money, it lets go of it."
	case o.Status == plural.OrderStatusFailed:
		v.Head, v.Text, v.Mood = "Not paid", "The payment failed, and nothing was taken. You can order again.", "bad"
	case o.Status == plural.OrderStatusAttempted:
		v.Head, v.Text, v.Mood = "Not paid yet", "That payment did not work, and nothing was taken. You can try again.", "bad"
	case o.Status == plural.OrderStatusCreated, o.Status == "":
		v.Head, v.Text = "Not paid yet", "We have your order, and wait for your payment."
	default:
		v.Head, v.Text = "One moment", "Your payment is being checked. Load this page again in a minute."
	}
	return v
}
