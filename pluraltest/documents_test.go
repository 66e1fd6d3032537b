package pluraltest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestDocuments compares every kind of answer and event with a golden file.
func TestDocuments(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	srv := pluraltest.New(pluraltest.WithSeed(1), pluraltest.WithMerchantID("108272"),
		pluraltest.WithClock(func() time.Time { clock = clock.Add(time.Second); return clock }))
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	const order = `{
		"merchant_order_reference": "preauth-0001", "order_amount": {"value": 110000, "currency": "INR"},
		"integration_mode": "REDIRECT", "pre_auth": true, "part_payment": false, "allowed_payment_methods": ["CARD"],
		"notes": "order1", "callback_url": "https://shop.example.com/return",
		"failure_callback_url": "https://shop.example.com/failed",
		"purchase_details": {"customer": {"email_id": "kevin.bob@example.com", "billing_address": {}},
		"merchant_metadata": {"key1": "a<b&c"}}
	}`

	created := a.do(http.MethodPost, "/api/checkout/v1/orders", order)
	golden(t, "checkout_created.json", created.body)
	id, _ := created.doc(t)["order_id"].(string)
	golden(t, "order_created.json", a.get(id).body)
	_, err := srv.Pay(id, pluraltest.FailOTP)
	require.NoError(t, err)
	golden(t, "order_attempted.json", a.get(id).body)
	_, err = srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	golden(t, "order_authorized.json", a.get(id).body)
	golden(
		t,
		"order_partially_captured.json",
		a.capture(id, `{"merchant_capture_reference":"cap-1","capture_amount":{"value":40000,"currency":"INR"}}`).body,
	)
	golden(
		t,
		"refund.json",
		a.refund(
			id,
			`{"merchant_order_reference":"back-1","order_amount":{"value":400,"currency":"INR"},"merchant_metadata":{"why":"late"}}`,
		).body,
	)
	golden(t, "order_partially_refunded.json", a.get(id).body)

	golden(t, "pay_order_created.json", a.do(
		http.MethodPost,
		"/api/pay/v1/orders",
		`{"merchant_order_reference":"seamless-1","order_amount":{"value":500,"currency":"INR"},"purchase_details":null}`,
	).body)

	points, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "points-1", Amount: inr(200), PreAuth: true})
	require.NoError(t, err)
	_, err = srv.Pay(points, pluraltest.ApproveWithPoints(100))
	require.NoError(t, err)
	golden(t, "order_points_captured.json", a.capture(points, `{"merchant_capture_reference":"cap-2"}`).body)

	voided := authorized(t, srv, "voided-1", 5000)
	golden(t, "order_cancelled.json", a.cancel(voided).body)
	for _, d := range srv.Deliveries() {
		if d.OrderID == id || d.EventType == "REFUND_PROCESSED" {
			golden(t, "webhook_"+d.EventType+".json", d.Body)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, got, "", "  "))
	pretty.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, pretty.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), pretty.String())
}

// TestNothingIsEscaped checks that the merchant's texts come back unchanged.
func TestNothingIsEscaped(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "r", Amount: inr(100), Notes: "a<b & \"c\""})
	require.NoError(t, err)
	require.Contains(t, string(srv.Document(id)), `"notes":"a<b & \"c\""`)
	require.Nil(t, srv.Document("none"))
	req, err := srv.WebhookRequest("ORDER_FAILED", id)
	require.NoError(t, err)
	body, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	require.True(t, json.Valid(body))
	_, err = srv.WebhookRequest("ORDER_FAILED", "none")
	require.Error(t, err)
}
