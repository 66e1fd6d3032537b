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

// minLooks is the smallest number of looks during lookSpan. A look may also
// send its request this often if the request fails, even if the options allow
// fewer tries.
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

// countIf counts one more look if the parameter same is true. Otherwise the
// count starts again from zero.
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

// waitToLook waits before look number n+1. The retry policy sets the length of
// the wait. Then these rules limit the length, in this order:
//
//   - It is at least lookSpan/(2*minLooks), to spread the looks over lookSpan.
//   - If n is at most 2*minLooks, it is at most half of lookSpan.
//   - If there is a deadline, it is at most half of the time that is left, so
//     the last look is near the deadline. If half of that time is shorter than
//     the policy's MinDelay, it is at most MinDelay.
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
