package plural_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// What is not UTF-8 would be changed on its way: a reference into another one,
// a signed field into one that does not verify.
func TestTextThatIsNotUTF8IsRefused(t *testing.T) {
	t.Parallel()
	const bad = "a\xffb"
	create := func(change func(*plural.CreateOrderRequest)) any {
		req := minimalOrder()
		req.PurchaseDetails = &plural.PurchaseDetails{Customer: &plural.Customer{}}
		change(req)
		return req
	}
	type request = plural.CreateOrderRequest
	for name, test := range map[string]struct {
		in    any
		field string // "" when it is fine
	}{
		"notes":    {create(func(r *request) { r.Notes = bad }), "notes"},
		"a method": {create(func(r *request) { r.AllowedPaymentMethods = []plural.PaymentMethod{"UPI", bad} }), "allowed_payment_methods[1]"},
		"nested": {
			create(func(r *request) { r.PurchaseDetails.Customer.FirstName = bad }),
			"purchase_details.customer.first_name",
		},
		"metadata": {
			create(func(r *request) { r.PurchaseDetails.MerchantMetadata = map[string]string{"k": bad} }),
			"purchase_details.merchant_metadata.k",
		},
		"a name in metadata": {
			create(func(r *request) { r.PurchaseDetails.MerchantMetadata = map[string]string{bad: "v"} }),
			"purchase_details.merchant_metadata",
		},
		"extra": {
			create(func(r *request) { r.Extra = map[string]any{"new": []any{1, map[string]any{"x": bad}}} }),
			"new[1].x",
		},
		"a name in extra": {create(func(r *request) { r.Extra = map[string]any{bad: 1} }), "request"},
		"a raw part":      {create(func(r *request) { r.Extra = map[string]any{"raw": json.RawMessage(`"` + bad + `"`)} }), "raw"},
		"refund": {&plural.RefundRequest{
			MerchantOrderReference: "r", OrderAmount: plural.INR(100), MerchantMetadata: map[string]string{"k": bad},
		}, "merchant_metadata.k"},
		"do":                  {map[string]string{"k": bad}, "k"},
		"do, after much else": {map[string]any{"k": make([]int, 5_000), "l": bad}, "l"},
		"do, a struct":        {struct{ Name string }{bad}, "Name"},
		"do, bytes":           {map[string]any{"k": []byte{0xff}, "l": "\uFFFD"}, ""},
		"text that says so":   {create(func(r *request) { r.Notes = "\uFFFD and \\ufffd and \\\\ufffd é" }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := 0
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
				sent++
				return answer(http.StatusUnauthorized, ""), nil
			})
			var err error
			switch in := test.in.(type) {
			case *plural.CreateOrderRequest:
				_, err = client.Orders.Create(t.Context(), in, plural.WithoutValidation())
			case *plural.RefundRequest:
				_, err = client.Refunds.Create(t.Context(), "v1-1", in)
			default:
				err = client.Do(t.Context(), http.MethodPost, "/x", in, nil)
			}
			if test.field == "" {
				require.ErrorIs(t, err, plural.ErrUnauthorized)
				return
			}
			requireChecked(t, err, test.field)
			require.ErrorContains(t, err, "must be UTF-8")
			require.Zero(t, sent)
		})
	}
	_, err := unsent(t).Orders.Create(t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: "r", OrderAmount: plural.INR(1), Notes: bad,
	})
	requireChecked(t, err, "notes", "order_amount.value")
}

// What is checked without a call is what the call checks.
func TestValidateIsWhatTheCallChecks(t *testing.T) {
	t.Parallel()
	client := unsent(t)
	long := strings.Repeat("x", plural.MaxReference+1)
	for name, orderID := range map[string]string{"no order": "", "a path": "../x", "a good order": "v1-1"} {
		captures := []*plural.CaptureRequest{
			nil,
			{},
			{MerchantCaptureReference: "c 1", FullAmount: true},
			{MerchantCaptureReference: long, CaptureAmount: plural.INR(99)},
			{MerchantCaptureReference: "c-1", CaptureAmount: plural.INR(100), FullAmount: true},
		}
		for _, req := range captures {
			_, err := client.Captures.Create(t.Context(), orderID, req)
			require.Error(t, err, name)
			require.Equal(t, err, req.Validate(orderID), name)
		}
		refunds := []*plural.RefundRequest{
			nil,
			{},
			{MerchantOrderReference: long, OrderAmount: plural.INR(99)},
			{MerchantOrderReference: "r-1", OrderAmount: plural.INR(100), Extra: map[string]any{"products": 1}},
			{MerchantOrderReference: "r-1", OrderAmount: plural.INR(100), MerchantMetadata: map[string]string{"k": "a\xffb"}},
		}
		for _, req := range refunds {
			_, err := client.Refunds.Create(t.Context(), orderID, req)
			require.Error(t, err, name)
			require.Equal(t, err, req.Validate(orderID), name)
		}
		if orderID != "v1-1" {
			_, err := client.Cancels.Create(t.Context(), orderID)
			require.Error(t, err, name)
			require.Equal(t, err, plural.ValidateCancel(orderID), name)
		}
	}
	require.NoError(t, (&plural.CaptureRequest{MerchantCaptureReference: "c-1", FullAmount: true}).Validate("v1-1"))
	refund := &plural.RefundRequest{MerchantOrderReference: "r-1", OrderAmount: plural.INR(100)}
	require.NoError(t, refund.Validate("v1-1"))
	require.NoError(t, plural.ValidateCancel("v1-1"))
}
