package plural

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/token"
)

// The method send tries the request one or more times. It passes each answer of
// the class classOK to the function in the parameter accept. If that function
// returns nil, the answer is accepted, and the method sends nothing more. The
// method also stops if no other try is allowed or possible. The first result
// shows what the last answer means for the request. If the last answer was not
// accepted, the second result is the error.
func (k *call) send(ctx context.Context, accept func(*answer) error, repeats policy) (answerClass, *Error) {
	for {
		a := k.tryOnce(ctx)
		class, acceptErr := a.findClass(), error(nil)
		if class == classOK {
			if acceptErr = accept(a); acceptErr == nil {
				return classOK, nil
			}
			class = classAmbiguous
			if a.document().code().isDefinitive() {
				class = classRejected
			}
		}
		k.ambiguous = k.ambiguous || class == classAmbiguous
		failure := k.failure(a, acceptErr)
		if repeats(class, failure) && k.waitToRepeat(ctx, failure) {
			continue
		}
		if class != classRejected {
			failure = k.orEnded(ctx, failure)
		}
		return class, failure
	}
}

// A policy decides whether a request may be sent again after an answer of the
// given class. [Error.Retryable] reports whether another try may succeed.
type policy func(class answerClass, failure *Error) bool

// repeatRead is the policy for requests without an effect.
func repeatRead(_ answerClass, failure *Error) bool { return failure.Retryable() }

// repeatUnsent is the policy for requests that must reach Plural at most once.
func repeatUnsent(class answerClass, failure *Error) bool {
	return class == classNotSent && failure.Retryable()
}

// repeatNotTaken is the policy for writes. A write that may have been carried
// out is sent again only after the books were read, see [trackedWrite].
func repeatNotTaken(class answerClass, failure *Error) bool {
	return (class == classNotSent || class == classThrottled) && failure.Retryable()
}

// repeatCreate is the policy for new orders. It also repeats after a lost
// answer, because there cannot be two orders with one reference.
func repeatCreate(class answerClass, failure *Error) bool {
	return class == classAmbiguous || repeatNotTaken(class, failure)
}

// waitToRepeat waits before the next try. It waits as long as the retry policy
// says. It waits longer if the answer asks for a longer wait, or if the next
// token can only be fetched later. It returns false in these cases:
//
//   - No try is left.
//   - The answer asks for a wait of more than [retry.MaxRetryAfter].
//   - No time is left for another try, or the context has ended.
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

// contextErrors returns the error of the context in two forms, if the context
// ended the call. The first form is the context's error together with the cause
// that the caller gave to the context, if there is a cause. The second form is
// the context's error without the cause. If the context did not end the call,
// both results are nil.
//
// The context's deadline may have ended the call before the context itself
// ended: the deadline cut a try short, or left too little time for another try.
// In this case both results are [context.DeadlineExceeded].
func (k *call) contextErrors(ctx context.Context) (withCause, withoutCause error) {
	if withCause = endOf(ctx); withCause == nil && k.cut {
		return context.DeadlineExceeded, context.DeadlineExceeded
	}
	return withCause, ctx.Err()
}

// orEnded adds the context's error to a failure, if the context prevented
// another try.
func (k *call) orEnded(ctx context.Context, err *Error) *Error {
	if withCause, withoutCause := k.contextErrors(ctx); withCause != nil && !errors.Is(err, withoutCause) {
		err.Err = errors.Join(withCause, err.Err)
	}
	return err
}

// This method sends a request that has no effect. It tries the request until
// the function in the parameter decode returns nil for an answer. The method
// stops earlier if no other try is allowed or possible.
func (k *call) read(ctx context.Context, decode func(*answer) error) (err error) {
	defer k.notifyObserver(ctx, time.Now(), &err)
	if _, failure := k.send(ctx, decode, repeatRead); failure != nil {
		return failure
	}
	return nil
}

// sendOnce sends a request that must reach Plural at most once. It tries again
// only if nothing was sent.
func (k *call) sendOnce(ctx context.Context, decode func(*answer) error) (err error) {
	defer k.notifyObserver(ctx, time.Now(), &err)
	isWhole := false // the answer is complete JSON, but decode does not accept it
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
		return &OutcomeUnknownError{Op: k.op.op(), OrderID: k.orderID, Err: failure}
	}
	return failure
}

// The method warm fetches the token, and sends no other request.
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
