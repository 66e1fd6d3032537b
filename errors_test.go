package plural_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// sentinels are what an error of a call can be.
func sentinels() map[string]error {
	return map[string]error{
		"unauthorized": plural.ErrUnauthorized,
		"not found":    plural.ErrNotFound,
		"duplicate":    plural.ErrDuplicateRequest,
		"not allowed":  plural.ErrOperationNotAllowed,
		"reused":       plural.ErrReferenceReused,
		"invalid":      plural.ErrInvalidRequest,
		"rate limited": plural.ErrRateLimited,
		"not paid":     plural.ErrNotPaid,
		"unknown":      plural.ErrOutcomeUnknown,
		"not applied":  plural.ErrNotApplied,
		"no hold":      plural.ErrNoHold,
	}
}

// requireIsOnly shows which of the sentinels an error is.
func requireIsOnly(tb testing.TB, err error, want ...string) {
	tb.Helper()
	var got []string
	for name, sentinel := range sentinels() {
		if errors.Is(err, sentinel) {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(tb, want, got)
}

// answering is the error of a Get that is answered so.
func answering(tb testing.TB, status int, header http.Header, body string) *plural.Error {
	tb.Helper()
	client := newPeerClient(tb, func(*http.Request) (*http.Response, error) {
		resp := jsonAnswer(status, []byte(body))
		maps.Copy(resp.Header, header)
		return resp, nil
	})
	_, err := client.Orders.Get(tb.Context(), "v1-1-aa-b", plural.WithRequestID("own-request"))
	var e *plural.Error
	require.ErrorAs(tb, err, &e)
	require.Equal(tb, "orders.get", e.Op)
	require.Equal(tb, "v1-1-aa-b", e.OrderID)
	require.Equal(tb, "own-request", e.RequestID)
	require.Equal(tb, 1, e.Attempts)
	require.Equal(tb, status, e.StatusCode)
	require.Equal(tb, body, string(e.Body))
	return e
}

// The ten shapes of errors, each with what there is to be read from it.
func TestErrorShapes(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	type want struct {
		code      plural.ErrorCode
		message   string
		details   *plural.ErrorDetails
		trace     string
		is        []string
		retryable bool
	}
	const schema = "The request violates the schema"
	cases := map[string]struct {
		status int
		header http.Header
		file   string
		body   string
		want   want
	}{
		"E1 amount too large": {
			status: 400,
			file:   "error_400_invalid_request_amount_max.json",
			want:   want{code: "INVALID_REQUEST", message: "Amount is above the limit of 100000000", is: []string{"invalid"}},
		},
		"E1 amount too small": {
			status: 400,
			file:   "error_400_invalid_request_amount_min.json",
			want:   want{code: "INVALID_REQUEST", message: "Amount is below the limit of 1", is: []string{"invalid"}},
		},
		"E1 payment method": {
			status: 400,
			file:   "error_400_invalid_request_payment_method.json",
			want:   want{code: "INVALID_REQUEST", message: "Payment method unknown", is: []string{"invalid"}},
		},
		"E1 no reference": {
			status: 400,
			file:   "error_400_invalid_request_reference_empty.json",
			want:   want{code: "INVALID_REQUEST", message: "Reference is empty", is: []string{"invalid"}},
		},
		"E1 long reference": {
			status: 400,
			file:   "error_400_invalid_request_reference_too_long.json",
			want:   want{code: "INVALID_REQUEST", message: "Reference is longer than 50 characters", is: []string{"invalid"}},
		},
		"E1 routing": {
			status: 422,
			file:   "error_400_invalid_request_amount_max.json",
			want:   want{code: "INVALID_REQUEST", message: "Amount is above the limit of 100000000", is: []string{"invalid"}},
		},
		"E1 no records": {
			status: 400,
			file:   "error_400_no_matching_records.json",
			want: want{
				code:    "INVALID_REQUEST",
				message: "No matching records found for this inquiry",
				is:      []string{"not found"},
			},
		},
		"E1 unauthorized": {
			status: 401,
			file:   "error_401_unauthorized.json",
			want:   want{code: "UNAUTHORIZED", message: "Not authorised", is: []string{"unauthorized"}},
		},
		"E1 payment error": {
			status: 422,
			file:   "error_401_unauthorized.json",
			want:   want{code: "UNAUTHORIZED", message: "Not authorised"},
		},
		"E1 duplicate": {
			status: 422,
			file:   "error_422_duplicate_request.json",
			want:   want{code: "DUPLICATE_REQUEST", message: "This request was processed before", is: []string{"duplicate"}},
		},
		"E1 not allowed": {
			status: 422,
			file:   "error_422_operation_not_allowed.json",
			want: want{
				code:    "OPERATION_NOT_ALLOWED",
				message: "A precondition of the operation failed",
				is:      []string{"not allowed"},
			},
		},
		"E1 not found": {
			status: 422,
			file:   "error_422_order_not_found.json",
			want:   want{code: "ORDER_NOT_FOUND", message: "There is no order with this id", is: []string{"not found"}},
		},
		"E1 not found, too": {
			status: 404,
			file:   "error_422_order_not_found.json",
			want:   want{code: "ORDER_NOT_FOUND", message: "There is no order with this id", is: []string{"not found"}},
		},
		"E1 not authorised": {
			status: 422,
			file:   "error_422_payment_not_authorized.json",
			want:   want{code: "PAYMENT_NOT_AUTHORIZED", message: "The payment was not authorised before"},
		},
		"E1 rate limit": {
			status: 429,
			file:   "error_429_api_rate_limit.json",
			want: want{
				code:      "API_RATE_LIMIT",
				message:   "Too many requests in this time window",
				is:        []string{"rate limited"},
				retryable: true,
			},
		},
		"E1 rate limit, 422": {
			status: 422,
			file:   "error_429_api_rate_limit.json",
			want: want{
				code:      "API_RATE_LIMIT",
				message:   "Too many requests in this time window",
				is:        []string{"rate limited"},
				retryable: true,
			},
		},
		"E1 payer's limit": {
			status: 429,
			file:   "error_429_payment_rate_limit.json",
			want: want{
				code: "PAYMENT_RATE_LIMIT", message: "Too many payments with this instrument", is: []string{"rate limited"},
			},
		},
		"E1 payer's limit, 422": {
			status: 422,
			file:   "error_429_payment_rate_limit.json",
			want:   want{code: "PAYMENT_RATE_LIMIT", message: "Too many payments with this instrument"},
		},
		"E1 internal": {
			status: 500,
			file:   "error_500_internal_error.json",
			want:   want{code: "INTERNAL_ERROR", message: "Something broke", retryable: true},
		},
		"E1 internal, 422": {
			status: 422,
			file:   "error_500_internal_error.json",
			want:   want{code: "INTERNAL_ERROR", message: "Something broke", retryable: true},
		},
		"E1 unknown": {
			status: 500,
			file:   "error_500_unknown_error.json",
			want:   want{code: "UNKNOWN_ERROR", message: "Failed, nobody knows why", retryable: true},
		},
		"E1 timed out": {
			status: 504,
			file:   "error_504_timed_out.json",
			want:   want{code: "TIMED_OUT", message: "Took too long", retryable: true},
		},
		"E1 account": {
			status: 504,
			file:   "error_504_invalid_user_account.json",
			want:   want{code: "INVALID_USER_ACCOUNT", message: "The account cannot be used"},
		},
		"E1 a code unheard of": {
			status: 422,
			body:   `{"code":"NEW_CODE","message":"m"}`,
			want:   want{code: "NEW_CODE", message: "m"},
		},
		"E1 numbers": {status: 422, body: `{"code":1042,"message":7}`, want: want{code: "1042", message: "7"}},
		"E1 in camelCase": {
			status: 422,
			body:   `{"errorCode":"CARD_LOST","errorMessage":"m"}`,
			want:   want{code: "CARD_LOST", message: "m"},
		},

		"E2": {status: 400, file: "error_with_additional_error_details.json", want: want{
			code:    "INVALID_REQUEST",
			message: schema,
			is:      []string{"invalid"},
			details: &plural.ErrorDetails{
				Source:   "internal",
				Step:     "creation",
				Reason:   "invalid_data",
				Metadata: json.RawMessage(`{}`),
			},
		}},
		"E2 empty": {
			status: 400,
			body:   `{"code":"CARD_LOST","additional_error_details":{}}`,
			want:   want{code: "CARD_LOST", details: &plural.ErrorDetails{}},
		},
		"E2 not an object": {
			status: 400,
			body:   `{"code":"CARD_LOST","additional_error_details":"none"}`,
			want:   want{code: "CARD_LOST"},
		},
		"E3": {status: 400, file: "error_additional_payload.json", want: want{
			code:    "INVALID_REQUEST",
			message: "A field is wrong",
			is:      []string{"invalid"},
			details: &plural.ErrorDetails{
				Source:   "api",
				Step:     "validation",
				Reason:   "invalid_data",
				Field:    "order_amount.value",
				Metadata: json.RawMessage(`{ "limit": 100000000 }`),
			},
		}},
		"E4": {
			status: 422,
			file:   "error_otp_next.json",
			want:   want{code: "USER_AUTHENTICATION_FAILED", message: "The OTP is wrong"},
		},
		"E5": {
			status: 401,
			file:   "error_token_oauth.json",
			want:   want{code: "invalid_client", message: "The client id or secret is wrong", is: []string{"unauthorized"}},
		},
		"E6": {
			status: 401,
			file:   "error_token_401_gateway_shape.json",
			want:   want{message: "Not authorised", trace: "(32 digits)", is: []string{"unauthorized"}},
		},
		"E7 message": {
			status: 422,
			file:   "error_checkout_error_message.json",
			want:   want{message: "The merchant is not active"},
		},
		"E7 response_code": {
			status: 400,
			file:   "error_checkout_response_code.json",
			want:   want{message: "Bad request"},
		},
		"E8 message": {
			status: 500,
			file:   "error_nested_message.json",
			want:   want{code: "INTERNAL_ERROR", message: "The upstream is gone", retryable: true},
		},
		"E8 description": {
			status: 502,
			file:   "error_nested_description.json",
			want:   want{message: "The upstream is slow", retryable: true},
		},
		"E9 definitive": {
			status: 200,
			file:   "error_422_order_not_found.json",
			want:   want{code: "ORDER_NOT_FOUND", message: "There is no order with this id", is: []string{"not found"}},
		},
		"E9 rate limit": {
			status: 200,
			file:   "error_429_api_rate_limit.json",
			want: want{
				code:      "API_RATE_LIMIT",
				message:   "Too many requests in this time window",
				is:        []string{"rate limited"},
				retryable: true,
			},
		},
		"E9 server's fault": {
			status: 200,
			file:   "error_500_internal_error.json",
			want:   want{code: "INTERNAL_ERROR", message: "Something broke", retryable: true},
		},
		"E10 page": {
			status: 403,
			header: html,
			file:   "error_firewall.html",
			want:   want{message: "not JSON (text/html): ERROR: blocked 403 ERROR The firewall blocked this request."},
		},
		"E10 page, 502": {
			status: 502,
			header: html,
			file:   "error_firewall.html",
			want: want{
				message:   "not JSON (text/html): ERROR: blocked 403 ERROR The firewall blocked this request.",
				retryable: true,
			},
		},
		"E10 empty":      {status: 504, want: want{message: "empty answer", retryable: true}},
		"E10 empty, 404": {status: 404, want: want{message: "empty answer", is: []string{"not found"}}},
		"E10 empty, 429": {
			status: 429,
			want:   want{message: "empty answer", is: []string{"rate limited"}, retryable: true},
		},
		"E10 empty, 408": {status: 408, want: want{message: "empty answer", retryable: true}},
		"E10 empty, 425": {status: 425, want: want{message: "empty answer", retryable: true}},
		"E10 plain text": {
			status: 503,
			header: http.Header{"Content-Type": {"text/plain"}},
			body:   "no upstream\n",
			want:   want{message: "not JSON (text/plain): no upstream", retryable: true},
		},
		"E10 broken JSON": {
			status: 500,
			body:   `{"token":"s3cret`,
			want:   want{message: "not JSON (application/json)", retryable: true},
		},
		"E10 a list": {status: 400, body: `[1]`, want: want{}},
		"E10 in a mess of a type": {
			status: 502,
			header: http.Header{"Content-Type": {"\x00;;"}},
			body:   "<b>gone</b>",
			want:   want{message: "not JSON (no content type): gone", retryable: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := tc.body
			if tc.file != "" {
				body = string(payload(t, tc.file))
			}
			e := answering(t, tc.status, tc.header, body)
			require.Equal(t, tc.want.code, e.Code)
			require.Equal(t, tc.want.message, e.Message)
			require.Equal(t, tc.want.details, e.Details)
			if tc.want.trace != "" {
				require.Regexp(t, `^[0-9a-f]{32}$`, e.TraceID)
			} else {
				require.Empty(t, e.TraceID)
			}
			require.Equal(t, tc.want.retryable, e.Retryable())
			requireIsOnly(t, e, tc.want.is...)
		})
	}
}

func TestEveryErrorPayloadIsATestCase(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("errors_test.go")
	require.NoError(t, err)
	for _, name := range payloadsLike(t, "error_*") {
		require.Contains(t, string(source), strconv.Quote(name))
	}
}

func TestErrorFields(t *testing.T) {
	t.Parallel()
	e := answering(
		t,
		http.StatusServiceUnavailable,
		http.Header{"Retry-After": {"7"}, "X-Request-Id": {"gateway-1"}},
		`{"code":"INTERNAL_ERROR","message":"m"}`,
	)
	require.Equal(t, 7*time.Second, e.RetryAfter)
	require.Equal(t, "gateway-1", e.TraceID)
	require.Equal(t, "7", e.Header.Get("Retry-After"))

	page := "<p>" + strings.Repeat("लंबा ", 4000) + "</p>"
	client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
		return jsonAnswer(http.StatusBadGateway, []byte(page)), nil
	})
	_, err := client.Orders.Get(t.Context(), "v1-1-aa-b")
	var long *plural.Error
	require.ErrorAs(t, err, &long)
	require.Len(t, long.Body, 8<<10)
	requireTidy(t, long.Error())
	require.LessOrEqual(t, len(long.Message), 200)
}

var untidy = regexp.MustCompile(`[^\pL\pM\pN\pP\pS ]`)

// requireTidy shows that an error's text is one line of text, of a sane length.
func requireTidy(tb testing.TB, text string) {
	tb.Helper()
	require.NotEmpty(tb, text)
	require.LessOrEqual(tb, len(text), 2500)
	require.Empty(tb, untidy.FindString(text), "%q", text)
}

// Whatever the peer writes, an error's text remains one line.
func TestErrorTextIsOneLine(t *testing.T) {
	t.Parallel()
	nasty := "a\nb\r\x00\x1b[31m\u0085\u2028\u202e\u200b" + strings.Repeat("é", 5000)
	order := &plural.Order{
		OrderID:                nasty,
		MerchantOrderReference: nasty,
		Status:                 plural.OrderStatus(nasty),
		OrderAmount:            plural.Amount{Value: 1, Currency: plural.Currency(nasty)},
	}
	cause := errors.Join(errors.New(nasty), context.Canceled)
	for _, err := range []error{
		&plural.Error{Op: "orders.get", OrderID: nasty, StatusCode: 400, Code: plural.ErrorCode(nasty), Message: nasty, RequestID: nasty, Attempts: 2, Err: cause},
		&plural.Error{Op: "orders.get", OrderID: nasty, Err: cause, RequestID: nasty},
		&plural.Error{Op: "GET " + nasty},
		&plural.ValidationError{Op: nasty, Fields: []plural.FieldError{{Field: nasty, Rule: nasty}, {Field: "b", Rule: "c"}}},
		&plural.OutcomeUnknownError{Op: "captures.create", OrderID: nasty, Reference: nasty, Last: order, Err: cause},
		&plural.StateError{Op: "captures.create", OrderID: nasty, Reference: nasty, Order: order, Reason: nasty, Err: cause},
		&plural.DuplicateOrderError{Order: order},
		&plural.NotPaidError{Order: order, Reason: nasty},
	} {
		requireTidy(t, err.Error())
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	order := &plural.Order{OrderID: "v1-1-aa-b", MerchantOrderReference: "own-1", Status: plural.OrderStatusCreated}
	cases := map[string]error{
		"plural: capture order v1-1-aa-b: 422 OPERATION_NOT_ALLOWED: no (request id r1)": &plural.Error{
			Op:         "captures.create",
			OrderID:    "v1-1-aa-b",
			StatusCode: 422,
			Code:       "OPERATION_NOT_ALLOWED",
			Message:    "no",
			RequestID:  "r1",
			Attempts:   1,
		},
		"plural: get order v1-1-aa-b: no answer": &plural.Error{
			Op:      "orders.get",
			OrderID: "v1-1-aa-b",
		},
		"plural: get order by reference own-1: refused (request id r1, 3 attempts)": &plural.Error{
			Op:        "orders.get_by_reference",
			OrderID:   "own-1",
			Err:       errors.New("refused"),
			RequestID: "r1",
			Attempts:  3,
		},
		"plural: wait for order: context canceled": &plural.Error{
			Op:  "orders.wait",
			Err: context.Canceled,
		},
		"plural: get access token: 200: not JSON: cut": &plural.Error{
			Op:         "token",
			StatusCode: 200,
			Message:    "not JSON",
			Err:        errors.New("cut"),
		},
		"plural: request: no answer": &plural.Error{},
		"plural: POST /x: 500": &plural.Error{
			Op:         "POST /x",
			StatusCode: 500,
		},
		"plural: refund order: invalid request, nothing was sent: a has to b; c is d": &plural.ValidationError{
			Op:     "refunds.create",
			Fields: []plural.FieldError{{"a", "has to b"}, {"c", "is d"}},
		},
		"plural: cancel order v1-1-aa-b: outcome unknown; call again to settle it": &plural.OutcomeUnknownError{
			Op:      "cancels.create",
			OrderID: "v1-1-aa-b",
		},
		"plural: capture order v1-1-aa-b: outcome unknown (reference c1), last seen CREATED; call again with the same reference to settle it: context canceled": &plural.OutcomeUnknownError{
			Op:        "captures.create",
			OrderID:   "v1-1-aa-b",
			Reference: "c1",
			Last:      order,
			Err:       context.Canceled,
		},
		"plural: capture order v1-1-aa-b: the order is CANCELLED (reference c1)": &plural.StateError{
			Op:        "captures.create",
			OrderID:   "v1-1-aa-b",
			Reference: "c1",
			Order:     order,
			Reason:    "the order is CANCELLED",
		},
		"plural: refund order v1-2-aa-b: the reference was used to refund INR 4.00 (reference r1, order v1-1-aa-b)": &plural.StateError{
			Op:        "refunds.create",
			OrderID:   "v1-2-aa-b",
			Reference: "r1",
			Order:     order,
			Reason:    "the reference was used to refund INR 4.00",
		},
		"plural: create order: the reference belongs to a refund (order v1-1-aa-b)": &plural.StateError{
			Op:     "orders.create",
			Order:  order,
			Reason: "the reference belongs to a refund",
		},
		"plural: POST /x: outcome unknown; find out what became of it before sending it again": &plural.OutcomeUnknownError{
			Op: "POST /x",
		},
		"plural: create order: gone": &plural.StateError{Op: "orders.create", Reason: "gone"},
		"plural: create order: reference own-1 is taken by order v1-1-aa-b (CREATED) and its checkout link cannot be had again": &plural.DuplicateOrderError{
			Order: order,
		},
		"plural: confirm order v1-1-aa-b: not confirmed: it is CREATED": &plural.NotPaidError{
			Order:  order,
			Reason: "it is CREATED",
		},
		"plural: confirm order: not confirmed: it is gone": &plural.NotPaidError{
			Reason: "it is gone",
		},
	}
	for want, err := range cases {
		require.EqualError(t, err, want)
	}
	require.NotPanics(t, func() { _ = (&plural.DuplicateOrderError{}).Error() })
}

func TestErrorsMatchAndUnwrap(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	requireIsOnly(t, &plural.ValidationError{}, "invalid")
	requireIsOnly(t, &plural.OutcomeUnknownError{}, "unknown")
	requireIsOnly(t, &plural.StateError{}, "not allowed", "not applied")
	requireIsOnly(t, &plural.StateError{Reused: true}, "reused", "not applied")
	requireIsOnly(t, &plural.StateError{NoHold: true}, "no hold")
	requireIsOnly(t, &plural.DoubleRefundError{})
	requireIsOnly(t, &plural.Error{Code: plural.CodeAmountLimitExceeded, NotApplied: true}, "not applied")
	requireIsOnly(t, &plural.DuplicateOrderError{}, "duplicate")
	requireIsOnly(t, &plural.Error{Code: plural.CodeOrderCancelled}, "not allowed")
	requireIsOnly(t, &plural.Error{StatusCode: 404, Code: "NEW_CODE"})
	requireIsOnly(
		t,
		&plural.Error{StatusCode: 400, Code: plural.CodeInvalidRequest, Message: "No matching records"},
		"invalid",
	) // not on a look-up
	requireIsOnly(t, &plural.NotPaidError{}, "not paid")

	// What was said last about an unknown outcome is no verdict on it.
	last := &plural.Error{
		StatusCode: http.StatusUnprocessableEntity,
		Code:       plural.CodeOperationNotAllowed,
		Err:        context.Canceled,
	}
	unknown := fmt.Errorf("mine: %w", &plural.OutcomeUnknownError{Err: errors.Join(last, cause)})
	requireIsOnly(t, unknown, "unknown")
	require.ErrorIs(t, unknown, context.Canceled)
	require.ErrorIs(t, unknown, cause)
	var e *plural.Error
	require.ErrorAs(t, unknown, &e)
	require.Same(t, last, e)
	require.EqualError(t, errors.Unwrap(errors.Unwrap(unknown)), errors.Join(last, cause).Error())
	require.NoError(t, errors.Unwrap(&plural.OutcomeUnknownError{}))
	for _, err := range []error{&plural.Error{Err: cause}, &plural.OutcomeUnknownError{Err: cause}, &plural.StateError{Err: cause}} {
		require.ErrorIs(t, err, cause)
	}
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  *plural.Error
		want bool
	}{
		"nothing known":          {&plural.Error{}, false},
		"the network":            {&plural.Error{Err: errors.New("reset")}, true},
		"the caller left":        {&plural.Error{Err: context.Canceled}, false},
		"the caller's time":      {&plural.Error{Err: fmt.Errorf("x: %w", context.DeadlineExceeded)}, false},
		"no token, for now":      {&plural.Error{Err: &plural.Error{StatusCode: 503}}, true},
		"no token, for good":     {&plural.Error{Err: &plural.Error{StatusCode: 401}}, false},
		"another 4xx":            {&plural.Error{StatusCode: 418}, false},
		"a redirect":             {&plural.Error{StatusCode: 302}, false},
		"a conflict":             {&plural.Error{StatusCode: 409}, true},
		"definitive despite 504": {&plural.Error{StatusCode: 504, Code: plural.CodeInvalidUserAccount}, false},
		"timed out despite 400":  {&plural.Error{StatusCode: 400, Code: plural.CodeTimedOut}, true},
		"an answer of no use":    {&plural.Error{StatusCode: 200, Err: errors.New("no data")}, false},
	}
	for name, tc := range cases {
		require.Equal(t, tc.want, tc.err.Retryable(), name)
	}
}

func TestErrorCodes(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("error_code.go")
	require.NoError(t, err)
	constants := regexp.MustCompile(`ErrorCode = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, constants, 31)
	for _, c := range constants {
		require.True(t, plural.ErrorCode(c[1]).IsKnown(), c[1])
	}
	require.False(t, plural.ErrorCode("NEW_CODE").IsKnown())
	require.False(t, plural.ErrorCode("").IsKnown())
}

// A body of a token answer never shows, whatever became of it.
func TestTokenAnswersAreNotQuoted(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"cut off":          `{"access_token":"s3cret-token","expires_`,
		"plain text":       "s3cret-token",
		"a form":           "access_token=s3cret-token",
		"a page":           "<p>s3cret-token</p>",
		"not for a header": `{"access_token":"s3cret-token with spaces"}`,
		"a list":           `["s3cret-token"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClientOver(t, func(*http.Request) (*http.Response, error) {
				resp := jsonAnswer(http.StatusOK, []byte(body))
				resp.Header.Set("Content-Type", "text/plain")
				return resp, nil
			})
			err := client.Warm(t.Context())
			for ; err != nil; err = errors.Unwrap(err) {
				require.NotContains(t, err.Error(), "s3cret")
				require.NotContains(t, fmt.Sprintf("%#v", err), "s3cret")
				var e *plural.Error
				if errors.As(err, &e) {
					require.NotContains(t, string(e.Body), "s3cret")
					require.NotContains(t, e.Message, "s3cret")
				}
			}
		})
	}
}

// Neither does the link to the checkout.
func TestCheckoutAnswersThatBreakOffAreNotQuoted(t *testing.T) {
	t.Parallel()
	client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return jsonAnswer(http.StatusOK, []byte(`{"token":"s3cret-link","order_id":"v1-1`)), nil
		}
		return jsonAnswer(http.StatusBadGateway, nil), nil
	})
	_, err := client.Orders.Create(t.Context(), minimalOrder())
	requireIsOnly(t, err, "unknown")
	require.NotContains(t, err.Error(), "s3cret")
}

func TestMayStillBePaid(t *testing.T) {
	t.Parallel()
	require.False(t, (&plural.NotPaidError{}).MayStillBePaid())
	for status, want := range map[plural.OrderStatus]bool{
		plural.OrderStatusCreated: true, plural.OrderStatusPending: true, plural.OrderStatusAttempted: true,
		plural.OrderStatusFailed: false, plural.OrderStatusCancelled: false, plural.OrderStatusFullyRefunded: false, "SETTLED": false,
	} {
		require.Equal(t, want, (&plural.NotPaidError{Order: &plural.Order{Status: status}}).MayStillBePaid(), status)
	}
}

func TestWasPaid(t *testing.T) {
	t.Parallel()
	require.False(t, (&plural.NotPaidError{}).WasPaid())
	order := &plural.Order{
		OrderID:                "v1-1-aa-b",
		MerchantOrderReference: "own-1",
		OrderAmount:            plural.INR(500),
		Type:                   plural.OrderTypeCharge,
	}
	for status, want := range map[plural.OrderStatus]bool{
		plural.OrderStatusPartiallyCaptured: true, plural.OrderStatusPartiallyRefunded: true, plural.OrderStatusFullyRefunded: true,
		plural.OrderStatusCreated: false, plural.OrderStatusPending: false, plural.OrderStatusAttempted: false, plural.OrderStatusAuthorized: false,
		plural.OrderStatusFailed: false, plural.OrderStatusCancelled: false, "SETTLED": false,
	} {
		order.Status = status
		var notPaid *plural.NotPaidError
		require.ErrorAs(
			t,
			plural.Expected{MerchantOrderReference: "own-1", OrderAmount: plural.INR(500)}.Check(order),
			&notPaid,
		)
		require.Equal(t, want, notPaid.WasPaid(), status)
		require.ErrorAs(
			t,
			plural.Expected{MerchantOrderReference: "own-1", OrderAmount: plural.INR(501)}.Check(order),
			&notPaid,
		)
		require.False(t, notPaid.WasPaid(), "another order than the one expected")
	}
}
