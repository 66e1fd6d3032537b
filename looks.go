package plural

import (
	"context"
	"errors"
	"time"

	"github.com/plural-go/plural/internal/retry"
)

// settleWindow is how long a call may read the books to find out what happened
// to a write, if the caller's context has no deadline.
const settleWindow = 60 * time.Second

// A look is one read of the books. lookSpan is how long all looks have to agree
// before they count, because Plural answers from replicas that lag behind.
const lookSpan = 3 * time.Second

// minLooks is the smallest number of looks at the books before a call gives up.
// This number holds even if fewer attempts are configured.
const minLooks = 4

// streak counts consecutive looks that agree, and remembers when the first of
// them was.
type streak struct {
	looks int
	since time.Time
}

func (s *streak) count() {
	if s.looks == 0 {
		s.since = time.Now()
	}
	s.looks++
}

// countIf counts one more look if same is true. Otherwise it starts again from
// zero.
func (s *streak) countIf(same bool) {
	if !same {
		*s = streak{}
		return
	}
	s.count()
}

func (s *streak) lasted(span time.Duration) bool {
	return s.looks >= minLooks && time.Since(s.since) >= span
}

// waitToLook waits before look number n+1. The wait is as long as the policy
// says, but at least long enough to spread the looks over lookSpan. Each of the
// first 2*minLooks waits is at most half of lookSpan. If there is a deadline,
// the wait is at most half of the time that is left, so the last look is near
// the deadline. waitToLook returns false if there is no time for another look.
func (k *call) waitToLook(ctx, window context.Context, n int) bool {
	policy := k.p.cfg.retry
	wait := max(policy.Backoff(n), lookSpan/(2*minLooks))
	if n <= 2*minLooks {
		wait = min(wait, lookSpan/2)
	}
	if deadline, ok := window.Deadline(); ok {
		wait = min(wait, max(time.Until(deadline)/2, policy.MinDelay))
	}
	k.cut = k.cut || !retry.Fits(ctx, wait)
	return retry.Wait(window, wait)
}

// isPassing reports whether a look failed for a reason that may pass and is not
// about the write: the server is broken, or the credentials are refused.
func isPassing(err error) bool {
	return errors.Is(err, ErrUnauthorized) || isExhausted(err)
}

// isExhausted reports whether a look failed although its request was repeated
// as often as allowed.
func isExhausted(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Retryable()
}
