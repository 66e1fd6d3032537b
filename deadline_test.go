package plural_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// Whatever the caller's deadline cut short matches it, also where a try ended
// by a limit that was derived from it, or no time was left for another; and so
// does the cause that the caller gave.
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
				ctx,
				id,
				&plural.RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: plural.INR(1000)},
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
				continue // that is its answer: it is not repeated
			}
			t.Run(name+" of one that "+peer, func(t *testing.T) {
				t.Parallel()
				for _, limit := range []time.Duration{350 * time.Millisecond, 3 * time.Second} {
					inBubble(t, func(t *testing.T, d *desk) {
						w := d.ready(pluraltest.OpCapturesCreate, 0)
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

// An order that is known to be real is looked for again for two seconds: reads
// lag. A page that says 404 is not evidence.
func TestRealOrdersThatAreNotFoundYet(t *testing.T) {
	t.Parallel()
	page := pluraltest.Fault{Answer: pluraltest.AnswerHTML, Status: http.StatusNotFound, Effect: pluraltest.ApplyNever}
	for name, test := range map[string]struct {
		lag    time.Duration
		faults []pluraltest.Fault
		err    string // "": it is found; "not found": that is the verdict
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
