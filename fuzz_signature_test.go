package plural_test

import (
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
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// requireHonest compares an accepted callback with the form that was verified.
// The callback must have exactly those fields of the form that have a value,
// without the field signature. The signed text may contain the form's empty
// values or leave them out. So an independent implementation signs the text
// with these values, and also without them. One of these two signatures must be
// the form's signature.
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
		// A pair may have several "=" characters, and each of them could end
		// the name. The test tries the first and the last.
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

		// encoding/json decodes the same body less strictly. If
		// VerifyCallbackJSON accepts the body, both must find the same fields
		// and values. In addition, encoding/json may find fields without a
		// value.
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

		// The signature of a webhook is never accepted for a callback. The
		// signature of a callback is never accepted for a webhook.
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

// requireSignedByUs checks the signatures in the header. An independent
// implementation signs the body with each of the keys. At least one of these
// signatures must be in the header. The function also checks that the timestamp
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
