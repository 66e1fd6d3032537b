package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
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
	o, err := s.customersOrder(r)
	if err != nil {
		s.failed(w, r, "pay order", err)
		return
	}
	s.pay(w, r, o)
}

// orderOf is the order that a path names; for customers that is never a twin.
func (s *shop) orderOf(r *http.Request) (*order, error) {
	number := r.PathValue("number")
	if !orderNumber.MatchString(number) {
		return nil, errUnknownOrder
	}
	return s.db.order(r.Context(), s.db, number)
}

func (s *shop) customersOrder(r *http.Request) (*order, error) {
	if number := r.PathValue("number"); firstNumber(number) != number {
		return nil, errUnknownOrder
	}
	return s.orderOf(r)
}

// pay makes the order at Plural, once, and sends the customer to its page. The
// browser may leave in between: what was begun is finished.
func (s *shop) pay(w http.ResponseWriter, r *http.Request, o *order) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), createTimeout)
	defer cancel()
	to := "/orders/" + o.Number // which says how it stands
	if o.payable() {
		link, err := s.wayToPay(ctx, o)
		switch {
		case errors.Is(err, errLinkLost) && readCart(r).number == o.Number:
			s.writeCart(w, readCart(r)) // nobody was given the link: the next order is another
			to = "/cart"
		case err != nil:
			s.log.ErrorContext(ctx, "create order", "order", o.Number, "error", err)
			to += "?" + unreachable
		case link != "":
			to = link
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// wayToPay is the link to the order's page at Plural, where the order is made
// unless it is there. It is "" where the books show that nothing is left to pay.
func (s *shop) wayToPay(ctx context.Context, o *order) (string, error) {
	for waited := time.Duration(0); ; waited += createPoll {
		link, err := s.db.linkOf(ctx, o.Number)
		if err != nil || link != "" {
			return link, err
		}
		done, ok, err := s.db.mayCreate(ctx, o.Number)
		if err != nil {
			return "", err
		}
		if ok {
			defer done()
			return s.create(ctx, o)
		}
		if waited >= createWait {
			return "", errBeingCreated
		}
		select { // another tab, or another process, is about to make it
		case <-time.After(createPoll):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

const (
	createWait = 8 * time.Second
	createPoll = 100 * time.Millisecond
)

// create makes the order at Plural and gives the way to its page. Where the
// answer was lost calling again settles it: the number is the same. Nobody is
// sent to a page that the shop has not written down.
func (s *shop) create(ctx context.Context, o *order) (link string, err error) {
	created, err := s.client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: o.Number,
		OrderAmount:            o.Amount,
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            s.url + "/plural/return",
	})
	if duplicate, ok := errors.AsType[*plural.DuplicateOrderError](err); ok {
		if err := s.keep(ctx, o.Number, duplicate.Order); err != nil {
			return "", err
		}
		if duplicate.Order.Status == plural.OrderStatusCreated {
			return "", errLinkLost
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if err := s.db.link(ctx, o, created.OrderID, created.RedirectURL); err != nil {
		return "", err
	}
	return s.db.linkOf(ctx, o.Number)
}

var (
	// errLinkLost says that Plural has the order, and that the way to its page was
	// in an answer that got lost.
	errLinkLost     = errors.New("the link to the payment is lost")
	errBeingCreated = errors.New("the order is still being made at Plural")
)

// unreachable is the query of an order's page that says why the customer is
// there and not at the payment.
const unreachable = "unreachable=1"

// comeBack takes the payer's return from the checkout: verified, then confirmed
// against Plural's books. It answers with 303, so the page after it is one of
// the shop's own, gets the shop's cookies, and can be loaded again.
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
	if errors.Is(err, errAskedJustNow) {
		s.message(w, http.StatusServiceUnavailable, "One moment", "We are looking at this payment. Come back in a minute.")
		return
	}
	if err != nil {
		s.failed(w, r, "find the order of a return", err)
		return
	}
	isNews, err := s.db.isNews(ctx, o, callback.Status)
	if err == nil && isNews {
		err = s.confirm(ctx, o, callback)
	}
	if err != nil {
		s.log.WarnContext(ctx, "not confirmed", "order", o.Number, "error", err)
	}
	http.Redirect(w, r, "/orders/"+firstNumber(o.Number), http.StatusSeeOther)
}

// confirm holds a return against Plural's books, and keeps what they say.
func (s *shop) confirm(ctx context.Context, o *order, callback *plural.Callback) error {
	confirmed, err := s.client.Orders.Confirm(ctx, callback, plural.Expected{
		MerchantOrderReference: o.Reference(), OrderAmount: o.Amount,
	})
	isBehind := confirmed == nil // or what it says may be old
	if notPaid, ok := errors.AsType[*plural.NotPaidError](err); ok && !notPaid.Mismatch {
		confirmed, isBehind = notPaid.Order, notPaid.MayStillBePaid()
	}
	if confirmed != nil {
		err = errors.Join(err, s.keep(ctx, o.Number, confirmed))
	}
	if isBehind {
		err = errors.Join(err, s.db.transact(ctx, func(tx *sql.Tx) error {
			return s.lookSoon(ctx, tx, pluralriver.LookArgs{OrderID: callback.OrderID})
		}))
	}
	return err
}

// isNews reports whether a return may say something that the books did not say
// yet, so they have to be read. A genuine return can be sent again as
// often as somebody likes: once the order is paid, or has ended without, there
// is nothing left in it, and before that the same one is looked at once in a
// while.
func (s *store) isNews(ctx context.Context, o *order, status plural.OrderStatus) (bool, error) {
	if o.isPaid() || o.isOver() {
		return false, nil
	}
	now := time.Now()
	return changed(s.ExecContext(ctx, `UPDATE orders SET returned_at = $2, returned_as = $3
		WHERE number = $1 AND (returned_at < $4 OR returned_as <> $3)`,
		o.Number, micro(now), string(status), micro(now.Add(-aMoment))))
}

// aMoment is how long what was read counts as just read.
const aMoment = 10 * time.Second

// orderAtPlural finds the shop's order by Plural's id. Where the process died
// before it had written that id down, or the order is a second one under the
// number, Plural knows the number.
func (s *shop) orderAtPlural(ctx context.Context, id string) (*order, error) {
	o, err := s.db.orderByPluralID(ctx, s.db, id)
	if !errors.Is(err, errUnknownOrder) {
		return o, err
	}
	if !s.strangers.isNews(id, time.Now()) {
		return nil, errAskedJustNow
	}
	booked, err := s.client.Orders.Get(ctx, id)
	if errors.Is(err, plural.ErrNotFound) {
		return nil, errUnknownOrder
	}
	if err != nil {
		return nil, err
	}
	if !orderNumber.MatchString(booked.MerchantOrderReference) {
		return nil, errUnknownOrder
	}
	if err := s.keep(ctx, booked.MerchantOrderReference, booked); err != nil {
		return nil, err
	}
	return s.db.orderByPluralID(ctx, s.db, id)
}

// strangers are ids at Plural that returns name and no order of the shop has.
// Each is asked for once in a while.
type strangers struct {
	mu    sync.Mutex
	asked map[string]time.Time
}

const maxStrangers = 1000

var errAskedJustNow = errors.New("this order was looked for a moment ago")

func (s *strangers) isNews(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.asked[id]) < aMoment {
		return false
	}
	if s.asked == nil || len(s.asked) >= maxStrangers {
		s.asked = map[string]time.Time{}
	}
	s.asked[id] = now
	return true
}

// orderView is the customer's page of an order. Who has its number may see it.
type orderView struct {
	*order

	Head, Text string
	Mood       string // good, bad or ""
	CanPay     bool
	Twice      bool // a second order under the number is paid, too
}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	o, err := s.customersOrder(r)
	if err != nil {
		s.failed(w, r, "show order", err)
		return
	}
	v, err := s.viewOrder(r.Context(), o)
	if err != nil {
		s.failed(w, r, "show order", err)
		return
	}
	c := s.cartOf(w, r)
	page := view{Title: v.Head, InCart: c.count(), Data: v}
	if r.URL.RawQuery == unreachable && v.CanPay {
		page.Problem = "We cannot reach the payment page just now. Nothing was paid. Try again in a minute."
	}
	isRecent := time.Since(o.CreatedAt) < time.Hour
	if isRecent && o.Unsettled && o.Status != plural.OrderStatusAuthorized {
		page.reload(r, 5) // it may be paid at this moment
	}
	s.show(w, http.StatusOK, "order.html", page)
}

func (s *shop) viewOrder(ctx context.Context, o *order) (orderView, error) {
	decisions, err := s.db.decisions(ctx, s.db, o.Number)
	if err != nil {
		return orderView{}, err
	}
	twins, err := s.db.twins(ctx, s.db, o.Number)
	if err != nil {
		return orderView{}, err
	}
	v := describe(o, decisions)
	v.Twice = slices.ContainsFunc(twins, func(t *order) bool {
		return t.isPaid() && (t.Captured.Value == 0 || t.Refunded.Value < t.Captured.Value)
	})
	return v, nil
}

// describe says to the customer how an order stands: what Plural's books said,
// and never what the browser did. It promises nothing about a hold that the
// shop could not take.
func describe(o *order, decisions []*decision) orderView {
	v := orderView{order: o, CanPay: o.payable()}
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
