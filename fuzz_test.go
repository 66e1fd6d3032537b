package plural_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// A decoded order can be encoded and decoded again without a change, and the
// methods that judge the order do not panic.
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

// Any answer of a peer gives either an error or an order, and the error's text
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
			require.NotErrorIs(t, e, plural.ErrNotFound, "an order that does not exist is not worth a retry")
			require.NotErrorIs(t, e, plural.ErrInvalidRequest)
		}
	})
}

// Any answer of the token endpoint gives either a token that can stand in a
// header, or an error. The error shows neither the answer nor the secret.
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

// If ParseAmount accepts a number, String prints the same number.
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

// A Timestamp accepts any JSON value. Encoding it and decoding it again gives
// the same Timestamp.
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

// If an answer is within the limits, the method Do decodes the answer in the
// same way as encoding/json. The text of Do's errors is one line and quotes no
// number.
func FuzzDo(f *testing.F) {
	for _, document := range []string{
		`{"a":9876501234}`, `{"a":"98765"}`, `[1,{"a":null}]`, `"\ud800"`, `nul`, `]]]`, `{"a":1}{}`, "\ufeff{}", ``,
		`{"data":{"order_id":"v1","status":"CREATED"}}`, `{"code":"INVALID_REQUEST"}`, strings.Repeat("[", 40),
	} {
		f.Add([]byte(document))
	}
	var next []byte
	client := newPeerClient(f, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, next), nil })
	f.Fuzz(func(t *testing.T, document []byte) {
		next = document
		var got, want any
		err := client.Do(t.Context(), http.MethodGet, "/x", nil, &got)
		if err == nil {
			require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(string(document), "\ufeff")), &want))
			require.Equal(t, want, got)
		} else {
			requireTidy(t, err.Error())
		}
		var typed struct {
			A    int8      `json:"a"`
			B    time.Time `json:"b"`
			Data plural.Order
		}
		if err := client.Do(t.Context(), http.MethodPost, "/x", nil, &typed); err != nil {
			requireTidy(t, err.Error())
			if mismatch, ok := err.(*plural.Error); ok && mismatch.Code == "" { //nolint:errorlint // unwrapped ones only
				require.NotContains(t, err.Error(), "98765")
			}
		}
	})
}

// Whatever the peer answers, each method ends with an order or with an error of
// one line. The order is the one that the call asked for, with the right
// amount.
func FuzzServices(f *testing.F) {
	for _, name := range payloadsLike(f, "order_*", "capture_*", "refund_*", "cancel_*", "error_*") {
		for method := range uint8(6) {
			f.Add(method, 200, payload(f, name))
		}
		f.Add(uint8(1), 422, payload(f, name))
	}
	f.Add(uint8(0), 200, []byte(`{"order_id":"v1-1-aa-b","redirect_url":"javascript:a"}`))
	f.Fuzz(func(t *testing.T, method uint8, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(status, body), nil })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			const id, reference = "v1-1-aa-b", "own-ref"
			var order *plural.Order
			var err error
			switch method % 6 {
			case 0:
				var link *plural.CheckoutOrder
				if link, err = client.Orders.Create(ctx, minimalOrder()); err == nil {
					u := mustURL(t, link.RedirectURL)
					require.True(t, u.Scheme == "https" || u.Scheme == "http", link.RedirectURL)
				}
			case 1:
				order, err = client.Orders.Get(ctx, id)
			case 2:
				order, err = client.Orders.GetByReference(ctx, reference)
			case 3:
				order, err = client.Captures.Create(ctx, id,
					&plural.CaptureRequest{MerchantCaptureReference: reference, FullAmount: true})
			case 4:
				order, err = client.Cancels.Create(ctx, id)
			case 5:
				order, err = client.Refunds.Create(ctx, id,
					&plural.RefundRequest{MerchantOrderReference: reference, OrderAmount: plural.INR(100)})
			}
			if err != nil {
				requireTidy(t, err.Error())
				return
			}
			require.Less(t, status, 300)
			switch method % 6 {
			case 1, 3, 4:
				require.Equal(t, id, order.OrderID)
			case 2, 5:
				require.Equal(t, reference, order.MerchantOrderReference)
			}
		})
	})
}

// The peer may send any answer. A call about a payment link then returns that
// link, or an error whose text is one line. If the call returns a link, a
// customer can open the link. The link also stays the same when it is encoded
// and decoded again.
func FuzzPaymentLinks(f *testing.F) {
	for _, name := range payloadsLike(f, "link_*", "error_422_*") {
		for method := range uint8(5) {
			f.Add(method, 200, payload(f, name))
		}
		f.Add(uint8(0), 422, payload(f, name))
	}
	f.Add(uint8(1), 200, []byte(
		`{"payment_link_id":"pl-v1-1","order_id":"v1","status":"CREATED","payment_link":"javascript:a"}`))
	f.Add(uint8(0), 200, []byte(`{"data":{"data":{"payment_link_id":"pl-v1-1"}},"amount":{"value":1e3}}`))
	f.Fuzz(func(t *testing.T, method uint8, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(status, body), nil })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			const id, reference = "pl-v1-270118060912-aa-Hk3VnD", "own-inv-4412"
			var link *plural.PaymentLink
			var err error
			switch method % 5 {
			case 0:
				link, err = client.PaymentLinks.Create(ctx, minimalLink())
			case 1:
				link, err = client.PaymentLinks.Get(ctx, id)
			case 2:
				link, err = client.PaymentLinks.GetByReference(ctx, reference)
			case 3:
				link, err = client.PaymentLinks.Cancel(ctx, id)
			case 4:
				link, err = client.PaymentLinks.Notify(ctx, id)
			}
			if err != nil {
				require.Nil(t, link)
				requireTidy(t, err.Error())
				return
			}
			require.Less(t, status, 300)
			u := mustURL(t, link.PaymentLink)
			require.True(t, u.Scheme == "https" || u.Scheme == "http" && u.Hostname() != "", link.PaymentLink)
			switch method % 5 {
			case 0:
				require.Equal(t, reference, link.MerchantPaymentLinkReference)
				require.Equal(t, plural.INR(319950), link.Amount)
			case 2:
				require.Equal(t, reference, link.MerchantPaymentLinkReference)
			case 3:
				require.Equal(t, plural.PaymentLinkStatusCancelled, link.Status)
			default:
				require.Equal(t, id, link.PaymentLinkID)
			}
			once, err := json.Marshal(link)
			require.NoError(t, err)
			var again plural.PaymentLink
			require.NoError(t, json.Unmarshal(once, &again))
			twice, err := json.Marshal(&again)
			require.NoError(t, err)
			require.Equal(t, string(once), string(twice))
		})
	})
}

// No constructor panics, and none shows its arguments in an error. A client
// sends its token only over https, or to loopback.
func FuzzConstructors(f *testing.F) {
	f.Add("client-id", "s3cr3t-4f9c2b7e", "https://api.example.in/base", "shop/1.0")
	f.Add("a", "4f9c2b7e4f9c2b7e", "http://localhost:80", "")
	f.Add("", "whsec_c2VjcmV0LXNlY3JldA==", "http://[::1]/", "a\nb")
	f.Add("\xff", " ", "https://user@host", "é")
	f.Add("x", "y", "http://evil.example", "x")
	f.Add("x", "y", "https:///", "x")
	f.Fuzz(func(t *testing.T, id, secret, base, agent string) {
		silent := func(err error) {
			if err == nil {
				return
			}
			requireTidy(t, err.Error())
			if len(secret) >= 12 {
				require.NotContains(t, err.Error(), secret)
			}
		}
		for _, key := range []func(string) (plural.Key, error){plural.HexKey, plural.Base64Key, plural.RawKey} {
			k, err := key(secret)
			silent(err)
			require.Equal(t, err != nil, plural.Sign([]byte("x"), k) == "", "a refused key signs nothing")
		}
		_, err := plural.NewVerifier(secret)
		silent(err)
		var asked *url.URL
		transport := transportFunc(func(r *http.Request) (*http.Response, error) {
			asked = r.URL
			return answer(http.StatusUnauthorized, ""), nil
		})
		client, err := plural.NewClient(plural.Credentials{ClientID: id, ClientSecret: secret},
			plural.WithBaseURL(base), plural.WithUserAgent(agent), plural.WithHTTPClient(&http.Client{Transport: transport}))
		silent(err)
		if err != nil {
			return
		}
		require.Error(t, client.Warm(t.Context()))
		require.NotNil(t, asked)
		switch asked.Hostname() {
		case "":
			t.Errorf("%q has no host", base)
		default:
			host := strings.ToLower(asked.Hostname())
			isLocal := host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.") || strings.Contains(host, ":")
			require.True(t, asked.Scheme == "https" || asked.Scheme == "http" && isLocal, base)
		}
		require.Nil(t, asked.User)
	})
}
