package plural_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The result names which of several keys made the signature, in any order of
// earlier use.
func TestKeyIndex(t *testing.T) {
	t.Parallel()
	secrets := []string{signatureSecret, "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"}
	var hexKeys, rawKeys []plural.Key
	for _, secret := range secrets {
		hexKeys = append(hexKeys, mustKey(t, plural.HexKey, secret))
		rawKeys = append(rawKeys, mustKey(t, plural.RawKey, secret))
	}
	v, err := plural.NewVerifier(
		"",
		plural.WithCallbackKeys(hexKeys...),
		plural.WithWebhookKeys(rawKeys...),
		plural.WithClock(webhookClock),
	)
	require.NoError(t, err)
	for _, i := range []int{0, 1, 2, 2, 0, 1, 0} {
		form := url.Values{"order_id": {"v1-1-aa-b"}, "status": {"AUTHORIZED"}}
		callback, err := v.VerifyCallback(signedForm(t, secrets[i], form))
		require.NoError(t, err)
		require.Equal(t, i, callback.KeyIndex)

		good, body := goodWebhook(webhookBody)
		id, timestamp := good.Get("Webhook-Id"), good.Get("Webhook-Timestamp")
		header := webhookHeader(id, timestamp, naiveWebhookSignature([]byte(secrets[i]), id, timestamp, string(body)))
		event, err := v.VerifyWebhook(header, body)
		require.NoError(t, err)
		require.Equal(t, i, event.KeyIndex)
	}
}
