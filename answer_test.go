package plural_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// An error's text quotes no JSON, even if the answer's body has other text
// before the JSON.
func TestAnswersWithJSONBehindSomethingAreNotQuoted(t *testing.T) {
	t.Parallel()
	const personal = `{"email_id":"payer@example.test","mobile_number":"9000000001","token":"checkout-link"}`
	for _, before := range []string{"\ufeff", "<b>Notice</b>", ")]}',\n", "cb(", "warning: ", "<html>", "\"", "[1]"} {
		for _, contentType := range []string{"text/plain", "text/html", "application/json", ""} {
			for _, status := range []int{200, 400, 502} {
				resp := func(*http.Request) (*http.Response, error) {
					r := answer(status, before+personal)
					r.Header.Set("Content-Type", contentType)
					return r, nil
				}
				_, err := newPeerClient(t, resp).Orders.Get(t.Context(), "v1-1-aa-b")
				if err == nil {
					continue
				}
				require.NotContains(t, err.Error(), "payer@", "%q as %q", before, contentType)
				require.NotContains(t, err.Error(), "9000000001")
				require.NotContains(t, err.Error(), "checkout-link")
			}
		}
	}
	page := func(*http.Request) (*http.Response, error) {
		r := answer(403, "<html><h1>403 Forbidden</h1></html>")
		r.Header.Set("Content-Type", "text/html")
		return r, nil
	}
	_, err := newPeerClient(t, page).Orders.Get(t.Context(), "v1-1-aa-b")
	require.ErrorContains(t, err, "not JSON (text/html): 403 Forbidden")
}

// If an answer is compressed although the request did not ask for compression,
// the error says so.
func TestUnaskedCompressionIsNamed(t *testing.T) {
	t.Parallel()
	packed := func(*http.Request) (*http.Response, error) {
		r := answer(200, "\x1f\x8b\x08")
		r.Header.Set("Content-Encoding", "gzip")
		return r, nil
	}
	_, err := newPeerClient(t, packed).Orders.Get(t.Context(), "v1-1-aa-b")
	require.ErrorContains(t, err, "Content-Encoding: gzip")
}

// Every answer with status 429 reports that a rate limit was exceeded. The
// answer's code shows which limit.
func TestEvery429IsARateLimit(t *testing.T) {
	t.Parallel()
	for _, code := range []plural.ErrorCode{"", plural.CodeAPIRateLimit, plural.CodePaymentRateLimit, "NEVER_HEARD_OF"} {
		e := &plural.Error{StatusCode: http.StatusTooManyRequests, Code: code}
		require.ErrorIs(t, e, plural.ErrRateLimited)
		require.Equal(t, code != plural.CodePaymentRateLimit, e.Retryable(), code)
	}
}

// errorOfAnswer makes a client whose server sends the given answer. It calls
// the method Get of this client, and returns the error.
func errorOfAnswer(tb testing.TB, status int, header http.Header, body string) *plural.Error {
	tb.Helper()
	client := newPeerClient(tb, func(*http.Request) (*http.Response, error) {
		resp := answer(status, body)
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

// The API sends errors in ten shapes. The test checks what the SDK reads from
// each of them.
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
		"E1 duplicate link": {
			status: 422,
			file:   "error_422_duplicate_link.json",
			want: want{
				code: "DUPLICATE_REQUEST", message: "Duplicate Merchant Reference ID received", is: []string{"duplicate"},
			},
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
		"E1 an unknown code": {
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
		"E10 with a broken content type": {
			status: 502,
			header: http.Header{"Content-Type": {"\x00;;"}},
			body:   "<b>gone</b>",
			want:   want{message: "not JSON (no content type): gone", retryable: true},
		},
	}
	unused := payloadsLike(t, "error_*")
	for name, tc := range cases {
		unused = slices.DeleteFunc(unused, func(file string) bool { return file == tc.file })
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := tc.body
			if tc.file != "" {
				body = string(payload(t, tc.file))
			}
			e := errorOfAnswer(t, tc.status, tc.header, body)
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
	require.Empty(t, unused, "payload files that no test case reads")
}

// No error quotes the body of the token endpoint's answer.
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
				resp := answer(http.StatusOK, body)
				resp.Header.Set("Content-Type", "text/plain")
				return resp, nil
			})
			err := client.Warm(t.Context())
			for ; err != nil; err = errors.Unwrap(err) {
				require.NotContains(t, err.Error(), "s3cret")
				require.NotContains(t, fmt.Sprintf("%#v", err), "s3cret")
				if e, ok := errors.AsType[*plural.Error](err); ok {
					require.NotContains(t, string(e.Body), "s3cret")
					require.NotContains(t, e.Message, "s3cret")
				}
			}
		})
	}
}

// An error document is an error even if the answer's status is 2xx. If the
// document also has data, a service method decides by the data. Client.Do
// cannot judge the data, because the caller defines its type. So if the
// document's code means a refusal, Client.Do returns an error, no matter what
// the data is.
func TestErrorInATwoHundred(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":"AMOUNT_LIMIT_EXCEEDED","message":"too much"}`:               "",
		`{"code":"INVALID_REQUEST","message":"no","data":null}`:               "invalid",
		`{"error":{"code":"DUPLICATE_REQUEST"}}`:                              "duplicate",
		`{"code":"API_RATE_LIMIT"}`:                                           "rate limited",
		`{"code":"INVALID_REQUEST","data":{}}`:                                "invalid",
		`{"code":"INVALID_REQUEST","data":[]}`:                                "invalid",
		`{"code":"INVALID_REQUEST","data":""}`:                                "invalid",
		`{"code":"INVALID_REQUEST","data":{"order_id":"v1-1-aa-b"}}`:          "invalid, for Do",
		`{"code":"A_CODE_OF_THE_FUTURE"}`:                                     "decoded",
		`{"code":"UNKNOWN_ERROR","message":"nobody knows","response_code":1}`: "unknown",
	} {
		synctest.Test(t, func(t *testing.T) {
			client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return answer(http.StatusOK, body), nil
				}
				return answer(http.StatusBadGateway, ""), nil
			})
			err := client.Do(t.Context(), http.MethodPost, "/api/x", nil, new(struct{ Data *plural.Order }))
			switch want {
			case "decoded": // the code is unknown, so Client.Do decodes the document into the caller's type
				require.NoError(t, err)
			case "unknown":
				require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
			case "invalid, for Do":
				requireIsOnly(t, err, "invalid")
			case "":
				requireIsOnly(t, err)
				require.Error(t, err)
			default:
				requireIsOnly(t, err, want)
			}
			_, err = client.Orders.Create(t.Context(), minimalOrder())
			switch want {
			case "unknown", "decoded", "duplicate", "invalid, for Do":
				require.ErrorIs(t, err, plural.ErrOutcomeUnknown, body)
			default:
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
				require.Error(t, err)
			}
		})
	}
}

func TestNoClientPrints(t *testing.T) {
	t.Parallel()
	var none *plural.Client
	require.Equal(t, "plural.Client{}", fmt.Sprint(none))
	require.Equal(t, "plural.Client{}", fmt.Sprint(&plural.Client{}))
}

// A write was sent once, and the answer is an error. Then there are two cases:
// either the write was not carried out, or its outcome is not known. Some codes
// decide which case it is, whatever the status. For all other codes the status
// decides.
func TestWhatAnAnswerLeavesOpen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		body   string
		open   bool
	}{
		{400, `{"code":"INVALID_REQUEST"}`, false},
		{403, ``, false},
		{404, ``, false},
		{422, `{"code":"A_CODE_OF_THE_FUTURE"}`, false},
		{422, `{"code":"API_RATE_LIMIT"}`, false},
		{429, ``, false},
		{429, `{"code":"PAYMENT_RATE_LIMIT"}`, false},
		{504, `{"code":"INVALID_USER_ACCOUNT"}`, false},
		{302, ``, true},
		{400, `{"code":"TIMED_OUT"}`, true},
		{408, ``, true},
		{409, ``, true},
		{422, `{"code":"INTERNAL_ERROR"}`, true},
		{422, `{"code":"UNKNOWN_ERROR"}`, true},
		{425, ``, true},
		{500, `{"code":"INVALID_REQUEST"}`, true},
		{502, `<html>`, true},
		{504, `{"code":"TIMED_OUT"}`, true},
	} {
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(tc.status, tc.body), nil })
		err := client.Do(t.Context(), http.MethodPost, "/api/x", nil, nil)
		var e *plural.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, tc.status, e.StatusCode)
		var unknown *plural.OutcomeUnknownError
		require.Equal(t, tc.open, errors.As(err, &unknown), "%d %s", tc.status, tc.body)
	}
}
