package pluraltest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func TestDocumentedErrors(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	a := newAPI(t, srv)
	held := authorized(t, srv, "held", 5000)
	created, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "created", Amount: inr(5000), PreAuth: true})
	require.NoError(t, err)
	voided := authorized(t, srv, "voided", 5000)
	require.NoError(t, srv.Cancel(voided))
	taken := authorized(t, srv, "taken", 5000)
	require.NoError(t, srv.Capture(taken, "cap", pluraltest.Amount{}))
	refund, err := srv.Refund(taken, "taken-refund", inr(100))
	require.NoError(t, err)
	returned, nearly := authorized(t, srv, "returned", 5000), authorized(t, srv, "nearly", 5000)
	for id, given := range map[string]int64{returned: 5000, nearly: 4950} {
		require.NoError(t, srv.Capture(id, "cap", pluraltest.Amount{}))
		_, err = srv.Refund(id, "refund-of-"+id, inr(given))
		require.NoError(t, err)
	}

	const order = "/api/pay/v1/orders/"
	const checkout = "/api/checkout/v1/orders"
	body := func(reference, amount, rest string) string {
		return `{"merchant_order_reference":` + reference + `,"order_amount":` + amount + rest + `}`
	}
	ok := `{"value":5000,"currency":"INR"}`
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code, message            string
	}{
		{
			"empty reference", "POST", checkout, body(`""`, ok, ""), 400, "INVALID_REQUEST",
			"Merchant Order Reference must not be empty",
		},
		{
			"no reference", "POST", checkout, `{"order_amount":` + ok + `}`, 400, "INVALID_REQUEST",
			"Merchant Order Reference must not be empty",
		},
		{
			"long reference", "POST", checkout, body(`"`+strings.Repeat("a", 51)+`"`, ok, ""), 400, "INVALID_REQUEST",
			"Merchant Order Reference must be less than or equal to 50 characters",
		},
		{"bad reference", "POST", checkout, body(`"a b"`, ok, ""), 400, "INVALID_REQUEST", ""},
		{"fractional reference", "POST", checkout, body(`1.5`, ok, ""), 400, "INVALID_REQUEST", ""},
		{
			"amount zero", "POST", checkout, body(`"x"`, `{"value":0,"currency":"INR"}`, ""), 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 1",
		},
		{
			"amount missing", "POST", checkout, `{"merchant_order_reference":"x"}`, 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 1",
		},
		{
			"amount fraction", "POST", checkout, body(`"x"`, `{"value":10.5,"currency":"INR"}`, ""), 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 1",
		},
		{
			"amount text", "POST", checkout, body(`"x"`, `{"value":"100","currency":"INR"}`, ""), 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 1",
		},
		{
			"amount too big", "POST", checkout, body(`"x"`, `{"value":100000001,"currency":"INR"}`, ""), 400,
			"INVALID_REQUEST", "Amount must be an Integer value less than or equal to 100000000",
		},
		{
			"amount huge", "POST", checkout, body(`"x"`, `{"value":99999999999999999999,"currency":"INR"}`, ""), 400,
			"INVALID_REQUEST", "Amount must be an Integer value less than or equal to 100000000",
		},
		{
			"amount below a rupee", "POST", checkout, body(`"x"`, `{"value":99,"currency":"INR"}`, ""), 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 100",
		},
		{
			"amount negative", "POST", checkout, body(`"x"`, `{"value":-1,"currency":"INR"}`, ""), 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 1",
		},
		{
			"no currency", "POST", checkout, body(`"x"`, `{"value":100}`, ""), 400, "INVALID_REQUEST",
			"Currency is missing/invalid",
		},
		{
			"currency of digits", "POST", checkout, body(`"x"`, `{"value":100,"currency":"123"}`, ""), 400, "INVALID_REQUEST",
			"Currency is missing/invalid",
		},
		{
			"currency sign", "POST", checkout, body(`"x"`, `{"value":100,"currency":"₹"}`, ""), 400, "INVALID_REQUEST",
			"Currency is missing/invalid",
		},
		{
			"currency in small letters", "POST", checkout, body(`"x"`, `{"value":100,"currency":"inr"}`, ""), 400,
			"INVALID_REQUEST", "Currency is missing/invalid",
		},
		{
			"field in another case", "POST", checkout, `{"Merchant_Order_Reference":"x","order_amount":` + ok + `}`, 400,
			"INVALID_REQUEST", "Merchant Order Reference must not be empty",
		},
		{
			"amount in another case", "POST", checkout, body(`"x"`, `{"Value":100,"currency":"INR"}`, ""), 400,
			"INVALID_REQUEST", "Amount must be an Integer value greater than or equal to 1",
		},
		{
			"currency in another case", "POST", checkout, body(`"x"`, `{"value":100,"CURRENCY":"INR"}`, ""), 400,
			"INVALID_REQUEST", "Currency is missing/invalid",
		},
		{
			"payment method", "POST", checkout, body(`"x"`, ok, `,"allowed_payment_methods":["CASH"]`), 400, "INVALID_REQUEST",
			"Payment method is missing/invalid",
		},
		{"integration mode", "POST", checkout, body(`"x"`, ok, `,"integration_mode":"POPUP"`), 400, "INVALID_REQUEST", ""},
		{
			"pre_auth as text", "POST", checkout, body(`"x"`, ok, `,"pre_auth":"yes"`), 400, "INVALID_REQUEST",
			"Request is not well-formed, syntactically incorrect, or violates schema",
		},
		{"callback url", "POST", checkout, body(`"x"`, ok, `,"callback_url":"nowhere"`), 400, "INVALID_REQUEST", ""},
		{
			"not JSON", "POST", checkout, `{`, 400, "INVALID_REQUEST",
			"Request is not well-formed, syntactically incorrect, or violates schema",
		},
		{"two documents", "POST", checkout, body(`"x"`, ok, "") + `{}`, 400, "INVALID_REQUEST", ""},
		{"wrong method", "GET", checkout, "", 405, "INVALID_REQUEST", ""},

		{
			"unknown order", "GET", order + "v1-none", "", 422, "ORDER_NOT_FOUND",
			"No order with specified order-id exists in the system",
		},
		{"unknown reference", "GET", order + "reference/none", "", 422, "ORDER_NOT_FOUND", ""},
		{
			"capture unknown order", "PUT", order + "v1-none/capture", `{"merchant_capture_reference":"c"}`, 422,
			"ORDER_NOT_FOUND", "",
		},
		{
			"capture without reference", "PUT", order + held + "/capture", `{}`, 400, "INVALID_REQUEST",
			"Merchant Capture Reference must not be empty",
		},
		{
			"capture nothing paid", "PUT", order + created + "/capture", `{"merchant_capture_reference":"c"}`, 422,
			"OPERATION_NOT_ALLOWED", "The specified operation cannot be made because required precondition has failed",
		},
		{
			"capture reference under names in camelCase and with a capital", "PUT", order + held + "/capture",
			`{"merchantCaptureReference":"c","Merchant_capture_reference":"c"}`, 400, "INVALID_REQUEST",
			"Merchant Capture Reference must not be empty",
		},
		{
			"capture below a rupee", "PUT", order + held + "/capture",
			`{"merchant_capture_reference":"c","capture_amount":{"value":99,"currency":"INR"}}`, 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 100",
		},
		{
			"capture nothing", "PUT", order + held + "/capture",
			`{"merchant_capture_reference":"c","capture_amount":{"value":0,"currency":"INR"}}`, 400, "INVALID_REQUEST",
			"Amount must be an Integer value greater than or equal to 1",
		},
		{
			"capture cancelled", "PUT", order + voided + "/capture", `{"merchant_capture_reference":"c"}`, 422,
			"ORDER_CANCELLED", "",
		},
		{
			"capture again", "PUT", order + taken + "/capture", `{"merchant_capture_reference":"c2"}`, 422,
			"OPERATION_NOT_ALLOWED", "",
		},
		{
			"capture too much", "PUT", order + held + "/capture",
			`{"merchant_capture_reference":"c","capture_amount":{"value":5001,"currency":"INR"}}`, 422,
			"AMOUNT_LIMIT_EXCEEDED", "",
		},
		{
			"capture other currency", "PUT", order + held + "/capture",
			`{"merchant_capture_reference":"c","capture_amount":{"value":500,"currency":"USD"}}`, 400, "INVALID_REQUEST", "",
		},
		{
			"capture wrong method", "POST", order + held + "/capture", `{"merchant_capture_reference":"c"}`, 405,
			"INVALID_REQUEST", "",
		},
		{"cancel unknown order", "PUT", order + "v1-none/cancel", "", 422, "ORDER_NOT_FOUND", ""},
		{"cancel nothing paid", "PUT", order + created + "/cancel", "", 422, "OPERATION_NOT_ALLOWED", ""},
		{"cancel captured", "PUT", order + taken + "/cancel", "", 422, "OPERATION_NOT_ALLOWED", ""},
		{"cancel again", "PUT", order + voided + "/cancel", "", 422, "ORDER_CANCELLED", ""},
		{"refund a hold", "POST", "/api/pay/v1/refunds/" + held, body(`"r"`, ok, ""), 422, "OPERATION_NOT_ALLOWED", ""},
		{"refund a refund", "POST", "/api/pay/v1/refunds/" + refund, body(`"r"`, ok, ""), 422, "OPERATION_NOT_ALLOWED", ""},
		{
			"refund too much", "POST", "/api/pay/v1/refunds/" + taken, body(`"r"`, `{"value":4901,"currency":"INR"}`, ""), 422,
			"AMOUNT_LIMIT_EXCEEDED", "",
		},
		{
			"refund under the order's reference", "POST", "/api/pay/v1/refunds/" + taken,
			body(`"taken"`, `{"value":100,"currency":"INR"}`, ""), 422, "DUPLICATE_REQUEST",
			"The request has already been processed",
		},
		{
			"refund below a rupee", "POST", "/api/pay/v1/refunds/" + taken, body(`"r"`, `{"value":99,"currency":"INR"}`, ""),
			400, "INVALID_REQUEST", "Amount must be an Integer value greater than or equal to 100",
		},
		{
			"refund in another case", "POST", "/api/pay/v1/refunds/" + taken, `{"MERCHANT_ORDER_REFERENCE":"r"}`, 400,
			"INVALID_REQUEST", "Merchant Order Reference must not be empty",
		},
		{
			"refund what is refunded", "POST", "/api/pay/v1/refunds/" + returned,
			body(`"r"`, `{"value":100,"currency":"INR"}`, ""), 422, "OPERATION_NOT_ALLOWED", "",
		},
		{
			"refund less than a rupee", "POST", "/api/pay/v1/refunds/" + nearly, `{"merchant_order_reference":"r"}`, 400,
			"INVALID_REQUEST", "Amount must be an Integer value greater than or equal to 100",
		},
		{"refund unknown order", "POST", "/api/pay/v1/refunds/v1-none", body(`"r"`, ok, ""), 422, "ORDER_NOT_FOUND", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := a.do(tt.method, tt.path, tt.body)
			require.Equal(t, tt.status, r.status, "%s", r.body)
			require.Equal(t, "application/json", r.header.Get("Content-Type"))
			require.Equal(t, tt.code, r.code(t))
			if tt.message != "" {
				require.Equal(t, tt.message, r.doc(t)["message"])
			}
		})
	}
	t.Cleanup(func() {
		require.Empty(t, srv.Captures(held))
		srv.AssertExactlyOnce(t)
	})
}

func TestUnknownPathHasTheGatewaysError(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	a := newAPI(t, srv)
	for _, path := range []string{"/api/pay/v2/orders/x", "/nowhere", "/api/pay/v1/orders/a/b/c", "/api/pay/v1/orders/"} {
		r := a.do("GET", path, "")
		require.Equal(t, 404, r.status, path)
		require.EqualValues(t, 404, r.doc(t)["status"])
		require.NotEmpty(t, r.doc(t)["traceId"])
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	a := newAPI(t, srv)
	good := a.token
	for name, header := range map[string]string{
		"none": "", "wrong": "Bearer nonsense", "basic": "Basic " + good, "bare": good,
	} {
		req := a.request(t.Context(), "GET", "/api/pay/v1/orders/x", "")
		req.Header.Set("Authorization", header)
		resp, err := a.client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 401, resp.StatusCode, name)
	}
	require.Equal(t, 422, a.get("x").status)
	srv.RevokeToken(good)
	r := a.get("x")
	require.Equal(t, 401, r.status)
	require.JSONEq(t, `{"code":"UNAUTHORIZED","message":"Unauthorized"}`, string(r.body))
}

func TestWriteWithoutJSONContentTypeIsRefused(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	a := newAPI(t, srv)
	req := a.request(
		t.Context(),
		"POST",
		"/api/checkout/v1/orders",
		`{"merchant_order_reference":"x","order_amount":{"value":100,"currency":"INR"}}`,
	)
	req.Header.Set("Content-Type", "text/plain")
	resp, err := a.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 400, resp.StatusCode)
	require.Empty(t, srv.Orders())
}

func TestErrorForms(t *testing.T) {
	t.Parallel()
	t.Run("checkout response_code", func(t *testing.T) {
		t.Parallel()
		a := newAPI(t, pluraltest.NewServer(t, pluraltest.WithCheckoutErrors(pluraltest.CheckoutErrorResponseCode)))
		r := a.do("POST", "/api/checkout/v1/orders", `{}`)
		require.JSONEq(
			t,
			`{"response_code":400,"response_message":"Merchant Order Reference must not be empty"}`,
			string(r.body),
		)
	})
	t.Run("checkout error_message", func(t *testing.T) {
		t.Parallel()
		a := newAPI(t, pluraltest.NewServer(t, pluraltest.WithCheckoutErrors(pluraltest.CheckoutErrorMessage)))
		r := a.do("POST", "/api/checkout/v1/orders", `{}`)
		require.JSONEq(t, `{"error_message":"Merchant Order Reference must not be empty"}`, string(r.body))
	})
	t.Run("not found 404", func(t *testing.T) {
		t.Parallel()
		a := newAPI(t, pluraltest.NewServer(t, pluraltest.WithNotFound(pluraltest.NotFound404)))
		require.Equal(t, 404, a.get("none").status)
		require.Equal(t, "ORDER_NOT_FOUND", a.get("none").code(t))
	})
	t.Run("not found inquiry", func(t *testing.T) {
		t.Parallel()
		a := newAPI(t, pluraltest.NewServer(t, pluraltest.WithNotFound(pluraltest.NotFoundInquiry)))
		r := a.do("GET", "/api/pay/v1/orders/reference/none", "")
		require.Equal(t, 400, r.status)
		require.Equal(t, "No matching records found for the inquiry", r.doc(t)["message"])
	})
	t.Run("firewall", func(t *testing.T) {
		t.Parallel()
		a := newAPI(t, pluraltest.NewServer(t, pluraltest.WithWAF()))
		r := a.do(
			"POST",
			"/api/checkout/v1/orders",
			`{"merchant_order_reference":"x","order_amount":{"value":100,"currency":"INR"},`+
				`"callback_url":"http://localhost:3000/back"}`,
		)
		require.Equal(t, 403, r.status)
		require.Contains(t, string(r.body), "<HTML>")
	})
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	const body = `{"merchant_order_reference":"ref","order_amount":{"value":5000,"currency":"INR"}}`
	const other = `{"merchant_order_reference":"ref","order_amount":{"value":6000,"currency":"INR"}}`
	for _, tt := range []struct {
		mode   pluraltest.DuplicateMode
		status int
		orders int
	}{
		{pluraltest.DuplicateReturnsExisting, 200, 1},
		{pluraltest.DuplicateRejected, 422, 1},
		{pluraltest.DuplicateAccepted, 200, 2},
	} {
		srv := pluraltest.NewServer(t, pluraltest.WithDuplicateOrders(tt.mode))
		a := newAPI(t, srv)
		first := a.do("POST", "/api/checkout/v1/orders", body)
		second := a.do("POST", "/api/checkout/v1/orders", other)
		require.Equal(t, tt.status, second.status)
		require.Len(t, srv.OrdersByReference("ref"), tt.orders)
		if tt.mode == pluraltest.DuplicateReturnsExisting {
			require.Equal(t, first.body, second.body)
		}

		srv = pluraltest.NewServer(t, pluraltest.WithDuplicateRefunds(tt.mode))
		a = newAPI(t, srv)
		id := authorized(t, srv, "sale", 20000)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		require.Equal(t, 200, a.refund(id, body).status)
		require.Equal(t, tt.status, a.refund(id, other).status)
		require.Len(t, srv.Refunds(id), tt.orders)
		if tt.mode == pluraltest.DuplicateAccepted {
			require.Len(t, srv.Doubles(), 1)
		} else {
			srv.AssertExactlyOnce(t)
		}
	}
}

func TestRepeatedCapture(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opts   []pluraltest.Option
		status int
		code   string
	}{
		{nil, 422, "OPERATION_NOT_ALLOWED"},
		{[]pluraltest.Option{pluraltest.WithDuplicateCaptures(pluraltest.DuplicateRejected)}, 422, "DUPLICATE_REQUEST"},
		{[]pluraltest.Option{pluraltest.WithDuplicateCaptures(pluraltest.DuplicateReturnsExisting)}, 200, ""},
	} {
		srv := pluraltest.NewServer(t, tt.opts...)
		a := newAPI(t, srv)
		id := authorized(t, srv, "sale", 20000)
		require.Equal(t, 200, a.capture(id, `{"merchant_capture_reference":"c"}`).status)
		again := a.capture(id, `{"merchant_capture_reference":"c"}`)
		require.Equal(t, tt.status, again.status)
		require.Equal(t, tt.code, again.code(t))
		require.Len(t, srv.Captures(id), 1)
	}
}
