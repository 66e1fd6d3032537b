package plural

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/token"
)

// send is the loop that sends: until accept takes an answer that is OK by its
// status, or until an answer must not be followed by another try, or cannot be.
// It returns what the last answer means for the request, and, unless that was
// taken, the error for it.
func (k *call) send(ctx context.Context, accept func(*answer) error, repeats policy) (answerClass, *Error) {
	for {
		a := k.try(ctx)
		class, unfit := a.class(), error(nil)
		if class == classOK {
			if unfit = accept(a); unfit == nil {
				return classOK, nil
			}
			class = classAmbiguous
			if a.document().code().isDefinitive() {
				class = classRejected
			}
		}
		k.ambiguous = k.ambiguous || class == classAmbiguous
		failure := k.failure(a, unfit)
		if repeats(class, failure) && k.waitToRepeat(ctx, failure) {
			continue
		}
		if class != classRejected {
			failure = k.orEnded(ctx, failure)
		}
		return class, failure
	}
}

// policy reports whether a request may be sent again after such an answer.
type policy func(class answerClass, failure *Error) bool

// repeatRead is for requests that have no effect.
func repeatRead(_ answerClass, failure *Error) bool { return failure.Retryable() }

// repeatUnsent is for requests that reach Plural once at most.
func repeatUnsent(class answerClass, failure *Error) bool {
	return class == classNotSent && failure.Retryable()
}

// repeatNotTaken is for writes. One that may have been carried out is sent
// again only after a look at the books, see [settlement].
func repeatNotTaken(class answerClass, failure *Error) bool {
	return (class == classNotSent || class == classThrottled) && failure.Retryable()
}

// repeatCreate is for new orders: two of one reference cannot be.
func repeatCreate(class answerClass, failure *Error) bool {
	return class == classAmbiguous || repeatNotTaken(class, failure)
}

// waitToRepeat waits for the next try, as long as the policy says and as the
// answer asked for; false when there is none, or no time for it.
func (k *call) waitToRepeat(ctx context.Context, failure *Error) bool {
	asked := failure.RetryAfter
	if refused := tokenAnswerError(failure.Err); refused != nil {
		asked = refused.RetryAfter
	}
	if k.attempts >= k.maxAttempts() || asked > retry.MaxRetryAfter {
		return false
	}
	if backoff, ok := errors.AsType[*token.FetchError](failure.Err); ok {
		asked = time.Until(backoff.Until)
	}
	wait := max(k.p.cfg.retry.Backoff(k.attempts), asked)
	k.cut = k.cut || !retry.Fits(ctx, wait)
	return retry.Wait(ctx, wait)
}

func (k *call) maxAttempts() int {
	most := k.p.cfg.retry.MaxAttempts
	switch {
	case k.cfg.tries > 0:
		return k.cfg.tries
	case k.isSettlingRead:
		return max(most, minLooks)
	case k.cfg.withoutRetry:
		return 1
	}
	return most
}

// orEnded adds the context's error to a failure that was not repeated because
// of it, also where the context has not ended yet but left no time.
func (k *call) orEnded(ctx context.Context, err *Error) *Error {
	ended, is := endOf(ctx), ctx.Err()
	if ended == nil && k.cut {
		ended, is = context.DeadlineExceeded, context.DeadlineExceeded
	}
	if ended != nil && !errors.Is(err, is) {
		err.Err = errors.Join(ended, err.Err)
	}
	return err
}

// read sends until decode accepts an answer. For requests that have no effect.
func (k *call) read(ctx context.Context, decode func(*answer) error) (err error) {
	defer k.observe(ctx, time.Now(), &err)
	if _, failure := k.send(ctx, decode, repeatRead); failure != nil {
		return failure
	}
	return nil
}

// sendOnce sends at most once; only a try of which nothing was sent is followed
// by another.
func (k *call) sendOnce(ctx context.Context, decode func(*answer) error) (err error) {
	defer k.observe(ctx, time.Now(), &err)
	isWhole := false // the answer is, and does not fit
	class, failure := k.send(ctx, func(a *answer) error {
		err := decode(a)
		d := a.document()
		if isWhole = err != nil && d.isJSON && !d.code().isDefinitive(); isWhole {
			return fmt.Errorf("the request was accepted, and its answer was not understood: %w", err)
		}
		return err
	}, repeatUnsent)
	switch {
	case failure == nil:
		return nil
	case class == classAmbiguous && !isWhole:
		return &OutcomeUnknownError{Op: k.op.op(), Err: failure}
	}
	return failure
}

// warm has the token fetched, like a call of which nothing is sent.
func (k *call) warm(ctx context.Context) error {
	_, failure := k.send(ctx, func(*answer) error { return nil }, repeatUnsent)
	if failure == nil {
		return nil
	}
	if refused := tokenAnswerError(failure.Err); refused != nil {
		own := *refused
		own.Attempts = k.attempts
		return k.orEnded(ctx, &own)
	}
	return failure
}

// settleWindow is how long an unsettled write is read again when the caller's
// context has no deadline.
const settleWindow = 60 * time.Second

// lookSpan is over what time looks at the books have to agree, at the least:
// replicas lag.
const lookSpan = 3 * time.Second

// minLooks is how often books that do not settle a matter are looked at, at the
// least, however few the attempts.
const minLooks = 4

// streak counts looks in a row.
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

// countIf counts, or begins again.
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

// waitToLook waits before look number n+1: as long as the policy says, but no
// less than spreads the looks over lookSpan, and no longer than half of the
// time left, so the last look is near the end of it.
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

// isExhausted reports whether a look failed in a way that it has repeated by
// itself as often as allowed.
func isExhausted(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Retryable()
}
