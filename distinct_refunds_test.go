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

// Two refunds under one reference are two ids that went well, wherever they
// are seen. One refund that is listed again, or one that came to nothing
// beside it, is one.
func TestDoubleRefundsAreDistinctIDs(t *testing.T) {
	t.Parallel()
	list := func(refunds ...string) []string { return refunds }
	r := func(id, status string) string {
		return fmt.Sprintf(`{"order_id":%q,"type":"REFUND","parent_order_id":"v1-agreed","status":%q,`+
			`"merchant_order_reference":"refund-1","order_amount":{"value":500,"currency":"INR"}}`, id, status)
	}
	one, two := r("v1-r1", "PROCESSED"), r("v1-r2", "PROCESSED")
	for name, tc := range map[string]struct {
		answered    string   // by the POST; "" is a 504
		byReference string   // what stands under the reference
		listed      []string // by the order
		twice       bool
	}{
		"once":                                    {one, one, list(one), false},
		"not listed yet":                          {one, one, list(), false},
		"once a leg":                              {one, one, list(one, one), false},
		"once a leg, settled by reading":          {"", one, list(one, one), false},
		"once a leg, one behind":                  {"", one, list(r("v1-r1", "PENDING"), one), false},
		"beside a REJECTED one":                   {"", one, list(one, r("v1-r2", "REJECTED")), false},
		"after a REJECTED one":                    {"", one, list(r("v1-r2", "REJECTED"), one), false},
		"beside a FAILED one":                     {"", one, list(one, r("v1-r2", "FAILED")), false},
		"beside a CANCELLED one":                  {"", one, list(one, r("v1-r2", "CANCELLED")), false},
		"two":                                     {one, one, list(one, two), true},
		"two, one on its way":                     {"", one, list(one, r("v1-r2", "PENDING")), true},
		"two, once a leg each":                    {"", one, list(one, one, two, two), true},
		"one listed, another in hand":             {one, two, list(two), true},
		"one listed, another under its reference": {"", one, list(two), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newPeerClient(t, func(req *http.Request) (*http.Response, error) {
					switch {
					case req.Method == http.MethodPost && tc.answered == "":
						return answer(504, `{}`), nil
					case req.Method == http.MethodPost:
						return answer(200, `{"data":`+tc.answered+`}`), nil
					case strings.HasSuffix(req.URL.Path, "/reference/refund-1"):
						return answer(200, `{"data":`+tc.byReference+`}`), nil
					}
					return answer(200, `{"data":{"order_id":"v1-agreed","type":"CHARGE","status":"PARTIALLY_REFUNDED",`+
						`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"},`+
						`"refunds":[`+strings.Join(tc.listed, ",")+`]}}`), nil
				})
				_, err := c.Refunds.Create(t.Context(), "v1-agreed", &plural.RefundRequest{
					MerchantOrderReference: "refund-1", OrderAmount: plural.INR(500),
				})
				_, found := c.Refunds.Find(t.Context(), "v1-agreed", "refund-1")
				if name == "one listed, another in hand" {
					found = err // Find has nothing in hand but what is listed
				}
				for call, err := range map[string]error{"create": err, "find": found} {
					if !tc.twice {
						require.NoError(t, err, call)
						continue
					}
					var twice *plural.DoubleRefundError
					require.ErrorAs(t, err, &twice, call)
					require.Len(t, twice.Refunds, 2, call)
					require.NotEqual(t, twice.Refunds[0].OrderID, twice.Refunds[1].OrderID, call)
				}
			})
		})
	}
}
