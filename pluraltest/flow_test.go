package pluraltest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func TestPreAuthorizationFlow(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]pluraltest.Option{
		"http": nil, "tls": {pluraltest.WithTLS()}, "http2": {pluraltest.WithHTTP2()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t, opts...)
			a := newAPI(t, srv)

			token := a.do("POST", "/api/auth/v1/token", fmt.Sprintf(
				`{"client_id":%q,"client_secret":%q,"grant_type":"client_credentials"}`, srv.ClientID, srv.ClientSecret))
			require.Equal(t, 200, token.status)
			a.token = token.doc(t)["access_token"].(string)
			require.NotEmpty(t, token.doc(t)["expires_at"])

			created := a.do("POST", "/api/checkout/v1/orders", `{"merchant_order_reference":112345171,
				"order_amount":{"value":110000,"currency":"INR"},"pre_auth":true,"allowed_payment_methods":["CARD"],
				"callback_url":"https://shop.example.com/return"}`)
			require.Equal(t, 200, created.status, "%s", created.body)
			id := created.doc(t)["order_id"].(string)
			link := created.doc(t)["redirect_url"].(string)
			require.True(t, strings.HasPrefix(link, srv.URL+"/api/v3/checkout-bff/redirect/checkout?token=V3_"), link)
			require.Contains(t, link, "%2F")
			require.Contains(t, link, "%2B")
			parsed, err := url.Parse(link)
			require.NoError(t, err)
			require.Contains(t, parsed.Query().Get("token"), "/")

			back, err := srv.Pay(id, pluraltest.Approve)
			require.NoError(t, err)
			require.Equal(t, "https://shop.example.com/return", back.URL)
			require.Equal(t, "AUTHORIZED", back.Form.Get("status"))

			order := a.do("GET", "/api/pay/v1/orders/reference/112345171", "").data(t)
			require.Equal(t, "AUTHORIZED", order["status"])

			captured := a.capture(id, `{"merchant_capture_reference":"cap-1","capture_amount":{"value":40000,"currency":"INR"}}`)
			require.Equal(t, 200, captured.status, "%s", captured.body)
			require.Equal(t, "PARTIALLY_CAPTURED", captured.data(t)["status"])
			require.Equal(t, "OPERATION_NOT_ALLOWED", a.capture(id, `{"merchant_capture_reference":"cap-1"}`).code(t))

			refund := a.refund(id, `{"merchant_order_reference":"ref-1","order_amount":{"value":10000,"currency":"INR"}}`).
				data(t)
			require.Equal(t, "REFUND", refund["type"])
			require.Equal(t, id, refund["parent_order_id"])
			require.Equal(t, "PARTIALLY_REFUNDED", a.get(id).data(t)["status"])
			require.Equal(t, "AMOUNT_LIMIT_EXCEEDED",
				a.refund(id, `{"merchant_order_reference":"ref-2","order_amount":{"value":30001,"currency":"INR"}}`).code(t))
			require.Equal(t, 200, a.refund(id, `{"merchant_order_reference":"ref-3"}`).status)
			require.Equal(t, "FULLY_REFUNDED", a.get(id).data(t)["status"])
			srv.AssertExactlyOnce(t)
			require.Len(t, srv.Captures(id), 1)
			require.Len(t, srv.Refunds(id), 2)
		})
	}
}
