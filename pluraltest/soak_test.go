package pluraltest_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// TestSoakKeepsTheBooks runs many clients that repeat captures, voids and
// refunds at random. Nearly half of their requests meet a fault. Nothing may be
// applied twice, and the log must agree with the books.
func TestSoakKeepsTheBooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(pluraltest.WithRandomFaults(11, 0.45, quickFaults()...))
		defer srv.Close()
		a := newAPI(t, srv)
		a.client = &http.Client{Transport: srv.Transport()}
		ids := make([]string, 60)
		for i := range ids {
			ids[i] = authorized(t, srv, fmt.Sprintf("order-%d", i), 5000)
		}
		var wg sync.WaitGroup
		for i, id := range ids {
			for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate} {
				if i%2 == 0 && op == pluraltest.OpCancelsCreate {
					continue // this order is captured and refunded, but not voided
				}
				wg.Go(func() {
					for range 4 {
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						_, _ = operate(ctx, a, op, id)
						_, _ = a.try(ctx, http.MethodGet, "/api/pay/v1/orders/"+id, "")
						cancel()
					}
				})
			}
		}
		wg.Wait()
		srv.Flush()
		srv.AssertExactlyOnce(t)

		type key struct{ op, id string }
		applied := map[key]int{}
		for _, r := range srv.FaultLog() {
			require.NotEqual(t, pluraltest.EffectWaiting, r.Effect)
			if r.Effect == pluraltest.EffectApplied || r.Effect == pluraltest.EffectAppliedLate {
				applied[key{r.Op, r.OrderID}]++
			}
		}
		require.Greater(t, len(applied), 10)
		for k, n := range applied {
			require.Equal(t, 1, n, "%v", k)
			require.Equal(t, 1, countEffects(srv, k.op, k.id), "%v", k)
		}
	})
}
