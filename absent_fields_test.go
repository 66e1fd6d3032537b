package plural_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// A document without pre_auth says nothing of it. The field counts only while
// the order is unpaid.
func TestAbsentPreAuthIsNotNo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		asked  bool
		status string
		field  string
		same   bool
	}{
		"yes, yes":               {true, "CREATED", `"pre_auth":true,`, true},
		"yes, no":                {true, "CREATED", `"pre_auth":false,`, false},
		"yes, no in quotes":      {true, "CREATED", `"pre_auth":"false",`, false},
		"yes, absent":            {true, "CREATED", ``, true},
		"yes, null":              {true, "CREATED", `"pre_auth":null,`, true},
		"no, no":                 {false, "CREATED", `"pre_auth":false,`, true},
		"no, yes":                {false, "CREATED", `"pre_auth":true,`, false},
		"no, absent":             {false, "CREATED", ``, true},
		"yes, no, in camelCase":  {true, "CREATED", `"preAuth":false,`, false},
		"yes, no, but attempted": {true, "ATTEMPTED", `"pre_auth":false,`, false},
		"yes, no, but captured":  {true, "PROCESSED", `"pre_auth":false,`, true},
		"yes, absent, held":      {true, "AUTHORIZED", ``, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost {
						return answer(422, `{"code":"DUPLICATE_REQUEST","message":"used"}`), nil
					}
					return answer(200, fmt.Sprintf(`{"data":{"order_id":"v1-agreed","type":"CHARGE","status":%q,%s`+
						`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"}}}`,
						tc.status, tc.field)), nil
				})
				_, err := c.Orders.Create(t.Context(), &plural.CreateOrderRequest{
					MerchantOrderReference: "order-1", OrderAmount: plural.INR(2000), PreAuth: tc.asked,
				})
				if tc.same {
					var duplicate *plural.DuplicateOrderError
					require.ErrorAs(t, err, &duplicate)
					require.NotErrorIs(t, err, plural.ErrConflict)
				} else {
					require.ErrorIs(t, err, plural.ErrReferenceReused)
				}
			})
		})
	}
}

// Neither does Expected.Check take an absent pre_auth for no.
func TestCheckOfAHoldWithoutPreAuth(t *testing.T) {
	t.Parallel()
	for field, paid := range map[string]bool{
		`"pre_auth":true,`: true, `"preAuth":true,`: true, `"pre_auth":"true",`: true, ``: true, `"pre_auth":null,`: true,
		`"pre_auth":false,`: false, `"preAuth":false,`: false, `"pre_auth":"false",`: false,
	} {
		o := new(plural.Order)
		require.NoError(t, json.Unmarshal([]byte(`{"order_id":"v1-agreed","type":"CHARGE","status":"AUTHORIZED",`+field+
			`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"},"payments":[{"id":"v1-agreed-1",`+
			`"status":"AUTHORIZED","payment_method":"CARD","payment_amount":{"value":2000,"currency":"INR"}}]}`), o))
		err := plural.Expected{OrderID: "v1-agreed", OrderAmount: plural.INR(2000)}.Check(o)
		if paid {
			require.NoError(t, err, field)
		} else {
			require.ErrorIs(t, err, plural.ErrNotPaid, field)
		}
	}
}

// One amount of an attempt that failed does not spoil the order, whatever
// stands there.
func TestUnreadableAmountOfAFailedAttempt(t *testing.T) {
	t.Parallel()
	for _, amount := range []string{
		`{"value":"19.995","currency":"INR"}`, `{"value":19.995,"currency":"INR"}`, `{"value":"","currency":"INR"}`,
		`{"value":null,"currency":"INR"}`, `{"value":1e400,"currency":"INR"}`,
		`{"value":99999999999999999999,"currency":"INR"}`,
		`{"value":true,"currency":"INR"}`, `{"value":{},"currency":"INR"}`, `{"value":[2000],"currency":"INR"}`,
		`{"value":2000,"currency":7}`, `{"currency":"INR"}`, `{"value":2000}`, `{}`, `[]`, `null`,
		`""`, `"20.00"`, `20.5`, `true`,
	} {
		for _, where := range []string{
			`"payment_amount":%s`, `"payment_amount":{"value":24,"currency":"USD"},"base_amount":%s`,
			`"paymentAmount":%s`,
			`"payment_amount":{"value":2000,"currency":"INR"},` +
				`"capture_data":[{"merchant_capture_reference":"capture-1","capture_amount":%s}]`,
		} {
			document := fmt.Sprintf(`{"order_id":"v1-agreed","type":"CHARGE","status":"PROCESSED",`+
				`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"},"payments":[`+
				`{"id":"v1-agreed-1","status":"FAILED","payment_method":"CARD",`+where+`},`+
				`{"id":"v1-agreed-2","status":"PROCESSED","payment_method":"UPI",`+
				`"payment_amount":{"value":2000,"currency":"INR"}}]}`, amount)
			c := newPeerClient(t, func(*http.Request) (*http.Response, error) {
				return answer(200, `{"data":`+document+`}`), nil
			})
			o, err := c.Orders.Get(t.Context(), "v1-agreed")
			require.NoError(t, err, document)
			taken, known := o.CapturedAmount()
			require.True(t, known, document)
			require.Equal(t, plural.INR(2000), taken, document)
			require.NoError(t, plural.Expected{OrderID: "v1-agreed", OrderAmount: plural.INR(2000)}.Check(o), document)
		}
	}
}
