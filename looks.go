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

// A look is one read of the books. Plural answers from replicas that lag
// behind, so a single look may show an old state. Many results need several
// looks. lookSpan is how long these looks go on, and all of them have to agree.
const lookSpan = 3 * time.Second

// minLooks is the smallest number of looks during lookSpan. If the request of a
// look fails, the look may send the request up to minLooks times, even if the
// options allow fewer tries.
const minLooks = 4

// A streak is a series of consecutive looks that have something in common. For
// example, all of them had the same result.
type streak struct {
	looks int       // the number of looks in the series
	since time.Time // the time of the first look in the series
}

func (s *streak) count() {
	if s.looks == 0 {
		s.since = time.Now()
	}
	s.looks++
}

// countIf adds one look to the streak if the look belongs to the streak.
// Otherwise it ends the streak, and the number of looks is zero again.
func (s *streak) countIf(belongs bool) {
	if !belongs {
		*s = streak{}
		return
	}
	s.count()
}

func (s *streak) lasted(span time.Duration) bool {
	return s.looks >= minLooks && time.Since(s.since) >= span
}

// waitToLook waits before look number n+1. The retry policy sets the length of
// the wait. Then these rules limit the length, in this order:
//
//   - The wait is at least lookSpan/(2*minLooks), to spread the looks over
//     lookSpan.
//   - If n is at most 2*minLooks, the wait is at most half of lookSpan.
//   - If there is a deadline, the wait is at most half of the time until the
//     deadline, so the last look is near the deadline. But if the policy's
//     MinDelay is longer than half of that time, the wait is at most MinDelay.
//
// waitToLook returns false if there is no time for another look.
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

// isPassing reports whether a look failed for one of two reasons: the
// credentials are refused, or the server fails again and again. Such a reason
// may go away later, and shows nothing about the write.
func isPassing(err error) bool {
	return errors.Is(err, ErrUnauthorized) || isExhausted(err)
}

// isExhausted reports whether a look failed although its request was repeated
// as often as allowed.
func isExhausted(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Retryable()
}
