package plural_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

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
		// A map that was built by hand can have a name in several spellings.
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
				require.NoError(t, v.VerifyWebhookSignature(header, body), "a name without a value is not a header")
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
	require.NoError(t, webhookVerifier(t).VerifyWebhookSignature(header, body), "these are other headers")
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
		t,
		v.VerifyWebhookSignature(nil, []byte(webhookBody)),
		plural.ErrMalformedWebhook,
		plural.ReasonWebhookID,
	)
}

func TestWebhookRequestAttacks(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	header, body := goodWebhook(webhookBody)

	t.Run("method", func(t *testing.T) {
		t.Parallel()
		for _, method := range []string{http.MethodGet, http.MethodPut, "post", ""} {
			r := webhookRequest(header, body)
			r.Method = method
			_, err := v.VerifyWebhookRequest(r)
			requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonMethod)
		}
		_, err := v.VerifyWebhookRequest(nil)
		requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonMethod)
	})
	t.Run("body read twice", func(t *testing.T) {
		t.Parallel()
		r := webhookRequest(header, body)
		_, err := v.VerifyWebhookRequest(r)
		require.NoError(t, err)
		_, err = v.VerifyWebhookRequest(r)
		requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonBodyEmpty)
	})
	t.Run("compressed body", func(t *testing.T) {
		t.Parallel()
		var squeezed bytes.Buffer
		w := gzip.NewWriter(&squeezed)
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		signed, _ := goodWebhook(squeezed.String())
		signed.Set("Content-Encoding", "gzip")
		_, err = v.VerifyWebhookRequest(webhookRequest(signed, squeezed.Bytes()))
		requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonContentEncoding)
	})
	t.Run("oversized body", func(t *testing.T) {
		t.Parallel()
		const most = 256 << 10
		for size, accepted := range map[int]bool{most: true, most + 1: false, 3 * most: false} {
			header, body := goodWebhook(webhookBody + strings.Repeat(" ", size-len(webhookBody)))
			for _, announced := range []bool{true, false} {
				r := webhookRequest(header, body)
				if !announced {
					r.ContentLength = -1
				}
				_, err := v.VerifyWebhookRequest(r)
				if accepted {
					require.NoError(t, err)
					continue
				}
				requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonBodyTooLarge)
			}
		}
	})
	t.Run("chunked body", func(t *testing.T) {
		t.Parallel()
		r := webhookRequest(header, body)
		r.ContentLength = -1
		r.Body = io.NopCloser(iotest.OneByteReader(r.Body))
		_, err := v.VerifyWebhookRequest(r)
		require.NoError(t, err)
	})
	t.Run("broken body", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("connection reset")
		r := webhookRequest(header, nil)
		r.ContentLength = -1
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), iotest.ErrReader(broken)))
		_, err := v.VerifyWebhookRequest(r)
		requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonBodyUnreadable)
		require.ErrorIs(t, err, broken)
	})
}
