package agreement_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// After a call has ended with an unknown outcome, two goroutines call Settle at
// the same time, while a third reads the Response of the call. Settle returns
// what the books show, and the Response does not change.
func TestSettleByTwoGoroutines(t *testing.T) {
	t.Parallel()
	taken := books{status: "PARTIALLY_CAPTURED", legs: []leg{{
		method: "CARD", status: "PROCESSED", amount: rupees(2000), entries: []bookEntry{{ours, rupees(500)}},
	}}}
	returned := books{status: "PARTIALLY_REFUNDED", legs: taken.legs, refunds: []bookRefund{
		{"v1-r1", ourRefund, "PROCESSED", rupees(500)},
	}}
	returned.legs = []leg{{method: "UPI", status: "PROCESSED", amount: rupees(2000)}}
	for name, tc := range map[string]struct {
		books books
		ask   func(context.Context, *plural.Client, plural.CallOption) (*plural.Order, error)
	}{
		"capture": {taken, func(ctx context.Context, c *plural.Client, o plural.CallOption) (*plural.Order, error) {
			return c.Captures.Create(ctx, "v1-agreed", &plural.CaptureRequest{
				MerchantCaptureReference: ours, CaptureAmount: plural.INR(500),
			}, o)
		}},
		"cancel": {books{status: "CANCELLED"}, func(
			ctx context.Context, c *plural.Client, o plural.CallOption,
		) (*plural.Order, error) {
			return c.Cancels.Create(ctx, "v1-agreed", o)
		}},
		"refund": {returned, func(ctx context.Context, c *plural.Client, o plural.CallOption) (*plural.Order, error) {
			return c.Refunds.Create(ctx, "v1-agreed", &plural.RefundRequest{
				MerchantOrderReference: ourRefund, OrderAmount: plural.INR(500),
			}, o)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var well atomic.Bool
				var writes atomic.Int32
				s := &fixedGateway{books: tc.books}
				s.write = s.answerLost
				c := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodGet {
						writes.Add(1)
					} else if !well.Load() {
						return answer(503, `{}`), nil
					}
					return s.RoundTrip(r)
				})
				var resp plural.Response
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := tc.ask(ctx, c, plural.WithResponseInto(&resp))
				var unknown *plural.OutcomeUnknownError
				require.ErrorAs(t, err, &unknown)
				before := resp
				before.Header, before.Body = resp.Header.Clone(), slices.Clone(resp.Body)
				sentBefore, text := writes.Load(), unknown.Error()

				well.Store(true)
				type settled struct {
					order *plural.Order
					err   error
				}
				answers := make(chan settled, 2)
				for range 2 {
					go func() {
						o, err := unknown.Settle(t.Context())
						answers <- settled{o, err}
					}()
				}
				for range 1000 { // if Settle writes to resp, the race detector sees that
					require.Equal(t, before.StatusCode, resp.StatusCode)
					_ = strings.Clone(string(resp.Body)) + unknown.Error()
				}
				for range 2 {
					a := <-answers
					require.NoError(t, a.err)
					require.NotNil(t, a.order)
				}
				require.Equal(t, before, resp)
				require.Equal(t, text, unknown.Error())
				require.Equal(t, sentBefore, writes.Load(), "Settle sends nothing")
			})
		})
	}
}
