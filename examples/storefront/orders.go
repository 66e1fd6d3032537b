package main

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/plural-go/plural"
)

// The type order describes an order of the shop. It contains what the customer
// ordered, and what Plural's books said when the shop last read the order.
type order struct {
	Number string
	// TwinOf is "" unless Plural has several orders under one number (see
	// twins.go). In the second and in each later order, TwinOf is the number
	// of the first order.
	TwinOf    string
	PluralID  string
	Link      string
	Lines     []line
	Amount    plural.Amount
	Status    plural.OrderStatus
	Unsettled bool
	Captured  plural.Amount
	Refunded  plural.Amount
	BookedAt  time.Time
	LookedAt  time.Time
	CreatedAt time.Time
	Version   int64
}

// A line is one product of an order.
type line struct {
	ID       string        `json:"id"` // id of the product
	Name     string        `json:"name"`
	Quantity int64         `json:"quantity"`
	Price    plural.Amount `json:"price"` // price of one piece
}

var errUnknownOrder = errors.New("there is no such order")

// Reference returns the order's merchant_order_reference at Plural.
func (o *order) Reference() string { return cmp.Or(o.TwinOf, o.Number) }

// isPayable reports whether the customer can still pay, as far as the shop's
// own row shows.
func (o *order) isPayable() bool {
	return o.Status == "" || o.Status == plural.OrderStatusCreated || o.Status == plural.OrderStatusAttempted
}

// isPaid reports whether money is on hold, or was taken.
func (o *order) isPaid() bool {
	return o.Captured.Value > 0 || slices.Contains([]plural.OrderStatus{
		plural.OrderStatusAuthorized, plural.OrderStatusProcessed, plural.OrderStatusPartiallyCaptured,
		plural.OrderStatusPartiallyRefunded, plural.OrderStatusFullyRefunded,
	}, o.Status)
}

// isOver reports whether the order has ended without a capture: the order has
// failed or was cancelled, so no money can be taken any more.
func (o *order) isOver() bool {
	return (o.Status == plural.OrderStatusFailed || o.Status == plural.OrderStatusCancelled) && o.Captured.Value == 0
}

// StatusText describes in words what Plural's books say about the order.
func (o *order) StatusText() string {
	if o.Status == "" && o.PluralID != "" {
		return "at Plural, not read yet"
	}
	return statusText(o.Status)
}

// statusText describes a status in words. If there are no words for the status,
// statusText returns the status itself.
func statusText(status plural.OrderStatus) string {
	return cmp.Or(status.Text(), string(status), "not at Plural yet")
}

// orderNumber matches an order's number. Plural may have several orders under
// one number. Then the shop gives each later order a number of its own, which
// ends with a suffix such as -1: see twins.go.
var orderNumber = regexp.MustCompile(`^(order-[a-z2-7]{26})(-[1-9][0-9]?)?$`)

// firstNumber returns a number without its suffix, if it has one: see
// orderNumber.
func firstNumber(number string) string {
	if found := orderNumber.FindStringSubmatch(number); found != nil {
		return found[1]
	}
	return number
}

// A payment is a payer's attempt to pay, as Plural's books show it.
type payment struct {
	ID       string
	Method   plural.PaymentMethod
	Status   plural.PaymentStatus
	Amount   plural.Amount
	Captured plural.Amount // the part of Amount that was captured
	Reason   string
	PaidAt   time.Time
}

// An entry is one line of an order's history.
type entry struct {
	At   time.Time
	What string
}
