package plural

import (
	"context"
	"time"
)

// Observation is what an observer is told of a call that has ended, or of a
// request for an access token. It holds no personal data and no secret.
type Observation struct {
	Operation string // of low cardinality: "captures.create", "token", or "do"
	OrderID   string // "" where the call was about none yet
	Reference string // the merchant's, of the order, capture or refund; "" where the call had none
	RequestID string // of every request of the call
	Attempts  int    // tries; one whose token was refused counts once
	Settled   bool   // the books were asked; the outcome may be unknown all the same
	Duration  time.Duration
	// Err is what the call returned; see [ErrNotApplied], [ErrConflict] and
	// [NeedsReview] for writes.
	Err error
}

// OperationFromContext names the operation that a request belongs to, such as
// "captures.create", or "do"; "" outside of this package's requests. It is for
// middleware: span names and metric labels of low cardinality.
func OperationFromContext(ctx context.Context) string {
	if s := tryFrom(ctx); s != nil {
		return s.op
	}
	return ""
}

// OrderFromContext reports which order a request is about: Plural's id of it,
// "" of an order that is being created or looked up by its reference, and the
// merchant's reference of the order, capture or refund, where the call has one.
// It is for middleware: attributes of spans, of high cardinality.
func OrderFromContext(ctx context.Context) (orderID, reference string) {
	if s := tryFrom(ctx); s != nil {
		return s.orderID, s.reference
	}
	return "", ""
}

// AttemptFromContext tells of a request which send of its call it is, from 1;
// 0 outside of this package's requests. A settling read asks Plural's books
// what became of a write: that they show nothing of it is an answer, and no
// failure. It is for middleware.
func AttemptFromContext(ctx context.Context) (number int, isSettlingRead bool) {
	if s := tryFrom(ctx); s != nil {
		return s.attempt, s.isSettling
	}
	return 0, false
}

// observer is told of calls; nil if nobody asked.
type observer func(ctx context.Context, o Observation)

// notify calls the observer, and keeps its panics to itself.
func (o observer) notify(ctx context.Context, seen Observation) {
	if o == nil {
		return
	}
	defer func() { _ = recover() }()
	o(ctx, seen)
}
