package plural_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestErrorFields(t *testing.T) {
	t.Parallel()
	e := errorOfAnswer(
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
		return answer(http.StatusBadGateway, page), nil
	})
	_, err := client.Orders.Get(t.Context(), "v1-1-aa-b")
	var long *plural.Error
	require.ErrorAs(t, err, &long)
	require.Len(t, long.Body, 8<<10)
	requireTidy(t, long.Error())
	require.LessOrEqual(t, len(long.Message), 200)
}

var untidy = regexp.MustCompile(`[^\pL\pM\pN\pP\pS ]`)

// An error's text is one line, whatever text the peer sends.
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
		&plural.Error{
			Op: "orders.get", OrderID: nasty, StatusCode: 400, Code: plural.ErrorCode(nasty), Message: nasty,
			RequestID: nasty, Attempts: 2, Err: cause,
		},
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
		"plural: capture order v1-1-aa-b: outcome unknown (reference c1), last seen CREATED; call again with the " +
			"same reference to settle it: context canceled": &plural.OutcomeUnknownError{
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
		"plural: refund order v1-2-aa-b: the reference was used to refund INR 4.00 (reference r1, order " +
			"v1-1-aa-b)": &plural.StateError{
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
		"plural: cancel payment link pl-v1-1: the payer was faster, and the order is PROCESSED " +
			"(reference own-inv, order v1-1-aa-b)": &plural.PaymentLinkError{
			Op:     "payment_links.cancel",
			Link:   &plural.PaymentLink{PaymentLinkID: "pl-v1-1", MerchantPaymentLinkReference: "own-inv", OrderID: "v1-1-aa-b"},
			Order:  order,
			Reason: "the payer was faster, and the order is PROCESSED",
		},
		"plural: create payment link: gone": &plural.PaymentLinkError{Op: "payment_links.create", Reason: "gone"},
		"plural: notify customer of payment link pl-v1-1: outcome unknown; the message may have gone out, and " +
			"another call may send it a second time": &plural.OutcomeUnknownError{
			Op: "payment_links.notify", OrderID: "pl-v1-1",
		},
		"plural: create order: gone": &plural.StateError{Op: "orders.create", Reason: "gone"},
		"plural: create order: reference own-1 is taken by order v1-1-aa-b (CREATED) and its checkout link cannot " +
			"be had again": &plural.DuplicateOrderError{
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
	requireIsOnly(t, &plural.StateError{Conflict: true}, "conflict")
	requireIsOnly(t, &plural.StateError{Reused: true}, "reused", "conflict")
	requireIsOnly(t, &plural.StateError{NoHold: true}, "no hold", "conflict")
	requireIsOnly(t, &plural.DoubleRefundError{}, "conflict")
	requireIsOnly(t, &plural.PaymentLinkError{Op: "payment_links.create"}, "reused", "conflict")
	requireIsOnly(t, &plural.PaymentLinkError{Op: "payment_links.cancel"}, "conflict")
	requireIsOnly(t, &plural.Error{Code: plural.CodeAmountLimitExceeded, NeedsReview: true})
	requireIsOnly(t, &plural.DuplicateOrderError{}, "duplicate")
	requireIsOnly(t, &plural.Error{Code: plural.CodeOrderCancelled}, "not allowed")
	requireIsOnly(t, &plural.Error{StatusCode: 404, Code: "NEW_CODE"})
	requireIsOnly(
		t, &plural.Error{StatusCode: 400, Code: plural.CodeInvalidRequest, Message: "No matching records"}, "invalid",
	) // Op is not a read, so the message does not make it a "not found"
	requireIsOnly(t, &plural.NotPaidError{}, "not paid")

	// An error about an unknown outcome wraps the last answer. The error
	// matches the same sentinels of this package, no matter what that
	// answer is.
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
	for _, err := range []error{
		&plural.Error{Err: cause}, &plural.OutcomeUnknownError{Err: cause},
		&plural.StateError{Err: cause},
	} {
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
		"an answer without data": {&plural.Error{StatusCode: 200, Err: errors.New("no data")}, false},
	}
	for name, tc := range cases {
		require.Equal(t, tc.want, tc.err.Retryable(), name)
	}
}

// Each code of Plural's error catalogue and of its callbacks has a text.
func TestErrorCodes(t *testing.T) {
	t.Parallel()
	for _, code := range []plural.ErrorCode{
		"AMOUNT_LIMIT_EXCEEDED",
		"API_RATE_LIMIT",
		"CARD_EXPIRED",
		"CARD_LOST",
		"CARD_NOT_ALLOWED",
		"CARD_NOT_ENROLLED",
		"CARD_STOLEN",
		"CARD_VERIFICATION_FAILED",
		"DUPLICATE_REQUEST",
		"INSUFFICIENT_FUNDS",
		"INTERNAL_ERROR",
		"INVALID_CARDHOLDER",
		"INVALID_INSTRUMENT",
		"INVALID_REQUEST",
		"INVALID_USER_ACCOUNT",
		"ISSUER_NOT_SUPPORTED",
		"OPERATION_NOT_ALLOWED",
		"ORDER_CANCELLED",
		"ORDER_NOT_FOUND",
		"PAYMENT_DECLINED",
		"PAYMENT_EXPIRED",
		"PAYMENT_METHOD_NOT_ENABLED",
		"PAYMENT_NOT_AUTHORIZED",
		"PAYMENT_PENDING",
		"PAYMENT_RATE_LIMIT",
		"RISK_CHECK_FAILED",
		"TIMED_OUT",
		"UNAUTHORIZED",
		"UNKNOWN_ERROR",
		"USER_AUTHENTICATION_FAILED",
		"USER_AUTHENTICATION_REQUIRED",
	} {
		require.True(t, code.IsKnown(), code)
		require.NotEmpty(t, code.Text(), code)
		remedies := 0
		for _, helps := range []bool{code.NeedsAnotherMethod(), code.MayPassLater(), code.IsRequestFault()} {
			if helps {
				remedies++
			}
		}
		require.LessOrEqual(t, remedies, 1, code)
	}
	require.True(t, plural.CodeInsufficientFunds.NeedsAnotherMethod())
	require.True(t, plural.CodeTimedOut.MayPassLater())
	require.True(t, plural.CodeInvalidRequest.IsRequestFault())
	require.Empty(t, plural.ErrorCode("NEW_CODE").Text())
	require.False(t, plural.ErrorCode("NEW_CODE").MayPassLater())
	require.False(t, plural.ErrorCode("NEW_CODE").IsKnown())
	require.False(t, plural.ErrorCode("").IsKnown())
}

func TestMayStillBePaid(t *testing.T) {
	t.Parallel()
	require.False(t, (&plural.NotPaidError{}).MayStillBePaid())
	for status, want := range map[plural.OrderStatus]bool{
		plural.OrderStatusCreated: true, plural.OrderStatusPending: true, plural.OrderStatusAttempted: true,
		plural.OrderStatusFailed: false, plural.OrderStatusCancelled: false, plural.OrderStatusFullyRefunded: false,
		"SETTLED": false,
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
		plural.OrderStatusPartiallyCaptured: true, plural.OrderStatusPartiallyRefunded: true,
		plural.OrderStatusFullyRefunded: true,
		plural.OrderStatusCreated:       false, plural.OrderStatusPending: false, plural.OrderStatusAttempted: false,
		plural.OrderStatusAuthorized: true, // paid, but the order does not show its hold
		plural.OrderStatusProcessed:  true, // paid, but the order does not show its payments
		plural.OrderStatusFailed:     false, plural.OrderStatusCancelled: false, "SETTLED": false,
	} {
		order.Status = status
		var notPaid *plural.NotPaidError
		require.ErrorAs(
			t, plural.Expected{MerchantOrderReference: "own-1", OrderAmount: plural.INR(500)}.Check(order), &notPaid,
		)
		require.Equal(t, want, notPaid.WasPaid(), status)
		require.ErrorAs(
			t, plural.Expected{MerchantOrderReference: "own-1", OrderAmount: plural.INR(501)}.Check(order), &notPaid,
		)
		require.False(t, notPaid.WasPaid(), "this is not the order that was expected")
	}
}

// If net/http cannot read an answer, its error quotes that answer. The SDK's
// error says what is wrong with the answer, and does not quote it.
func TestCausesAreNotQuoted(t *testing.T) {
	t.Parallel()
	const personal = "payer@example.test"
	for name, cause := range map[string]error{
		"no HTTP":          fmt.Errorf("malformed HTTP response %q", `{"email_id":"`+personal+`"}`),
		"a length":         fmt.Errorf("bad Content-Length %q", "Bearer own-token"),
		"a location":       fmt.Errorf("failed to parse Location header %q: %w", personal, errors.New("bad")),
		"half a quotation": errors.New(`malformed "` + personal),
		"a header line":    textproto.ProtocolError("malformed MIME header line: " + personal),
		"an address":       &url.Error{Op: "Get", URL: "https://example.test/" + personal, Err: errors.New("no route")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return nil, cause })
			_, err := client.Orders.Get(t.Context(), "v1-1-aa-b")
			require.Error(t, err)
			require.NotContains(t, err.Error(), personal)
			require.NotContains(t, err.Error(), "own-token")
			require.NotEmpty(t, strings.TrimPrefix(err.Error(), "plural: get order v1-1-aa-b: "))
			fromToken := newClientOver(t, func(*http.Request) (*http.Response, error) { return nil, cause })
			require.NotContains(t, fromToken.Warm(t.Context()).Error(), personal)
		})
	}
	client := newPeerClient(
		t,
		func(*http.Request) (*http.Response, error) { return answer(200, `{"paid_at":"`+personal+`"}`), nil },
	)
	var out struct {
		PaidAt plural.Timestamp `json:"paid_at"`
		Count  int              `json:"count"`
	}
	if err := client.Do(t.Context(), http.MethodGet, "/api/x", nil, &out); err != nil {
		require.NotContains(t, err.Error(), personal)
	}
	broken := newPeerClient(
		t,
		func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("dial: %w", io.ErrUnexpectedEOF) },
	)
	_, err := broken.Orders.Get(t.Context(), "v1-1-aa-b")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "errors.Is finds the cause although the text does not show it")
}

// If an answer repeats a secret, the error blanks it out. This includes a
// secret in a header, and a secret that is cut off because the answer breaks
// off.
func TestSecretsThatBreakOffAreBlanked(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef0123456789abcdef"
	creds := plural.Credentials{ClientID: "own-client", ClientSecret: secret}
	for name, resp := range map[string]func() *http.Response{
		"cut short": func() *http.Response {
			r := answer(400, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("<p>bad secret "+secret[:20]), errorReader{}))
			r.Header.Set("Content-Type", "text/html")
			r.ContentLength = -1
			return r
		},
		"as a content type": func() *http.Response { return answer(400, "<p>no", "Content-Type", "text/"+secret) },
		"as a request id":   func() *http.Response { return answer(400, `{"code":"X"}`, "X-Request-Id", secret) },
		"in any header":     func() *http.Response { return answer(400, `{"code":"X"}`, "X-Debug", "was Bearer "+secret) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := plural.NewClient(
				creds,
				plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
				plural.WithHTTPClient(
					&http.Client{Transport: transportFunc(func(*http.Request) (*http.Response, error) { return resp(), nil })},
				),
			)
			require.NoError(t, err)
			err = client.Warm(t.Context())
			var e *plural.Error
			require.ErrorAs(t, err, &e)
			for _, text := range []string{e.Error(), string(e.Body), e.TraceID, e.Message, fmt.Sprint(e.Header)} {
				require.NotContains(t, text, secret[:12])
			}
		})
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// If Plural refuses the credentials, only the token request was sent. So the
// error shows one request id: that of the token request.
func TestRefusedCredentialsShowOneRequestID(t *testing.T) {
	t.Parallel()
	client := newClientOver(
		t,
		func(*http.Request) (*http.Response, error) { return answer(401, `{"code":"UNAUTHORIZED"}`), nil },
	)
	_, err := client.Orders.Get(context.Background(), "v1-1-aa-b", plural.WithRequestID("never-sent"))
	require.ErrorIs(t, err, plural.ErrUnauthorized)
	require.Equal(t, 1, strings.Count(err.Error(), "request id"))
	require.NotContains(t, err.Error(), "never-sent")
}

// If an answer is larger or deeper than allowed, the error names that limit. It
// does not call the answer invalid JSON.
func TestLimitsAreNamed(t *testing.T) {
	t.Parallel()
	for want, body := range map[string]string{
		"larger than 4 MiB": `{"data":"` + strings.Repeat("x", 4<<20) + `"}`,
		"nests":             strings.Repeat(`{"data":`, 200) + `1` + strings.Repeat("}", 200),
	} {
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(200, body), nil })
		_, err := client.Orders.Get(t.Context(), "v1-1-aa-b")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "not JSON")
		require.NotContains(t, err.Error(), "not valid JSON")
	}
}

// An error that a test builds from exported fields matches the same sentinels
// as an error of the SDK.
func TestErrorsMadeByHand(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"no matching records": {
			&plural.Error{
				Op: "orders.get_by_reference", StatusCode: 400, Code: plural.CodeInvalidRequest,
				Message: "No matching records",
			},
			[]string{"not found"},
		},
		"no matching records, after a write": {
			&plural.Error{
				Op: "refunds.create", StatusCode: 400, Code: plural.CodeInvalidRequest,
				Message: "No matching records",
			},
			[]string{"invalid"},
		},
		"conflict":    {&plural.StateError{Conflict: true}, []string{"conflict"}},
		"reused":      {&plural.StateError{Reused: true}, []string{"conflict", "reused"}},
		"no hold":     {&plural.StateError{NoHold: true}, []string{"conflict", "no hold"}},
		"state":       {&plural.StateError{}, []string{"not applied", "not allowed"}},
		"a rejection": {&plural.Error{StatusCode: 422, Code: plural.CodeAmountLimitExceeded, NeedsReview: true}, nil},
		"unknown":     {&plural.OutcomeUnknownError{}, []string{"unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireIsOnly(t, tc.err, tc.want...)
		})
	}
	other := &plural.NotPaidError{Order: &plural.Order{Status: plural.OrderStatusPartiallyCaptured}, Mismatch: true}
	require.False(t, other.WasPaid(), "another order")
}
