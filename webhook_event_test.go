package plural_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestEventEnvelope(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	for name, tc := range map[string]struct {
		body string
		kind plural.EventType
		data string
	}{
		"snake_case": {
			`{"event_type":"ORDER_PROCESSED","data":{"order_id":"v1-1"}}`, plural.EventOrderProcessed,
			`{"order_id":"v1-1"}`,
		},
		"camelCase": {
			`{"eventType":"ORDER_AUTHORIZED","data":{"orderId":"v1-1"}}`, plural.EventOrderAuthorized,
			`{"orderId":"v1-1"}`,
		},
		"data first": {`{"data":{"a":1},"event_type":"X"}`, "X", `{"a":1}`},
		"data as it came": {
			`{"event_type":"X","data": { "b" : 1.50 , "a":"\u20b9" } }`, "X",
			`{ "b" : 1.50 , "a":"\u20b9" }`,
		},
		"no data":   {`{"event_type":"X"}`, "X", ``},
		"null data": {`{"event_type":"X","data":null}`, "X", ``},
		"no type":   {`{"data":{}}`, "", `{}`},
		"null type": {`{"event_type":null,"data":{}}`, "", `{}`},
		"more in envelope": {
			`{"event_type":"SUBSCRIPTION_PENDING","event_id":"e","merchant_id":"2345","data":{}}`,
			plural.EventSubscriptionPending, `{}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header, body := goodWebhook(tc.body)
			event, err := v.VerifyWebhook(header, body)
			require.NoError(t, err)
			require.Equal(t, tc.kind, event.Type)
			require.Equal(t, tc.data, string(event.Data))

			for i := range body { // the event must not share this memory
				body[i] = 'x'
			}
			require.Equal(t, tc.data, string(event.Data))
			require.Equal(t, tc.body, string(event.RawJSON()))
			event.RawJSON()[0] = 'x'
			require.Equal(t, tc.body, string(event.RawJSON()))
		})
	}
}

func TestEventOrder(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	for name, tc := range map[string]struct{ body, id string }{
		"snake_case": {
			`{"event_type":"ORDER_PROCESSED","data":{"order_id":"v1-1","status":"PROCESSED","payments":[]}}`,
			"v1-1",
		},
		"camelCase": {
			`{"eventType":"ORDER_PROCESSED","data":{"orderId":"v1-2","status":"PROCESSED","preAuth":true}}`,
			"v1-2",
		},
		"refund": {`{"event_type":"REFUND_FAILED","data":{"order_id":"v1-3","status":"PROCESSED","type":"REFUND",` +
			`"pre_auth":"false"}}`, "v1-3"},
		"new event": {
			`{"event_type":"ORDER_TELEPORTED","data":{"order_id":"v1-4","status":"PROCESSED","a":{"b":[1]}}}`,
			"v1-4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header, body := goodWebhook(tc.body)
			event, err := v.VerifyWebhook(header, body)
			require.NoError(t, err)
			order, err := event.Order()
			require.NoError(t, err)
			require.Equal(t, tc.id, order.OrderID)
			require.Equal(t, plural.OrderStatusProcessed, order.Status)
			require.JSONEq(t, string(event.Data), string(order.RawJSON()))
		})
	}
	for name, body := range map[string]string{
		"customer": `{"event_type":"CUSTOMER_ACTIVATED","data":{"customer":{"customer_id":"cust-v1-1",` +
			`"first_name":"Asha","status":"ACTIVE"}}}`,
		"token": `{"event_type":"TOKEN_ACTIVATED","data":{"token":{"token_id":"token-v1-1","status":"ACTIVE"}}}`,
		"subscription": `{"event_type":"SUBSCRIPTION_PENDING","event_id":"e",` +
			`"data":{"subscription":{"subscription_id":"v1-sub-1"}}}`,
		"no data":   `{"event_type":"ORDER_PROCESSED"}`,
		"null data": `{"event_type":"ORDER_PROCESSED","data":null}`,
		"list":      `{"event_type":"ORDER_PROCESSED","data":[{"order_id":"v1-1"}]}`,
		"text":      `{"event_type":"ORDER_PROCESSED","data":"v1-1"}`,
		"empty":     `{"event_type":"ORDER_PROCESSED","data":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header, raw := goodWebhook(body)
			event, err := v.VerifyWebhook(header, raw)
			require.NoError(t, err)
			order, err := event.Order()
			require.ErrorIs(t, err, plural.ErrNoOrder)
			require.Nil(t, order)
			require.Contains(t, err.Error(), string(event.Type))
			require.NotContains(t, err.Error(), "Asha")
		})
	}
	_, err := new(plural.Event).Order()
	require.ErrorIs(t, err, plural.ErrNoOrder)

	event := plural.Event{Type: "X", Data: json.RawMessage(`{"order_id":"v1-private`)}
	_, err = event.Order()
	requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonJSON)
}

func TestEventTypeIsKnown(t *testing.T) {
	t.Parallel()
	for _, known := range []plural.EventType{
		"ORDER_AUTHORIZED", "ORDER_PROCESSED", "ORDER_CANCELLED", "ORDER_FAILED", "PAYMENT_FAILED", "REFUND_PROCESSED",
		"REFUND_FAILED",
		"CUSTOMER_ACTIVATED", "CUSTOMER_DELETED", "CUSTOMER_SUSPENDED", "CUSTOMER_CREATION_FAILED",
		"TOKEN_ACTIVATED", "TOKEN_DEACTIVATED", "TOKEN_SUSPENDED", "TOKEN_PROVISION_FAILED",
		"SUBSCRIPTION_ACTIVATED", "SUBSCRIPTION_PENDING", "SUBSCRIPTION_PAUSED", "SUBSCRIPTION_RESUMED",
		"SUBSCRIPTION_COMPLETED",
		"SUBSCRIPTION_CHARGED", "SUBSCRIPTION_HALTED", "SUBSCRIPTION_CANCELLED", "SUBSCRIPTION_REVOKE_FAILED",
		"SUBSCRIPTION_UPDATED",
		"SUBSCRIPTION_UPDATE_FAILED", "payout-transaction-success", "payout-transaction-failed",
	} {
		require.True(t, known.IsKnown(), known)
	}
	for _, unknown := range []plural.EventType{"", "order_processed", "ORDER_TELEPORTED", "ORDER_PROCESSED "} {
		require.False(t, unknown.IsKnown(), unknown)
	}
}

func TestEventKeepsPersonalDataOutOfLogs(t *testing.T) {
	t.Parallel()
	header, body := goodWebhook(
		`{"event_type":"CUSTOMER_ACTIVATED","data":{"customer":{"first_name":"Asha","mobile_number":"9876543210"}}}`,
	)
	event, err := webhookVerifier(t).VerifyWebhook(header, body)
	require.NoError(t, err)
	for _, value := range []any{event, *event, []*plural.Event{event}, map[string]plural.Event{"e": *event}} {
		for how, text := range formattings(t, value) {
			if how == "slog JSON" &&
				value != any(event) { // slog's JSON handler encodes values inside a slice or a map with json.Marshal
				continue
			}
			for _, private := range []string{"Asha", "9876543210", "customer", "65, 115, 104, 97", "65 115 104 97"} {
				require.NotContains(t, text, private, how)
			}
		}
	}
	for how, text := range formattings(t, event) {
		if how != "%!" {
			require.Contains(t, text, webhookID, how)
			require.Contains(t, text, "CUSTOMER_ACTIVATED", how)
		}
	}
	encoded, err := json.Marshal(event)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"`+webhookID+`","timestamp":"2025-11-22T09:00:00Z","event_type":"CUSTOMER_ACTIVATED",
		"data":{"customer":{"first_name":"Asha","mobile_number":"9876543210"}}}`, string(encoded))
}
