package plural

import (
	"context"
	"time"
)

// Observation is the report of a call that has ended, or of a request for an
// access token. It holds no personal data and no secret.
type Observation struct {
	Operation string // one of a small set of names, such as "captures.create", "token" or "do"
	OrderID   string // the id of the order or payment link; "" if the call was made without an id
	Reference string // the merchant's reference of the order, capture, refund or link; "" if the call had none
	RequestID string // the Request-ID, which is the same for each request of the call
	Attempts  int    // the number of tries; a try that is sent again with a new token counts once
	Settled   bool   // the call read the books to find out what happened; the outcome may still be unknown
	Duration  time.Duration
	// Err is the error that the call returned. For writes, see [ErrNotApplied],
	// [ErrConflict] and [NeedsReview].
	Err error
}

// OperationFromContext returns the name of the operation that a request belongs
// to, such as "captures.create" or "do". It returns "" for a request that this
// package did not make. OperationFromContext is for middleware. There are only
// a few names, so you can use them as span names and metric labels.
func OperationFromContext(ctx context.Context) string {
	if s := tryFrom(ctx); s != nil {
		return s.op
	}
	return ""
}

// OrderFromContext returns the order that a request is about. The first result
// is Plural's id of the order. For a call that names a payment link, it is the
// id of the link. The first result is "" if the order or link is being created
// or looked up by its reference. The second result is the merchant's reference
// of the order, capture, refund or link, if the call has one. OrderFromContext
// is for middleware. The results are different for each order, so use them as
// attributes of spans and not as metric labels.
func OrderFromContext(ctx context.Context) (orderID, reference string) {
	if s := tryFrom(ctx); s != nil {
		return s.orderID, s.reference
	}
	return "", ""
}

// AttemptFromContext returns the number of the try that a request belongs to.
// The first try of a call has the number 1. The number is 0 for a request that
// this package did not make. The second result reports whether the request asks
// Plural's books what happened to a write. Plural may answer such a request
// with an error, because the order or link does not exist. This is a normal
// answer, and not a failure. AttemptFromContext is for middleware.
func AttemptFromContext(ctx context.Context) (number int, isSettlingRead bool) {
	if s := tryFrom(ctx); s != nil {
		return s.attempt, s.isSettling
	}
	return 0, false
}

// observer is a function that is called when a call has ended. It is nil if the
// client has no observer.
type observer func(ctx context.Context, o Observation)

// The method notify calls the observer, and recovers from its panics.
func (o observer) notify(ctx context.Context, seen Observation) {
	if o == nil {
		return
	}
	defer func() { _ = recover() }()
	o(ctx, seen)
}
