package main

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// The type till is the part of the shop that takes customers to Plural's
// payment page, and handles their return. It makes orders at Plural, and reads
// what happened to them. It has nothing to do with the shop's own pages.
type till struct {
	*books

	client *plural.Client
	url    string // the shop's URL

	strangers strangers // ids that the shop does not know
}

// wayToPay returns the link to the order's page at Plural. It makes the order
// at Plural unless it exists. It returns "" if the books show that nothing is
// left to pay.
func (s *till) wayToPay(ctx context.Context, o *order) (string, error) {
	for waited := time.Duration(0); ; waited += createPoll {
		link, err := s.db.linkOf(ctx, s.db, o.Number)
		if err != nil || link != "" {
			return link, err
		}
		done, ok, err := s.db.mayCreate(ctx, s.db, o.Number)
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
		select { // another tab or process is making the order
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

// create makes the order at Plural and returns the link to its page. If the
// answer was lost, call create again: the number is the same, so Plural makes
// no second order. The shop stores the link before it sends a payer to the
// page.
func (s *till) create(ctx context.Context, o *order) (link string, err error) {
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
	if err := s.link(ctx, o, created.OrderID, created.RedirectURL); err != nil {
		return "", err
	}
	return s.db.linkOf(ctx, s.db, o.Number)
}

var (
	// errLinkLost means that Plural has the order, but the answer with the link
	// to its page was lost.
	errLinkLost     = errors.New("the link to the payment is lost")
	errBeingCreated = errors.New("the order is still being made at Plural")
)

// When a payer's browser comes back from Plural's page, the method isNews
// reports whether the shop has to read Plural's books. Anybody who has a signed
// return can send it again at any time. So these rules apply:
//   - If the order is paid, or has ended unpaid, the shop ignores the return.
//   - If the order is still open, and the return has another status than the
//     return before it, the shop reads the books.
//   - For further returns with the same status, the shop reads the books at
//     most once in ten seconds (aMoment).
func (s *till) isNews(ctx context.Context, o *order, status plural.OrderStatus) (bool, error) {
	if o.isPaid() || o.isOver() {
		return false, nil
	}
	return s.db.isNews(ctx, s.db, o, status)
}

// confirm compares a payer's return with Plural's books, and stores what the
// books show.
func (s *till) confirm(ctx context.Context, o *order, callback *plural.Callback) error {
	confirmed, err := s.client.Orders.Confirm(ctx, callback, plural.Expected{
		MerchantOrderReference: o.Reference(), OrderAmount: o.Amount,
	})
	// Plural's books may lag, and may not show the payment yet. So a job reads
	// the order again in two cases: there is no usable document, or the
	// document shows an order that may still be paid.
	isBehind := confirmed == nil
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

// aMoment is how long the shop ignores a repeated return after it has read the
// books.
const aMoment = 10 * time.Second

// orderAtPlural finds the shop's order by Plural's id. If the shop has no order
// with that id, it reads the order at Plural, and finds its own order by the
// number. The shop does not know the id if a process died before it had stored
// it, or if Plural has a second order under the same number.
func (s *till) orderAtPlural(ctx context.Context, id string) (*order, error) {
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

// strangers has ids from payers' returns that belong to no order of the shop.
// The shop asks Plural about each of them only once in a while.
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
