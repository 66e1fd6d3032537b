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

// lookSpan is for results that count only if the books show them several times.
// Plural's replicas may answer with an older state, so the call reads the books
// again and again for at least lookSpan. All these reads have to agree.
const lookSpan = 3 * time.Second

// minLooks is the smallest number of times that the call reads the books during
// lookSpan. If one of these reads fails, its request may be sent up to minLooks
// times, even if the options allow fewer tries.
const minLooks = 4

// A streak counts consecutive reads of the books that have something in common.
// For example, all of them had the same result.
type streak struct {
	reads int       // the number of reads in the series
	since time.Time // the time of the first read in the series
}

func (s *streak) count() {
	if s.reads == 0 {
		s.since = time.Now()
	}
	s.reads++
}

// If isInSeries is true, countIf adds one read to the series. Otherwise countIf
// ends the series, so the number of reads is zero again.
func (s *streak) countIf(isInSeries bool) {
	if !isInSeries {
		*s = streak{}
		return
	}
	s.count()
}

func (s *streak) lasted(span time.Duration) bool {
	return s.reads >= minLooks && time.Since(s.since) >= span
}

// waitForNextRead waits after read number n of the books, before the next read.
// The retry policy sets the length of the wait. Then these rules limit the
// length, in this order:
//
//   - The wait is at least lookSpan/(2*minLooks), to spread the reads over
//     lookSpan.
//   - If n is at most 2*minLooks, the wait is at most half of lookSpan.
//   - If there is a deadline, the wait is at most half of the time until the
//     deadline, so the last read is near the deadline. But if the policy's
//     MinDelay is longer than half of that time, the wait is at most MinDelay.
//
// waitForNextRead returns false if there is no time for another read.
func (k *call) waitForNextRead(ctx, window context.Context, n int) bool {
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

// isTemporary reports whether the books could not be read for one of two
// reasons: Plural refused the credentials, or the server failed again and
// again. Such a reason may go away later, and shows nothing about the write.
func isTemporary(err error) bool {
	return errors.Is(err, ErrUnauthorized) || isExhausted(err)
}

// isExhausted reports whether the books could not be read, although the request
// was repeated as often as allowed.
func isExhausted(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Retryable()
}
