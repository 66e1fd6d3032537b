// Package retry holds the arithmetic of repeating: how long to wait, how long one try may take, and whether either fits into what is left.
package retry

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest Retry-After that is waited for; a longer one ends the repeating.
const MaxRetryAfter = 60 * time.Second

// Policy says how often and how fast to repeat.
type Policy struct {
	MaxAttempts        int
	MinDelay, MaxDelay time.Duration
}

// Backoff is the wait after try number n, counted from 1: a random part of MinDelay doubled n-1 times and capped at MaxDelay.
func (p Policy) Backoff(n int) time.Duration {
	most := p.MinDelay
	for i := 1; i < n && most < p.MaxDelay; i++ {
		most *= 2
	}
	most = min(most, p.MaxDelay)
	if most <= 0 {
		return 0
	}
	return rand.N(most + 1) //nolint:gosec // jitter is no secret
}

// Wait waits for d, or says false at once when d does not fit into ctx's deadline, or as soon as ctx ends.
func Wait(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok && d >= time.Until(deadline) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// AttemptTimeout is how long one try may take: most, and no more than ctx has left. With reserve, a part of what is left is kept for asking what
// became of the try: a quarter, or two seconds if that is more, but never above one half.
func AttemptTimeout(ctx context.Context, most time.Duration, reserve bool) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return most
	}
	left := time.Until(deadline)
	if reserve {
		left -= max(left/4, min(2*time.Second, left/2))
	}
	return min(most, left)
}

// After reads a Retry-After header, in seconds or as a date. A date is taken relative to now. Nonsense and the past are 0.
func After(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		const most = uint64(365 * 24 * time.Hour / time.Second)
		return time.Duration(min(seconds, most)) * time.Second //nolint:gosec // capped at a year
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}
