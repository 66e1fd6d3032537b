package plural_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestLostAnswerIsSettledByReading(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.ResetAfterApply, pluraltest.CloseAfterApply, pluraltest.StreamResetAfterApply, pluraltest.HangAfterApply,
		pluraltest.Truncate,
		pluraltest.ServerErrorAfterApply, pluraltest.TimedOutAfterApply, pluraltest.BadGatewayAfterApply,
		pluraltest.EmptyOKAfterApply,
		pluraltest.ErrorInOKAfterApply, pluraltest.OtherOrder, pluraltest.HugeBody,
		pluraltest.StatusFault(408, "", pluraltest.ApplyNow), pluraltest.StatusFault(409, "DUPLICATE_REQUEST",
			pluraltest.ApplyNow),
		pluraltest.StatusFault(425, "", pluraltest.ApplyNow), pluraltest.StatusFault(302, "", pluraltest.ApplyNow),
		pluraltest.StatusFault(503, "", pluraltest.ApplyNow), pluraltest.StatusFault(422, "TIMED_OUT", pluraltest.ApplyNow),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), fault)
				o := d.agrees(t.Context(), w, newClient(t, d.srv))
				require.NoError(t, o.err)
				require.Equal(t, 1, w.touches(d.srv), "the write must not be sent again")
			})
		})
	}
}

func TestLostRequestIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.ResetBeforeApply, pluraltest.CloseBeforeApply, pluraltest.HangBeforeApply,
		pluraltest.ServerErrorBeforeApply, pluraltest.TimedOutBeforeApply,
		pluraltest.UnavailableBeforeApply, pluraltest.EmptyOKBeforeApply, pluraltest.ErrorInOKBeforeApply,
		pluraltest.Redirect,
		pluraltest.StatusFault(408, "", pluraltest.ApplyNever), pluraltest.StatusFault(409, "", pluraltest.ApplyNever),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
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

// If all four tries are lost, one of them may still arrive later, so the
// outcome is unknown.
func TestAttemptsRunOut(t *testing.T) {
	t.Parallel()
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
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
		forEachWrite(t, func(t *testing.T, d *desk, w write) {
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.ServerErrorBeforeApply, pluraltest.ResetBeforeApply)
			d.srv.Inject(
				pluraltest.On(pluraltest.OpOrdersGetByReference), pluraltest.ServerErrorBeforeApply, pluraltest.ResetBeforeApply,
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
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
				requireUnknown(t, once(t, d, w).err)
				require.Equal(t, 1, w.touches(d.srv))
			})
		})
	}
}

// If a write was not sent, or if Plural refused it only for the moment, the
// error does not match ErrOutcomeUnknown.
func TestNothingReachedIsNotUnknown(t *testing.T) {
	t.Parallel()
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
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
		require.Zero(t, d.reads(), "no write can have arrived, so the books are not read")

		d.srv.Inject(pluraltest.On(w.op), pluraltest.Refuse, pluraltest.RateLimitedRetryAfter, pluraltest.Refuse)
		require.NoError(t, d.agrees(t.Context(), w, c).err)
	})
}

// If the first try may have arrived and the second was not sent, the outcome is
// unknown.
func TestNotSentAfterAmbiguous(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]pluraltest.Fault{
		"refused":      pluraltest.Refuse,
		"rate limited": pluraltest.RateLimited,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(
					pluraltest.On(w.op),
					append([]pluraltest.Fault{pluraltest.ApplyLateReset.After(time.Hour)}, repeated(then, 3)...)...)
				requireUnknown(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				d.srv.Flush()
				require.Equal(t, 1, w.countEffects(d.srv), "it did arrive")
			})
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
				// The first request arrives, but its answer is lost, and the
				// repeats do not arrive. After the last repeat, the SDK reads
				// the books. They show that the write was carried out.
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
					w := d.readyWrite(w.op, w.amount)
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
						require.Greater(t, took, test.most/2, "the call gave up early")
						switch {
						case test.cause != nil:
							require.ErrorIs(t, o.err, test.cause)
							require.Equal(t, test.most, took, "the call went on after the context's end")
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

// If the caller's context has no deadline, a call reads the books for a minute
// at most. A read may still be under way at the end of this minute. Then the
// SDK ends the read, although the caller's context has not ended.
func TestSettlingWindowEndsWithinALook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
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

// A deadline may allow only one try. Even then, the SDK ends that try early
// enough to read the books and find out what happened to the write.
func TestDeadlineLeavesTimeForSettling(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{400 * time.Millisecond, 3 * time.Second, 8 * time.Second, 12 * time.Second} {
		t.Run(limit.String(), func(t *testing.T) {
			t.Parallel()
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
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
	t.Run("not longer than the deadline", func(t *testing.T) {
		t.Parallel()
		forEachWrite(t, func(t *testing.T, d *desk, w write) {
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
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.Match{Op: pluraltest.OpOrdersGet}, repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		d.srv.Inject(
			pluraltest.Match{Op: pluraltest.OpOrdersGetByReference},
			repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		c := newClient(t, d.srv)
		o := d.agrees(t.Context(), w, c)
		unknown := unknownError(t, o.err)
		require.Nil(t, unknown.Last)
		require.ErrorContains(t, o.err, "INTERNAL_ERROR", "the error shows why the books could not be read")
		require.Equal(t, 4, d.reads(), "one read of the books makes four tries")
		d.srv.ClearFaults()
		require.NoError(t, d.agrees(t.Context(), w, c).err, "calling again settles it")
		require.LessOrEqual(t, w.touches(d.srv), 2)
	})
}

// If a read of the books gets an answer that the SDK cannot use, this answer
// decides nothing. The SDK then reads the books again.
func TestUnusableLooksAreRepeated(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.Redirect, pluraltest.OtherOrder, pluraltest.EmptyOKAfterApply,
		pluraltest.StatusFault(403, "", pluraltest.ApplyNow),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(fault, 3)...)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(fault, 3)...)
				require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
				require.Equal(t, 1, w.touches(d.srv))
			})
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
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
			w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.PendingResult.AfterReads(6))
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), append(repeated(pluraltest.NoFault, 5), pluraltest.Redirect)...)
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		})
	})
}

// If Plural rejects a repeated call because its reference is taken, the SDK
// reads the books and returns the result of the first call.
func TestIdempotentByReference(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]pluraltest.Option{
		"existing": nil,
		"rejected": {
			pluraltest.WithDuplicateRefunds(pluraltest.DuplicateRejected),
			pluraltest.WithDuplicateCaptures(pluraltest.DuplicateRejected),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
				c := newClient(t, d.srv)
				first := d.agrees(t.Context(), w, c)
				require.NoError(t, first.err)
				for range 3 {
					again := d.agrees(t.Context(), w, c)
					require.NoError(t, again.err)
					require.Equal(t, first.order.OrderID, again.order.OrderID)
					c = newClient(t, d.srv) // a new client, as after a restart
				}
				restarted := newClient(t, d.srv)
				d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
				require.NoError(t, d.agrees(t.Context(), w, restarted).err)
			}, opts...)
			t.Run("another amount", func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpRefundsCreate} {
						w := d.readyWrite(op, partAmount)
						c := newClient(t, d.srv)
						require.NoError(t, d.agrees(t.Context(), w, c).err)
						time.Sleep(time.Minute) // the entry in the books must be much older than the next call
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
					w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
					require.NoError(t, d.agrees(t.Context(), w, c).err)
					other := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
					requireRuledOut(t, d.agrees(t.Context(), other, c).err, plural.ErrConflict)

					third := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
					third.reference = d.srv.Orders()[0].Reference
					requireRuledOut(t, d.agrees(t.Context(), third, c).err, plural.ErrConflict)
				}, opts...)
			})
		})
	}
}

func TestConcurrentCallsOfOneReference(t *testing.T) {
	t.Parallel()
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
		d.srv.Inject(
			pluraltest.On(w.op), pluraltest.ResetBeforeApply, pluraltest.ResetAfterApply, pluraltest.ServerErrorBeforeApply,
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
		require.Equal(t, 1, w.countEffects(d.srv))
	})
}

// rewriteAnswers returns middleware that changes the documents in the answers
// to one operation.
func rewriteAnswers(t *testing.T, op string, change func(data map[string]any) any) plural.Option {
	t.Helper()
	return plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return transportFunc(func(r *http.Request) (*http.Response, error) {
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

// An answer is not used if its data is not the order that was asked for.
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
			forEachWrite(t, func(t *testing.T, d *desk, w write) {
				o := d.agrees(t.Context(), w, newClient(t, d.srv, rewriteAnswers(t, w.op, change)))
				require.NoError(t, o.err, "the books show the write")
				require.Equal(t, 1, w.touches(d.srv))
				require.Positive(t, d.reads())
			})
		})
	}
}

// With MaxAttempts 1 the SDK sends a write only once. Then the SDK reads the
// books to find out what happened to the write. If such a read fails, the SDK
// still repeats it.
func TestOneAttemptStillSettles(t *testing.T) {
	t.Parallel()
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
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

func TestLongRetryAfter(t *testing.T) {
	t.Parallel()
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
		asked := pluraltest.StatusFault(503, "", pluraltest.ApplyNow)
		asked.RetryAfter = "3600"
		d.srv.Inject(pluraltest.On(w.op), asked)
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
	})
	forEachWrite(t, func(t *testing.T, d *desk, w write) {
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
			"capture without an amount": func() (*plural.Order, error) {
				return c.Captures.Create(ctx, "v1-1", &plural.CaptureRequest{MerchantCaptureReference: "a"})
			},
			"capture with both FullAmount and an amount": func() (*plural.Order, error) {
				return c.Captures.Create(ctx, "v1-1", &plural.CaptureRequest{
					MerchantCaptureReference: "a",
					CaptureAmount:            plural.INR(100), FullAmount: true,
				})
			},
			"cancel without an order": func() (*plural.Order, error) { return c.Cancels.Create(ctx, "..") },
			"refund of nothing":       func() (*plural.Order, error) { return c.Refunds.Create(ctx, "v1-1", nil) },
			"refund without an amount": func() (*plural.Order, error) {
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

func TestUnknownSaysWhatToDo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.PendingResult.After(time.Hour))
		o := d.agrees(t.Context(), w, newClient(t, d.srv))
		require.ErrorContains(t, o.err, "call again with the same reference")
		require.ErrorContains(t, o.err, "PENDING")
		require.False(t, errors.Is(o.err, plural.ErrOperationNotAllowed) || errors.Is(o.err, plural.ErrReferenceReused))
	})
}

// While a write is under way, the call goes on reading the books. If nothing
// has changed for minutes, the error says that a person must look. If something
// has changed a moment ago, or if the caller cancels the call, the error does
// not say so.
func TestWhatStaysUnderWayNeedsReview(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		unchanged time.Duration
		cancelled bool
		review    bool
	}{
		"changed a moment ago":               {unchanged: time.Second},
		"unchanged for an hour":              {unchanged: time.Hour, review: true},
		"unchanged, and the caller gives up": {unchanged: time.Hour, cancelled: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				changed := time.Now().Add(-test.unchanged).UTC().Format(time.RFC3339)
				g := &gateway{api: func(s sent) (*http.Response, error) {
					a := answer(200, `{"data":{"order_id":"v1-1","status":"PENDING","updated_at":"`+changed+`"}}`)
					if s.Method == http.MethodPut {
						a = answer(504, `{}`)
					}
					a.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
					return a, nil
				}}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if test.cancelled {
					time.AfterFunc(10*time.Second, cancel)
				}
				_, err := g.client(t).Captures.Create(ctx, "v1-1", &plural.CaptureRequest{
					MerchantCaptureReference: "capture-1", FullAmount: true,
				})
				requireUnknown(t, err)
				require.Equal(t, test.review, plural.NeedsReview(err))
			})
		})
	}
}
