package plural

import (
	"context"
	"time"
)

// Observation is the report of a call that has ended, or of a request for an
// access token. It holds no personal data and no secret.
type Observation struct {
	Operation string // a small set of values: "captures.create", "token", or "do"
	OrderID   string // "" if the call was not about an order yet
	Reference string // the merchant's reference of the order, capture or refund; "" if the call had none
	RequestID string // the same for every request of the call
	Attempts  int    // tries; one whose token was refused counts once
	Settled   bool   // the books were asked; the outcome may still be unknown
	Duration  time.Duration
	// Err is what the call returned; see [ErrNotApplied], [ErrConflict] and
	// [NeedsReview] for writes.
	Err error
}

// OperationFromContext names the operation that a request belongs to, such as
// "captures.create", or "do"; it is "" for requests that are not this
// package's. It is for middleware: it suits span names and metric labels,
// because it has few values.
func OperationFromContext(ctx context.Context) string {
	if s := tryFrom(ctx); s != nil {
		return s.op
	}
	return ""
}

// OrderFromContext reports which order a request is about. The first result is
// Plural's id of the order; it is "" for an order that is being created or
// looked up by its reference. The second is the merchant's reference of the
// order, capture or refund, if the call has one. It is for middleware: for
// attributes of spans, and not for metric labels, because it has many values.
func OrderFromContext(ctx context.Context) (orderID, reference string) {
	if s := tryFrom(ctx); s != nil {
		return s.orderID, s.reference
	}
	return "", ""
}

// AttemptFromContext reports which send of its call a request is, from 1; it is
// 0 for requests that are not this package's. The second result reports whether
// the request is a settling read. A settling read asks Plural's books what
// happened to a write. If they show nothing, that is an answer and not a
// failure. It is for middleware.
func AttemptFromContext(ctx context.Context) (number int, isSettlingRead bool) {
	if s := tryFrom(ctx); s != nil {
		return s.attempt, s.isSettling
	}
	return 0, false
}

// observer is called when a call has ended; nil if there is none.
type observer func(ctx context.Context, o Observation)

// notify calls the observer, and recovers its panics.
func (o observer) notify(ctx context.Context, seen Observation) {
	if o == nil {
		return
	}
	defer func() { _ = recover() }()
	o(ctx, seen)
}
