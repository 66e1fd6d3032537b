package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"time"

	"github.com/plural-go/plural"
)

// checkout makes an order of the cart, and sends the customer to pay it.
func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	c := s.cartOf(w, r)
	lines, total := c.lines()
	if len(lines) == 0 || c.number == "" || r.PostFormValue("number") != c.number {
		http.Redirect(w, r, "/cart", http.StatusSeeOther) // an old page
		return
	}
	o, err := s.db.place(r.Context(), &order{Number: c.number, Lines: lines, Amount: total})
	if err != nil {
		s.failed(w, r, "place order", err)
		return
	}
	if o.Amount != total { // prices have changed since the order was made
		s.writeCart(w, c)
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return
	}
	s.pay(w, r, o)
}

// payOrder sends the customer to pay an order that was made before.
func (s *shop) payOrder(w http.ResponseWriter, r *http.Request) {
	o, err := s.orderOf(r)
	if err != nil {
		s.failed(w, r, "pay order", err)
		return
	}
	s.pay(w, r, o)
}

// orderOf is the order that a path names.
func (s *shop) orderOf(r *http.Request) (*order, error) {
	number := r.PathValue("number")
	if !orderNumber.MatchString(number) {
		return nil, errUnknownOrder
	}
	return s.db.order(r.Context(), s.db, number)
}

// pay makes the order at Plural, once, and sends the customer to its page. The
// browser may leave in between: what was begun is finished.
func (s *shop) pay(w http.ResponseWriter, r *http.Request, o *order) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
	defer cancel()
	link := ""
	if o.payable() {
		if link = o.Link; link == "" {
			var err error
			if link, err = s.create(ctx, o); err != nil {
				s.log.ErrorContext(ctx, "create order", "order", o.Number, "error", err)
			}
			if c := readCart(r); errors.Is(err, errLinkLost) && c.number == o.Number {
				s.writeCart(w, c) // nobody was given the link: the next order is another
				link = "/cart"
			}
		}
	}
	if link == "" {
		link = "/orders/" + o.Number // which says how it stands
	}
	http.Redirect(w, r, link, http.StatusSeeOther)
}

// create makes the order at Plural and gives the way to its page. Where the
// answer was lost calling again settles it: the number is the same.
func (s *shop) create(ctx context.Context, o *order) (link string, err error) {
	created, err := s.client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: o.Number,
		OrderAmount:            o.Amount,
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            s.url + "/plural/return",
	})
	if duplicate, ok := errors.AsType[*plural.DuplicateOrderError](err); ok {
		err := s.db.transact(ctx, func(tx *sql.Tx) error { return s.record(ctx, tx, o.Number, duplicate.Order) })
		if err == nil && duplicate.Order.Status == plural.OrderStatusCreated {
			err = errLinkLost
		}
		return "", err
	}
	if err != nil {
		return "", err
	}
	return created.RedirectURL, s.db.link(ctx, o.Number, created.OrderID, created.RedirectURL)
}

// errLinkLost says that Plural has the order, and that the way to its page was
// in an answer that got lost.
var errLinkLost = errors.New("the link to the payment is lost")

// payable tells whether the customer can still pay, as far as the shop knows.
func (o *order) payable() bool {
	return o.Status == "" || o.Status == plural.OrderStatusCreated || o.Status == plural.OrderStatusAttempted
}

// comeBack takes the payer's return from the checkout: verified, then confirmed
// against Plural's books. It answers with 303, so that the page after it is one
// of the shop's own, gets the shop's cookies, and can be loaded again.
func (s *shop) comeBack(w http.ResponseWriter, r *http.Request) {
	callback, err := s.verifier.VerifyCallbackRequest(r)
	if err != nil {
		s.log.WarnContext(r.Context(), "return refused", "error", err)
		s.message(w, http.StatusBadRequest, "Nothing here", "This page is for returns from the checkout.")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 20*time.Second)
	defer cancel()
	o, err := s.orderAtPlural(ctx, callback.OrderID)
	if err != nil {
		s.failed(w, r, "find the order of a return", err)
		return
	}
	confirmed, err := s.client.Orders.Confirm(ctx, callback, plural.Expected{
		MerchantOrderReference: o.Number, OrderAmount: o.Amount,
	})
	isBehind := confirmed == nil // or what it says may be old
	if notPaid, ok := errors.AsType[*plural.NotPaidError](err); ok && !notPaid.Mismatch {
		confirmed, isBehind = notPaid.Order, notPaid.MayStillBePaid()
	}
	if confirmed != nil {
		err = errors.Join(
			err,
			s.db.transact(ctx, func(tx *sql.Tx) error { return s.record(ctx, tx, o.Number, confirmed) }),
		)
	}
	if isBehind {
		err = errors.Join(err, s.db.transact(ctx, func(tx *sql.Tx) error { return s.lookSoon(ctx, tx, o.Number) }))
	}
	if err != nil {
		s.log.WarnContext(ctx, "not confirmed", "order", o.Number, "error", err)
	}
	http.Redirect(w, r, "/orders/"+o.Number, http.StatusSeeOther)
}

// orderAtPlural finds the shop's order by Plural's id. Where the process died
// before it had written that id down, Plural knows the number.
func (s *shop) orderAtPlural(ctx context.Context, id string) (*order, error) {
	o, err := s.db.orderByPluralID(ctx, id)
	if !errors.Is(err, errUnknownOrder) {
		return o, err
	}
	booked, err := s.client.Orders.Get(ctx, id)
	if errors.Is(err, plural.ErrNotFound) {
		return nil, errUnknownOrder
	}
	if err != nil {
		return nil, err
	}
	return s.db.order(ctx, s.db, booked.MerchantOrderReference)
}

// orderView is the customer's page of an order. Who has its number may see it.
type orderView struct {
	*order

	Head, Text string
	Mood       string // good, bad or ""
	CanPay     bool
}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	o, err := s.orderOf(r)
	if err != nil {
		s.failed(w, r, "show order", err)
		return
	}
	c := s.cartOf(w, r)
	v := describe(o)
	page := view{Title: v.Head, InCart: c.count(), Data: v}
	isRecent := time.Since(o.CreatedAt) < time.Hour
	if isRecent && o.Unsettled && o.Status != plural.OrderStatusAuthorized {
		page.Reload = 5 // it may be paid at this moment
	}
	s.show(w, http.StatusOK, "order.html", page)
}

// describe says to the customer how an order stands: what Plural's books said,
// and never what the browser did.
func describe(o *order) orderView {
	v := orderView{order: o, CanPay: o.payable()}
	left := plural.INR(o.Captured.Value - o.Refunded.Value)
	switch {
	case o.Refunded.Value > 0 && left.Value <= 0:
		v.Head, v.Text = "Refunded", "You have all of your money back, or will have in a few days."
	case o.Refunded.Value > 0:
		v.Head, v.Mood = "Refunded in part", "good"
		v.Text = "We gave back " + o.Refunded.Display() + " and keep " + left.Display() + "."
	case o.Captured.Value > 0:
		v.Head, v.Text, v.Mood = "On its way", "We have shipped your order and taken "+o.Captured.Display()+".", "good"
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
