package plural_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const webhookID = "msg_3Ab9XyLmN0pQrStUvWxYz123456"

// naiveWebhookSignature signs as Plural does.
func naiveWebhookSignature(key []byte, id, timestamp, body string) string {
	return "v1," + base64.StdEncoding.EncodeToString(naiveHMAC(key, []byte(id+"."+timestamp+"."+body)))
}

func webhookHeader(id, timestamp, signatures string) http.Header {
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures}}
}

// signedWebhook makes a delivery, signed as Plural signs it.
func signedWebhook(key []byte, seconds int64, body string) (http.Header, []byte) {
	timestamp := strconv.FormatInt(seconds, 10)
	return webhookHeader(webhookID, timestamp, naiveWebhookSignature(key, webhookID, timestamp, body)), []byte(body)
}

// goodWebhook makes a delivery that webhookVerifier accepts.
func goodWebhook(body string) (http.Header, []byte) {
	return signedWebhook([]byte(signatureSecret), webhookClock().Unix(), body)
}

func webhookVerifier(tb testing.TB) *plural.Verifier {
	tb.Helper()
	return mustVerifier(tb, signatureSecret, plural.WithClock(webhookClock))
}

const webhookBody = `{"event_type":"ORDER_AUTHORIZED","data":{"order_id":"v1-2511220915-aa-Zq7Lm2","status":"AUTHORIZED"}}`

func TestWebhookVectors(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Name, Secret, Body string
		SecretForm         string `json:"secret_form"`
		Headers            map[string]string
	}
	readGolden(t, "webhooks.json", &vectors)
	require.Len(t, vectors, 9)

	makers := map[string]func(string) (plural.Key, error){
		"raw":    plural.RawKey,
		"hex":    plural.HexKey,
		"base64": plural.Base64Key,
	}
	for _, vector := range vectors {
		t.Run(vector.Name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for name, value := range vector.Headers {
				header.Set(name, value)
			}
			seconds, err := strconv.ParseInt(vector.Headers["webhook-timestamp"], 10, 64)
			require.NoError(t, err)
			opts := []plural.VerifierOption{plural.WithClock(func() time.Time { return time.Unix(seconds, 0) })}
			secret := vector.Secret
			if vector.SecretForm != "default" {
				secret = ""
				opts = append(opts, plural.WithWebhookKeys(mustKey(t, makers[vector.SecretForm], vector.Secret)))
			}
			v := mustVerifier(t, secret, opts...)

			require.NoError(t, v.VerifyWebhookSignature(header, []byte(vector.Body)))
			event, err := v.VerifyWebhook(header, []byte(vector.Body))
			require.NoError(t, err)
			require.Equal(t, vector.Headers["webhook-id"], event.ID)
			require.Equal(t, seconds, event.Timestamp.Unix())
			require.Equal(t, time.UTC, event.Timestamp.Location())
			require.Equal(t, vector.Body, string(event.RawJSON()))
			fromRequest, err := v.VerifyWebhookRequest(webhookRequest(header, []byte(vector.Body)))
			require.NoError(t, err)
			require.Equal(t, event, fromRequest)
		})
	}
}

// Plural's webhook documentation has a test vector for the verification of
// signatures.
func TestWebhookPublishedVector(t *testing.T) {
	t.Parallel()
	var vector struct {
		Headers map[string]string
		Body    string
		Secret  string `json:"secret_as_shown_on_dashboard"`
		Base64  string `json:"secret_base64"`
	}
	readGolden(t, "webhook_published.json", &vector)
	header := http.Header{}
	for name, value := range vector.Headers {
		header.Set(name, value)
	}
	clock := plural.WithClock(func() time.Time { return time.Unix(1728543028, 0) })
	for _, key := range []plural.Key{
		mustKey(t, plural.RawKey, vector.Secret),
		mustKey(t, plural.Base64Key, vector.Base64),
		mustKey(t, plural.Base64Key, "whsec_"+vector.Base64),
	} {
		v := mustVerifier(t, "", plural.WithWebhookKeys(key), clock)
		require.NoError(t, v.VerifyWebhookSignature(header, []byte(vector.Body)))
		event, err := v.VerifyWebhook(header, []byte(vector.Body))
		require.NoError(t, err, "an envelope without a type is valid, too")
		require.Empty(t, event.Type)
		require.Empty(t, event.Data)
		require.JSONEq(t, `{"payload":"payload"}`, string(event.RawJSON()))
	}
}

// Every change of one bit, in the signed text or in the signature, must be
// noticed.
func TestWebhookTamperedWith(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	header, body := goodWebhook(`{"event_type":"X"}`)
	for i := range len(body) * 8 {
		body[i/8] ^= 1 << (i % 8)
		requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
		body[i/8] ^= 1 << (i % 8)
	}
	requireRefused(
		t, v.VerifyWebhookSignature(header, body[:len(body)-1]), plural.ErrInvalidSignature, plural.ReasonSignatureMismatch,
	)
	requireRefused(
		t, v.VerifyWebhookSignature(header, append(body, '\n')), plural.ErrInvalidSignature, plural.ReasonSignatureMismatch,
	)
	require.NoError(t, v.VerifyWebhookSignature(header, body))

	for name, value := range map[string]string{
		"Webhook-Id":        webhookID[:len(webhookID)-1] + "7",
		"Webhook-Timestamp": "1763802001",
	} {
		changed := header.Clone()
		changed.Set(name, value)
		requireRefused(t, v.VerifyWebhookSignature(changed, body), plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
	}

	right, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(header.Get("Webhook-Signature"), "v1,"))
	require.NoError(t, err)
	for i := range len(right) * 8 {
		right[i/8] ^= 1 << (i % 8)
		header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(right))
		requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
		right[i/8] ^= 1 << (i % 8)
	}
}

// No id or timestamp may contain the separator. So the signed text can be split
// into id, timestamp and body in only one way.
func TestWebhookAttackResplitting(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	key := []byte(signatureSecret)
	signature := naiveWebhookSignature(key, "msg", "1763802000", `1{"event_type":"X"}`)
	for _, forged := range []http.Header{
		webhookHeader("msg.1763802000", "1", signature),
		webhookHeader("msg", "1763802000.1", signature),
		webhookHeader("msg.", "1763802000", signature),
	} {
		err := v.VerifyWebhookSignature(forged, []byte(`{"event_type":"X"}`))
		require.ErrorIs(t, err, plural.ErrMalformedWebhook)
	}
}

// The same secret may sign callbacks and webhooks. Even then, a signed callback
// must not pass as a webhook, nor a webhook as a callback.
func TestWebhookAttackCallbackSignatureOffered(t *testing.T) {
	t.Parallel()
	key := mustKey(t, plural.HexKey, signatureSecret)
	v := mustVerifier(t, "", plural.WithCallbackKeys(key), plural.WithWebhookKeys(key), plural.WithClock(webhookClock))

	// The signed text of this callback is
	// error_message=m.1763802000.{...}&order_id=... The signed text of a
	// webhook is its id, its timestamp and its body, joined by dots. So the
	// callback's text is also the text of a webhook with the id
	// "error_message=m".
	const body = `{"event_type":"ORDER_PROCESSED"}&order_id=v1-1&status=FAILED`
	form := signedForm(
		t, signatureSecret, failedForm("m.1763802000."+strings.TrimSuffix(body, "&order_id=v1-1&status=FAILED")),
	)
	_, err := v.VerifyCallback(form)
	require.NoError(t, err)
	signature := "v1," + base64.StdEncoding.EncodeToString(unhex(t, form.Get("signature")))
	for _, id := range []string{"error_message=m", "m"} {
		err := v.VerifyWebhookSignature(webhookHeader(id, "1763802000", signature), []byte(body))
		require.Error(t, err)
		if id == "error_message=m" {
			require.Equal(
				t, naiveWebhookSignature(unhex(t, signatureSecret), id, "1763802000", body), signature, "it fits this id",
			)
			requireRefused(t, err, plural.ErrMalformedWebhook, plural.ReasonWebhookID)
		}
	}

	header, _ := signedWebhook(unhex(t, signatureSecret), webhookClock().Unix(), "&order_id=v1-1&status=PROCESSED")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(header.Get("Webhook-Signature"), "v1,"))
	require.NoError(t, err)
	forged := failedForm("")
	forged.Del("error_message")
	forged.Set(webhookID+".1763802000.", "")
	forged.Set("signature", strings.ToUpper(hex.EncodeToString(raw)))
	_, err = v.VerifyCallback(forged)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldName)
}

// failedForm returns the form fields of a callback that reports a failed
// payment with an error message.
func failedForm(message string) url.Values {
	return url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "error_message": {message}}
}

func TestWebhookAttackKeyConfusion(t *testing.T) {
	t.Parallel()
	asBase64, err := base64.StdEncoding.DecodeString(signatureSecret)
	require.NoError(t, err)
	readings := map[string]struct {
		bytes     []byte
		make      func(string) (plural.Key, error)
		byDefault bool
	}{
		"hex":    {unhex(t, signatureSecret), plural.HexKey, true},
		"raw":    {[]byte(signatureSecret), plural.RawKey, true},
		"base64": {asBase64, plural.Base64Key, false},
	}
	for signedWith, reading := range readings {
		header, body := signedWebhook(reading.bytes, webhookClock().Unix(), webhookBody)
		require.Equal(t, reading.byDefault, webhookVerifier(t).VerifyWebhookSignature(header, body) == nil, signedWith)
		for pinned := range readings {
			v := mustVerifier(
				t,
				signatureSecret,
				plural.WithClock(webhookClock),
				plural.WithWebhookKeys(mustKey(t, readings[pinned].make, signatureSecret)),
			)
			require.Equal(
				t,
				pinned == signedWith,
				v.VerifyWebhookSignature(header, body) == nil,
				"signed with key %s, verified with key %s",
				signedWith,
				pinned,
			)
		}
	}
	header, body := signedWebhook(nil, webhookClock().Unix(), webhookBody)
	requireRefused(
		t,
		webhookVerifier(t).VerifyWebhookSignature(header, body),
		plural.ErrInvalidSignature,
		plural.ReasonSignatureMismatch,
	)
}

func TestWebhookKeyRotation(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, "", plural.WithClock(webhookClock),
		plural.WithWebhookKeys(mustKey(t, plural.RawKey, "next-Secret-of-16"), mustKey(t, plural.RawKey, "last-Secret-of-16")))
	for _, secret := range []string{"next-Secret-of-16", "last-Secret-of-16"} {
		header, body := signedWebhook([]byte(secret), webhookClock().Unix(), webhookBody)
		require.NoError(t, v.VerifyWebhookSignature(header, body))
	}
	header, body := signedWebhook([]byte("gone-Secret-of-16"), webhookClock().Unix(), webhookBody)
	requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
}

func TestWebhookSeveralSignatures(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	header, body := goodWebhook(webhookBody)
	right := header.Get("Webhook-Signature")
	wrong := "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))
	list := func(elements ...string) string { return strings.Join(elements, " ") }
	for name, tc := range map[string]struct {
		list   string
		reason plural.VerificationReason // "": the signature is accepted
	}{
		"right last":             {list(wrong, right), ""},
		"right first":            {list(right, wrong), ""},
		"right twice":            {list(right, right), ""},
		"right last of eight":    {list(wrong, wrong, wrong, wrong, wrong, wrong, wrong, right), ""},
		"another version before": {list("v1a,"+strings.Repeat("A", 88), right), ""},
		"another version after":  {list(right, "v2,anything"), ""},
		"all wrong":              {list(wrong, wrong), plural.ReasonSignatureMismatch},
		"right last of nine": {
			list(wrong, wrong, wrong, wrong, wrong, wrong, wrong, wrong, right),
			plural.ReasonSignatureMalformed,
		},
		"right first of nine": {
			list(right, wrong, wrong, wrong, wrong, wrong, wrong, wrong, wrong),
			plural.ReasonSignatureMalformed,
		},
		"nine with other versions": {
			list("v2,x", "v2,x", "v2,x", "v2,x", "v2,x", "v2,x", "v2,x", "v2,x", right),
			plural.ReasonSignatureMalformed,
		},
		"two spaces":              {right + "  " + wrong, plural.ReasonSignatureMalformed},
		"space in front":          {" " + right, plural.ReasonSignatureMalformed},
		"space behind":            {right + " ", plural.ReasonSignatureMalformed},
		"comma between":           {right + "," + wrong, plural.ReasonSignatureMalformed},
		"comma and space between": {right + ", " + wrong, plural.ReasonSignatureMalformed},
		"tab between":             {right + "\t" + wrong, plural.ReasonSignatureMalformed},
		"malformed beside right":  {list(right, "v1,AAAA"), plural.ReasonSignatureMalformed},
		"empty beside right":      {list(right, "v1,"), plural.ReasonSignatureMalformed},
		"no version beside right": {list(right, strings.TrimPrefix(wrong, "v1")), plural.ReasonSignatureMalformed},
		"very long":               {list(right, "v2,"+strings.Repeat("A", 1024)), plural.ReasonSignatureMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := webhookHeader(webhookID, "1763802000", tc.list)
			err := v.VerifyWebhookSignature(header, body)
			if tc.reason == "" {
				require.NoError(t, err)
				return
			}
			requireRefused(t, err, plural.ErrInvalidSignature, tc.reason)
		})
	}
}

func TestWebhookAttackVersionDowngrade(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	header, body := goodWebhook(webhookBody)
	encoded := strings.TrimPrefix(header.Get("Webhook-Signature"), "v1,")
	for version, reason := range map[string]plural.VerificationReason{
		"v0,":     plural.ReasonSignatureVersion,
		"V1,":     plural.ReasonSignatureVersion,
		"v2,":     plural.ReasonSignatureVersion,
		"v1a,":    plural.ReasonSignatureVersion,
		"v10,":    plural.ReasonSignatureVersion,
		"v,":      plural.ReasonSignatureVersion,
		"1,":      plural.ReasonSignatureVersion,
		",":       plural.ReasonSignatureMalformed,
		"":        plural.ReasonSignatureMalformed,
		"v1":      plural.ReasonSignatureMalformed,
		"v1=":     plural.ReasonSignatureMalformed,
		"v1,,":    plural.ReasonSignatureMalformed,
		"v1,\x20": plural.ReasonSignatureMalformed,
	} {
		header.Set("Webhook-Signature", version+encoded)
		requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, reason)
	}
}

func TestWebhookAttackSignatureEncoding(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	header, body := goodWebhook(webhookBody)
	right := strings.TrimPrefix(header.Get("Webhook-Signature"), "v1,")
	sum, err := base64.StdEncoding.DecodeString(right)
	require.NoError(t, err)

	// The last base64 digit has two unused bits. So a decoder that is not
	// strict also accepts three other spellings of the same bytes.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := strings.IndexByte(alphabet, right[42])
	for spare := 1; spare < 4; spare++ {
		other := right[:42] + string(alphabet[last+spare]) + "="
		same, err := base64.StdEncoding.DecodeString(other)
		require.NoError(t, err)
		require.Equal(t, sum, same)
		header.Set("Webhook-Signature", "v1,"+other)
		requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonSignatureMalformed)
	}
	for name, signature := range map[string]string{
		"no padding":        right[:43],
		"more padding":      right + "=",
		"URL alphabet":      "-_" + right[2:],
		"truncated":         base64.StdEncoding.EncodeToString(sum[:31]),
		"truncated to 30":   base64.StdEncoding.EncodeToString(sum[:30]),
		"one byte":          base64.StdEncoding.EncodeToString(sum[:1]),
		"overlong":          base64.StdEncoding.EncodeToString(append(bytes.Clone(sum), 0)),
		"twice":             right + right,
		"hex":               hex.EncodeToString(sum),
		"newline at end":    right + "\n",
		"newline within":    right[:20] + "\n" + right[20:],
		"newlines for text": right[:40] + "\r\n\r\n",
		"equals within":     right[:20] + "=" + right[21:],
		"NUL":               right[:43] + "\x00",
		"not ASCII":         right[:42] + "é",
		"only padding":      strings.Repeat("=", 44),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := webhookHeader(webhookID, "1763802000", "v1,"+signature)
			requireRefused(
				t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonSignatureMalformed,
			)
		})
	}
}

func TestWebhookBodies(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	for name, tc := range map[string]struct {
		body   string
		reason plural.VerificationReason
	}{
		"object":               {`{}`, ""},
		"white space around":   {" \r\n{} \n", ""},
		"unknown everything":   {`{"a":1,"b":[{}],"event_type":"NEW_THING","data":[1,2]}`, ""},
		"empty":                {"", plural.ReasonBodyEmpty},
		"white space":          {" \n", plural.ReasonJSON},
		"two documents":        {`{}{}`, plural.ReasonJSON},
		"two documents, lines": {"{}\n{}", plural.ReasonJSON},
		"garbage after":        {`{}x`, plural.ReasonJSON},
		"unfinished":           {`{"event_type":"X"`, plural.ReasonJSON},
		"array":                {`[{}]`, plural.ReasonJSON},
		"string":               {`"x"`, plural.ReasonJSON},
		"null":                 {`null`, plural.ReasonJSON},
		"form":                 {`event_type=X`, plural.ReasonJSON},
		"byte order marks":     {"\ufeff\ufeff{}", plural.ReasonJSON},
		"nested beyond reason": {
			`{"data":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
			plural.ReasonJSON,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header, body := goodWebhook(tc.body)
			event, err := v.VerifyWebhook(header, body)
			if tc.reason != "" {
				requireRefused(t, err, plural.ErrMalformedWebhook, tc.reason)
				require.Nil(t, event)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.body, string(event.RawJSON()))
		})
	}
	header, _ := goodWebhook("")
	requireRefused(t, v.VerifyWebhookSignature(header, nil), plural.ErrMalformedWebhook, plural.ReasonBodyEmpty)

	// The signature is checked before the body is parsed.
	header, _ = goodWebhook(`{}`)
	_, err := v.VerifyWebhook(header, []byte(`{`))
	requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
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
