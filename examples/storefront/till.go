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

// shopTill takes customers to Plural's payment page, and handles their return.
// It makes orders at Plural, and reads what happened to them. It has nothing to
// do with the shop's own pages.
type shopTill struct {
	*orderBooks

	client *plural.Client
	url    string // the shop's URL

	unknown unknownIDs // ids that the shop does not know
}

// wayToPay returns the link to the order's page at Plural. If the order does
// not exist at Plural yet, wayToPay makes it there. If the shop has no link, and
// Plural's books show that somebody has already paid the order or tried to pay
// it, wayToPay returns "".
func (s *shopTill) wayToPay(ctx context.Context, o *order) (string, error) {
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
			return s.createOrder(ctx, o)
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

// createOrder makes the order at Plural and returns the link to its page. If
// the answer was lost, call createOrder again. The number is the same, so
// Plural should not make a second order. If Plural makes one nevertheless, see
// twins.go. The shop stores the link before it sends a payer to the page.
func (s *shopTill) createOrder(ctx context.Context, o *order) (link string, err error) {
	created, err := s.client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: o.Number,
		OrderAmount:            o.Amount,
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            s.url + "/plural/return",
	})
	if duplicate, ok := errors.AsType[*plural.DuplicateOrderError](err); ok {
		if err := s.recordDocument(ctx, o.Number, duplicate.Order); err != nil {
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
	if err := s.storeLink(ctx, o, created.OrderID, created.RedirectURL); err != nil {
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
//   - If the order is paid, or has ended unpaid, the shop does not read the
//     books.
//   - If the order is still open, and the status in the return is new, the shop
//     reads the books.
//   - If the order is still open, and the status is the same as in the last
//     return, the shop reads the books at most once in ten seconds
//     (repeatPause).
func (s *shopTill) isNews(ctx context.Context, o *order, status plural.OrderStatus) (bool, error) {
	if o.isPaid() || o.isOver() {
		return false, nil
	}
	return s.db.isNews(ctx, s.db, o, status)
}

// confirmReturn compares a payer's return with Plural's books, and stores what
// the books show.
func (s *shopTill) confirmReturn(ctx context.Context, o *order, callback *plural.Callback) error {
	confirmed, err := s.client.Orders.Confirm(ctx, callback, plural.Expected{
		MerchantOrderReference: o.Reference(), OrderAmount: o.Amount,
	})
	// Plural's books may not show the payment yet. So a job reads the order
	// again in two cases: there is no usable document, or the document shows an
	// order that may still be paid.
	isBehind := confirmed == nil
	if notPaid, ok := errors.AsType[*plural.NotPaidError](err); ok && !notPaid.Mismatch {
		confirmed, isBehind = notPaid.Order, notPaid.MayStillBePaid()
	}
	if confirmed != nil {
		err = errors.Join(err, s.recordDocument(ctx, o.Number, confirmed))
	}
	if isBehind {
		err = errors.Join(err, s.db.transact(ctx, func(tx *sql.Tx) error {
			return s.lookSoon(ctx, tx, pluralriver.LookArgs{OrderID: callback.OrderID})
		}))
	}
	return err
}

// repeatPause is for a return that is sent again and again. After the first
// return the shop reads Plural's books. If the same return is sent again within
// this time, the shop does not read the books.
const repeatPause = 10 * time.Second

// orderAtPlural finds the shop's order by Plural's id. If the shop has no order
// with that id, it reads the order at Plural, and finds its own order by the
// number. There are two reasons why the shop may not know the id:
//
//   - A process made the order at Plural, and died before it had stored the id.
//   - Plural has a second order under the same number.
func (s *shopTill) orderAtPlural(ctx context.Context, id string) (*order, error) {
	o, err := s.db.orderByPluralID(ctx, s.db, id)
	if !errors.Is(err, errUnknownOrder) {
		return o, err
	}
	if !s.unknown.isNews(id, time.Now()) {
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
	if err := s.recordDocument(ctx, booked.MerchantOrderReference, booked); err != nil {
		return nil, err
	}
	return s.db.orderByPluralID(ctx, s.db, id)
}

// unknownIDs remembers when the shop last asked Plural about an id that the
// shop does not know. Such ids come from payers' returns. The shop asks about
// the same id at most once in ten seconds (repeatPause). If there are too many
// ids, the type unknownIDs forgets all of them.
type unknownIDs struct {
	mu    sync.Mutex
	asked map[string]time.Time
}

const maxUnknownIDs = 1000

var errAskedJustNow = errors.New("this order was looked for a moment ago")

func (s *unknownIDs) isNews(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.asked[id]) < repeatPause {
		return false
	}
	if s.asked == nil || len(s.asked) >= maxUnknownIDs {
		s.asked = map[string]time.Time{}
	}
	s.asked[id] = now
	return true
}
