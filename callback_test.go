package plural_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const (
	callbackOrderID  = "v1-2511220915-aa-Zq7Lm2"
	formContentType  = "application/x-www-form-urlencoded"
	callbackMaxBytes = 64 << 10
)

// naiveCallbackText joins the fields of a form as Plural's guide says, and does
// not check their contents.
func naiveCallbackText(form url.Values, keepEmpty bool) string {
	var pairs []string
	for name, values := range form {
		for _, value := range values {
			if name != "signature" && (value != "" || keepEmpty) {
				pairs = append(pairs, name+"="+value)
			}
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	return strings.Join(pairs, "&")
}

// naiveSignature signs a text as Plural does.
func naiveSignature(tb testing.TB, secret, text string) string {
	tb.Helper()
	return strings.ToUpper(hex.EncodeToString(naiveHMAC(unhex(tb, secret[:len(secret)&^1]), []byte(text))))
}

// signedForm returns the form, signed as Plural would sign it.
func signedForm(tb testing.TB, secret string, form url.Values) url.Values {
	tb.Helper()
	form.Set("signature", naiveSignature(tb, secret, naiveCallbackText(form, false)))
	return form
}

func goodForm(tb testing.TB) url.Values {
	tb.Helper()
	return signedForm(tb, signatureSecret, url.Values{"order_id": {callbackOrderID}, "status": {"AUTHORIZED"}})
}

type callbackVector struct {
	Name, Secret, Signature string
	Params                  map[string]string
	RequestString           string `json:"request_string"`
	FormBody                string `json:"form_body"`
}

func TestCallbackVectors(t *testing.T) {
	t.Parallel()
	var vectors, guide []callbackVector
	readGolden(t, "callbacks.json", &vectors)
	readGolden(t, "callbacks_guide.json", &guide)
	require.Len(t, vectors, 13)
	require.Len(t, guide, 4)

	for _, vector := range append(guide, vectors...) {
		t.Run(vector.Name, func(t *testing.T) {
			t.Parallel()
			v := mustVerifier(t, vector.Secret)
			key := mustKey(t, plural.HexKey, vector.Secret)
			require.Equal(t, strings.ToUpper(vector.Signature), plural.Sign([]byte(vector.RequestString), key))

			form, object := url.Values{}, map[string]string{"signature": vector.Signature}
			want := &plural.Callback{Fields: map[string]string{}}
			for name, value := range vector.Params {
				form.Set(name, value)
				object[name] = value
				if value != "" {
					want.Fields[name] = value
				}
			}
			form.Set("signature", vector.Signature)
			want.OrderID = vector.Params["order_id"]
			want.Status = plural.OrderStatus(vector.Params["status"] + vector.Params["payment_status"])
			want.ErrorCode = plural.ErrorCode(vector.Params["error_code"])
			want.ErrorMessage = vector.Params["error_message"]

			cb, err := v.VerifyCallback(form)
			require.NoError(t, err)
			requireSameCallback(t, want, cb)

			cb, err = v.VerifyCallbackRequest(formRequest(vector.FormBody))
			require.NoError(t, err)
			requireSameCallback(t, want, cb)

			body, err := json.Marshal(object)
			require.NoError(t, err)
			cb, err = v.VerifyCallbackJSON(body)
			require.NoError(t, err)
			requireSameCallback(t, want, cb)
		})
	}
}

// requireSameCallback compares the exported fields of two callbacks.
func requireSameCallback(tb testing.TB, want, got *plural.Callback) {
	tb.Helper()
	wanted, err := json.Marshal(want)
	require.NoError(tb, err)
	gotten, err := json.Marshal(got)
	require.NoError(tb, err)
	require.JSONEq(tb, string(wanted), string(gotten))
}

func TestCallbackFieldsAreWhatWasSigned(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	form := signedForm(t, signatureSecret, url.Values{
		"order_id": {callbackOrderID}, "payment_status": {"FAILED"}, "error_code": {"CARD_EXPIRED"},
		"error_message": {"Asha's card has expired"}, "merchant_order_reference": {"shop-1042"}, "empty": {""},
	})
	cb, err := v.VerifyCallback(form)
	require.NoError(t, err)
	require.Equal(t, callbackOrderID, cb.OrderID)
	require.Equal(t, plural.OrderStatus("FAILED"), cb.Status)
	require.Equal(t, plural.ErrorCode("CARD_EXPIRED"), cb.ErrorCode)
	require.Equal(t, "Asha's card has expired", cb.ErrorMessage)
	require.Equal(t, map[string]string{
		"order_id": callbackOrderID, "payment_status": "FAILED", "error_code": "CARD_EXPIRED",
		"error_message": "Asha's card has expired", "merchant_order_reference": "shop-1042",
	}, cb.Fields)
}

// Every change of one byte of a value, a name or the signature must be
// noticed.
func TestCallbackTamperedWith(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	form := signedForm(t, signatureSecret, url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "error_message": {"no"}})
	signature := form.Get("signature")
	for name, value := range map[string]string{"order_id": "v1-1", "status": "FAILED", "error_message": "no"} {
		for i := range len(value) {
			changed := []byte(value)
			changed[i] ^= 1
			form.Set(name, string(changed))
			_, err := v.VerifyCallback(form)
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
		}
		form.Set(name, value)
	}
	for i := range len(signature) {
		for _, digit := range "0123456789ABCDEF" {
			if rune(signature[i]) == digit {
				continue
			}
			form.Set("signature", signature[:i]+string(digit)+signature[i+1:])
			_, err := v.VerifyCallback(form)
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
		}
	}
	form.Set("signature", signature)
	_, err := v.VerifyCallback(form)
	require.NoError(t, err)

	form.Del("error_message")
	_, err = v.VerifyCallback(form)
	requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
	form.Set("error_message", "no")
	form.Set("another", "field")
	_, err = v.VerifyCallback(form)
	requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
}

// The values in a signed text are not escaped. Suppose that Plural signed the
// text of a failed payment. An attacker may split the same text into other
// fields, which report a success. VerifyCallback must refuse these fields.
func TestCallbackAttackFieldResplitting(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for name, tc := range map[string]struct{ signed, forged url.Values }{
		"success out of the error message": {
			url.Values{
				"error_message": {"x&order_id=v1-other&payment_status=PROCESSED&q="}, "order_id": {"v1-1"},
				"status": {"FAILED"},
			},
			url.Values{
				"error_message": {"x"}, "order_id": {"v1-other"}, "payment_status": {"PROCESSED"},
				"q": {"&order_id=v1-1&status=FAILED"},
			},
		},
		"status swallowed by an error message": {
			url.Values{"error_message": {"x"}, "order_id": {"v1-1"}, "status": {"FAILED"}, "zz": {"1"}},
			url.Values{
				"error_message": {"x&order_id=v1-1&status=FAILED"}, "zz": {"1"}, "order_id": {"v1-1"},
				"status": {"FAILED"},
			},
		},
		"order id swallows the status": {
			url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "t": {""}, "status2": {"PROCESSED"}},
			url.Values{"order_id": {"v1-1&status=FAILED"}, "status2": {"PROCESSED"}},
		},
		"error code swallows the error message": {
			url.Values{"error_code": {"X"}, "error_message": {"y"}, "order_id": {"v1-1"}, "status": {"FAILED"}},
			url.Values{"error_code": {"X&error_message=y"}, "order_id": {"v1-1"}, "status": {"FAILED"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed, forged := naiveCallbackText(tc.signed, false), naiveCallbackText(tc.forged, false)
			tc.forged.Set("signature", naiveSignature(t, signatureSecret, signed))
			_, err := v.VerifyCallback(tc.forged)
			require.ErrorIs(t, err, plural.ErrMalformedCallback, "texts:\n%s\n%s", signed, forged)

			// The forged form is refused even with a signature that
			// fits its text. So the wrong signature was not the
			// only reason for the refusal above.
			tc.forged.Set("signature", naiveSignature(t, signatureSecret, forged))
			_, err = v.VerifyCallback(tc.forged)
			require.ErrorIs(t, err, plural.ErrMalformedCallback)
		})
	}
}

// The names in a signed text are not escaped either. So an attacker may put
// other fields into the name of a field. VerifyCallback must refuse such a
// name.
func TestCallbackAttackNameResplitting(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, name := range []string{
		"error_message=x&order_id", "a&b", "a=b", "=", "&", "", "error_message=x&order_id=v1-1&payment_status=PROCESSED&q",
		"a b", "a\x00", "ä", "a-b", "a.b", "a[0]", "order_id ", " order_id", "a\n", "\xff",
	} {
		form := url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}, name: {"1"}}
		_, err := v.VerifyCallback(signedForm(t, signatureSecret, form))
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldName)

		form[name] = []string{""} // an empty value is left out of the signed text, but the field's name is still checked
		_, err = v.VerifyCallback(signedForm(t, signatureSecret, form))
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldName)
	}

	// Plural signed the form of a failed payment. The forged form claims a
	// success, and hides the failed status inside the name of a field.
	signed := url.Values{"error_message": {"x"}, "order_id": {"v1-1"}, "status": {"FAILED"}}
	forged := url.Values{"error_message=x&order_id": {"v1-1"}, "status": {"FAILED"}, "order_id": {"v1-2"}}
	forged.Set("signature", naiveSignature(t, signatureSecret, naiveCallbackText(signed, false)))
	_, err := v.VerifyCallback(forged)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldName)
}

func TestCallbackAmpersandsInValues(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, name := range []string{"order_id", "status", "error_code", "error_message2", "note"} {
		form := url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}}
		form.Set(name, "a & b")
		_, err := v.VerifyCallback(signedForm(t, signatureSecret, form))
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldValue)
	}
	for message, accepted := range map[string]bool{
		"M&S":                 true,
		"&":                   true,
		"&&":                  true,
		"&=":                  true,
		"a & b = c":           true,
		"a&b c=d":             true,
		"a=b":                 true,
		"a&-b=c":              true,
		"a&b=c":               false,
		"&b=":                 false,
		"a&&b=c":              false,
		"a&B_9=":              false,
		"a&status=PROCESSED":  false,
		"M&S &order_id=v1-2&": false,
	} {
		form := url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "error_message": {message}}
		cb, err := v.VerifyCallback(signedForm(t, signatureSecret, form))
		if !accepted {
			requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldValue)
			continue
		}
		require.NoError(t, err, message)
		require.Equal(t, message, cb.ErrorMessage)
	}
}

func TestCallbackAttackDuplicateFields(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, name := range []string{"order_id", "status", "error_code", "error_message", "note"} {
		for _, second := range []string{"", "v1-2"} {
			form := url.Values{
				"order_id":      {"v1-1"},
				"status":        {"PROCESSED"},
				"error_code":    {"X"},
				"error_message": {"y"},
				"note":          {"z"},
			}
			form.Add(name, second)
			_, err := v.VerifyCallback(signedForm(t, signatureSecret, form))
			requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldRepeated)
		}
	}
	form := goodForm(t)
	form["order_id"] = []string{callbackOrderID, callbackOrderID}
	_, err := v.VerifyCallback(form)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldRepeated)

	_, err = v.VerifyCallbackRequest(formRequest(goodForm(t).Encode() + "&order_id=v1-2"))
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldRepeated)
	_, err = v.VerifyCallbackRequest(formRequest(goodForm(t).Encode() + "&order%5Fid=v1-2"))
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldRepeated)
}

func TestCallbackAttackBothStatusNames(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, form := range []url.Values{
		{"order_id": {"v1-1"}, "status": {"FAILED"}, "payment_status": {"PROCESSED"}},
		{"order_id": {"v1-1"}, "status": {"PROCESSED"}, "payment_status": {"PROCESSED"}},
		{"order_id": {"v1-1"}, "status": {"PROCESSED"}, "payment_status": {""}},
		{"order_id": {"v1-1"}, "status": {""}, "payment_status": {"PROCESSED"}},
	} {
		_, err := v.VerifyCallback(signedForm(t, signatureSecret, form))
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonStatusRepeated)
	}
}

func TestCallbackWithoutWhatItNeeds(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for name, tc := range map[string]struct {
		form   url.Values
		reason plural.VerificationReason
	}{
		"no order id":             {url.Values{"status": {"PROCESSED"}}, plural.ReasonOrderIDMissing},
		"empty order id":          {url.Values{"order_id": {""}, "status": {"PROCESSED"}}, plural.ReasonOrderIDMissing},
		"order id in other case":  {url.Values{"Order_id": {"v1-1"}, "status": {"PROCESSED"}}, plural.ReasonOrderIDMissing},
		"no status":               {url.Values{"order_id": {"v1-1"}}, plural.ReasonStatusMissing},
		"empty status":            {url.Values{"order_id": {"v1-1"}, "status": {""}}, plural.ReasonStatusMissing},
		"empty payment status":    {url.Values{"order_id": {"v1-1"}, "payment_status": {""}}, plural.ReasonStatusMissing},
		"status in other case":    {url.Values{"order_id": {"v1-1"}, "STATUS": {"PROCESSED"}}, plural.ReasonStatusMissing},
		"nothing but a signature": {url.Values{}, plural.ReasonOrderIDMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.VerifyCallback(signedForm(t, signatureSecret, tc.form))
			requireRefused(t, err, plural.ErrMalformedCallback, tc.reason)
		})
	}
}

func TestCallbackAttackNoEmptyOrSecondSignature(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	good := goodForm(t).Get("signature")
	for name, tc := range map[string]struct {
		signatures []string
		reason     plural.VerificationReason
	}{
		"none":              {nil, plural.ReasonSignatureMissing},
		"none, but the key": {[]string{}, plural.ReasonSignatureMissing},
		"empty":             {[]string{""}, plural.ReasonSignatureMissing},
		"second":            {[]string{good, good}, plural.ReasonSignatureRepeated},
		"right one second":  {[]string{strings.Repeat("0", 64), good}, plural.ReasonSignatureRepeated},
		"right one first":   {[]string{good, strings.Repeat("0", 64)}, plural.ReasonSignatureRepeated},
		"second is empty":   {[]string{good, ""}, plural.ReasonSignatureRepeated},
		"first is empty":    {[]string{"", good}, plural.ReasonSignatureRepeated},
		"both are empty":    {[]string{"", ""}, plural.ReasonSignatureRepeated},
		"white space":       {[]string{" "}, plural.ReasonSignatureMalformed},
		"null":              {[]string{"null"}, plural.ReasonSignatureMalformed},
		"the guide's SHA-256": {
			[]string{"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
			plural.ReasonSignatureMismatch,
		},
		"zeroes": {[]string{strings.Repeat("0", 64)}, plural.ReasonSignatureMismatch},
		"under a key of zeroes": {[]string{naiveSignature(t, strings.Repeat("0", 32),
			"order_id="+callbackOrderID+"&status=AUTHORIZED")}, plural.ReasonSignatureMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form := goodForm(t)
			form["signature"] = tc.signatures
			_, err := v.VerifyCallback(form)
			requireRefused(t, err, plural.ErrInvalidSignature, tc.reason)
		})
	}
	_, err := v.VerifyCallback(nil)
	requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMissing)
}

func TestCallbackAttackTruncatedOrOverlongSignature(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	good := goodForm(t).Get("signature")
	for name, signature := range map[string]string{
		"one digit":       good[:1],
		"one byte":        good[:2],
		"half":            good[:32],
		"a digit less":    good[:63],
		"a byte less":     good[:62],
		"a digit more":    good + "0",
		"a byte more":     good + "00",
		"twice":           good + good,
		"newline":         good + "\n",
		"space in front":  " " + good,
		"space for digit": good[:63] + " ",
		"prefix":          "0x" + good[:62],
		"no hex":          strings.Repeat("G", 64),
		"base64":          base64.StdEncoding.EncodeToString(unhex(t, good)),
		"full width":      "０" + good[3:],
		"very long":       strings.Repeat(good, 500),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form := goodForm(t)
			form.Set("signature", signature)
			_, err := v.VerifyCallback(form)
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMalformed)
		})
	}
	mixed := goodForm(t)
	mixed.Set("signature", strings.ToLower(good[:32])+good[32:])
	_, err := v.VerifyCallback(mixed)
	require.NoError(t, err)
}

// The secret has only hex digits. Such a text is also valid base64, and its
// characters can also be used as they are. So three different keys can be made
// from this secret. By default a verifier uses only one of these keys for
// callbacks. For this key it decodes the hex digits, as Plural's documentation
// prescribes. A caller can give the verifier one of the three keys. Then the
// verifier accepts only the signatures of that key.
func TestCallbackAttackKeyConfusion(t *testing.T) {
	t.Parallel()
	const text = "order_id=" + callbackOrderID + "&status=AUTHORIZED"
	asBase64, err := base64.StdEncoding.DecodeString(signatureSecret)
	require.NoError(t, err)
	readings := map[string]struct {
		bytes []byte
		make  func(string) (plural.Key, error)
	}{
		"hex":    {unhex(t, signatureSecret), plural.HexKey},
		"raw":    {[]byte(signatureSecret), plural.RawKey},
		"base64": {asBase64, plural.Base64Key},
	}
	for signedWith, reading := range readings {
		form := goodForm(t)
		form.Set("signature", hex.EncodeToString(naiveHMAC(reading.bytes, []byte(text))))
		_, err := mustVerifier(t, signatureSecret).VerifyCallback(form)
		if signedWith == "hex" {
			require.NoError(t, err)
		} else {
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
		}
		for pinned := range readings {
			v := mustVerifier(t, signatureSecret, plural.WithCallbackKeys(mustKey(t, readings[pinned].make, signatureSecret)))
			_, err := v.VerifyCallback(form)
			require.Equal(t, pinned == signedWith, err == nil, "signed with key %s, verified with key %s", signedWith, pinned)
		}
	}
}

func TestCallbackKeyRotation(t *testing.T) {
	t.Parallel()
	const next = "00112233445566778899aabbccddeeff"
	for _, keys := range [][]string{{next, signatureSecret}, {signatureSecret, next}} {
		v := mustVerifier(
			t, "", plural.WithCallbackKeys(mustKey(t, plural.HexKey, keys[0]), mustKey(t, plural.HexKey, keys[1])),
		)
		for _, secret := range []string{signatureSecret, next} {
			_, err := v.VerifyCallback(signedForm(t, secret, url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}}))
			require.NoError(t, err)
		}
		_, err := v.VerifyCallback(
			signedForm(t, strings.Repeat("12", 16), url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}}),
		)
		requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
	}
}

// The signed text has either all of a form's empty values or none of them. A
// text with only some of them is refused.
func TestCallbackEmptyValuesAllOrNone(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	form := url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}, "error_code": {""}, "error_message": {""}}
	for text, accepted := range map[string]bool{
		"order_id=v1-1&status=PROCESSED":                            true,
		"error_code=&error_message=&order_id=v1-1&status=PROCESSED": true,
		"error_code=&order_id=v1-1&status=PROCESSED":                false,
		"error_message=&order_id=v1-1&status=PROCESSED":             false,
	} {
		form.Set("signature", naiveSignature(t, signatureSecret, text))
		cb, err := v.VerifyCallback(form)
		require.Equal(t, accepted, err == nil, text)
		if accepted {
			require.Equal(t, map[string]string{"order_id": "v1-1", "status": "PROCESSED"}, cb.Fields)
		}
	}
}

func TestCallbackAttackOversized(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	big := strings.Repeat("x", callbackMaxBytes)
	_, err := v.VerifyCallback(
		signedForm(t, signatureSecret, url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "error_message": {big}}),
	)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyTooLarge)
	_, err = v.VerifyCallback(
		signedForm(t, signatureSecret, url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, big: {"x"}}),
	)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyTooLarge)

	most := url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "error_message": {big[:60<<10]}}
	_, err = v.VerifyCallback(signedForm(t, signatureSecret, most))
	require.NoError(t, err)

	many := url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}}
	for i := range 61 {
		many.Set("f"+strings.Repeat("x", i), "1")
	}
	_, err = v.VerifyCallback(signedForm(t, signatureSecret, many))
	require.NoError(t, err, "64 fields are not too many")
	many.Set("one_more", "1")
	_, err = v.VerifyCallback(signedForm(t, signatureSecret, many))
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonTooManyFields)
	_, err = v.VerifyCallbackRequest(formRequest(many.Encode()))
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonTooManyFields)
	_, err = v.VerifyCallbackRequest(formRequest(goodForm(t).Encode() + strings.Repeat("&", 62)))
	requireRefused(
		t, err, plural.ErrMalformedCallback, plural.ReasonTooManyFields,
	) // the fields are counted before they are parsed, because parsing costs more
	_, err = v.VerifyCallback(url.Values{"order_id": make([]string, 100_000)})
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonTooManyFields)
}

func TestCallbackAttackInvalidUTF8(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, value := range []string{"\xff", "caf\xe9", "\xed\xa0\x80", "a\xc0\xaf"} {
		_, err := v.VerifyCallback(
			signedForm(t, signatureSecret, url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "error_message": {value}}),
		)
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldValue)
	}
	form := signedForm(t, signatureSecret, url.Values{"order_id": {"v1-\xff"}, "status": {"FAILED"}})
	_, err := v.VerifyCallbackRequest(formRequest(form.Encode()))
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldValue)
	_, err = v.VerifyCallbackJSON(
		[]byte(`{"order_id":"v1-` + "\xff" + `","status":"FAILED","signature":"` + form.Get("signature") + `"}`),
	)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonJSON)
}

// Confirm only accepts a Callback that a Verifier made and that nobody has
// changed. For any other Callback it sends nothing.
func TestCallbackAttackMadeByHand(t *testing.T) {
	t.Parallel()
	transport, sent := httpmock.NewMockTransport(), 0
	transport.RegisterNoResponder(func(*http.Request) (*http.Response, error) {
		sent++
		return httpmock.NewStringResponse(http.StatusUnauthorized, ""), nil
	})
	client, err := plural.NewClient(plural.Credentials{ClientID: "id", ClientSecret: "secret"},
		plural.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	want := plural.Expected{MerchantOrderReference: "shop-1042", OrderAmount: plural.INR(149950)}

	verified, err := mustVerifier(t, signatureSecret).VerifyCallback(goodForm(t))
	require.NoError(t, err)
	encoded, err := json.Marshal(verified)
	require.NoError(t, err)
	var decoded plural.Callback
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	otherOrder, otherStatus, otherCode, otherMessage := *verified, *verified, *verified, *verified
	otherOrder.OrderID = "v1-2"
	otherStatus.Status = "PROCESSED"
	otherCode.ErrorCode = "X"
	otherMessage.ErrorMessage = "x"

	for name, cb := range map[string]*plural.Callback{
		"nil":                    nil,
		"zero":                   {},
		"made":                   {OrderID: callbackOrderID, Status: "AUTHORIZED", Fields: verified.Fields},
		"decoded from JSON":      &decoded,
		"with another order":     &otherOrder,
		"with another status":    &otherStatus,
		"with an error code":     &otherCode,
		"with an error message":  &otherMessage,
		"as returned on refusal": refusedCallback(t),
	} {
		order, err := client.Orders.Confirm(t.Context(), cb, want)
		require.ErrorIs(t, err, plural.ErrInvalidSignature, name)
		require.Nil(t, order, name)
	}
	require.Zero(t, sent)

	same := *verified
	_, err = client.Orders.Confirm(t.Context(), &same, want)
	require.ErrorIs(t, err, plural.ErrUnauthorized, "Confirm looks up the order of a verified callback")
	require.NotErrorIs(t, err, plural.ErrInvalidSignature)
	require.Positive(t, sent)
}

func refusedCallback(t *testing.T) *plural.Callback {
	t.Helper()
	form := goodForm(t)
	form.Set("status", "PROCESSED")
	cb, err := mustVerifier(t, signatureSecret).VerifyCallback(form)
	require.Error(t, err)
	return cb
}

func TestCallbackKeepsPersonalDataOutOfLogs(t *testing.T) {
	t.Parallel()
	form := signedForm(t, signatureSecret, url.Values{
		"order_id": {
			callbackOrderID,
		},
		"status":        {"FAILED"},
		"error_code":    {"CARD_EXPIRED"},
		"error_message": {"Asha Rao"},
		"mobile_number": {"9876543210"},
	})
	cb, err := mustVerifier(t, signatureSecret).VerifyCallback(form)
	require.NoError(t, err)
	for _, value := range []any{cb, *cb, []*plural.Callback{cb}, map[string]plural.Callback{"cb": *cb}} {
		for how, text := range formattings(t, value) {
			if how == "slog JSON" &&
				value != any(cb) { // slog's JSON handler encodes values inside a slice or a map with json.Marshal
				continue
			}
			require.NotContains(t, text, "Asha", how)
			require.NotContains(t, text, "9876543210", how)
		}
	}
	for how, text := range formattings(t, cb) {
		if how != "%!" {
			require.Contains(t, text, callbackOrderID, how)
			require.Contains(t, text, "FAILED", how)
			require.Contains(t, text, "CARD_EXPIRED", how)
		}
	}
	encoded, err := json.Marshal(cb)
	require.NoError(t, err)
	require.Contains(t, string(encoded), "Asha Rao")
	require.Contains(t, string(encoded), "9876543210")
	require.NotContains(t, string(encoded), form.Get("signature"))
}
