// Package retry has the arithmetic of repeating: how long to wait, how long one
// try may take, and whether either fits into the time that is left.
package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest Retry-After that is waited for; after a longer
// one the request is not repeated.
const MaxRetryAfter = 60 * time.Second

// Policy says how often and how fast to repeat.
type Policy struct {
	MaxAttempts        int
	MinDelay, MaxDelay time.Duration
}

// Backoff is the wait after try number n, counted from 1: a random part of
// MinDelay doubled n-1 times and capped at MaxDelay.
func (p Policy) Backoff(n int) time.Duration {
	most := min(p.MinDelay, p.MaxDelay)
	for i := 1; i < n && most < p.MaxDelay; i++ {
		most += min(most, p.MaxDelay-most) // never overflows
	}
	if most <= 0 {
		return 0
	}
	return rand.N(most) + 1 //nolint:gosec // jitter is not a secret
}

// Fits reports whether d fits into what ctx's deadline leaves.
func Fits(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || d < time.Until(deadline)
}

// Wait waits for d and returns true. It returns false at once when d does not
// fit into ctx's deadline, or as soon as ctx ends.
func Wait(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil || !Fits(ctx, d) {
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

// AttemptTimeout is how long one try may take from now, within ctx and no
// longer than most. With reserve, part of ctx's remaining time is kept for
// asking what became of the try: a quarter, or two seconds if that is more, but
// never above one half. Without it ctx ends the try by itself, so the two ends
// cannot be confused.
func AttemptTimeout(ctx context.Context, now time.Time, most time.Duration, reserve bool) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok || !reserve {
		return most
	}
	left := deadline.Sub(now)
	return min(most, left-max(left/4, min(2*time.Second, left/2)))
}

// After reads a Retry-After header, in seconds, with or without a fraction, or
// as a date. A date is taken relative to the answer's own Date, or to now if it
// has none. An invalid value or a date in the past gives 0.
func After(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	const most = 365 * 24 * time.Hour             // a date further away is capped
	whole, fraction, _ := strings.Cut(value, ".") // HTTP has no fractions here, but servers send them
	seconds, err := strconv.ParseUint(whole, 10, 64)
	if (err == nil || errors.Is(err, strconv.ErrRange)) && strings.Trim(fraction, "0123456789") == "" {
		rest, _ := time.ParseDuration("0." + fraction + "s") // digits
		return min(time.Duration(min(seconds, uint64(most/time.Second)))*time.Second+rest, most)
	}
	if date, err := http.ParseTime(value); err == nil {
		if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
			now = theirs
		}
		return min(max(0, date.Sub(now)), most)
	}
	return 0
}
