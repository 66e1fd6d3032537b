package plural_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// A refund that is answered in the older shape, inside of its order, is the
// refund.
func TestRefundAnsweredInTheOlderShape(t *testing.T) {
	t.Parallel()
	client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
		return jsonAnswer(http.StatusOK, payload(t, "refund_response_older_shape.json")), nil
	})
	refund, err := client.Refunds.Create(t.Context(), "v1-515151515151-aa-O1dprt",
		&plural.RefundRequest{MerchantOrderReference: "own-old-refund-1", OrderAmount: plural.INR(8800)})
	require.NoError(t, err)
	require.Equal(t, "v1-525252525252-aa-O1drfd", refund.OrderID)
	require.Equal(t, "v1-515151515151-aa-O1dprt", refund.ParentOrderID)
	require.Equal(t, plural.OrderTypeRefund, refund.Type)
	require.Equal(t, plural.INR(8800), refund.OrderAmount)
}

// A 2xx of the checkout that is no link is not a link, and the order may exist
// all the same.
func TestCheckoutAnswersWithoutALink(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no redirect_url":    `{"token":"x","order_id":"v1-1-aa-b","response_code":200}`,
		"no order_id":        `{"redirect_url":"https://checkout.example.in/x","response_code":200}`,
		"another code":       `{"order_id":"v1-1-aa-b","redirect_url":"https://checkout.example.in/x","response_code":400,"response_message":"no"}`,
		"another, as a text": `{"order_id":"v1-1-aa-b","redirect_url":"https://checkout.example.in/x","response_code":"500"}`,
		"wrapped, no link":   `{"data":{"order_id":"v1-1-aa-b"}}`,
		"data no object":     `{"data":7}`,
		"a list":             `[]`,
		"a server's fault":   `{"code":"INTERNAL_ERROR"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return jsonAnswer(http.StatusOK, []byte(body)), nil
				}
				return jsonAnswer(http.StatusBadGateway, nil), nil
			})
			_, err := client.Orders.Create(t.Context(), minimalOrder())
			requireIsOnly(t, err, "unknown")
			requireTidy(t, err.Error())
		})
	}
}

// An error document in a 2xx is that error. Where it has data too, that is
// judged by those who know what it is to say, which Do is not.
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
		client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return jsonAnswer(http.StatusOK, []byte(body)), nil
			}
			return jsonAnswer(http.StatusBadGateway, nil), nil
		})
		err := client.Do(t.Context(), http.MethodPost, "/api/x", nil, new(struct{ Data *plural.Order }))
		switch want {
		case "decoded": // Do decodes what has no known code into the caller's type
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
	}
}

// The same reference with another amount is a conflict, and the error says so.
func TestReferenceUsedForAnotherAmount(t *testing.T) {
	t.Parallel()
	captured := strings.Replace(
		string(payload(t, "capture_response_partially_captured.json")),
		`"PARTIALLY_CAPTURED"`,
		`"PROCESSED"`,
		1,
	)
	var o plural.Order
	require.NoError(t, o.UnmarshalJSON(dataOf(t, []byte(captured))))
	synctest.Test(t, func(t *testing.T) {
		dated := true
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			resp := jsonAnswer(http.StatusOK, []byte(captured))
			if dated {
				resp.Header.Set("Date", o.Payments[0].CaptureData[0].CreatedAt.Add(time.Hour).UTC().Format(http.TimeFormat))
			}
			return resp, nil
		})
		capture := func() error {
			_, err := client.Captures.Create(t.Context(), o.OrderID, &plural.CaptureRequest{
				MerchantCaptureReference: o.Payments[0].CaptureData[0].MerchantCaptureReference, CaptureAmount: plural.INR(100),
			})
			return err
		}
		err := capture()
		requireIsOnly(t, err, "reused", "not applied")
		var state *plural.StateError
		require.ErrorAs(t, err, &state)
		require.Equal(t, o.OrderID, state.Order.OrderID)

		// Without a sign that the entry is older, it may be this very call's, with an
		// amount that was rounded or discounted.
		dated = false
		requireIsOnly(t, capture(), "unknown")
	})
}

func TestNoClientPrints(t *testing.T) {
	t.Parallel()
	var none *plural.Client
	require.Equal(t, "plural.Client{}", fmt.Sprint(none))
	require.Equal(t, "plural.Client{}", fmt.Sprint(&plural.Client{}))
}

// What an answer says of a write that is sent once: not carried out, or who
// knows. The code counts before the status.
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
		client := newPeerClient(
			t,
			func(*http.Request) (*http.Response, error) { return jsonAnswer(tc.status, []byte(tc.body)), nil },
		)
		err := client.Do(t.Context(), http.MethodPost, "/api/x", nil, nil)
		var e *plural.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, tc.status, e.StatusCode)
		var unknown *plural.OutcomeUnknownError
		require.Equal(t, tc.open, errors.As(err, &unknown), "%d %s", tc.status, tc.body)
	}
}
