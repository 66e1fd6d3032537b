package plural_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// TestCallsAllocateLittle checks what docs/performance.md promises about
// memory. The test does not run under the race detector, because the race
// detector allocates more memory.
//
//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestCallsAllocateLittle(t *testing.T) {
	skipUnderRace(t)
	capture := captureFunc(t)
	require.NoError(t, capture())
	require.LessOrEqual(
		t, testing.AllocsPerRun(200, func() { _ = capture() }), 80.0, "allocations of a capture and its transport",
	)

	document := dataOf(t, payload(t, "capture_response_partially_captured.json"))
	var o plural.Order
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { _ = o.UnmarshalJSON(document) }), 20.0, "an order")
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestCostGrowsWithTheDocumentAndNoFaster(t *testing.T) {
	skipUnderRace(t)
	payment := `{"id":"v1-p","status":"PROCESSED","payment_amount":{"value":1,"currency":"INR"},"capture_data":[]}`
	order := func(payments int) []byte {
		list := strings.TrimSuffix(strings.Repeat(payment+",", payments), ",")
		return fmt.Appendf(nil, `{"order_id":"v1-a","status":"PROCESSED","payments":[%s]}`, list)
	}
	perPayment := func(payments int) (allocs, size float64) {
		document := order(payments)
		var before, after runtime.MemStats
		allocs = testing.AllocsPerRun(5, func() { require.NoError(t, new(plural.Order).UnmarshalJSON(document)) })
		runtime.ReadMemStats(&before)
		require.NoError(t, new(plural.Order).UnmarshalJSON(document))
		runtime.ReadMemStats(&after)
		return allocs / float64(payments), float64(after.TotalAlloc-before.TotalAlloc) / float64(payments)
	}
	fewAllocs, fewBytes := perPayment(10)
	manyAllocs, manyBytes := perPayment(1000)
	require.LessOrEqual(t, manyAllocs, fewAllocs)
	require.LessOrEqual(t, manyBytes, 1.5*fewBytes, "a list may be copied a few times while it grows")
}

//nolint:paralleltest // it measures memory
func TestEndlessAnswerTakesLittleMemory(t *testing.T) {
	skipUnderRace(t)
	const most = 16 << 20
	var before, now runtime.MemStats
	var peak uint64
	client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
		endless := readerFunc(func(p []byte) (int, error) {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
			return copy(p, bytes.Repeat([]byte("a"), min(len(p), 256))), nil
		})
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(io.LimitReader(endless, 1<<30)), ContentLength: -1,
		}, nil
	})
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := client.Orders.Get(t.Context(), "v1-a", plural.WithoutRetry())
	require.ErrorContains(t, err, "larger than 4 MiB")
	require.Less(t, peak, before.HeapAlloc+most)
}

// BenchmarkCapture measures one capture call. Its transport answers at once.
func BenchmarkCapture(b *testing.B) {
	capture := captureFunc(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := capture(); err != nil {
			b.Fatal(err)
		}
	}
}

// captureFunc returns a function that makes one capture call. The transport of
// the call's client answers at once.
func captureFunc(tb testing.TB) func() error {
	tb.Helper()
	document := payload(tb, "capture_response_partially_captured.json")
	var o plural.Order
	require.NoError(tb, o.UnmarshalJSON(dataOf(tb, document)))
	entry := o.Captures()[0]
	header := http.Header{"Content-Type": {"application/json"}}
	client := newPeerClient(tb, func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header,
			Body: io.NopCloser(bytes.NewReader(document)), ContentLength: int64(len(document)),
		}, nil
	})
	req := &plural.CaptureRequest{
		MerchantCaptureReference: entry.MerchantCaptureReference,
		CaptureAmount:            entry.CaptureAmount,
	}
	return func() error {
		_, err := client.Captures.Create(tb.Context(), o.OrderID, req)
		return err
	}
}

// A caller may reuse the memory of a call's arguments. Errors and observations
// that outlive the call do not change when that memory changes.
func TestCallsKeepNothingOfTheCallersMemory(t *testing.T) {
	t.Parallel()
	const id, reference = "v1-1-aa-b", "own-ref"
	type given struct {
		id, reference string
		amount        plural.Amount
	}
	for name, send := range map[string]func(context.Context, *plural.Client, *given, ...plural.CallOption) error{
		"create": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			req := &plural.CreateOrderRequest{MerchantOrderReference: g.reference, OrderAmount: g.amount}
			_, err := c.Orders.Create(ctx, req, opts...)
			return err
		},
		"get": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Orders.Get(ctx, g.id, opts...)
			return err
		},
		"get by reference": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Orders.GetByReference(ctx, g.reference, opts...)
			return err
		},
		"wait": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Orders.Wait(ctx, g.id, nil, opts...)
			return err
		},
		"capture": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			req := &plural.CaptureRequest{MerchantCaptureReference: g.reference, CaptureAmount: g.amount}
			_, err := c.Captures.Create(ctx, g.id, req, opts...)
			*req = plural.CaptureRequest{MerchantCaptureReference: "the-next", FullAmount: true}
			return err
		},
		"find a capture": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Captures.Find(ctx, g.id, g.reference, opts...)
			return err
		},
		"cancel": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Cancels.Create(ctx, g.id, opts...)
			return err
		},
		"refund": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			req := &plural.RefundRequest{MerchantOrderReference: g.reference, OrderAmount: g.amount}
			_, err := c.Refunds.Create(ctx, g.id, req, opts...)
			*req = plural.RefundRequest{MerchantOrderReference: "the-next"}
			return err
		},
		"find a refund": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Refunds.Find(ctx, g.id, g.reference, opts...)
			return err
		},
		"do": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			return c.Do(ctx, http.MethodPost, "/"+g.id, nil, nil, opts...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				memory := newArena()
				var seen plural.Observation
				var paths []string
				status, body := http.StatusInternalServerError, ""
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					paths = append(paths, r.URL.Path)
					return answer(status, body), nil
				}, plural.WithObserver(func(_ context.Context, o plural.Observation) { seen = o }))
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				currency := plural.Currency(memory.text("INR"))
				g := &given{memory.text(id), memory.text(reference), plural.Amount{Value: 500, Currency: currency}}
				var response plural.Response
				err := send(ctx, client, g, plural.WithRequestID(memory.text("own-id")), plural.WithResponseInto(&response))
				require.Error(t, err)
				text, observed := err.Error(), seen.OrderID+" "+seen.Reference+" "+seen.RequestID
				memory.overwriteMemory()
				require.Equal(t, text, err.Error())
				require.NotContains(t, text, "!!")
				require.Equal(t, observed, seen.OrderID+" "+seen.Reference+" "+seen.RequestID)
				require.Equal(t, "own-id", response.RequestID)

				unknown, ok := err.(*plural.OutcomeUnknownError) //nolint:errorlint // only if err itself has this type
				if !ok || unknown.OrderID == "" {
					return
				}
				require.Equal(t, id, unknown.OrderID)
				status = http.StatusOK
				body = `{"data":{"order_id":"v1-1-aa-b","status":"CANCELLED"}}`
				paths = nil
				_, _ = unknown.Settle(t.Context())
				require.NotEmpty(t, paths)
				for _, path := range paths {
					require.Contains(t, []string{
						"/api/pay/v1/orders/" + id, "/api/pay/v1/orders/reference/" + reference,
					}, path)
				}
			})
		})
	}
}

// Settle looks for the write that the call asked for. It does so even if the
// caller has changed the request value since that call.
func TestSettleJudgesWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		req := &plural.CaptureRequest{MerchantCaptureReference: w.reference, CaptureAmount: plural.INR(partAmount)}
		_, err := newClient(t, d.srv).Captures.Create(t.Context(), w.orderID, req)
		unknown := unknownError(t, err)
		*req = plural.CaptureRequest{MerchantCaptureReference: "the-next", CaptureAmount: plural.INR(partAmount - 1)}
		_, err = unknown.Settle(t.Context())
		require.NoError(t, err)
	})
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		req := &plural.RefundRequest{MerchantOrderReference: w.reference, OrderAmount: plural.INR(partAmount)}
		_, err := newClient(t, d.srv).Refunds.Create(t.Context(), w.orderID, req)
		unknown := unknownError(t, err)
		*req = plural.RefundRequest{MerchantOrderReference: "the-next", OrderAmount: plural.INR(partAmount - 1)}
		_, err = unknown.Settle(t.Context())
		require.NoError(t, err)
	})
}

// If the caller's deadline cuts a call short, the error matches
// context.DeadlineExceeded. This may happen before the deadline has passed: the
// SDK may have shortened the time limit of a try because of the deadline, or
// the time that is left may be too short for another try. Once the deadline has
// passed, the error also matches the cause that the caller gave to the context.
func TestDeadlineIsInTheError(t *testing.T) {
	t.Parallel()
	why := errors.New("the shop is closing")
	callback := verifiedCallbackOf(t, "v1-1-aa-b")
	calls := map[string]func(context.Context, *plural.Client, string) error{
		"capture": func(ctx context.Context, c *plural.Client, id string) error {
			_, err := c.Captures.Create(ctx, id, &plural.CaptureRequest{MerchantCaptureReference: "capture-1", FullAmount: true})
			return err
		},
		"cancel": func(ctx context.Context, c *plural.Client, id string) error {
			_, err := c.Cancels.Create(ctx, id)
			return err
		},
		"refund": func(ctx context.Context, c *plural.Client, id string) error {
			_, err := c.Refunds.Create(
				ctx, id, &plural.RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: plural.INR(1000)},
			)
			return err
		},
		"create": func(ctx context.Context, c *plural.Client, _ string) error {
			_, err := c.Orders.Create(ctx, minimalOrder())
			return err
		},
		"get": func(ctx context.Context, c *plural.Client, id string) error {
			_, err := c.Orders.Get(ctx, id)
			return err
		},
		"find": func(ctx context.Context, c *plural.Client, id string) error {
			_, err := c.Captures.Find(ctx, id, "capture-1")
			return err
		},
		"wait": func(ctx context.Context, c *plural.Client, id string) error {
			_, err := c.Orders.Wait(ctx, id, func(*plural.Order) bool { return false })
			return err
		},
		"confirm": func(ctx context.Context, c *plural.Client, _ string) error {
			_, err := c.Orders.Confirm(ctx, callback, plural.Expected{MerchantOrderReference: "r", OrderAmount: plural.INR(100)})
			return err
		},
		"do": func(ctx context.Context, c *plural.Client, _ string) error {
			return c.Do(ctx, http.MethodPost, "/api/pay/v1/orders", map[string]string{"a": "b"}, nil)
		},
	}
	for name, call := range calls {
		for peer, fault := range map[string]pluraltest.Fault{
			"never answers": pluraltest.HangBeforeApply,
			"is busy":       pluraltest.UnavailableBeforeApply,
			"is not there":  pluraltest.Refuse,
		} {
			if name == "do" && peer == "is busy" {
				continue // Do returns the 503 at once, because it does not repeat a POST
			}
			t.Run(name+" of one that "+peer, func(t *testing.T) {
				t.Parallel()
				for _, limit := range []time.Duration{350 * time.Millisecond, 3 * time.Second} {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.readyWrite(pluraltest.OpCapturesCreate, 0)
						d.srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
							if r.Op == pluraltest.OpToken {
								return pluraltest.NoFault
							}
							return fault
						})
						ctx, cancel := context.WithTimeoutCause(t.Context(), limit, why)
						defer cancel()
						c := newClient(t, d.srv, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 100}))
						err := call(ctx, c, w.orderID)
						require.ErrorIs(t, err, context.DeadlineExceeded)
						if ctx.Err() != nil {
							require.ErrorIs(t, err, why)
						}
					})
				}
			})
		}
	}
}

func verifiedCallbackOf(t *testing.T, orderID string) *plural.Callback {
	t.Helper()
	form := signedForm(t, signatureSecret, map[string][]string{"order_id": {orderID}, "status": {"AUTHORIZED"}})
	callback, err := mustVerifier(t, signatureSecret).VerifyCallback(form)
	require.NoError(t, err)
	return callback
}

// If an order is known to exist, a read that does not find the order is
// repeated for two seconds, because replicas may answer with an older state. An
// HTML page with status 404 does not come from the orders API. So if the last
// answer is such a page, the error does not match ErrNotFound.
func TestRealOrdersThatAreNotFoundYet(t *testing.T) {
	t.Parallel()
	page := pluraltest.Fault{Answer: pluraltest.AnswerHTML, Status: http.StatusNotFound, Effect: pluraltest.ApplyNever}
	for name, test := range map[string]struct {
		lag    time.Duration
		faults []pluraltest.Fault
		err    string // "": the order is found; "not found": the result is final
	}{
		"there":                 {},
		"a second behind":       {lag: time.Second},
		"five seconds behind":   {lag: 5 * time.Second, err: "not found"},
		"a page, then there":    {faults: repeated(page, 3)},
		"a page, again & again": {faults: repeated(page, 100), err: "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.order("order-1", true)
				d.pay(id, pluraltest.Approve)
				d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), test.faults...)
				c := newClient(t, d.srv)
				began := time.Now()
				_, err := c.Orders.Wait(t.Context(), id, func(*plural.Order) bool { return true })
				switch test.err {
				case "":
					require.NoError(t, err)
					require.Less(t, time.Since(began), 2*time.Second)
					return
				case "not found":
					require.ErrorIs(t, err, plural.ErrNotFound)
				default:
					require.ErrorContains(t, err, test.err)
					require.NotErrorIs(t, err, plural.ErrNotFound)
				}
				require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
				require.Less(t, time.Since(began), 4*time.Second)
			}, pluraltest.WithReadLag(test.lag))
		})
	}
}
