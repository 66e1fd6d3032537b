package plural_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// What decodes is written and decoded again without a change, and the
// judgements about it do not fail.
func FuzzDecodeOrder(f *testing.F) {
	for _, name := range payloadsLike(f, "order_*", "capture_*", "event_order_*", "event_refund_*", "refund_*") {
		f.Add([]byte(dataOf(f, payload(f, name))))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		var first plural.Order
		if err := json.Unmarshal(document, &first); err != nil {
			requireTidy(t, (&plural.Error{Op: "orders.get", StatusCode: http.StatusOK, Err: err}).Error())
			return
		}
		written, err := json.Marshal(&first)
		require.NoError(t, err)
		var second plural.Order
		require.NoError(t, json.Unmarshal(written, &second))
		again, err := json.Marshal(&second)
		require.NoError(t, err)
		require.Equal(t, string(written), string(again))

		for _, amountOf := range []func() (plural.Amount, bool){first.CapturedAmount, first.RefundedAmount} {
			amount, known := amountOf()
			require.GreaterOrEqual(t, amount.Value, int64(0))
			if known && amount.Value > 0 {
				require.Equal(t, first.OrderAmount.Currency, amount.Currency)
			}
		}
		require.False(t, first.CanCapture() && first.CanRefund())
		require.Equal(t, first.CanCapture(), first.CanCancel())
	})
}

// Whatever a peer answers, there is an error or an order, and the error's text
// is one line.
func FuzzErrorBody(f *testing.F) {
	for _, name := range payloadsLike(f, "error_*") {
		f.Add(422, "application/json", payload(f, name))
	}
	f.Add(200, "text/html", payload(f, "error_firewall.html"))
	f.Add(504, "", []byte{})
	f.Add(200, "application/json", payload(f, "cancel_response.json"))
	var next *http.Response
	client := newPeerClient(f, func(*http.Request) (*http.Response, error) { return next, nil })
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		if status < 200 || status > 599 || status == http.StatusUnauthorized {
			return
		}
		next = answer(status, body, "Content-Type", contentType)
		_, err := client.Orders.Get(t.Context(), "v1-1-aa-b")
		if err == nil {
			require.True(t, json.Valid(body))
			require.Less(t, status, 300)
			return
		}
		var e *plural.Error
		require.ErrorAs(t, err, &e)
		requireTidy(t, e.Error())
		require.Equal(t, status, e.StatusCode)
		require.True(t, bytes.HasPrefix(body, e.Body))
		require.LessOrEqual(t, len(e.Body), 8<<10)
		logged, err := json.Marshal(e)
		require.NoError(t, err)
		require.True(t, json.Valid(logged))
		if e.Retryable() {
			require.NotErrorIs(t, e, plural.ErrNotFound, "not there, for good")
			require.NotErrorIs(t, e, plural.ErrInvalidRequest)
		}
	})
}

// Whatever the token endpoint answers, there is a token that can stand in a
// header, or an error that shows neither what came in its place nor the secret.
func FuzzTokenAnswer(f *testing.F) {
	for _, name := range payloadsLike(f, "token_*", "error_token_*") {
		f.Add(200, payload(f, name))
		f.Add(401, payload(f, name))
	}
	f.Add(200, []byte(`{"accessToken":"a","expiresIn":"1e400"}`))
	f.Add(200, []byte(`{"access_token":"a.eyJleHAiOjF9.b","expires_at":"9999-12-31T23:59:59Z"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		var authorization string
		client := newClientOver(t, func(r *http.Request) (*http.Response, error) {
			if isTokenRequest(r) {
				return answer(status, body), nil
			}
			authorization = r.Header.Get("Authorization")
			return answer(http.StatusNotFound, ""), nil
		})
		err := client.Warm(t.Context())
		_, getErr := client.Orders.Get(t.Context(), "v1-1-aa-b")
		require.Error(t, getErr)
		if err != nil {
			requireTidy(t, err.Error())
			requireTidy(t, getErr.Error())
			require.Empty(t, authorization)
			var e *plural.Error
			require.ErrorAs(t, err, &e)
			var secret struct {
				AccessToken string `json:"access_token"`
			}
			if status < 300 {
				require.Empty(t, e.Body)
				if json.Unmarshal(body, &secret) == nil && len(secret.AccessToken) > 20 {
					require.NotContains(t, err.Error(), secret.AccessToken)
				}
			}
			return
		}
		require.Less(t, status, 300)
		token, ok := strings.CutPrefix(authorization, "Bearer ")
		require.True(t, ok)
		require.NotEmpty(t, token)
		require.LessOrEqual(t, len(token), 8192)
		require.Equal(t, -1, strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }))
	})
}

// What ParseAmount accepts, String prints back.
func FuzzParseAmount(f *testing.F) {
	for _, text := range []string{
		"1499.50", "1,499.5", "10,00,000", "0.01", "", "-1", "1e3", "92233720368547758.07",
		"1,2", "१२",
	} {
		f.Add(text, "INR")
	}
	f.Add("1.234", "KWD")
	f.Add("12", "JPY")
	f.Add("1", "inr")
	f.Fuzz(func(t *testing.T, text, currency string) {
		amount, err := plural.ParseAmount(text, plural.Currency(currency))
		if err != nil {
			requireTidy(t, err.Error())
			return
		}
		require.GreaterOrEqual(t, amount.Value, int64(0))
		require.Equal(t, currency, string(amount.Currency))
		requireReadsBack(t, amount)
		number := strings.TrimPrefix(amount.String(), currency+" ")
		plain := strings.TrimLeft(strings.ReplaceAll(text, ",", ""), "0")
		require.True(t, strings.HasPrefix(strings.TrimLeft(number, "0"), plain), "%q became %q", text, number)
	})
}

// A Timestamp takes anything, and reads back what it wrote.
func FuzzTimestamp(f *testing.F) {
	for _, text := range []string{
		`"2027-07-09T07:57:08.523516426Z"`, `"2027-07-09 07:57:08Z"`, `"2027-07-09T07:57:08"`, `"2027-04-30T08:01:321Z"`,
		`1746000000123`, `""`, `null`, `{"a":1}`,
		`"9999-12-31T23:59:59-01:00"`, `"0000-01-01T00:00:00+01:00"`, `"2027-07-09T07:57:08+23:59"`, `"2027-07-09T07:57:60Z"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		var first plural.Timestamp
		if err := json.Unmarshal(document, &first); err != nil {
			require.False(t, json.Valid(document))
			return
		}
		if !first.Time.IsZero() {
			require.Equal(t, time.UTC, first.Location())
		}
		written, err := json.Marshal(first)
		require.NoError(t, err)
		var second plural.Timestamp
		require.NoError(t, json.Unmarshal(written, &second))
		require.Equal(t, first, second)
		if first.IsZero() {
			return
		}
		again, err := json.Marshal(second)
		require.NoError(t, err)
		require.Equal(t, string(written), string(again))
	})
}
