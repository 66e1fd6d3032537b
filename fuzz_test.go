package plural_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
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

// Within its limits, Do decodes as encoding/json does. The text of its errors
// is one line and quotes no number.
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

// Whatever the peer answers, a call about a payment link ends with that link or
// with an error of one line. A customer can open a link that is returned.
// Encoding a decoded link and decoding it again does not change it.
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

// requireHonest compares an accepted callback with its form. The callback must
// have the fields of the form that are not empty. The signed text may contain
// the form's empty values or leave them out. For one of these two texts an
// independent implementation must make the same signature.
func requireHonest(t *testing.T, cb *plural.Callback, form url.Values) {
	t.Helper()
	given, err := hex.DecodeString(form.Get("signature"))
	require.NoError(t, err)
	key := unhex(t, signatureSecret)
	dropped := naiveHMAC(key, []byte(naiveCallbackText(form, false)))
	kept := naiveHMAC(key, []byte(naiveCallbackText(form, true)))
	require.True(
		t, string(given) == string(dropped) || string(given) == string(kept), "accepted with a wrong signature",
	)

	fields := map[string]string{}
	for name, values := range form {
		if len(values) == 0 {
			continue
		}
		require.Len(t, values, 1)
		if name != "signature" && values[0] != "" {
			fields[name] = values[0]
		}
	}
	require.Equal(t, fields, cb.Fields)
	require.NotEmpty(t, cb.OrderID)
	require.NotEmpty(t, cb.Status)
	require.Equal(t, fields["order_id"], cb.OrderID)
	require.Equal(t, fields["status"]+fields["payment_status"], string(cb.Status))
	require.Equal(t, fields["error_code"], string(cb.ErrorCode))
	require.Equal(t, fields["error_message"], cb.ErrorMessage)
}

// requireUnambiguous cuts the signed text into fields in every possible way. It
// verifies each of the resulting forms with the same signature. Each form that
// is accepted has to mean the same as the original form.
func requireUnambiguous(t *testing.T, v *plural.Verifier, cb *plural.Callback, text, signature string) {
	t.Helper()
	pieces := strings.Split(text, "&")
	if len(pieces) > 9 {
		return
	}
	for cuts := range 1 << (len(pieces) - 1) {
		pairs := []string{pieces[0]}
		for i, piece := range pieces[1:] {
			if cuts&(1<<i) != 0 {
				pairs = append(pairs, piece)
			} else {
				pairs[len(pairs)-1] += "&" + piece
			}
		}
		// Any "=" of a pair may end the name, so both the first and the last
		// "=" are tried.
		for _, index := range []func(string, string) int{strings.Index, strings.LastIndex} {
			form := url.Values{"signature": {signature}}
			for _, pair := range pairs {
				if at := index(pair, "="); at >= 0 {
					form.Add(pair[:at], pair[at+1:])
				} else {
					form.Add(pair, "")
				}
			}
			other, err := v.VerifyCallback(form)
			if err == nil {
				requireSameCallback(t, cb, other)
			}
		}
	}
}

// signNaively signs a form that has no signature. keepEmpty tells it whether
// the signed text contains the empty values.
func signNaively(t *testing.T, form url.Values, keepEmpty bool) string {
	t.Helper()
	text := naiveCallbackText(form, keepEmpty)
	form["signature"] = []string{naiveSignature(t, signatureSecret, text)}
	return text
}

func FuzzVerifyCallbackForm(f *testing.F) {
	var vectors []callbackVector
	readGolden(f, "callbacks.json", &vectors)
	for i, vector := range vectors {
		f.Add(vector.FormBody, vectors[(i+1)%len(vectors)].FormBody, i%2 == 0)
	}
	f.Add("error_message=x%26order_id%3Dv1-2%26status%3DPROCESSED&order_id=v1-1&status=FAILED",
		"error_message=x&order_id=v1-2&status=PROCESSED%26order_id%3Dv1-1%26status%3DFAILED", false)
	f.Add("order_id=1&status=A&error_message=%26&a=", "order_id=1&status=A&error_message=%26a%3D", true)
	f.Add("error_message=x%26order_id=v1-1&status=F&order_id=2", "a%3Db=c&order_id=1&payment_status=F", false)
	f.Add("error_message=x%26foo%3D1&order_id=1&status=A", "error_message=x&foo=1&order_id=1&status=A", false)
	f.Add("order_id=1%26payment_status%3DA&status=B", "order_id=1&payment_status=A%26status%3DB", false)
	v := mustVerifier(f, signatureSecret)

	f.Fuzz(func(t *testing.T, body, rival string, keepEmpty bool) {
		// First, verify the body as it is. The fuzzer cannot sign, so a body
		// can only be accepted with a signature from the seeds.
		raw, err := v.VerifyCallbackRequest(formRequest(body))
		requireCallbackResult(t, raw, err)
		form, parseErr := url.ParseQuery(body)
		if err == nil {
			require.NoError(t, parseErr)
			requireHonest(t, raw, form)
		}
		if parseErr != nil {
			return
		}

		// Then, verify the same form, signed as Plural would sign it.
		text := signNaively(t, form, keepEmpty)
		cb, err := v.VerifyCallback(form)
		requireCallbackResult(t, cb, err)
		if err == nil {
			requireHonest(t, cb, form)
			requireUnambiguous(t, v, cb, text, form.Get("signature"))
			fromRequest, err := v.VerifyCallbackRequest(formRequest(form.Encode()))
			require.NoError(t, err)
			requireSameCallback(t, cb, fromRequest)
		}

		// Last, verify another form with the same signature.
		other, parseErr := url.ParseQuery(rival)
		if parseErr != nil {
			return
		}
		other["signature"] = form["signature"]
		forged, err := v.VerifyCallback(other)
		requireCallbackResult(t, forged, err)
		if err == nil {
			requireHonest(t, forged, other)
			if cb != nil {
				requireSameCallback(t, cb, forged)
			}
		}
	})
}

func requireCallbackResult(t *testing.T, cb *plural.Callback, err error) {
	t.Helper()
	require.Equal(t, err == nil, cb != nil)
	if err != nil {
		require.NotEqual(t, errors.Is(err, plural.ErrInvalidSignature), errors.Is(err, plural.ErrMalformedCallback), err)
	}
}

func FuzzVerifyCallbackJSON(f *testing.F) {
	var vectors []callbackVector
	readGolden(f, "callbacks.json", &vectors)
	for i, vector := range vectors {
		object := maps.Clone(vector.Params)
		object["signature"] = vector.Signature
		body, err := json.Marshal(object)
		require.NoError(f, err)
		f.Add(body, i%2 == 0)
	}
	for _, body := range []string{
		`{"order_id":"1","status":"A","error_code":null}`, `{"order_id":"1","\u0073tatus":"A","status":"B"}`,
		`{"order_id":"\ud800","status":"A"}`,
		`{"order_id":"1","STATUS":"A","status":"B"}`, `{"order_id":"1","status":"A"}{}`, `[]`, `{"order_id":1,"status":true}`,
		`{"error_message":"x&foo=1","order_id":"1","status":"A"}`, `{"order_id":"1&payment_status=A","status":"B"}`,
	} {
		f.Add([]byte(body), false)
	}
	v := mustVerifier(f, signatureSecret)

	f.Fuzz(func(t *testing.T, body []byte, keepEmpty bool) {
		cb, err := v.VerifyCallbackJSON(body)
		requireCallbackResult(t, cb, err)

		// Compare the result with that of encoding/json, which is less strict
		// and may find more fields. The fields that both find must have the
		// same values.
		var loose map[string]any
		if json.Unmarshal(body, &loose) != nil {
			require.Error(t, err)
			return
		}
		form, flat := url.Values{}, loose != nil
		for name, value := range loose {
			switch value := value.(type) {
			case string:
				form.Set(name, value)
			case nil:
			default:
				flat = false
			}
		}
		if err == nil {
			require.True(t, flat)
			requireHonest(t, cb, form)
		}
		if !flat {
			require.Error(t, err)
			return
		}

		text := signNaively(t, form, keepEmpty)
		signed := map[string]string{}
		for name := range form {
			signed[name] = form.Get(name)
		}
		encoded, err := json.Marshal(signed)
		require.NoError(t, err)
		fromForm, formErr := v.VerifyCallback(form)
		fromJSON, jsonErr := v.VerifyCallbackJSON(encoded)
		requireCallbackResult(t, fromJSON, jsonErr)
		if jsonErr == nil {
			require.NoError(t, formErr)
			requireSameCallback(t, fromForm, fromJSON)
			requireHonest(t, fromJSON, form)
			requireUnambiguous(t, v, fromJSON, text, form.Get("signature"))
		}
	})
}

func FuzzVerifyWebhook(f *testing.F) {
	good, body := goodWebhook(webhookBody)
	right := good.Get("Webhook-Signature")
	wrong := "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, signatures := range []string{
		right, wrong, right + " " + wrong, "v2," + right, right + " ", "v1,", "",
		strings.Repeat(right+" ", 9),
	} {
		f.Add(webhookID, "1763802000", signatures, body)
	}
	for _, timestamp := range []string{
		"", "0", "-1", "1763801700", "1763801699", "1763802301", "99999999999",
		"999999999999", "1e9",
	} {
		f.Add(webhookID, timestamp, right, body)
	}
	for _, id := range []string{"", "a.b", "a=b", strings.Repeat("a", 129), "msg.1763802000"} {
		f.Add(id, "1763802000", right, []byte(`{"event_type":"X","data":null}`))
	}
	for _, body := range []string{
		"", "{}", "{}{}", `{"eventType":"ORDER_PROCESSED","data":{"orderId":"v1-1"}}`, `[]`,
		"null", "\xff", `{"event_type":1,"data":[]}`,
	} {
		f.Add("msg", "1763802000", right, []byte(body))
	}
	v := webhookVerifier(f)
	keys := [][]byte{unhex(f, signatureSecret), []byte(signatureSecret)}

	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		check := func(signatures string) *plural.Event {
			header := webhookHeader(id, timestamp, signatures)
			signatureErr := v.VerifyWebhookSignature(header, body)
			event, err := v.VerifyWebhook(header, body)
			require.Equal(t, err == nil, event != nil)
			if err != nil {
				kinds := 0
				for _, kind := range []error{plural.ErrInvalidSignature, plural.ErrStaleTimestamp, plural.ErrMalformedWebhook} {
					if errors.Is(err, kind) {
						kinds++
					}
				}
				require.Equal(t, 1, kinds, err)
			}
			split := header.Clone()
			split["Webhook-Signature"] = strings.Split(signatures, ",")
			splitErr := v.VerifyWebhookSignature(split, body)
			require.Equal(t, signatureErr == nil, splitErr == nil, "a header split at commas gives the same result")
			if signatureErr != nil {
				require.Equal(t, signatureErr, err)
				return nil
			}
			requireSignedByUs(t, keys, header, body)
			if event != nil {
				require.Equal(t, id, event.ID)
				require.Equal(t, string(body), string(event.RawJSON()))
				require.True(t, json.Valid(body))
				if order, err := event.Order(); err == nil {
					require.NotEmpty(t, order.OrderID)
				}
			}
			return event
		}
		check(signatures)
		first := check(naiveWebhookSignature(keys[0], id, timestamp, string(body)))
		second := check(naiveWebhookSignature(keys[1], id, timestamp, string(body)) + " v9,later")
		if first != nil && second != nil {
			require.Equal(t, 1, first.KeyIndex+second.KeyIndex, "one index is 0 and the other is 1")
			second.KeyIndex = first.KeyIndex
		}
		require.Equal(t, first, second)
		require.Nil(t, check(naiveWebhookSignature([]byte("another key"), id, timestamp, string(body))))

		// A webhook's signature is never accepted for a callback, and a
		// callback's never for a webhook.
		sum := naiveHMAC(keys[0], []byte(id+"."+timestamp+"."+string(body)))
		asForm, err := url.ParseQuery(string(body))
		if err == nil {
			asForm.Set("signature", hex.EncodeToString(sum))
			cb, err := v.VerifyCallback(asForm)
			require.Error(t, err)
			require.Nil(t, cb)
			text := naiveCallbackText(asForm, false)
			header := webhookHeader(id, timestamp, "v1,"+base64.StdEncoding.EncodeToString(naiveHMAC(keys[0], []byte(text))))
			require.Error(t, v.VerifyWebhookSignature(header, body))
		}
	})
}

// requireSignedByUs checks that an independent implementation makes one of the
// header's signatures with one of the keys. It also checks that the timestamp
// is close to the current time.
func requireSignedByUs(t *testing.T, keys [][]byte, header http.Header, body []byte) {
	t.Helper()
	id, timestamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	require.NoError(t, err)
	require.LessOrEqual(t, webhookClock().Sub(time.Unix(seconds, 0)).Abs(), 5*time.Minute)
	for element := range strings.FieldsSeq(header.Get("Webhook-Signature")) {
		for _, key := range keys {
			if element == naiveWebhookSignature(key, id, timestamp, string(body)) {
				return
			}
		}
	}
	t.Fatal("accepted with a wrong signature")
}
