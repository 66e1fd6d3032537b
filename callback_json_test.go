package plural_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestCallbackJSON(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	signature := goodForm(t).Get("signature")
	fields := `"order_id":"` + callbackOrderID + `","status":"AUTHORIZED","signature":"` + signature + `"`
	for name, body := range map[string]string{
		"plain":           `{` + fields + `}`,
		"white space":     " \r\n\t{ " + fields + " }\n",
		"null is dropped": `{"error_code":null,` + fields + `,"error_message":null}`,
		"empty value":     `{"error_code":"",` + fields + `}`,
		"escapes in names": `{"\u006frder_id":"` + callbackOrderID + `","status":"AUTHORIZED","signature":"` +
			signature + `"}`,
		"escapes in values": `{"order_id":"` + callbackOrderID + `","status":"\u0041UTHORIZED","signature":"` +
			signature + `"}`,
		"null for other status": `{"payment_status":null,` + fields + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cb, err := v.VerifyCallbackJSON([]byte(body))
			require.NoError(t, err)
			require.Equal(t, map[string]string{"order_id": callbackOrderID, "status": "AUTHORIZED"}, cb.Fields)
		})
	}
}

func TestCallbackJSONAttackDuplicateNames(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	signature := goodForm(t).Get("signature")
	fields := `"order_id":"` + callbackOrderID + `","status":"AUTHORIZED","signature":"` + signature + `"`
	for name, body := range map[string]string{
		"same":                 `{` + fields + `,"order_id":"v1-2"}`,
		"same value":           `{` + fields + `,"status":"AUTHORIZED"}`,
		"first":                `{"status":"FAILED",` + fields + `}`,
		"by a unicode escape":  `{` + fields + `,"\u0073tatus":"FAILED"}`,
		"of a null":            `{` + fields + `,"status":null}`,
		"null first":           `{"status":null,` + fields + `}`,
		"null twice":           `{"note":null,` + fields + `,"note":null}`,
		"null for a signature": `{"signature":null,` + fields + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.VerifyCallbackJSON([]byte(body))
			requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldRepeated)
		})
	}
	_, err := v.VerifyCallbackJSON([]byte(`{` + fields + `,"signature":"00"}`))
	require.Error(t, err)
}

// A decoder that ignores case would take "STATUS" for the status; here it is
// another field, which the signature has to cover.
func TestCallbackJSONAttackDifferentlyCasedNames(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	signature := goodForm(t).Get("signature")
	fields := `"order_id":"` + callbackOrderID + `","status":"AUTHORIZED"`
	_, err := v.VerifyCallbackJSON([]byte(`{` + fields + `,"STATUS":"FAILED","signature":"` + signature + `"}`))
	requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)
	_, err = v.VerifyCallbackJSON([]byte(`{` + fields + `,"Signature":"` + signature + `"}`))
	requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMissing)
	_, err = v.VerifyCallbackJSON(
		[]byte(`{"Order_Id":"` + callbackOrderID + `","status":"AUTHORIZED","signature":"` + signature + `"}`),
	)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonOrderIDMissing)
	_, err = v.VerifyCallbackJSON(
		[]byte(`{"order_id":"` + callbackOrderID + `","ſtatus":"AUTHORIZED","signature":"` + signature + `"}`),
	)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFieldName)
}

// An array of pairs is not an object, though its strings are the same.
func TestCallbackJSONAttackArrayOfPairs(t *testing.T) {
	t.Parallel()
	pairs, err := json.Marshal(
		[]string{"order_id", callbackOrderID, "status", "AUTHORIZED", "signature", goodForm(t).Get("signature")},
	)
	require.NoError(t, err)
	_, err = mustVerifier(t, signatureSecret).VerifyCallbackJSON(pairs)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonJSON)
}

func TestCallbackJSONAttackShape(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	signature := goodForm(t).Get("signature")
	fields := `"order_id":"` + callbackOrderID + `","status":"AUTHORIZED","signature":"` + signature + `"`
	for name, body := range map[string]string{
		"empty":                 ``,
		"null":                  `null`,
		"string":                `"x"`,
		"array":                 `[{` + fields + `}]`,
		"number value":          `{` + fields + `,"a":1}`,
		"huge number value":     `{` + fields + `,"a":1e999}`,
		"boolean value":         `{` + fields + `,"a":false}`,
		"object value":          `{` + fields + `,"a":{}}`,
		"array value":           `{` + fields + `,"a":[]}`,
		"wrapped":               `{"data":{` + fields + `}}`,
		"second document":       `{` + fields + `}{}`,
		"garbage after":         `{` + fields + `}x`,
		"NUL after":             `{` + fields + "}\x00",
		"trailing comma":        `{` + fields + `,}`,
		"unfinished":            `{` + fields,
		"single quotes":         `{'order_id':'v1-1'}`,
		"byte order mark":       "\ufeff{" + fields + `}`,
		"deeply nested":         `{` + fields + `,"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
		"nested to confuse":     `{"a":[` + `{` + fields + `}]}`,
		"invalid UTF-8 in name": `{` + fields + ",\"\xff\":\"1\"}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.VerifyCallbackJSON([]byte(body))
			requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonJSON)
		})
	}
	for name, tc := range map[string]struct {
		body   string
		reason plural.VerificationReason
	}{
		"empty name":    {`{` + fields + `,"":"1"}`, plural.ReasonFieldName},
		"smuggling":     {`{` + fields + `,"a=1&b":"1"}`, plural.ReasonFieldName},
		"escaped name":  {`{` + fields + `,"a\u0026b":"1"}`, plural.ReasonFieldName},
		"escaped value": {`{` + fields + `,"a":"1\u0026b=2"}`, plural.ReasonFieldValue},
		"many fields": {
			`{` + fields + strings.Repeat(`,"a":null`, 1) + manyJSONFields(70) + `}`,
			plural.ReasonTooManyFields,
		},
		"padded": {`{` + fields + `}` + strings.Repeat(" ", callbackMaxBytes), plural.ReasonBodyTooLarge},
		"oversized": {
			`{` + fields + `,"error_message":"` + strings.Repeat("x", callbackMaxBytes) + `"}`,
			plural.ReasonBodyTooLarge,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.VerifyCallbackJSON([]byte(tc.body))
			requireRefused(t, err, plural.ErrMalformedCallback, tc.reason)
		})
	}
}

func manyJSONFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"f` + strings.Repeat("x", i) + `":"1"`)
	}
	return b.String()
}
