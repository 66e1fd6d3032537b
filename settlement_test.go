package plural_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// inBubble runs a test on a server of its own, on a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, d *desk), opts ...pluraltest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(opts...)
		t.Cleanup(srv.Close)
		d := &desk{t: t, srv: srv}
		test(t, d)
		srv.Flush()
		require.Len(t, srv.Doubles(), d.doubles, "%q", srv.Doubles())
	})
}

// ready makes the write that moves money from an order that allows it.
func (d *desk) ready(op string, amount int64) write {
	d.t.Helper()
	w := write{op: op, orderID: d.order("order-"+strconv.Itoa(len(d.srv.Orders())), true), amount: amount}
	d.pay(w.orderID, pluraltest.Approve)
	switch op {
	case pluraltest.OpCapturesCreate:
		w.reference = "capture-1"
	case pluraltest.OpRefundsCreate:
		w.reference = "refund-1"
		d.capture(w.orderID, "someone", 0)
	}
	return w
}

// each runs a test for each of the writes.
func each(t *testing.T, test func(t *testing.T, d *desk, w write), opts ...pluraltest.Option) {
	t.Helper()
	for _, w := range []write{
		{op: pluraltest.OpCapturesCreate},
		{op: pluraltest.OpCapturesCreate, amount: partAmount},
		{op: pluraltest.OpCancelsCreate},
		{op: pluraltest.OpRefundsCreate, amount: wholeAmount},
		{op: pluraltest.OpRefundsCreate, amount: partAmount},
	} {
		t.Run(fmt.Sprintf("%s %d", w.op, w.amount), func(t *testing.T) {
			inBubble(t, func(t *testing.T, d *desk) { test(t, d, d.ready(w.op, w.amount)) }, opts...)
		})
	}
}

// agrees makes the call and holds its answer against the books.
func (d *desk) agrees(ctx context.Context, w write, c *plural.Client, opts ...plural.CallOption) outcome {
	d.t.Helper()
	o := outcome{write: w}
	o.order, o.err = w.run(ctx, c, opts...)
	require.Empty(d.t, o.contradicts(d.srv))
	return o
}

func (d *desk) reads() int {
	return len(d.srv.RequestsTo(pluraltest.OpOrdersGet)) + len(d.srv.RequestsTo(pluraltest.OpOrdersGetByReference))
}

func unknownError(t *testing.T, err error) *plural.OutcomeUnknownError {
	t.Helper()
	require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
	var unknown *plural.OutcomeUnknownError
	require.ErrorAs(t, err, &unknown)
	return unknown
}

func requireUnknown(t *testing.T, err error) {
	t.Helper()
	require.NotNil(t, unknownError(t, err))
}

func requireRuledOut(t *testing.T, err error, is error) {
	t.Helper()
	require.NotNil(t, stateError(t, err, is))
}

func stateError(t *testing.T, err error, is error) *plural.StateError {
	t.Helper()
	require.ErrorIs(t, err, is)
	require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	var state *plural.StateError
	require.ErrorAs(t, err, &state)
	return state
}

func rejection(t *testing.T, err error, code plural.ErrorCode) {
	t.Helper()
	require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	var rejected *plural.Error
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, code, rejected.Code)
	var state *plural.StateError
	require.NotErrorAs(t, err, &state)
}

func repeated(f pluraltest.Fault, times int) []pluraltest.Fault {
	var list []pluraltest.Fault
	for range times {
		list = append(list, f)
	}
	return list
}

func TestLostAnswerIsSettledByReading(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.ResetAfterApply, pluraltest.CloseAfterApply, pluraltest.StreamResetAfterApply, pluraltest.HangAfterApply, pluraltest.Truncate,
		pluraltest.ServerErrorAfterApply, pluraltest.TimedOutAfterApply, pluraltest.BadGatewayAfterApply, pluraltest.EmptyOKAfterApply,
		pluraltest.ErrorInOKAfterApply, pluraltest.OtherOrder, pluraltest.HugeBody,
		pluraltest.StatusFault(408, "", pluraltest.ApplyNow), pluraltest.StatusFault(409, "DUPLICATE_REQUEST", pluraltest.ApplyNow),
		pluraltest.StatusFault(425, "", pluraltest.ApplyNow), pluraltest.StatusFault(302, "", pluraltest.ApplyNow),
		pluraltest.StatusFault(503, "", pluraltest.ApplyNow), pluraltest.StatusFault(422, "TIMED_OUT", pluraltest.ApplyNow),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), fault)
				o := d.agrees(t.Context(), w, newClient(t, d.srv))
				require.NoError(t, o.err)
				require.Equal(t, 1, w.touches(d.srv), "it was sent again")
			})
		})
	}
}

func TestLostRequestIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.ResetBeforeApply, pluraltest.CloseBeforeApply, pluraltest.HangBeforeApply, pluraltest.ServerErrorBeforeApply, pluraltest.TimedOutBeforeApply,
		pluraltest.UnavailableBeforeApply, pluraltest.EmptyOKBeforeApply, pluraltest.ErrorInOKBeforeApply, pluraltest.Redirect,
		pluraltest.StatusFault(408, "", pluraltest.ApplyNever), pluraltest.StatusFault(409, "", pluraltest.ApplyNever),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), fault, fault)
				o := d.agrees(t.Context(), w, newClient(t, d.srv), plural.WithRequestID("call-1"))
				require.NoError(t, o.err)
				require.Equal(t, 3, w.touches(d.srv))
				for _, r := range d.srv.RequestsTo(w.op) {
					require.Equal(t, "call-1", r.RequestID)
				}
			})
		})
	}
}

// Four tries are lost; whether they arrive later is not known.
func TestAttemptsRunOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(pluraltest.On(w.op), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		o := d.agrees(t.Context(), w, newClient(t, d.srv))
		unknown := unknownError(t, o.err)
		require.Equal(t, w.op, unknown.Op)
		require.Equal(t, w.orderID, unknown.OrderID)
		require.Equal(t, w.reference, unknown.Reference)
		var failed *plural.Error
		require.ErrorAs(t, unknown, &failed)
		require.Equal(t, plural.CodeInternalError, failed.Code)
		require.Equal(t, 4, failed.Attempts)
		require.Equal(t, 4, w.touches(d.srv))
		if w.op != pluraltest.OpRefundsCreate {
			require.Equal(t, plural.OrderStatusAuthorized, unknown.Last.Status)
		}
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err, "calling again settles it")
	})
}

func TestWithoutRetryStillSettles(t *testing.T) {
	t.Parallel()
	t.Run("lost answer", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, d *desk, w write) {
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.ServerErrorBeforeApply, pluraltest.ResetBeforeApply)
			d.srv.Inject(
				pluraltest.On(pluraltest.OpOrdersGetByReference),
				pluraltest.ServerErrorBeforeApply,
				pluraltest.ResetBeforeApply,
			)
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv), plural.WithoutRetry()).err)
		})
	})
	for name, once := range map[string]func(t *testing.T, d *desk, w write) outcome{
		"call option": func(t *testing.T, d *desk, w write) outcome {
			return d.agrees(t.Context(), w, newClient(t, d.srv), plural.WithoutRetry())
		},
		"one attempt": func(t *testing.T, d *desk, w write) outcome {
			return d.agrees(t.Context(), w, newClient(t, d.srv, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1})))
		},
	} {
		t.Run("lost request, "+name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
				requireUnknown(t, once(t, d, w).err)
				require.Equal(t, 1, w.touches(d.srv))
			})
		})
	}
}

// A request that did not go out, or was turned away for now, is an error like
// any other.
func TestNothingReachedIsNotUnknown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		c := newClient(t, d.srv)
		d.srv.Inject(pluraltest.On(w.op), repeated(pluraltest.Refuse, 4)...)
		o := d.agrees(t.Context(), w, c)
		require.ErrorIs(t, o.err, syscall.ECONNREFUSED)
		require.NotErrorIs(t, o.err, plural.ErrOutcomeUnknown)
		require.Zero(t, w.touches(d.srv))

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		o = d.agrees(ended, w, c)
		require.ErrorIs(t, o.err, context.Canceled)
		require.NotErrorIs(t, o.err, plural.ErrOutcomeUnknown)
		require.Zero(t, w.touches(d.srv))

		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d.srv.Inject(pluraltest.On(pluraltest.OpToken), pluraltest.HangBeforeApply)
		o = d.agrees(short, w, newClient(t, d.srv))
		require.Error(t, o.err)
		require.NotErrorIs(t, o.err, plural.ErrOutcomeUnknown)
		require.Zero(t, w.touches(d.srv))

		d.srv.Inject(pluraltest.On(w.op), repeated(pluraltest.RateLimited, 4)...)
		o = d.agrees(t.Context(), w, c)
		require.ErrorIs(t, o.err, plural.ErrRateLimited)
		require.NotErrorIs(t, o.err, plural.ErrOutcomeUnknown)
		require.Zero(t, d.reads(), "there is nothing to ask the books about")

		d.srv.Inject(pluraltest.On(w.op), pluraltest.Refuse, pluraltest.RateLimitedRetryAfter, pluraltest.Refuse)
		require.NoError(t, d.agrees(t.Context(), w, c).err)
	})
}

// After a try that may have arrived, a request that did not go out says nothing
// about the one before.
func TestNotSentAfterAmbiguous(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]pluraltest.Fault{"refused": pluraltest.Refuse, "rate limited": pluraltest.RateLimited} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(
					pluraltest.On(w.op),
					append([]pluraltest.Fault{pluraltest.ApplyLateReset.After(time.Hour)}, repeated(then, 3)...)...)
				requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				d.srv.Flush()
				require.Equal(t, 1, w.effects(d.srv), "it did arrive")
			})
			each(t, func(t *testing.T, d *desk, w write) {
				// It arrives while the repeats do not get through: the look after the last
				// of them finds it.
				d.srv.Inject(
					pluraltest.On(w.op),
					append([]pluraltest.Fault{pluraltest.ApplyLateReset.After(time.Nanosecond)}, repeated(then, 3)...)...)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.StaleRead)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), pluraltest.StaleRead)
				require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
			})
		})
	}
}

func TestPendingResultIsWaitedFor(t *testing.T) {
	t.Parallel()
	holds := []write{
		{op: pluraltest.OpCapturesCreate},
		{op: pluraltest.OpCapturesCreate, amount: partAmount},
		{op: pluraltest.OpCancelsCreate},
	}
	never := pluraltest.PendingResult.After(1000 * time.Hour)
	tests := map[string]struct {
		fault   pluraltest.Fault
		bound   func(ctx context.Context) (context.Context, context.CancelFunc)
		most    time.Duration
		unknown bool
		cause   error
		fails   bool
	}{
		"done after a while":    {fault: pluraltest.PendingResult.After(20 * time.Second), most: 30 * time.Second},
		"done after many reads": {fault: pluraltest.PendingResult.AfterReads(9), most: time.Minute},
		"failed after a while": {
			fault: pluraltest.PendingThenFailed.After(20 * time.Second),
			most:  30 * time.Second,
			fails: true,
		},
		"never, without deadline": {fault: never, most: time.Minute, unknown: true},
		"never, until a deadline": {fault: never, bound: timeout(3 * time.Minute), most: 3 * time.Minute, unknown: true},
		"late, before a deadline": {
			fault: pluraltest.PendingResult.After(2 * time.Minute),
			bound: timeout(3 * time.Minute),
			most:  130 * time.Second,
		},
		"never, until a cancel": {
			fault:   never,
			bound:   cancelled(10 * time.Second),
			most:    10 * time.Second,
			unknown: true,
			cause:   context.Canceled,
		},
		"never, short deadline": {fault: never, bound: timeout(time.Second), most: time.Second, unknown: true},
		"done after a lost answer": {
			fault: pluraltest.Fault{
				Name:   "lost",
				Effect: pluraltest.ApplyPending,
				Answer: pluraltest.AnswerReset,
				Delay:  20 * time.Second,
			},
			most: 30 * time.Second,
		},
	}
	for name, test := range tests {
		for _, w := range holds {
			t.Run(fmt.Sprintf("%s/%s %d", name, w.op, w.amount), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					w := d.ready(w.op, w.amount)
					ctx := t.Context()
					if test.bound != nil {
						bounded, cancel := test.bound(ctx)
						defer cancel()
						ctx = bounded
					}
					d.srv.Inject(pluraltest.On(w.op), test.fault)
					start := time.Now()
					o := d.agrees(ctx, w, newClient(t, d.srv))
					took := time.Since(start)
					require.LessOrEqual(t, took, test.most)
					require.Equal(t, 1, w.touches(d.srv))
					switch {
					case test.fails:
						require.Equal(t, plural.OrderStatusFailed, stateError(t, o.err, plural.ErrOperationNotAllowed).Order.Status)
					case test.unknown:
						unknown := unknownError(t, o.err)
						require.Equal(t, plural.OrderStatusPending, unknown.Last.Status)
						require.Greater(t, took, test.most/2, "it gave up early")
						switch {
						case test.cause != nil:
							require.ErrorIs(t, o.err, test.cause)
							require.Equal(t, test.most, took, "it went on after the context's end")
						case test.bound == nil:
							require.ErrorContains(t, o.err, "not settled within 1m0s")
							require.NotErrorIs(t, o.err, context.DeadlineExceeded, "the caller's context has no deadline")
						default:
							require.NotContains(t, o.err.Error(), "not settled within")
						}
					default:
						require.NoError(t, o.err)
					}
				})
			})
		}
	}
}

// A look that is under way when the minute is over is cut off, which is no end
// of the caller's context.
func TestSettlingWindowEndsWithinALook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.PendingResult.After(1000*time.Hour))
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.SlowHeaders.After(9*time.Second), 100)...)
		c := newClient(t, d.srv)
		require.NoError(t, c.Warm(t.Context()))
		start := time.Now()
		o := d.agrees(t.Context(), w, c)
		require.LessOrEqual(t, time.Since(start), time.Minute)
		require.Equal(t, plural.OrderStatusPending, unknownError(t, o.err).Last.Status)
		require.ErrorContains(t, o.err, "not settled within 1m0s")
		require.NotErrorIs(t, o.err, context.DeadlineExceeded)
		d.srv.ClearFaults()
	})
}

func timeout(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
}

func cancelled(after time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		timer := time.AfterFunc(after, cancel)
		return ctx, func() { timer.Stop(); cancel() }
	}
}

// A refund that the bank has yet to carry out is accepted, which is what was
// asked for.
func TestPendingRefundIsAccepted(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]pluraltest.Fault{
		"answered": {pluraltest.PendingThenFailed.After(72 * time.Hour)},
		"lost":     {{Name: "lost", Effect: pluraltest.ApplyPending, Answer: pluraltest.AnswerReset, Delay: 72 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.ready(pluraltest.OpRefundsCreate, partAmount)
				d.srv.Inject(pluraltest.On(w.op), faults...)
				start := time.Now()
				o := d.agrees(t.Context(), w, newClient(t, d.srv))
				require.NoError(t, o.err)
				require.Equal(t, plural.OrderStatusPending, o.order.Status)
				require.LessOrEqual(t, time.Since(start), time.Second)
			})
		})
	}
}

func TestFailedResults(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(pluraltest.On(w.op), pluraltest.FailedResult)
		c := newClient(t, d.srv)
		first := stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
		require.Equal(t, plural.OrderStatusFailed, first.Order.Status)
		require.Equal(t, w.op, first.Op)
		require.Equal(t, w.reference, first.Reference)
		require.NoError(t, first.Unwrap(), "the answer was no rejection")
		require.NotErrorIs(t, first, plural.ErrReferenceReused)
		require.Zero(t, d.reads(), "the answer says it all")
		requireRuledOut(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
	})
}

// deadlines leave time to ask what became of the one try that there is time
// for.
func TestDeadlineLeavesTimeForSettling(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{400 * time.Millisecond, 3 * time.Second, 8 * time.Second, 12 * time.Second} {
		t.Run(limit.String(), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				c := newClient(t, d.srv)
				require.NoError(t, c.Warm(t.Context()))
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				d.srv.Inject(pluraltest.On(w.op), pluraltest.HangAfterApply)
				require.NoError(t, d.agrees(ctx, w, c).err)
				require.NoError(t, ctx.Err())
			})
		})
	}
	t.Run("nor for more", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, d *desk, w write) {
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			d.srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
				if r.Op == pluraltest.OpToken {
					return pluraltest.NoFault
				}
				return pluraltest.HangAfterApply
			})
			start := time.Now()
			o := d.agrees(ctx, w, newClient(t, d.srv))
			requireUnknown(t, o.err)
			require.ErrorIs(t, o.err, context.DeadlineExceeded)
			require.Equal(t, 8*time.Second, time.Since(start))
			d.srv.ClearFaults()
		})
	})
}

func TestServerGoesAwayAfterTheWrite(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.Match{Op: pluraltest.OpOrdersGet}, repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		d.srv.Inject(
			pluraltest.Match{Op: pluraltest.OpOrdersGetByReference},
			repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		c := newClient(t, d.srv)
		o := d.agrees(t.Context(), w, c)
		unknown := unknownError(t, o.err)
		require.Nil(t, unknown.Last)
		require.ErrorContains(t, o.err, "INTERNAL_ERROR", "why the books could not be read")
		require.Equal(t, 4, d.reads(), "one look, which repeats by itself")
		d.srv.ClearFaults()
		require.NoError(t, d.agrees(t.Context(), w, c).err, "calling again settles it")
		require.LessOrEqual(t, w.touches(d.srv), 2)
	})
}

// An answer of the books that cannot be used is an unclear look, and there is
// another one.
func TestUnusableLooksAreRepeated(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.Redirect, pluraltest.OtherOrder, pluraltest.EmptyOKAfterApply, pluraltest.StatusFault(403, "", pluraltest.ApplyNow),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(fault, 3)...)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(fault, 3)...)
				require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				require.Equal(t, 1, w.touches(d.srv))
			})
			each(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(fault, 100)...)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(fault, 100)...)
				start := time.Now()
				requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				require.LessOrEqual(t, time.Since(start), 30*time.Second)
				d.srv.ClearFaults()
			})
		})
	}
	t.Run("while PENDING", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.ready(pluraltest.OpCapturesCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.PendingResult.AfterReads(6))
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), append(repeated(pluraltest.NoFault, 5), pluraltest.Redirect)...)
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		})
	})
}

// The vendor's own rejections, as a repeated call meets them, are looked into.
func TestIdempotentByReference(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]pluraltest.Option{
		"existing": nil,
		"rejected": {
			pluraltest.WithDuplicateRefunds(pluraltest.DuplicateRejected), pluraltest.WithDuplicateCaptures(pluraltest.DuplicateRejected),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				c := newClient(t, d.srv)
				first := d.agrees(t.Context(), w, c)
				require.NoError(t, first.err)
				for range 3 {
					again := d.agrees(t.Context(), w, c)
					require.NoError(t, again.err)
					require.Equal(t, first.order.OrderID, again.order.OrderID)
					c = newClient(t, d.srv) // as after a restart
				}
				restarted := newClient(t, d.srv)
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
				require.NoError(t, d.agrees(t.Context(), w, restarted).err)
			}, opts...)
			t.Run("another amount", func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpRefundsCreate} {
						w := d.ready(op, partAmount)
						c := newClient(t, d.srv)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
						time.Sleep(time.Minute) // an entry of this second may be the call's own
						other := w
						other.amount = partAmount - 100
						reused := stateError(t, d.agrees(t.Context(), other, c).err, plural.ErrReferenceReused)
						require.NotErrorIs(t, reused, plural.ErrOperationNotAllowed)
						require.NotNil(t, reused.Order)
						if op == pluraltest.OpCapturesCreate {
							whole := w
							whole.amount = 0
							requireRuledOut(t, d.agrees(t.Context(), whole, c).err, plural.ErrReferenceReused)
						}
					}
				}, opts...)
			})
			t.Run("another order", func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					c := newClient(t, d.srv)
					w := d.ready(pluraltest.OpRefundsCreate, partAmount)
					require.NoError(t, d.agrees(t.Context(), w, c).err)
					other := d.ready(pluraltest.OpRefundsCreate, partAmount)
					requireRuledOut(t, d.agrees(t.Context(), other, c).err, plural.ErrReferenceReused)

					third := d.ready(pluraltest.OpRefundsCreate, partAmount)
					third.reference = d.srv.Orders()[0].Reference
					requireRuledOut(t, d.agrees(t.Context(), third, c).err, plural.ErrReferenceReused)
				}, opts...)
			})
		})
	}
}

func TestConcurrentCallsOfOneReference(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(
			pluraltest.On(w.op),
			pluraltest.ResetBeforeApply,
			pluraltest.ResetAfterApply,
			pluraltest.ServerErrorBeforeApply,
		)
		results := make(chan error)
		clients := []*plural.Client{newClient(t, d.srv), newClient(t, d.srv)}
		for i := range 8 {
			go func() {
				_, err := w.run(t.Context(), clients[i%2])
				results <- err
			}()
		}
		for range 8 {
			require.NoError(t, <-results)
		}
		require.Equal(t, 1, w.effects(d.srv))
	})
}

func TestCaptureAgainstCancel(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		for range 20 {
			capture := d.ready(pluraltest.OpCapturesCreate, 0)
			cancel := write{op: pluraltest.OpCancelsCreate, orderID: capture.orderID}
			c := newClient(t, d.srv)
			results := make(chan outcome)
			for _, w := range []write{capture, cancel} {
				go func() {
					o := outcome{write: w}
					o.order, o.err = w.run(t.Context(), c)
					results <- o
				}()
			}
			done := 0
			for range 2 {
				o := <-results
				require.Empty(t, o.contradictsLater(d.srv))
				if o.err == nil {
					done++
				} else {
					requireRuledOut(t, o.err, plural.ErrOperationNotAllowed)
				}
			}
			require.Equal(t, 1, done)
		}
	})
}

func TestRejections(t *testing.T) {
	t.Parallel()
	const (
		ofState   = iota // open books contradict it
		ofRequest        // open books confirm it
		ofNeither
	)
	for code, kind := range map[string]int{
		"OPERATION_NOT_ALLOWED":  ofState,
		"ORDER_CANCELLED":        ofState,
		"DUPLICATE_REQUEST":      ofState,
		"PAYMENT_PENDING":        ofState,
		"PAYMENT_NOT_AUTHORIZED": ofState,
		"PAYMENT_EXPIRED":        ofState,
		"AMOUNT_LIMIT_EXCEEDED":  ofRequest,
		"INVALID_REQUEST":        ofRequest,
		"RISK_CHECK_FAILED":      ofRequest,
		"PAYMENT_DECLINED":       ofRequest,
		"INVALID_USER_ACCOUNT":   ofRequest,
		"PAYMENT_RATE_LIMIT":     ofNeither,
		"ORDER_NOT_FOUND":        ofNeither,
		"NEVER_HEARD_OF":         ofNeither,
		"":                       ofNeither,
	} {
		for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate} {
			t.Run(code+"/"+op, func(t *testing.T) {
				t.Parallel()
				t.Run("over open books", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.ready(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						began := time.Now()
						o := d.agrees(t.Context(), w, newClient(t, d.srv))
						if kind == ofState {
							requireUnknown(t, o.err)
						} else {
							rejection(t, o.err, plural.ErrorCode(code))
						}
						require.Equal(t, kind == ofRequest, errors.Is(o.err, plural.ErrNotApplied))
						require.Equal(t, 1, w.touches(d.srv))
						require.GreaterOrEqual(t, len(d.srv.RequestsTo(pluraltest.OpOrdersGet)), 4)
						require.GreaterOrEqual(t, time.Since(began), 3*time.Second, "replicas lag")
					})
				})
				t.Run("after an ambiguous try", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.ready(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), append([]pluraltest.Fault{pluraltest.ApplyLateReset.After(time.Hour)},
							repeated(pluraltest.StatusFault(422, code, pluraltest.ApplyNever), 3)...)...)
						o := d.agrees(t.Context(), w, newClient(t, d.srv))
						requireUnknown(t, o.err)
						d.srv.Flush()
						require.Equal(t, 1, w.effects(d.srv))
					})
				})
				t.Run("caused by an earlier life", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.ready(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.NoFault, pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						c := newClient(t, d.srv)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
						// The books are behind at first.
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.StaleRead, 3)...)
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.StaleRead, 3)...)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
					})
				})
				t.Run("with one attempt", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.ready(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.NoFault, pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						c := newClient(t, d.srv, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
						require.NoError(t, d.agrees(t.Context(), w, c).err)
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.StaleRead, 3)...)
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.StaleRead, 3)...)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
					})
				})
				t.Run("with a server that does not answer", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.ready(op, amountFor(op))
						d.srv.Inject(pluraltest.On(op), pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
						requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
					})
				})
				t.Run("with too little time", func(t *testing.T) {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.ready(op, amountFor(op))
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
						defer cancel()
						d.srv.Inject(pluraltest.On(op), pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
						d.srv.Inject(
							pluraltest.On(pluraltest.OpOrdersGet),
							pluraltest.NoFault,
							pluraltest.SlowHeaders.After(4900*time.Millisecond),
							pluraltest.HangBeforeApply,
						)
						requireUnknown(t, d.agrees(ctx, w, newClient(t, d.srv)).err)
						d.srv.ClearFaults()
					})
				})
			})
		}
	}
}

func amountFor(op string) int64 {
	if op == pluraltest.OpCancelsCreate {
		return 0
	}
	return partAmount
}

// The looks that let a rejection stand have to be in a row: one stale look
// among others that tell of a capture under way is not enough.
func TestRejectionAfterPendingAndStale(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.PendingResult.After(40*time.Second))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		requireUnknown(t, d.agrees(short, w, newClient(t, d.srv)).err)

		// Called again: rejected, and seen PENDING for so long that no look is left,
		// then once as it was before.
		d.srv.Inject(
			pluraltest.On(pluraltest.OpOrdersGet),
			append(repeated(pluraltest.NoFault, 5), repeated(pluraltest.StaleRead, 3)...)...)
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
}

// requireLastCause checks what an unknown outcome's cause is. It matches no
// sentinel: what the server said last is no verdict.
func requireLastCause(t *testing.T, err error, code plural.ErrorCode) {
	t.Helper()
	var last *plural.Error
	require.ErrorAs(t, err, &last)
	require.Equal(t, code, last.Code)
	require.NotErrorIs(t, err, plural.ErrDuplicateRequest)
	require.NotErrorIs(t, err, plural.ErrOperationNotAllowed)
}

// The rejection that led to the look comes with the finding; after an ambiguous
// try there is none that counts.
func TestRuledOutAndRejected(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w, c := d.ready(pluraltest.OpCapturesCreate, partAmount), newClient(t, d.srv)
		require.NoError(t, d.srv.Cancel(w.orderID))
		state := stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
		require.Equal(t, plural.OrderStatusCancelled, state.Order.Status)
		var rejected *plural.Error
		require.ErrorAs(t, state, &rejected)
		require.Equal(t, plural.CodeOrderCancelled, rejected.Code)

		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
		state = stateError(t, d.agrees(t.Context(), w, c).err, plural.ErrOperationNotAllowed)
		require.NotErrorAs(t, state, &rejected)
	})
}

func TestDuplicateOverOpenBooksIsUnknown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(pluraltest.On(w.op), pluraltest.StatusFault(422, "DUPLICATE_REQUEST", pluraltest.ApplyNever))
		o := d.agrees(t.Context(), w, newClient(t, d.srv))
		requireUnknown(t, o.err)
		requireLastCause(t, o.err, plural.CodeDuplicateRequest)
		require.Equal(t, 1, w.touches(d.srv))
	})
}

// Nothing is authorised, so that nothing can have been carried out; but what
// was lost may still arrive after the payer has paid.
func TestUnpaidOrders(t *testing.T) {
	t.Parallel()
	for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate} {
		for name, decisions := range map[string][]pluraltest.Decision{"CREATED": nil, "ATTEMPTED": {pluraltest.Decline("no")}} {
			t.Run(op+"/"+name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					w := write{op: op, orderID: d.order("order-1", true), amount: amountFor(op)}
					if op == pluraltest.OpCapturesCreate {
						w.reference = "capture-1"
					}
					d.pay(w.orderID, decisions...)
					rejection(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err, plural.CodeOperationNotAllowed)
					d.srv.Inject(pluraltest.On(op), pluraltest.ApplyLateReset.After(time.Hour))
					requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
					require.Equal(t, 2, w.touches(d.srv), "an order that is not paid is not sent another capture")
					d.pay(w.orderID, pluraltest.Approve)
					d.srv.Flush()
					require.Equal(t, 1, w.effects(d.srv))
				})
			})
		}
	}
}

func TestParentOrderIDAbsent(t *testing.T) {
	t.Parallel()
	absent := []pluraltest.Fault{
		pluraltest.ParentAbsent,
		pluraltest.ParentAbsent,
		pluraltest.ParentAbsent,
		pluraltest.ParentAbsent,
	}
	t.Run("in the answer", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.ready(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ParentAbsent)
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
			require.Equal(t, 1, w.touches(d.srv))
		})
	})
	t.Run("everywhere but in the parent", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.ready(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), absent...)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), absent...)
			o := d.agrees(t.Context(), w, newClient(t, d.srv))
			require.NoError(t, o.err)
			require.NotEmpty(t, o.order.RawJSON())
			require.Equal(t, 1, d.reads()-len(d.srv.RequestsTo(pluraltest.OpOrdersGetByReference)))
		})
	})
	t.Run("of another order's refund", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			c := newClient(t, d.srv)
			require.NoError(t, d.agrees(t.Context(), d.ready(pluraltest.OpRefundsCreate, partAmount), c).err)
			other := d.ready(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(other.op), pluraltest.ResetBeforeApply)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.ParentAbsent, 100)...)
			requireUnknown(t, d.agrees(t.Context(), other, c).err)
			d.srv.ClearFaults()
			requireRuledOut(t, d.agrees(t.Context(), other, c).err, plural.ErrReferenceReused)
		})
	})
	t.Run("by reference not found, in the parent", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.ready(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
			d.srv.Inject(
				pluraltest.On(pluraltest.OpOrdersGetByReference),
				pluraltest.StatusFault(422, "ORDER_NOT_FOUND", pluraltest.ApplyNow),
			)
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
			require.Equal(t, 1, w.touches(d.srv))
		})
	})
}

// What says that a refund is not there, and what does not.
func TestEvidenceOfAbsence(t *testing.T) {
	t.Parallel()
	for _, form := range []pluraltest.NotFoundShape{pluraltest.NotFound422, pluraltest.NotFound404, pluraltest.NotFoundInquiry} {
		t.Run(fmt.Sprint("form ", form), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.ready(pluraltest.OpRefundsCreate, partAmount)
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
				require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				require.Equal(t, 2, w.touches(d.srv))
			}, pluraltest.WithNotFound(form))
		})
	}
	for _, fault := range []pluraltest.Fault{
		pluraltest.StatusFault(404, "", pluraltest.ApplyNow), pluraltest.StatusFault(400, "INVALID_REQUEST", pluraltest.ApplyNow),
		pluraltest.StatusFault(200, "ORDER_NOT_FOUND", pluraltest.ApplyNow), pluraltest.StatusFault(404, "UNAUTHORIZED", pluraltest.ApplyNow),
		{Name: "HTML 404", Answer: pluraltest.AnswerHTML, Status: 404},
		{Name: "HTML 403", Answer: pluraltest.AnswerHTML, Status: 403},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.ready(pluraltest.OpRefundsCreate, partAmount)
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ApplyLateReset.After(time.Hour))
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(fault, 40)...)
				requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				require.Equal(t, 1, w.touches(d.srv), "it was sent again without evidence")
				d.srv.ClearFaults()
			})
		})
	}
}

// rewriting changes the documents that one operation's answers carry.
func rewriting(t *testing.T, op string, change func(data map[string]any) any) plural.Option {
	t.Helper()
	return plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil || plural.OperationFromContext(r.Context()) != op || resp.StatusCode != http.StatusOK {
				return resp, err
			}
			defer func() { _ = resp.Body.Close() }()
			var doc struct {
				Data map[string]any `json:"data"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
				return nil, err
			}
			body, err := json.Marshal(map[string]any{"data": change(doc.Data)})
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return resp, err
		})
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The older answer to a refund is the parent with the refund inside, under
// other names.
func TestLegacyRefundShape(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpRefundsCreate, partAmount)
		legacy := rewriting(t, pluraltest.OpRefundsCreate, func(data map[string]any) any {
			return map[string]any{
				"order_id": w.orderID, "merchant_order_reference": "order-0", "type": "CHARGE", "status": "PARTIALLY_REFUNDED",
				"order_amount": map[string]any{"value": wholeAmount, "currency": "INR"},
				"refunds": []any{map[string]any{
					"merchant_refund_reference": w.reference, "refund_id": data["order_id"], "status": data["status"],
					"merchant_id": data["merchant_id"], "refund_amount": data["order_amount"], "created_at": data["created_at"],
				}},
			}
		})
		o := d.agrees(t.Context(), w, newClient(t, d.srv, legacy))
		require.NoError(t, o.err)
		require.Zero(t, d.reads(), "the answer tells it all")
	})
	t.Run("without the order's own fields", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.ready(pluraltest.OpRefundsCreate, partAmount)
			legacy := rewriting(t, pluraltest.OpRefundsCreate, func(data map[string]any) any {
				return map[string]any{"refunds": []any{
					map[string]any{
						"merchant_refund_reference": w.reference,
						"refund_id":                 data["order_id"],
						"status":                    data["status"],
						"refund_amount":             data["order_amount"],
					},
				}}
			})
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv, legacy)).err)
			require.Equal(t, 1, w.touches(d.srv))
		})
	})
}

// Answers with data that is not what was asked for are no answers.
func TestUnusableDocuments(t *testing.T) {
	t.Parallel()
	without := func(field string) func(map[string]any) any {
		return func(data map[string]any) any { delete(data, field); return data }
	}
	for name, change := range map[string]func(map[string]any) any{
		"no data":     func(map[string]any) any { return nil },
		"no order_id": without("order_id"),
		"no status":   without("status"),
		"odd amount": func(data map[string]any) any {
			data["order_amount"] = map[string]any{"value": "ten", "currency": "INR"}
			return data
		},
		"odd status":   func(data map[string]any) any { data["status"] = "ON_HOLD"; return data },
		"not an order": func(map[string]any) any { return []any{1, 2} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, d *desk, w write) {
				o := d.agrees(t.Context(), w, newClient(t, d.srv, rewriting(t, w.op, change)))
				require.NoError(t, o.err, "the books told")
				require.Equal(t, 1, w.touches(d.srv))
				require.Positive(t, d.reads())
			})
		})
	}
}

func TestCaptureDataAbsent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.CaptureDataAbsent)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.CaptureDataAbsent, 3)...)
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.CaptureDataAbsent)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.CaptureDataAbsent, 40)...)
		unknown := unknownError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		require.Equal(t, plural.OrderStatusPartiallyCaptured, unknown.Last.Status)
		require.GreaterOrEqual(t, d.reads(), 4)
		d.srv.ClearFaults()
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
}

// A wait that the server asks for and that is too long ends the repeating, not
// the asking. A capture entry without a reference may be ours, so that it
// neither closes the books nor makes a conflict: its like is read until time
// runs out.
func TestCaptureDataWithoutAReference(t *testing.T) {
	t.Parallel()
	entries := func(data map[string]any, change func(payment map[string]any)) any {
		payments, _ := data["payments"].([]any)
		for _, p := range payments {
			change(p.(map[string]any))
		}
		return data
	}
	nameless := func(data map[string]any) any {
		return entries(data, func(p map[string]any) {
			list, _ := p["capture_data"].([]any)
			for _, c := range list {
				delete(c.(map[string]any), "merchant_capture_reference")
			}
		})
	}
	empty := func(data map[string]any) any {
		return entries(data, func(p map[string]any) {
			if p["status"] == "AUTHORIZED" {
				p["capture_data"] = []any{map[string]any{}}
			}
		})
	}
	t.Run("captured", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			for _, amount := range []int64{0, partAmount, cardAmount} {
				w := d.ready(pluraltest.OpCapturesCreate, amount)
				o := d.agrees(
					t.Context(),
					w,
					newClient(
						t,
						d.srv,
						rewriting(t, pluraltest.OpCapturesCreate, nameless),
						rewriting(t, pluraltest.OpOrdersGet, nameless),
					),
				)
				requireUnknown(t, o.err)
				require.ErrorContains(t, o.err, "the order does not say under which reference all of it was captured")
				require.Equal(t, 1, w.touches(d.srv))
			}
		})
	})
	t.Run("not captured yet", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.ready(pluraltest.OpCapturesCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ApplyLateReset.After(time.Hour))
			requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv, rewriting(t, pluraltest.OpOrdersGet, empty))).err)
		})
	})
}

// What stands under the reference may be an order, or an earlier refund that
// FAILED. The parent knows of a refund that was carried out.
func TestRefundThatOnlyItsParentShows(t *testing.T) {
	t.Parallel()
	refund := func(id, reference, status string) string {
		return `{"order_id":"` + id + `","type":"REFUND","parent_order_id":"v1-p","status":"` + status + `","merchant_order_reference":"` + reference + `",` +
			`"order_amount":{"value":400,"currency":"INR"}}`
	}
	order := func(refunds ...string) string {
		return `{"order_id":"v1-p","type":"CHARGE","status":"PARTIALLY_REFUNDED","merchant_order_reference":"order-1","order_amount":{"value":1000,"currency":"INR"},` +
			`"refunds":[` + strings.Join(
			refunds,
			",",
		) + `]}`
	}
	tests := map[string]struct {
		reference           string
		byReference, parent string
		want                string // the refund's id; "": ruled out
		is                  error
	}{
		"an earlier one FAILED": {
			"refund-1",
			refund("v1-r1", "refund-1", "FAILED"),
			order(refund("v1-r1", "refund-1", "FAILED"), refund("v1-r2", "refund-1", "PROCESSED")),
			"v1-r2",
			nil,
		},
		"the order's own reference": {"order-1", order(), order(refund("v1-r1", "order-1", "PROCESSED")), "v1-r1", nil},
		"both FAILED": {
			"refund-1",
			refund("v1-r1", "refund-1", "FAILED"),
			order(refund("v1-r1", "refund-1", "FAILED")),
			"",
			plural.ErrOutcomeUnknown, // it may be older than the answer that was lost
		},
		"the parent has none": {
			"refund-1",
			refund("v1-r1", "refund-1", "FAILED"),
			order(),
			"",
			plural.ErrOutcomeUnknown,
		},
		"an order's, and no refund": {"order-1", order(), order(), "", plural.ErrOutcomeUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{api: func(s sent) (*http.Response, error) {
					switch {
					case s.Method == http.MethodPost:
						return nil, io.ErrUnexpectedEOF // the answer is lost
					case strings.Contains(s.URL.Path, "/reference/"):
						return answer(200, `{"data":`+test.byReference+`}`), nil
					}
					return answer(200, `{"data":`+test.parent+`}`), nil
				}}
				o, err := g.client(
					t,
				).Refunds.Create(
					t.Context(),
					"v1-p",
					&plural.RefundRequest{MerchantOrderReference: test.reference, OrderAmount: plural.INR(400)},
				)
				if test.want == "" {
					require.ErrorIs(t, err, test.is)
					require.NotErrorIs(t, err, plural.ErrNotApplied)
					return
				}
				require.NoError(t, err)
				require.Equal(t, test.want, o.OrderID)
			})
		})
	}
}

// One attempt is one send of the write. The reads that settle it are repeated
// all the same.
func TestOneAttemptStillSettles(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		read := pluraltest.OpOrdersGet
		if w.op == pluraltest.OpRefundsCreate {
			read = pluraltest.OpOrdersGetByReference
		}
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(read), repeated(pluraltest.ServerErrorBeforeApply, 3)...)
		require.NoError(
			t,
			d.agrees(t.Context(), w, newClient(t, d.srv, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))).err,
		)
		require.Equal(t, 1, w.touches(d.srv))
	})
}

// A success that carries a definitive code is that error, unless its data shows
// the write as carried out.
func TestCodeInATwoHundredOfAWrite(t *testing.T) {
	t.Parallel()
	open := `{"order_id":"v1-1","status":"AUTHORIZED","order_amount":{"value":1000,"currency":"INR"}}`
	captured := `{"order_id":"v1-1","status":"PROCESSED","order_amount":{"value":1000,"currency":"INR"},"payments":[{"status":"PROCESSED",` +
		`"payment_amount":{"value":1000,"currency":"INR"},"capture_data":[{"merchant_capture_reference":"c","capture_amount":{"value":1000,"currency":"INR"}}]}]}`
	for data, applied := range map[string]bool{`{}`: false, "{\n}": false, `[]`: false, `""`: false, `null`: false, open: false, captured: true} {
		synctest.Test(t, func(t *testing.T) {
			writes := 0
			g := &gateway{api: func(s sent) (*http.Response, error) {
				if s.Method == http.MethodPut {
					writes++
					return answer(200, `{"code":"PAYMENT_DECLINED","message":"declined","data":`+data+`}`), nil
				}
				return answer(200, `{"data":`+open+`}`), nil
			}}
			_, err := g.client(
				t,
			).Captures.Create(
				t.Context(),
				"v1-1",
				&plural.CaptureRequest{MerchantCaptureReference: "c", FullAmount: true},
			)
			if applied {
				require.NoError(t, err)
			} else {
				rejection(t, err, plural.CodePaymentDeclined)
				require.ErrorIs(t, err, plural.ErrNotApplied)
			}
			require.Equal(t, 1, writes, data)
		})
	}
}

func TestLongRetryAfter(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk, w write) {
		asked := pluraltest.StatusFault(503, "", pluraltest.ApplyNow)
		asked.RetryAfter = "3600"
		d.srv.Inject(pluraltest.On(w.op), asked)
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
	each(t, func(t *testing.T, d *desk, w write) {
		asked := pluraltest.StatusFault(503, "", pluraltest.ApplyNever)
		asked.RetryAfter = "3600"
		d.srv.Inject(pluraltest.On(w.op), asked)
		requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		require.Equal(t, 1, w.touches(d.srv))
	})
}

func TestInvalidWritesAreNotSent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c, ctx := newClient(t, d.srv), t.Context()
		for name, call := range map[string]func() (*plural.Order, error){
			"capture of nothing": func() (*plural.Order, error) { return c.Captures.Create(ctx, "v1-1", nil) },
			"capture of no amount": func() (*plural.Order, error) {
				return c.Captures.Create(ctx, "v1-1", &plural.CaptureRequest{MerchantCaptureReference: "a"})
			},
			"capture of everything and an amount": func() (*plural.Order, error) {
				return c.Captures.Create(ctx, "v1-1", &plural.CaptureRequest{MerchantCaptureReference: "a", CaptureAmount: plural.INR(100), FullAmount: true})
			},
			"cancel of no order": func() (*plural.Order, error) { return c.Cancels.Create(ctx, "..") },
			"refund of nothing":  func() (*plural.Order, error) { return c.Refunds.Create(ctx, "v1-1", nil) },
			"refund of no amount": func() (*plural.Order, error) {
				return c.Refunds.Create(ctx, "v1-1", &plural.RefundRequest{MerchantOrderReference: "a"}, plural.WithoutValidation())
			},
		} {
			o, err := call()
			require.Nil(t, o, name)
			require.ErrorIs(t, err, plural.ErrInvalidRequest, name)
		}
		require.Empty(t, d.srv.Requests())
	})
}

func TestRefundLookups(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c, ctx := newClient(t, d.srv), t.Context()
		w := d.ready(pluraltest.OpRefundsCreate, partAmount)
		refund := d.agrees(ctx, w, c).order
		byID, err := c.Refunds.Get(ctx, refund.OrderID)
		require.NoError(t, err)
		require.Equal(t, refund.RawJSON(), byID.RawJSON())
		byReference, err := c.Refunds.GetByReference(ctx, w.reference)
		require.NoError(t, err)
		require.Equal(t, refund.RawJSON(), byReference.RawJSON())

		_, err = c.Refunds.Get(ctx, w.orderID)
		charge := stateError(t, err, plural.ErrReferenceReused)
		require.Equal(t, w.orderID, charge.Order.OrderID)
		_, err = c.Refunds.GetByReference(ctx, "never")
		require.ErrorIs(t, err, plural.ErrNotFound)
	})
}

func checkout(amount int64, preAuth bool) *plural.CreateOrderRequest {
	return &plural.CreateOrderRequest{MerchantOrderReference: "order-1", OrderAmount: plural.INR(amount), PreAuth: preAuth}
}

func TestOrderCreateIsRepeatedAndCompared(t *testing.T) {
	t.Parallel()
	type result struct {
		orders int
		check  func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error)
	}
	linked := func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error) {
		t.Helper()
		require.NoError(t, err)
		booked := d.srv.OrdersByReference("order-1")
		last := booked[len(booked)-1]
		require.Equal(t, last.ID, o.OrderID)
		require.Equal(t, last.RedirectURL, o.RedirectURL)
	}
	duplicate := func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error) {
		t.Helper()
		require.Nil(t, o)
		require.ErrorIs(t, err, plural.ErrDuplicateRequest)
		var dup *plural.DuplicateOrderError
		require.ErrorAs(t, err, &dup)
		require.Equal(t, d.srv.OrdersByReference("order-1")[0].ID, dup.Order.OrderID)
	}
	lost := map[string]pluraltest.Fault{
		"reset":        pluraltest.ResetAfterApply,
		"hang":         pluraltest.HangAfterApply,
		"500":          pluraltest.ServerErrorAfterApply,
		"empty":        pluraltest.EmptyOKAfterApply,
		"error in 200": pluraltest.ErrorInOKAfterApply,
	}
	for mode, want := range map[pluraltest.DuplicateMode]result{
		pluraltest.DuplicateReturnsExisting: {orders: 1, check: linked},
		pluraltest.DuplicateRejected:        {orders: 1, check: duplicate},
		pluraltest.DuplicateAccepted:        {orders: 2, check: linked},
	} {
		for name, fault := range lost {
			t.Run(fmt.Sprintf("mode %d, %s", mode, name), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), fault)
					o, err := newClient(t, d.srv).Orders.Create(t.Context(), checkout(wholeAmount, true))
					want.check(t, d, o, err)
					require.Len(t, d.srv.OrdersByReference("order-1"), want.orders)
					d.doubles = want.orders - 1 // two links, of which one reached the caller
				}, pluraltest.WithDuplicateOrders(mode))
			})
		}
	}
}

func TestOrderCreateUnderAReferenceInUse(t *testing.T) {
	t.Parallel()
	rejected := pluraltest.WithDuplicateOrders(pluraltest.DuplicateRejected)
	create := func(t *testing.T, d *desk, req *plural.CreateOrderRequest, opts ...plural.CallOption) (*plural.CheckoutOrder, error) {
		t.Helper()
		return newClient(t, d.srv).Orders.Create(t.Context(), req, opts...)
	}
	t.Run("the same order", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			d.order("order-1", true)
			_, err := create(t, d, checkout(wholeAmount, true))
			var dup *plural.DuplicateOrderError
			require.ErrorAs(t, err, &dup)
			require.Len(t, d.srv.RequestsTo(pluraltest.OpOrdersCreate), 1)
		}, rejected)
	})
	for name, req := range map[string]*plural.CreateOrderRequest{
		"another amount":     checkout(wholeAmount+100, true),
		"no hold":            checkout(wholeAmount, false),
		"the same, a refund": checkout(partAmount, true),
	} {
		for mode, lost := range map[pluraltest.DuplicateMode]bool{pluraltest.DuplicateRejected: false, pluraltest.DuplicateReturnsExisting: true} {
			t.Run(fmt.Sprintf("%s, mode %d", name, mode), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					if name == "the same, a refund" {
						w := d.ready(pluraltest.OpRefundsCreate, partAmount)
						d.refund(w.orderID, "order-1", partAmount)
					} else {
						d.order("order-1", true)
					}
					if lost {
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
					}
					o, err := create(t, d, req)
					require.Nil(t, o)
					reused := stateError(t, err, plural.ErrReferenceReused)
					require.Equal(t, "order-1", reused.Reference)
					require.Equal(t, pluraltest.OpOrdersCreate, reused.Op)
				}, pluraltest.WithDuplicateOrders(mode))
			})
		}
	}
	t.Run("and cannot be looked up", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			d.order("order-1", true)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
			_, err := create(t, d, checkout(wholeAmount, true))
			unknown := unknownError(t, err)
			requireLastCause(t, err, plural.CodeDuplicateRequest)
			require.ErrorContains(t, err, "INTERNAL_ERROR")
			require.Equal(t, "order-1", unknown.Reference)
			require.Empty(t, unknown.OrderID)
			require.Nil(t, unknown.Last)
		}, rejected)
	})
}

func TestOrderCreateRunsOut(t *testing.T) {
	t.Parallel()
	create := func(t *testing.T, d *desk, faults []pluraltest.Fault, opts ...plural.CallOption) (*plural.CheckoutOrder, error) {
		t.Helper()
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), faults...)
		o, err := newClient(t, d.srv).Orders.Create(t.Context(), checkout(wholeAmount, true), opts...)
		d.srv.ClearFaults()
		return o, err
	}
	tests := map[string]struct {
		faults []pluraltest.Fault
		opts   []plural.CallOption
		sends  int
		check  func(t *testing.T, err error)
	}{
		"never arrives": {
			faults: repeated(pluraltest.ResetBeforeApply, 4), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				requireUnknown(t, err)
				require.ErrorContains(t, err, "ORDER_NOT_FOUND", "what the look-up said")
			},
		},
		"arrives without an answer": {
			faults: append(repeated(pluraltest.ResetBeforeApply, 3), pluraltest.ResetAfterApply), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, plural.ErrDuplicateRequest)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"one try": {
			faults: []pluraltest.Fault{pluraltest.ResetAfterApply}, opts: []plural.CallOption{plural.WithoutRetry()}, sends: 1,
			check: func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, plural.ErrDuplicateRequest) },
		},
		"nothing is sent": {
			faults: repeated(pluraltest.Refuse, 4),
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"too many requests": {
			faults: repeated(pluraltest.RateLimited, 4), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, plural.ErrRateLimited)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"lost, then too many requests": {
			faults: append([]pluraltest.Fault{pluraltest.ResetAfterApply}, repeated(pluraltest.RateLimited, 3)...), sends: 4,
			check: func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, plural.ErrDuplicateRequest) },
		},
		"rejected": {
			faults: []pluraltest.Fault{pluraltest.StatusFault(400, "INVALID_REQUEST", pluraltest.ApplyNever)}, sends: 1,
			check: func(t *testing.T, err error) { t.Helper(); rejection(t, err, plural.CodeInvalidRequest) },
		},
		"lost, then rejected": {
			faults: []pluraltest.Fault{
				pluraltest.ApplyLateReset.After(time.Hour),
				pluraltest.StatusFault(400, "INVALID_REQUEST", pluraltest.ApplyNever),
			},
			sends: 2,
			check: func(t *testing.T, err error) { t.Helper(); requireUnknown(t, err) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				o, err := create(t, d, test.faults, test.opts...)
				require.Nil(t, o)
				require.Error(t, err)
				test.check(t, err)
				require.Len(t, d.srv.RequestsTo(pluraltest.OpOrdersCreate), test.sends)
			})
		})
	}
}

// A link that does not lead to the order under the reference is not handed out.
func TestOrderCreateLinkToAnotherOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), pluraltest.NoFault)
		elsewhere := rewriting(
			t,
			pluraltest.OpOrdersGetByReference,
			func(data map[string]any) any { data["order_id"] = "v1-elsewhere"; return data },
		)
		o, err := newClient(t, d.srv, elsewhere).Orders.Create(t.Context(), checkout(wholeAmount, true))
		require.Nil(t, o)
		unknown := unknownError(t, err)
		require.Equal(t, "v1-elsewhere", unknown.Last.OrderID)
	})
}

func TestOrderCreateContextEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.HangAfterApply)
		_, err := newClient(t, d.srv).Orders.Create(ctx, checkout(wholeAmount, true))
		require.NoError(t, err, "there was time left for another try")

		hung, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		d.srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == pluraltest.OpToken {
				return pluraltest.NoFault
			}
			return pluraltest.HangAfterApply
		})
		_, err = newClient(t, d.srv).Orders.Create(hung, checkout(wholeAmount, true))
		requireUnknown(t, err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		d.srv.ClearFaults()
	})
}

func TestUnknownSaysWhatToDo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.PendingResult.After(time.Hour))
		o := d.agrees(t.Context(), w, newClient(t, d.srv))
		require.ErrorContains(t, o.err, "call again with the same reference")
		require.ErrorContains(t, o.err, "PENDING")
		require.False(t, errors.Is(o.err, plural.ErrOperationNotAllowed) || errors.Is(o.err, plural.ErrReferenceReused))
	})
}
