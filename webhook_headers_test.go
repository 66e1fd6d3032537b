package plural_test

import (
	"encoding/base64"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestWebhookIDs(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	for id, accepted := range map[string]bool{
		"a":                            true,
		"0-_Z":                         true,
		strings.Repeat("a", 128):       true,
		strings.Repeat("a", 129):       false,
		strings.Repeat("a", 1<<16):     false,
		"a.b":                          false,
		"a b":                          false,
		" a":                           false,
		"a,b":                          false,
		"a=b":                          false,
		"a/b":                          false,
		"a\n":                          false,
		"a\x00":                        false,
		"ä":                            false,
		webhookID + ", " + webhookID:   false,
		"order_id=v1-1&status=PROCESS": false,
	} {
		header := webhookHeader(
			id, "1763802000", naiveWebhookSignature([]byte(signatureSecret), id, "1763802000", webhookBody),
		)
		err := v.VerifyWebhookSignature(header, []byte(webhookBody))
		if accepted {
			require.NoError(t, err, "%q", id)
			continue
		}
		requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonWebhookID)
	}
}

func TestWebhookAttackTimestampSpelling(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	for timestamp, accepted := range map[string]bool{
		"1763802000":                   true,
		"01763802000":                  true, // eleven digits
		"001763802000":                 false,
		"-1763802000":                  false,
		"+1763802000":                  false,
		"1763802000.0":                 false,
		"1763802000 ":                  false,
		" 1763802000":                  false,
		"1763802000\n":                 false,
		"0x69216000":                   false,
		"1_763_802_000":                false,
		"1.763802e9":                   false,
		"１７６３８０２０００":                   false,
		"٣":                            false,
		"2025-11-22T09:00:00Z":         false,
		"9223372036854775807":          false, // subtracting from this would overflow
		"18446744075473353616":         false, // this is 2^64 + 1763802000; after an overflow, 1763802000 would be left
		strings.Repeat("9", 400):       false,
		strings.Repeat("0", 30) + "17": false,
	} {
		header := webhookHeader(
			webhookID, timestamp, naiveWebhookSignature([]byte(signatureSecret), webhookID, timestamp, webhookBody),
		)
		err := v.VerifyWebhookSignature(header, []byte(webhookBody))
		if accepted {
			require.NoError(t, err, timestamp)
			continue
		}
		requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonWebhookTimestamp)
	}
}

func TestWebhookAttackStaleAndFutureTimestamps(t *testing.T) {
	t.Parallel()
	now := webhookClock()
	for name, tc := range map[string]struct {
		tolerance time.Duration // 0: the default tolerance
		clock     time.Time
		seconds   int64
		reason    plural.VerificationReason
	}{
		"now":                           {0, now, now.Unix(), ""},
		"as old as allowed":             {0, now, now.Unix() - 300, ""},
		"a nanosecond too old":          {0, now.Add(1), now.Unix() - 300, plural.ReasonTimestampPast},
		"a second too old":              {0, now, now.Unix() - 301, plural.ReasonTimestampPast},
		"as far ahead as allowed":       {0, now, now.Unix() + 300, ""},
		"a nanosecond too far ahead":    {0, now.Add(-1), now.Unix() + 300, plural.ReasonTimestampFuture},
		"a second too far ahead":        {0, now, now.Unix() + 301, plural.ReasonTimestampFuture},
		"1970":                          {0, now, 0, plural.ReasonTimestampPast},
		"the last timestamp":            {0, now, 99999999999, plural.ReasonTimestampFuture},
		"wide tolerance, redelivery":    {29 * time.Hour, now, now.Unix() - 28*3600, ""},
		"wide tolerance, too old":       {29 * time.Hour, now, now.Unix() - 29*3600 - 1, plural.ReasonTimestampPast},
		"narrow tolerance":              {time.Second, now, now.Unix() - 2, plural.ReasonTimestampPast},
		"no limit, the first timestamp": {math.MaxInt64, now, 0, ""},
		"a clock that was never set":    {math.MaxInt64, time.Time{}, 99999999999, plural.ReasonTimestampFuture},
		"a clock far in the future":     {math.MaxInt64 - 1, time.Unix(1<<60, 0), 0, plural.ReasonTimestampPast},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := []plural.VerifierOption{plural.WithClock(func() time.Time { return tc.clock })}
			if tc.tolerance != 0 {
				opts = append(opts, plural.WithTolerance(tc.tolerance))
			}
			v := mustVerifier(t, signatureSecret, opts...)
			header, body := signedWebhook([]byte(signatureSecret), tc.seconds, webhookBody)
			err := v.VerifyWebhookSignature(header, body)
			if tc.reason == "" {
				require.NoError(t, err)
				return
			}
			requireRefused(t, err, plural.ErrStaleTimestamp, tc.reason)
			_, err = v.VerifyWebhook(header, body)
			requireRefused(t, err, plural.ErrStaleTimestamp, tc.reason)

			// The signature is checked before the timestamp, so a sender
			// without the key learns nothing about the server's clock.
			header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
			requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
		})
	}
}

func TestWebhookAttackHeaderRepetition(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	reasons := map[string]struct {
		kind   error
		reason plural.VerificationReason
	}{
		"Webhook-Id":        {plural.ErrMalformedWebhook, plural.ReasonWebhookID},
		"Webhook-Timestamp": {plural.ErrMalformedWebhook, plural.ReasonWebhookTimestamp},
		"Webhook-Signature": {plural.ErrInvalidSignature, plural.ReasonSignatureRepeated},
	}
	for name, want := range reasons {
		header, body := goodWebhook(webhookBody)
		right := header.Get(name)
		for _, values := range [][]string{{right, right}, {right, ""}, {"", right}, {right, "x"}, {"x", right}} {
			header[name] = values
			requireRefused(t, v.VerifyWebhookSignature(header, body), want.kind, want.reason)
		}
		// A header map that was not made by net/http can have the same name in
		// several spellings.
		for _, first := range []string{name, strings.ToLower(name)} {
			delete(header, name)
			for _, second := range []string{strings.ToUpper(name), strings.Replace(name, "Webhook", "webhook", 1)} {
				for _, value := range []string{right, "", "x"} {
					header[first], header[second] = []string{right}, []string{value}
					requireRefused(t, v.VerifyWebhookSignature(header, body), want.kind, want.reason)
					header[first], header[second] = []string{value}, []string{right}
					requireRefused(t, v.VerifyWebhookSignature(header, body), want.kind, want.reason)
				}
				header[first], header[second] = []string{right}, nil
				require.NoError(t, v.VerifyWebhookSignature(header, body), "a header name without a value is ignored")
				delete(header, second)
			}
			delete(header, first)
		}
	}
}

func TestWebhookHeadersInAnySpelling(t *testing.T) {
	t.Parallel()
	good, body := goodWebhook(webhookBody)
	for _, spell := range []func(string) string{strings.ToLower, strings.ToUpper} {
		header := http.Header{"Content-Type": {"application/json"}}
		for name, values := range good {
			header[spell(name)] = values
		}
		require.NoError(t, webhookVerifier(t).VerifyWebhookSignature(header, body))
	}
	header := good.Clone()
	header["Webhook_Id"] = []string{"x"}
	header["Xebhook-Id"] = []string{"x"}
	header["Webhook-Zignature"] = []string{"x"}
	require.NoError(t, webhookVerifier(t).VerifyWebhookSignature(header, body), "headers with similar names are ignored")
}

func TestWebhookHeadersMissing(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	for name, want := range map[string]struct {
		kind   error
		reason plural.VerificationReason
	}{
		"Webhook-Id":        {plural.ErrMalformedWebhook, plural.ReasonWebhookID},
		"Webhook-Timestamp": {plural.ErrMalformedWebhook, plural.ReasonWebhookTimestamp},
		"Webhook-Signature": {plural.ErrInvalidSignature, plural.ReasonSignatureMissing},
	} {
		header, body := goodWebhook(webhookBody)
		for _, values := range [][]string{nil, {}, {""}} {
			header[name] = values
			requireRefused(t, v.VerifyWebhookSignature(header, body), want.kind, want.reason)
		}
		delete(header, name)
		requireRefused(t, v.VerifyWebhookSignature(header, body), want.kind, want.reason)
	}
	requireRefused(
		t, v.VerifyWebhookSignature(nil, []byte(webhookBody)), plural.ErrMalformedWebhook, plural.ReasonWebhookID,
	)
}
