package plural_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// If the answer to a refund or the books have shown the refund once, it is not
// sent again, even if a replica does not have it.
func TestRefundThatWasShownIsNotSentAgain(t *testing.T) {
	t.Parallel()
	refund := func(status, reference string) string {
		return fmt.Sprintf(`{"data":{"order_id":"v1-r","type":"REFUND","status":%q,"merchant_order_reference":%q,`+
			`"order_amount":{"value":1000,"currency":"INR"}}}`, status, reference)
	}
	const parent = `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED","order_amount":{"value":319950,` +
		`"currency":"INR"},"payments":[{"id":"p","status":"PROCESSED","payment_method":"UPI","payment_amount":` +
		`{"value":319950,"currency":"INR"}}]}}`
	const none = `{"code":"ORDER_NOT_FOUND","message":"no"}`
	for name, tc := range map[string]struct {
		own, first string // the answer to the refund, and to the first look
		sends      int
	}{
		"nothing was shown":                  {own: `{}`, first: none, sends: 2},
		"by its own answer":                  {own: refund("PENDING", "own-refund-1"), first: none, sends: 1},
		"by the books":                       {own: `{}`, first: refund("PROCESSED", "own-refund-1"), sends: 1},
		"a failed one, by the books":         {own: `{}`, first: refund("FAILED", "own-refund-1"), sends: 2},
		"of another reference":               {own: refund("PENDING", "own-refund-2"), first: none, sends: 2},
		"in an unknown status":               {own: refund("ODD", "own-refund-1"), first: none, sends: 1},
		"in an unknown status, by the books": {own: `{}`, first: refund("ODD", "own-refund-1"), sends: 1},
		"without a status":                   {own: refund("", "own-refund-1"), first: none, sends: 1},
		"without a status, by the books":     {own: `{}`, first: refund("", "own-refund-1"), sends: 1},
		"cancelled, by the books":            {own: `{}`, first: refund("CANCELLED", "own-refund-1"), sends: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sends, looks := 0, 0
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodPost:
						sends++
						return answer(http.StatusOK, tc.own), nil
					case !strings.Contains(r.URL.Path, "/reference/"):
						return answer(http.StatusOK, parent), nil
					}
					if looks++; looks == 1 && tc.first != none {
						return answer(http.StatusOK, tc.first), nil
					}
					return answer(http.StatusUnprocessableEntity, none), nil
				}, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2}))
				_, err := client.Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(1000)})
				requireUnknown(t, err)
				require.Equal(t, tc.sends, sends)
			})
		})
	}
}
