package plural

import (
	"context"
	"time"
)

// Observation is the report of a call that has ended, or of a request for an
// access token. It holds no personal data and no secret.
type Observation struct {
	Operation string // a small set of values: "captures.create", "token", or "do"
	OrderID   string // or the id of a payment link; "" if the call was not about an order yet
	Reference string // the merchant's reference of the order, capture, refund or link; "" if the call had none
	RequestID string // the same for every request of the call
	Attempts  int    // tries; a try repeated because its token was refused counts once
	Settled   bool   // the books were asked; the outcome may still be unknown
	Duration  time.Duration
	// Err is the error that the call returned. For writes, see [ErrNotApplied],
	// [ErrConflict] and [NeedsReview].
	Err error
}

// OperationFromContext returns the name of the operation that a request belongs
// to, such as "captures.create" or "do". It returns "" for a request that this
// package did not make. It is for middleware. The name has few values, so it
// suits span names and metric labels.
func OperationFromContext(ctx context.Context) string {
	if s := tryFrom(ctx); s != nil {
		return s.op
	}
	return ""
}

// OrderFromContext returns which order a request is about. The first result is
// Plural's id of the order or, for a call that names a payment link, of the
// link. It is "" for an order or link that is being created or looked up by its
// reference. The second result is the merchant's reference of the order,
// capture, refund or link, if the call has one. OrderFromContext is for
// middleware. The results have many values, so use them for attributes of spans
// and not for metric labels.
func OrderFromContext(ctx context.Context) (orderID, reference string) {
	if s := tryFrom(ctx); s != nil {
		return s.orderID, s.reference
	}
	return "", ""
}

// AttemptFromContext returns the number of the try that a request belongs to.
// The first try of a call is 1. The number is 0 for a request that this package
// did not make. The second result reports whether the request is a settling
// read, which asks Plural's books what happened to a write. If the books show
// nothing, that is an answer and not a failure. AttemptFromContext is for
// middleware.
func AttemptFromContext(ctx context.Context) (number int, isSettlingRead bool) {
	if s := tryFrom(ctx); s != nil {
		return s.attempt, s.isSettling
	}
	return 0, false
}

// observer is a function that is called when a call has ended. It is nil if the
// client has no observer.
type observer func(ctx context.Context, o Observation)

// notify calls the observer, and recovers its panics.
func (o observer) notify(ctx context.Context, seen Observation) {
	if o == nil {
		return
	}
	defer func() { _ = recover() }()
	o(ctx, seen)
}
