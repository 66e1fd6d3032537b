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

// observer is told of calls; nil if nobody asked.
type observer func(ctx context.Context, o Observation)

// tell keeps the observer's panics to itself.
func (tell observer) tell(ctx context.Context, o Observation) {
	if tell == nil {
		return
	}
	defer func() { _ = recover() }()
	tell(ctx, o)
}
