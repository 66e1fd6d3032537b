package plural_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// An id or a reference may have characters that would change the path of the
// URL. No method sends such an id or reference, even if the caller switches
// validation off.
func TestPathSegments(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*plural.Client, string, ...plural.CallOption) error{
		"orders.get": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Orders.Get(t.Context(), id, o...)
			return err
		},
		"orders.get_by_reference": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Orders.GetByReference(t.Context(), id, o...)
			return err
		},
		"orders.wait": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Orders.Wait(t.Context(), id, nil, o...)
			return err
		},
		"captures.create": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Captures.Create(
				t.Context(),
				id,
				&plural.CaptureRequest{MerchantCaptureReference: "c", FullAmount: true},
				o...)
			return err
		},
		"cancels.create": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Cancels.Create(t.Context(), id, o...)
			return err
		},
		"refunds.create": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Refunds.Create(
				t.Context(),
				id,
				&plural.RefundRequest{MerchantOrderReference: "r", OrderAmount: plural.INR(100)},
				o...)
			return err
		},
		"refunds.get": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Refunds.Get(t.Context(), id, o...)
			return err
		},
		"refunds.get_by_reference": func(c *plural.Client, id string, o ...plural.CallOption) error {
			_, err := c.Refunds.GetByReference(t.Context(), id, o...)
			return err
		},
	}
	bad := []string{
		"",
		".",
		"..",
		"a/b",
		"../x",
		"a/../b",
		`a\b`,
		"%2e%2e",
		"%2F",
		"a%00",
		"a?b",
		"a#b",
		"a b",
		" a",
		"a\t",
		"a\n",
		"a\r\nHost: x",
		"\x00",
		"\x7f",
		"a\u0085",
		"a\u00a0",
		"a\u200b",
		"a\u202e",
		"a\ufeff",
		"\xff\xfe",
		strings.Repeat("a", 201),
	}
	good := []string{"v1-1-aa-b", "a.b", "...", "~", "é", "अ", ";x=1", "a:b@c", "a&b=c+d", strings.Repeat("a", 200)}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newSilentClient(t)
			for _, id := range bad {
				for _, opts := range [][]plural.CallOption{nil, {plural.WithoutValidation()}} {
					err := call(client, id, opts...)
					require.ErrorIs(t, err, plural.ErrInvalidRequest, "%q", id)
					require.Len(t, fieldsOf(err), 1, "%q", id)
					requireTidy(t, err.Error())
				}
			}
			for _, id := range good {
				var path string
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					path = r.URL.Path
					require.Equal(t, strings.Count(r.URL.Path, "/"), strings.Count(r.URL.EscapedPath(), "/"))
					return answer(http.StatusUnauthorized, ""), nil
				})
				requireChecked(t, call(client, id))
				require.Contains(t, path, "/"+id)
			}
		})
	}
}

func TestExtraCollidesWithEveryField(t *testing.T) {
	t.Parallel()
	client := newSilentClient(t)
	for _, name := range []string{
		"merchant_order_reference", "order_amount", "integration_mode", "pre_auth", "allowed_payment_methods", "notes",
		"callback_url",
		"failure_callback_url", "purchase_details", "part_payment", "plugin_data",
	} {
		req := minimalOrder()
		req.Extra = map[string]any{name: nil}
		_, err := client.Orders.Create(t.Context(), req)
		requireChecked(t, err, "extra."+name)
		_, err = req.MarshalJSON()
		require.ErrorContains(t, err, name)
	}
	for _, name := range []string{
		"merchant_order_reference", "order_amount", "merchant_metadata", "products",
		"split_info",
	} {
		_, err := client.Refunds.Create(
			t.Context(),
			"v1-1-aa-b",
			&plural.RefundRequest{
				MerchantOrderReference: "r", OrderAmount: plural.INR(100), Extra: map[string]any{name: nil},
			},
		)
		requireChecked(t, err, "extra."+name)
	}
}

// If a text is not UTF-8, encoding would change the text. A changed reference
// would not be the caller's reference any more. A changed text would not match
// a signature that somebody made of the original text.
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
		field string // "": the request is valid
	}{
		"notes": {create(func(r *request) { r.Notes = bad }), "notes"},
		"a method": {
			create(func(r *request) { r.AllowedPaymentMethods = []plural.PaymentMethod{"UPI", bad} }),
			"allowed_payment_methods[1]",
		},
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
		"a raw part": {
			create(func(r *request) { r.Extra = map[string]any{"raw": json.RawMessage(`"` + bad + `"`)} }), "raw",
		},
		"refund": {&plural.RefundRequest{
			MerchantOrderReference: "r", OrderAmount: plural.INR(100), MerchantMetadata: map[string]string{"k": bad},
		}, "merchant_metadata.k"},
		"do":                     {map[string]string{"k": bad}, "k"},
		"do, after much else":    {map[string]any{"k": make([]int, 5_000), "l": bad}, "l"},
		"do, a struct":           {struct{ Name string }{bad}, "Name"},
		"do, bytes":              {map[string]any{"k": []byte{0xff}, "l": "\uFFFD"}, ""},
		"text with U+FFFD in it": {create(func(r *request) { r.Notes = "\uFFFD and \\ufffd and \\\\ufffd é" }), ""},
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
	_, err := newSilentClient(t).Orders.Create(t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: "r", OrderAmount: plural.INR(1), Notes: bad,
	})
	requireChecked(t, err, "notes", "order_amount.value")
}
