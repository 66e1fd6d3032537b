// Package retry calculates times for repeating a request: how long to wait, and
// how long one try may take. It also reports whether a wait fits into the time
// that is left.
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

// MaxRetryAfter is the longest Retry-After that a call waits for. If a server
// asks for a longer wait, the request is not repeated.
const MaxRetryAfter = 60 * time.Second

// Policy sets how often a request is tried, and how long to wait in between.
type Policy struct {
	MaxAttempts        int
	MinDelay, MaxDelay time.Duration
}

// Backoff returns the wait after try number n. The first try is number 1. The
// wait is random. Its upper limit is MinDelay, doubled n-1 times, but never
// more than MaxDelay.
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

// Fits reports whether d fits into the time that is left until ctx's deadline.
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

// AttemptTimeout returns how long one try may take from now. The result is
// never longer than maxTime.
//
// If the argument withReserve is true and ctx has a deadline, the try also ends
// before this deadline. The time between the end of the try and the deadline is
// the reserve. In this time the caller can find out what the try has done. The
// shortest reserve depends on the time from now to the deadline:
//
//   - If less than four seconds are left, the reserve is half of this time.
//   - If four to eight seconds are left, the reserve is two seconds.
//   - If more than eight seconds are left, the reserve is a quarter of this
//     time.
//
// If the argument withReserve is false, the result is maxTime, even if the
// deadline of ctx comes earlier. In that case the try ends at the deadline,
// before its own time limit. So the end of ctx is not mistaken for this limit.
func AttemptTimeout(ctx context.Context, now time.Time, maxTime time.Duration, withReserve bool) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok || !withReserve {
		return maxTime
	}
	left := deadline.Sub(now)
	return min(maxTime, left-max(left/4, min(2*time.Second, left/2)))
}

// After returns the wait that a Retry-After header asks for. The
// value of the header is a number of seconds, with or without a fraction, or a
// date. If it is a date, the wait is the time from now until that date. The
// header Date of the answer is taken as the current time. If the answer has no
// such header, the argument now is the current time. An invalid value or a date
// in the past gives 0.
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
