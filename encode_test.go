package plural_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func fullOrder() *plural.CreateOrderRequest {
	allowed := true
	address := plural.Address{
		Address1:        "14 Residency Road",
		Address2:        "Opposite the lake",
		Address3:        "Second floor",
		Pincode:         "560025",
		City:            "Bengaluru",
		State:           "Karnataka",
		Country:         "IN",
		FullName:        "Asha Rao",
		AddressCategory: "billing",
		AddressType:     "HOME",
	}
	return &plural.CreateOrderRequest{
		MerchantOrderReference: "own-order-2",
		OrderAmount:            plural.INR(149950),
		IntegrationMode:        plural.IntegrationModeIframe,
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard, plural.PaymentMethodPoints},
		Notes:                  "<fragile> & \"heavy\" ₹",
		CallbackURL:            "https://shop.example.in/return?a=1&b=2",
		FailureCallbackURL:     "https://shop.example.in/sorry",
		PurchaseDetails: &plural.PurchaseDetails{
			BankDetails: &plural.BankDetails{
				AccountNumber: "50100099887766",
				IFSCCode:      "SAMP0000123",
				BankName:      "Sample Bank",
			},
			AccountDetails: &plural.AccountDetails{BankDetails: &plural.BankDetails{AccountNumber: "50100011223344"}},
			Customer: &plural.Customer{
				EmailID:                      "asha.rao@example.in",
				FirstName:                    "Asha",
				LastName:                     "Rao",
				CustomerID:                   "cust-7",
				MobileNumber:                 "9811012345",
				CountryCode:                  "91",
				IsEditCustomerDetailsAllowed: &allowed,
				BillingAddress:               &address,
				ShippingAddress:              &plural.Address{City: "Mysuru"},
			},
			MerchantMetadata: map[string]string{"b": "2", "a": "1"},
			CartDetails: &plural.CartDetails{CartItems: []plural.CartItem{
				{
					ItemID:                  "k1",
					ItemName:                "kettle",
					ItemDescription:         "1.5 l",
					ItemDetailsURL:          "https://shop.example.in/k1",
					ItemImageURL:            "https://shop.example.in/k1.png",
					ItemOriginalUnitPrice:   price(159950),
					ItemDiscountedUnitPrice: price(149950),
					ItemQuantity:            1,
					ItemCurrency:            plural.CurrencyINR,
				},
			}},
			Product:  []plural.Product{{ProductCode: "k1", ProductAmount: plural.INR(149950), ProductIMEI: "356938035643809"}},
			Products: []plural.Product{{ProductCode: "k2", IMEINumber: "356938035643810"}},
			SplitInfo: &plural.SplitInfo{
				SplitType: "AMOUNT",
				SplitDetails: []plural.SplitDetail{
					{SplitMerchantID: "117733", MerchantSettlementReference: "s1", Amount: plural.INR(1000), OnHold: new(bool)},
				},
			},
		},
		PartPayment: true,
		PluginData:  &plural.PluginData{PluginType: "own", PluginVersion: "1.2"},
	}
}

// Every kind of request that the SDK sends is compared with a golden file, byte
// by byte.
func TestRequestsAreGolden(t *testing.T) {
	t.Parallel()
	withExtra := minimalOrder()
	withExtra.Extra = map[string]any{
		"z_last":             []int{1, 2},
		"is_mcc_transaction": "true",
		"base_amount":        map[string]any{"value": 1, "currency": "USD"},
		"html":               "<&>",
	}
	refund := &plural.RefundRequest{
		MerchantOrderReference: "own-refund-1",
		OrderAmount:            plural.INR(100),
		MerchantMetadata:       map[string]string{"why": "<broken>"},
		Products: []plural.Product{
			{ProductCode: "k1", ProductIMEI: "356938035643809", ProductAmount: plural.INR(100)},
		},
		SplitInfo: &plural.SplitInfo{
			SplitType: "AMOUNT",
			SplitDetails: []plural.SplitDetail{
				{
					ParentOrderSplitSettlementID: "v1-1-aa-b-ss-g",
					SplitMerchantID:              "117733",
					Amount:                       plural.INR(100),
					Status:                       "DO_NOT_RECOVER",
				},
			},
		},
		Extra: map[string]any{"refund_reason": "broken"},
	}
	id := plural.WithRequestID("own-request-id")
	cases := map[string]func(*testing.T, *plural.Client){
		"token": func(t *testing.T, c *plural.Client) { t.Helper(); _ = c.Warm(t.Context()) },
		"orders_create": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Orders.Create(t.Context(), minimalOrder(), id)
		},
		"orders_create_full": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_,
				_ = c.Orders.Create(t.Context(), fullOrder(), id)
		},
		"orders_create_extra": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_,
				_ = c.Orders.Create(t.Context(), withExtra, id)
		},
		"orders_get": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_,
				_ = c.Orders.Get(t.Context(), "v1-1-aa-b", id)
		},
		"payment_links_create": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.PaymentLinks.Create(t.Context(), minimalLink(), id)
		},
		"payment_links_create_full": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.PaymentLinks.Create(t.Context(), fullLink(), id)
		},
		"payment_links_get": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.PaymentLinks.Get(t.Context(), "pl-v1-1-aa-b", id)
		},
		"payment_links_get_odd_id": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.PaymentLinks.Get(t.Context(), "अ;=+&é@:", id)
		},
		"payment_links_get_reference": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.PaymentLinks.GetByReference(t.Context(), "own-inv-4412", id)
		},
		"payment_links_cancel": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.PaymentLinks.Cancel(t.Context(), "pl-v1-1-aa-b", id)
		},
		"payment_links_notify": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.PaymentLinks.Notify(t.Context(), "pl-v1-1-aa-b", id)
		},
		"orders_get_odd_id": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_,
				_ = c.Orders.Get(t.Context(), "अ;=+&é@:", id)
		},
		"orders_get_odd_reference": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Orders.GetByReference(t.Context(), "अ;=+&é@:", id)
		},
		"captures_create_odd_id": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Captures.Create(
				t.Context(), "अ;=+&é@:", &plural.CaptureRequest{MerchantCaptureReference: "own-capture-1", FullAmount: true}, id,
			)
		},
		"cancels_create_odd_id": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Cancels.Create(t.Context(), "अ;=+&é@:", id)
		},
		"refunds_create_odd_id": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Refunds.Create(
				t.Context(),
				"अ;=+&é@:",
				&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(100)},
				id,
			)
		},
		"orders_get_reference": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Orders.GetByReference(t.Context(), "own-order-1", id)
		},
		"captures_create_full": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Captures.Create(
				t.Context(), "v1-1-aa-b", &plural.CaptureRequest{MerchantCaptureReference: "own-capture-1", FullAmount: true}, id,
			)
		},
		"captures_create_partial": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Captures.Create(
				t.Context(),
				"v1-1-aa-b",
				&plural.CaptureRequest{MerchantCaptureReference: "own-capture-2", CaptureAmount: plural.INR(120000)},
				id,
			)
		},
		"cancels_create": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Cancels.Create(t.Context(), "v1-1-aa-b", id)
		},
		"refunds_create": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Refunds.Create(t.Context(), "v1-1-aa-b", refund, id)
		},
		"refunds_get": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_,
				_ = c.Refunds.Get(t.Context(), "v1-1-aa-r", id)
		},
		"refunds_get_reference": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Refunds.GetByReference(t.Context(), "own-refund-1", id)
		},
		"settlements_list": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = all(c.Settlements.List(t.Context(), lastDays(90))) // the test's clock starts in January 2000
		},
		"settlements_lines": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = all(c.Settlements.Lines(t.Context(), "520019904417"))
		},
		"settlements_get_odd_utr": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_, _ = c.Settlements.Get(t.Context(), "अ;=+&é@:")
		},
		"do_post": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_ = c.Do(
				t.Context(),
				http.MethodPost,
				"/api/pay/v1/paymentlink?draft=1",
				map[string]any{"amount": plural.INR(1), "note": "<&>"},
				nil,
				id,
				plural.WithHeader("x-own", "yes"),
			)
		},
		"do_get": func(t *testing.T, c *plural.Client) {
			t.Helper()
			_ = c.Do(t.Context(), http.MethodGet, "/api/settlements/v1/list?page=2", nil, nil, id)
		},
	}
	for name, send := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var written string
				record := func(r *http.Request) {
					if written == "" {
						written = textOf(t, r)
					}
				}
				client := newClientOver(t, func(r *http.Request) (*http.Response, error) {
					if !isTokenRequest(r) {
						record(r)
						return answer(http.StatusUnprocessableEntity, `{"code":"CARD_LOST"}`), nil
					}
					if name == "token" {
						record(r)
					}
					return answer(http.StatusOK, `{"access_token":"own-token","expires_in":3600}`), nil
				})
				send(t, client)
				requireGolden(t, filepath.Join("testdata", "golden", name+".txt"), written)
			})
		})
	}
}

var (
	requestTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	uuidV4      = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
)

// textOf writes down a request, with placeholders for the parts that differ
// from run to run.
func textOf(t *testing.T, r *http.Request) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\nHost: %s\n", r.Method, r.URL.RequestURI(), r.URL.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			if name == "Request-Timestamp" {
				require.Regexp(t, requestTime, value)
				value = "(a UTC time in milliseconds)"
			}
			if name == "Request-Id" && value != "own-request-id" {
				require.Regexp(t, uuidV4, value)
				value = "(a random UUID)"
			}
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	body := []byte("(no body)")
	if r.ContentLength != 0 {
		var err error
		body, err = io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, int64(len(body)), r.ContentLength)
	}
	fmt.Fprintf(&b, "\n%s\n", body)
	return b.String()
}
