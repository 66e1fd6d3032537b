package plural_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// newSilentClient makes a client that must not send anything. If the client
// sends a request, the test fails.
func newSilentClient(t *testing.T) *plural.Client {
	t.Helper()
	var sent atomic.Int64
	t.Cleanup(func() { require.Zero(t, sent.Load(), "something was sent") })
	return newClientOver(t, func(*http.Request) (*http.Response, error) {
		sent.Add(1)
		return nil, errors.New("nobody is there")
	})
}

// fieldsOf returns the fields that a ValidationError names. For any other
// error, and for nil, it returns none.
func fieldsOf(err error) []string {
	var fields []string
	if invalid, ok := errors.AsType[*plural.ValidationError](err); ok {
		for _, f := range invalid.Fields {
			fields = append(fields, f.Field)
		}
	}
	return fields
}

// requireChecked checks that the error names exactly these fields. If no fields
// are given, requireChecked checks that the request was valid and was sent.
// Then the error must have status 401, because the tests use servers that
// answer every request with this status.
func requireChecked(t *testing.T, err error, fields ...string) {
	t.Helper()
	if len(fields) > 0 {
		require.ErrorIs(t, err, plural.ErrInvalidRequest)
		require.Equal(t, fields, fieldsOf(err))
		requireTidy(t, err.Error())
		return
	}
	var e *plural.Error
	require.ErrorAs(t, err, &e, "the request was not sent")
	require.Equal(t, http.StatusUnauthorized, e.StatusCode)
}

// newRefusedClient makes a client. The server of this client answers every
// request with 401.
func newRefusedClient(t *testing.T) *plural.Client {
	t.Helper()
	return newPeerClient(t, func(*http.Request) (*http.Response, error) {
		return answer(http.StatusUnauthorized, ""), nil
	})
}

func letters(n int) string { return strings.Repeat("a", n) }
func digits(n int) string  { return strings.Repeat("7", n) }

// Each documented limit is tested with the last valid and the first invalid
// value.
func TestCreateOrderLimits(t *testing.T) {
	t.Parallel()
	customer := func(set func(*plural.Customer)) func(*plural.CreateOrderRequest) {
		return func(r *plural.CreateOrderRequest) {
			r.PurchaseDetails = &plural.PurchaseDetails{Customer: &plural.Customer{}}
			set(r.PurchaseDetails.Customer)
		}
	}
	address := func(set func(*plural.Address)) func(*plural.CreateOrderRequest) {
		return customer(func(c *plural.Customer) {
			c.BillingAddress = &plural.Address{}
			set(c.BillingAddress)
		})
	}
	metadata := func(pairs, name, value int) func(*plural.CreateOrderRequest) {
		return func(r *plural.CreateOrderRequest) {
			m := map[string]string{}
			for i := range pairs {
				m[fmt.Sprintf("%0*d", name, i)] = strings.Repeat("é", value)
			}
			r.PurchaseDetails = &plural.PurchaseDetails{MerchantMetadata: m}
		}
	}
	type request = plural.CreateOrderRequest
	const (
		value, reference = "order_amount.value", "merchant_order_reference"
		at               = "purchase_details.customer."
		billing          = at + "billing_address."
		pairs            = "purchase_details.merchant_metadata"
	)
	cases := map[string]struct {
		set   func(*request)
		field string // "": the request is valid
	}{
		"amount 99":          {func(r *request) { r.OrderAmount = plural.INR(99) }, value},
		"amount 100":         {func(r *request) { r.OrderAmount = plural.INR(100) }, ""},
		"amount 100000000":   {func(r *request) { r.OrderAmount = plural.INR(100_000_000) }, ""},
		"amount 100000001":   {func(r *request) { r.OrderAmount = plural.INR(100_000_001) }, value},
		"currency USD":       {func(r *request) { r.OrderAmount.Currency = "USD" }, ""},
		"reference of 1":     {func(r *request) { r.MerchantOrderReference = "-" }, ""},
		"reference of 50":    {func(r *request) { r.MerchantOrderReference = letters(48) + "_Z" }, ""},
		"reference of 51":    {func(r *request) { r.MerchantOrderReference = letters(51) }, reference},
		"reference with dot": {func(r *request) { r.MerchantOrderReference = "a.b" }, reference},
		"reference with é":   {func(r *request) { r.MerchantOrderReference = "é" }, reference},
		"callback relative":  {func(r *request) { r.CallbackURL = "/return" }, "callback_url"},
		"callback ftp":       {func(r *request) { r.CallbackURL = "ftp://shop.example.in/" }, "callback_url"},
		"callback no host":   {func(r *request) { r.CallbackURL = "https:///x" }, "callback_url"},
		"callback port only": {func(r *request) { r.CallbackURL = "https://:443/x" }, "callback_url"},
		"callback broken":    {func(r *request) { r.CallbackURL = "https://a b/" }, "callback_url"},
		"callback http":      {func(r *request) { r.CallbackURL = "http://localhost:8080/x?y=1" }, ""},
		"failure javascript": {func(r *request) { r.FailureCallbackURL = "javascript:alert(1)" }, "failure_callback_url"},
		"hold by card": {
			func(r *request) { r.PreAuth = true; r.AllowedPaymentMethods = []plural.PaymentMethod{"CARD", "POINTS"} },
			"",
		},
		"hold by anything": {func(r *request) { r.PreAuth = true }, ""},
		"hold by UPI": {
			func(r *request) { r.PreAuth = true; r.AllowedPaymentMethods = []plural.PaymentMethod{"CARD", "UPI"} },
			"allowed_payment_methods",
		},
		"sale by UPI": {
			func(r *request) { r.AllowedPaymentMethods = []plural.PaymentMethod{"UPI", "A_NEW_ONE"} },
			"",
		},
		"method empty": {
			func(r *request) { r.AllowedPaymentMethods = []plural.PaymentMethod{"UPI", ""} },
			"allowed_payment_methods[1]",
		},
		"email of 50":      {customer(func(c *plural.Customer) { c.EmailID = letters(50) }), ""},
		"email of 51":      {customer(func(c *plural.Customer) { c.EmailID = letters(51) }), at + "email_id"},
		"name of 50 runes": {customer(func(c *plural.Customer) { c.FirstName = strings.Repeat("आ", 50) }), ""},
		"name of 51 runes": {
			customer(func(c *plural.Customer) { c.FirstName = strings.Repeat("आ", 51) }),
			at + "first_name",
		},
		"last name of 50": {customer(func(c *plural.Customer) { c.LastName = strings.Repeat("é", 50) }), ""},
		"last name of 51": {
			customer(func(c *plural.Customer) { c.LastName = strings.Repeat("é", 51) }),
			at + "last_name",
		},
		"customer id of 30":  {customer(func(c *plural.Customer) { c.CustomerID = "cust-v1-250414071055-aa-lj5Omz" }), ""},
		"mobile of 8":        {customer(func(c *plural.Customer) { c.MobileNumber = digits(8) }), at + "mobile_number"},
		"mobile of 9":        {customer(func(c *plural.Customer) { c.MobileNumber = digits(9) }), ""},
		"mobile of 20":       {customer(func(c *plural.Customer) { c.MobileNumber = digits(20) }), ""},
		"mobile of 21":       {customer(func(c *plural.Customer) { c.MobileNumber = digits(21) }), at + "mobile_number"},
		"mobile with plus":   {customer(func(c *plural.Customer) { c.MobileNumber = "+" + digits(12) }), ""},
		"mobile with dash":   {customer(func(c *plural.Customer) { c.MobileNumber = "98110-12345" }), at + "mobile_number"},
		"country code 91":    {customer(func(c *plural.Customer) { c.CountryCode = "91" }), ""},
		"country code +91":   {customer(func(c *plural.Customer) { c.CountryCode = "+91" }), at + "country_code"},
		"line 1 of 100":      {address(func(a *plural.Address) { a.Address1 = strings.Repeat("é", 100) }), ""},
		"line 1 of 101":      {address(func(a *plural.Address) { a.Address1 = letters(101) }), billing + "address1"},
		"line 2 of 101":      {address(func(a *plural.Address) { a.Address2 = letters(101) }), billing + "address2"},
		"line 3 of 101":      {address(func(a *plural.Address) { a.Address3 = letters(101) }), billing + "address3"},
		"pincode of 5":       {address(func(a *plural.Address) { a.Pincode = digits(5) }), billing + "pincode"},
		"pincode of 6":       {address(func(a *plural.Address) { a.Pincode = digits(6) }), ""},
		"pincode of 10":      {address(func(a *plural.Address) { a.Pincode = digits(10) }), ""},
		"pincode of 11":      {address(func(a *plural.Address) { a.Pincode = digits(11) }), billing + "pincode"},
		"pincode of letters": {address(func(a *plural.Address) { a.Pincode = letters(6) }), billing + "pincode"},
		"city of 50":         {address(func(a *plural.Address) { a.City = letters(50) }), ""},
		"city of 51":         {address(func(a *plural.Address) { a.City = letters(51) }), billing + "city"},
		"state of 51":        {address(func(a *plural.Address) { a.State = letters(51) }), billing + "state"},
		"country of 51":      {address(func(a *plural.Address) { a.Country = letters(51) }), billing + "country"},
		"shipping city of 51": {
			customer(func(c *plural.Customer) { c.ShippingAddress = &plural.Address{City: letters(51)} }),
			at + "shipping_address.city",
		},
		"10 pairs of 256": {metadata(10, 256, 256), ""},
		"11 pairs":        {metadata(11, 2, 2), pairs},
		"a name of 257":   {metadata(1, 257, 2), pairs},
		"a value of 257":  {metadata(1, 2, 257), pairs},
		"bank, no account": {
			func(r *request) { r.PurchaseDetails = &plural.PurchaseDetails{BankDetails: &plural.BankDetails{}} },
			"purchase_details.bank_details.account_number",
		},
		"account, no account": {func(r *request) {
			r.PurchaseDetails = &plural.PurchaseDetails{
				AccountDetails: &plural.AccountDetails{BankDetails: &plural.BankDetails{}},
			}
		}, "purchase_details.account_details.bank_details.account_number"},
		"account, empty": {func(r *request) {
			r.PurchaseDetails = &plural.PurchaseDetails{AccountDetails: &plural.AccountDetails{}}
		}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := minimalOrder()
			tc.set(req)
			client := newRefusedClient(t)
			_, err := client.Orders.Create(t.Context(), req)
			if tc.field == "" {
				requireChecked(t, err)
				return
			}
			requireChecked(t, err, tc.field)
			_, err = client.Orders.Create(t.Context(), req, plural.WithoutValidation())
			requireChecked(t, err)
			_, err = newSilentClient(t).Orders.Create(t.Context(), req)
			require.Error(t, err)
		})
	}
}

// A call with a nil context sends nothing and does not panic. It returns an
// error.
func TestNilContext(t *testing.T) {
	t.Parallel()
	var none context.Context
	client := newSilentClient(t)
	calls := map[string]func() error{
		"Warm": func() error { return client.Warm(none) },
		"Do":   func() error { return client.Do(none, http.MethodGet, "/api/x", nil, nil) },
		"Orders.Create": func() error {
			_, err := client.Orders.Create(none, minimalOrder())
			return err
		},
		"Orders.Get": func() error {
			_, err := client.Orders.Get(none, "v1-1-aa-b")
			return err
		},
		"Orders.GetByReference": func() error {
			_, err := client.Orders.GetByReference(none, "own-1")
			return err
		},
		"Orders.Wait": func() error {
			_, err := client.Orders.Wait(none, "v1-1-aa-b", nil)
			return err
		},
		"Captures.Create": func() error {
			_, err := client.Captures.Create(
				none, "v1-1-aa-b", &plural.CaptureRequest{MerchantCaptureReference: "c", FullAmount: true},
			)
			return err
		},
		"Cancels.Create": func() error {
			_, err := client.Cancels.Create(none, "v1-1-aa-b")
			return err
		},
		"Refunds.Create": func() error {
			_, err := client.Refunds.Create(
				none, "v1-1-aa-b", &plural.RefundRequest{MerchantOrderReference: "r", OrderAmount: plural.INR(100)},
			)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireChecked(t, call(), "ctx")
		})
	}
}

func TestChecksThatStay(t *testing.T) {
	t.Parallel()
	order := func(set func(*plural.CreateOrderRequest)) func(*plural.Client, ...plural.CallOption) error {
		return func(c *plural.Client, opts ...plural.CallOption) error {
			r := minimalOrder()
			set(r)
			_, err := c.Orders.Create(t.Context(), r, opts...)
			return err
		}
	}
	capture := func(id string, r *plural.CaptureRequest) func(*plural.Client, ...plural.CallOption) error {
		return func(c *plural.Client, opts ...plural.CallOption) error {
			_, err := c.Captures.Create(t.Context(), id, r, opts...)
			return err
		}
	}
	refund := func(id string, r *plural.RefundRequest) func(*plural.Client, ...plural.CallOption) error {
		return func(c *plural.Client, opts ...plural.CallOption) error {
			_, err := c.Refunds.Create(t.Context(), id, r, opts...)
			return err
		}
	}
	negative := &plural.SplitInfo{SplitDetails: []plural.SplitDetail{{Amount: plural.INR(0)}, {Amount: plural.INR(-1)}}}
	cases := map[string]struct {
		call   func(*plural.Client, ...plural.CallOption) error
		fields []string
	}{
		"order: nothing": {func(c *plural.Client, opts ...plural.CallOption) error {
			_, err := c.Orders.Create(t.Context(), nil, opts...)
			return err
		}, []string{"request"}},
		"order: empty": {
			order(func(r *plural.CreateOrderRequest) { *r = plural.CreateOrderRequest{} }),
			[]string{"merchant_order_reference", "order_amount.value", "order_amount.currency"},
		},
		"order: amount 0": {
			order(func(r *plural.CreateOrderRequest) { r.OrderAmount.Value = 0 }),
			[]string{"order_amount.value"},
		},
		"order: amount negative": {
			order(func(r *plural.CreateOrderRequest) { r.OrderAmount.Value = math.MinInt64 }),
			[]string{"order_amount.value"},
		},
		"order: currency inr": {
			order(func(r *plural.CreateOrderRequest) { r.OrderAmount.Currency = "inr" }),
			[]string{"order_amount.currency"},
		},
		"order: reference is a path": {
			order(func(r *plural.CreateOrderRequest) { r.MerchantOrderReference = "a/../b" }),
			[]string{"merchant_order_reference"},
		},
		"order: split negative": {
			order(func(r *plural.CreateOrderRequest) { r.PurchaseDetails = &plural.PurchaseDetails{SplitInfo: negative} }),
			[]string{"purchase_details.split_info.split_details[1].amount.value"},
		},
		"order: extra collides": {
			order(func(r *plural.CreateOrderRequest) { r.Extra = map[string]any{"pre_auth": true, "own": 1} }),
			[]string{"extra.pre_auth"},
		},
		"order: extra is Extra": {
			order(func(r *plural.CreateOrderRequest) { r.Extra = map[string]any{"-": 1, "Extra": 2} }),
			nil,
		},
		"order: extra is not JSON": {
			order(func(r *plural.CreateOrderRequest) { r.Extra = map[string]any{"own": func() {}} }),
			[]string{"request"},
		},
		"capture: nothing":        {capture("v1-1-aa-b", nil), []string{"request"}},
		"capture: nothing, no id": {capture("", nil), []string{"request", "order_id"}},
		"capture: forgotten": {
			capture("v1-1-aa-b", &plural.CaptureRequest{MerchantCaptureReference: "c"}),
			[]string{"capture_amount"},
		},
		"capture: both": {
			capture(
				"v1-1-aa-b",
				&plural.CaptureRequest{MerchantCaptureReference: "c", CaptureAmount: plural.INR(100), FullAmount: true},
			),
			[]string{"capture_amount"},
		},
		"capture: currency only": {
			capture("v1-1-aa-b", &plural.CaptureRequest{MerchantCaptureReference: "c", CaptureAmount: plural.INR(0)}),
			[]string{"capture_amount.value"},
		},
		"capture: value only": {
			capture(
				"v1-1-aa-b",
				&plural.CaptureRequest{MerchantCaptureReference: "c", CaptureAmount: plural.Amount{Value: 100}},
			),
			[]string{"capture_amount.currency"},
		},
		"capture: all wrong": {
			capture(".", &plural.CaptureRequest{CaptureAmount: plural.Amount{Value: -1}}),
			[]string{"merchant_capture_reference", "capture_amount.value", "capture_amount.currency", "order_id"},
		},
		"refund: nothing": {refund("v1-1-aa-b", nil), []string{"request"}},
		"refund: forgotten": {
			refund("v1-1-aa-b", &plural.RefundRequest{MerchantOrderReference: "r"}),
			[]string{"order_amount.value", "order_amount.currency"},
		},
		"refund: extra collides": {
			refund(
				"v1-1-aa-b",
				&plural.RefundRequest{
					MerchantOrderReference: "r",
					OrderAmount:            plural.INR(100),
					Extra:                  map[string]any{"order_amount": 1},
				},
			),
			[]string{"extra.order_amount"},
		},
		"refund: split negative": {
			refund(
				"v1-1-aa-b",
				&plural.RefundRequest{MerchantOrderReference: "r", OrderAmount: plural.INR(100), SplitInfo: negative},
			),
			[]string{"split_info.split_details[1].amount.value"},
		},
		"refund: reference is a path": {
			refund("v1-1-aa-b", &plural.RefundRequest{MerchantOrderReference: "..", OrderAmount: plural.INR(100)}),
			[]string{"merchant_order_reference"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newRefusedClient(t)
			if tc.fields != nil {
				client = newSilentClient(t)
			}
			requireChecked(t, tc.call(client), tc.fields...)
			requireChecked(t, tc.call(client, plural.WithoutValidation()), tc.fields...)
		})
	}
}

func TestCaptureAndRefundLimits(t *testing.T) {
	t.Parallel()
	for value, fine := range map[int64]bool{1: false, 99: false, 100: true, 100_000_000: true, 100_000_001: false} {
		client := newRefusedClient(t)
		_, err := client.Captures.Create(
			t.Context(),
			"v1-1-aa-b",
			&plural.CaptureRequest{MerchantCaptureReference: letters(50), CaptureAmount: plural.INR(value)},
		)
		_, refundErr := client.Refunds.Create(
			t.Context(),
			"v1-1-aa-b",
			&plural.RefundRequest{MerchantOrderReference: letters(50), OrderAmount: plural.INR(value)},
		)
		if fine {
			requireChecked(t, err)
			requireChecked(t, refundErr)
		} else {
			requireChecked(t, err, "capture_amount.value")
			requireChecked(t, refundErr, "order_amount.value")
		}
	}
	client := newSilentClient(t)
	_, err := client.Captures.Create(
		t.Context(), "v1-1-aa-b", &plural.CaptureRequest{MerchantCaptureReference: letters(51), FullAmount: true},
	)
	requireChecked(t, err, "merchant_capture_reference")
	many := map[string]string{}
	for i := range 11 {
		many[letters(i+1)] = "x"
	}
	_, err = client.Refunds.Create(
		t.Context(),
		"v1-1-aa-b",
		&plural.RefundRequest{MerchantOrderReference: letters(51), OrderAmount: plural.INR(99), MerchantMetadata: many},
	)
	requireChecked(t, err, "merchant_order_reference", "order_amount.value", "merchant_metadata")
}

// One error names all invalid fields, and shows none of their values.
func TestOneErrorNamesAllFields(t *testing.T) {
	t.Parallel()
	req := fullOrder()
	req.MerchantOrderReference = "has spaces/"
	req.OrderAmount = plural.Amount{Value: -5, Currency: "rs"}
	req.CallbackURL = "s3cret"
	req.AllowedPaymentMethods = []plural.PaymentMethod{"UPI", ""}
	req.PurchaseDetails.Customer.EmailID = strings.Repeat("s3cret", 10)
	req.PurchaseDetails.Customer.MobileNumber = "s3cret"
	req.PurchaseDetails.Customer.BillingAddress.Pincode = "s3cret-s3cret"
	req.PurchaseDetails.MerchantMetadata = map[string]string{"s3cret": strings.Repeat("s3cret", 100)}
	req.Extra = map[string]any{"notes": "s3cret"}
	_, err := newSilentClient(t).Orders.Create(
		t.Context(), req, plural.WithRequestID(""), plural.WithHeader("Authorization", "s3cret"),
	)
	require.Equal(t, []string{
		"Request-ID",
		"header Authorization",
		"merchant_order_reference",
		"order_amount.value",
		"order_amount.currency",
		"extra.notes",
		"callback_url",
		"allowed_payment_methods",
		"allowed_payment_methods[1]",
		"purchase_details.customer.email_id",
		"purchase_details.customer.mobile_number",
		"purchase_details.customer.mobile_number",
		"purchase_details.customer.billing_address.pincode",
		"purchase_details.customer.billing_address.pincode",
		"purchase_details.merchant_metadata",
	}, fieldsOf(err))
	require.NotContains(t, err.Error(), "s3cret")
	var invalid *plural.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "orders.create", invalid.Op)
}

// A request's Validate makes the same checks as the call that sends it.
func TestValidateIsWhatTheCallChecks(t *testing.T) {
	t.Parallel()
	client := newSilentClient(t)
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
			{
				MerchantOrderReference: "r-1", OrderAmount: plural.INR(100),
				MerchantMetadata: map[string]string{"k": "a\xffb"},
			},
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
