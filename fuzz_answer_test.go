package plural_test

import (
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

// Do decodes what encoding/json does, within the limits, and its errors are one
// line and quote no number.
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
			if mismatch, ok := err.(*plural.Error); ok && mismatch.Code == "" { //nolint:errorlint // no unknown outcome
				require.NotContains(t, err.Error(), "98765")
			}
		}
	})
}

// Whatever a peer answers to any method, it ends with an order or with an
// error that is one line. What is said to have happened is about what was asked
// for.
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

// No constructor panics or shows what it was given, and a client that it makes
// sends its token over https, or to loopback, only.
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
			require.Equal(t, err != nil, plural.Sign([]byte("x"), k) == "", "what is refused signs nothing")
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
