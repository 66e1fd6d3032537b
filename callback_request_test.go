package plural_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func formRequest(body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "https://shop.example/return", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", formContentType)
	return r
}

func TestCallbackRequestAttackHostileQuery(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, query := range []string{
		"status=FAILED", "order_id=v1-2&status=FAILED", "signature=00", "payment_status=PROCESSED", "error_code=X", "%zz",
		"a;b", "&&&=", "\xff=%",
		strings.Repeat("a=b&", 5000),
	} {
		r := formRequest(goodForm(t).Encode())
		r.URL.RawQuery = query
		cb, err := v.VerifyCallbackRequest(r)
		require.NoError(t, err, query)
		require.Equal(t, map[string]string{"order_id": callbackOrderID, "status": "AUTHORIZED"}, cb.Fields)

		// The result is the same if a framework has already parsed the request,
		// including its query.
		r = formRequest(goodForm(t).Encode())
		r.URL.RawQuery = query
		_ = r.ParseForm()
		cb, err = v.VerifyCallbackRequest(r)
		require.NoError(t, err, query)
		require.Equal(t, map[string]string{"order_id": callbackOrderID, "status": "AUTHORIZED"}, cb.Fields)
	}

	// A signed query with an empty body is not a callback.
	r := formRequest("")
	r.URL.RawQuery = goodForm(t).Encode()
	_, err := v.VerifyCallbackRequest(r)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyEmpty)

	// A request with a Form but no PostForm is not a callback either, because a
	// framework could have filled Form from the query.
	r = formRequest("")
	r.Form = goodForm(t)
	_, err = v.VerifyCallbackRequest(r)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyEmpty)
}

func TestCallbackRequestBodyReadBefore(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)

	r := formRequest(goodForm(t).Encode())
	require.NoError(t, r.ParseForm())
	cb, err := v.VerifyCallbackRequest(r)
	require.NoError(t, err, "a parsed form is used")
	require.Equal(t, callbackOrderID, cb.OrderID)

	r = formRequest(goodForm(t).Encode())
	_, err = v.VerifyCallbackRequest(r)
	require.NoError(t, err)
	_, err = v.VerifyCallbackRequest(r)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyEmpty)

	// Other code may have parsed the form already. Then the parsed form
	// counts as the whole body, even if the form is empty. The SDK does not
	// use what can still be read from the body.
	r = formRequest("")
	require.NoError(t, r.ParseForm())
	r.Body = io.NopCloser(strings.NewReader(goodForm(t).Encode()))
	_, err = v.VerifyCallbackRequest(r)
	requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonSignatureMissing)
}

func TestCallbackRequestAttackWrongMethod(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete,
		"post", "",
	} {
		r := formRequest(goodForm(t).Encode())
		r.Method = method
		_, err := v.VerifyCallbackRequest(r)
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonMethod)
	}
	_, err := v.VerifyCallbackRequest(nil)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonMethod)
}

func TestCallbackRequestAttackWrongContentType(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	for _, header := range []http.Header{
		nil,
		{"Content-Type": {""}},
		{"Content-Type": {"text/plain"}},
		{"Content-Type": {"application/json"}},
		{"Content-Type": {"application/x-www-form-urlencoded2"}},
		{"Content-Type": {"text/html, application/x-www-form-urlencoded"}},
		{"Content-Type": {formContentType, "text/plain"}},
		{"Content-Type": {formContentType, formContentType + "; charset=UTF-8"}},
		{"Content-Type": {formContentType, ""}},
		{"Content-Type": {formContentType}, "content-type": {"text/plain"}},
		{"CONTENT-TYPE": {formContentType}, "content-type": {"text/plain"}},
	} {
		r := formRequest(goodForm(t).Encode())
		r.Header = header
		_, err := v.VerifyCallbackRequest(r)
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonContentType)
	}
	for _, header := range []http.Header{
		{"Content-Type": {formContentType + "; charset=UTF-8"}},
		{"Content-Type": {formContentType + "; charset"}}, // a parameter without a value
		{"Content-Type": {"Application/X-WWW-Form-Urlencoded;charset=utf-8"}},
		{"content-type": {formContentType}},                  // some gateways change the header's name to lower case
		{"Content-Type": {formContentType, formContentType}}, // CGI sends the header twice
		{"Content-Type": {formContentType}, "content-type": {formContentType}},
		{"CONTENT-TYPE": {formContentType}, "content-type": {formContentType}, "Content-Type": nil},
	} {
		r := formRequest(goodForm(t).Encode())
		r.Header = header
		_, err := v.VerifyCallbackRequest(r)
		require.NoError(t, err)
	}
}

// Plural sends no multipart forms, but net/http would copy the fields of a
// multipart form into PostForm.
func TestCallbackRequestAttackMultipart(t *testing.T) {
	t.Parallel()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, values := range goodForm(t) {
		require.NoError(t, form.WriteField(name, values[0]))
	}
	require.NoError(t, form.Close())
	for _, parsed := range []bool{false, true} {
		r := httptest.NewRequest(http.MethodPost, "/return", bytes.NewReader(body.Bytes()))
		r.Header.Set("Content-Type", form.FormDataContentType())
		if parsed {
			require.NoError(t, r.ParseMultipartForm(1<<20))
			require.Equal(t, callbackOrderID, r.PostForm.Get("order_id"))
		}
		_, err := mustVerifier(t, signatureSecret).VerifyCallbackRequest(r)
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonContentType)
	}
}

func TestCallbackRequestAttackCompressedBody(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	var squeezed bytes.Buffer
	w := gzip.NewWriter(&squeezed)
	_, err := w.Write([]byte(goodForm(t).Encode()))
	require.NoError(t, err)
	require.NoError(t, w.Close())

	for _, body := range []string{squeezed.String(), goodForm(t).Encode()} {
		for _, encoding := range []http.Header{
			{"Content-Encoding": {"gzip"}},
			{"Content-Encoding": {"br"}},
			{"Content-Encoding": {"identity, gzip"}},
			{"Content-Encoding": {"identity", "gzip"}},
			{"Content-Encoding": {"", "gzip"}},
			{"Content-Encoding": {"identity"}, "content-encoding": {"gzip"}},
			{"content-encoding": {"deflate"}},
		} {
			r := formRequest(body)
			maps.Copy(r.Header, encoding)
			_, err := v.VerifyCallbackRequest(r)
			requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonContentEncoding)
		}
	}
	for _, encoding := range []http.Header{
		{"Content-Encoding": {""}},
		{"Content-Encoding": {"identity"}},
		{"Content-Encoding": {"Identity"}},
		{"Content-Encoding": {"identity", "identity"}},
		{"Content-Encoding": {"identity"}, "content-encoding": {"identity"}},
	} {
		r := formRequest(goodForm(t).Encode())
		maps.Copy(r.Header, encoding)
		_, err := v.VerifyCallbackRequest(r)
		require.NoError(t, err)
	}
}

func TestCallbackRequestAttackOversizedBody(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	good := goodForm(t).Encode()
	padded := good + strings.Repeat("&", callbackMaxBytes-len(good)) // every form parser ignores empty pairs

	announced := formRequest(padded + "&")
	_, err := v.VerifyCallbackRequest(announced)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyTooLarge)
	require.Equal(t, callbackMaxBytes+1, remaining(t, announced.Body), "a body announced as too large is not read")

	chunked := formRequest(padded + "&" + strings.Repeat("x", 1<<20))
	chunked.ContentLength = -1
	_, err = v.VerifyCallbackRequest(chunked)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyTooLarge)
	require.Equal(t, 1<<20, remaining(t, chunked.Body), "reading stops as soon as the body is too large")

	limited := formRequest(good)
	limited.ContentLength = -1
	limited.Body = http.MaxBytesReader(nil, limited.Body, int64(len(good)-1))
	_, err = v.VerifyCallbackRequest(limited)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyTooLarge)

	fits := url.Values{"order_id": {"v1-1"}, "status": {"FAILED"}, "error_message": {""}}
	for _, tc := range []struct {
		size     int
		accepted bool
	}{{callbackMaxBytes, true}, {callbackMaxBytes + 1, false}} {
		// Percent-encoding turns a small form into a large body.
		fits.Set("error_message", strings.Repeat("x", 1000))
		body := signedForm(t, signatureSecret, fits).Encode()
		body = strings.Replace(body, "x", strings.Repeat("%78", (tc.size-len(body))/3), 1)
		body += strings.Repeat("&", tc.size-len(body))
		require.Len(t, body, tc.size)
		fits.Set("error_message", mustParseForm(t, body).Get("error_message"))
		body = strings.Replace(
			body, fits.Get("signature"), naiveSignature(t, signatureSecret, naiveCallbackText(fits, false)), 1,
		)
		_, err := v.VerifyCallbackRequest(formRequest(body))
		require.Equal(t, tc.accepted, err == nil, "%d bytes: %v", tc.size, err)
	}
}

func mustParseForm(tb testing.TB, body string) url.Values {
	tb.Helper()
	form, err := url.ParseQuery(body)
	require.NoError(tb, err)
	return form
}

func remaining(tb testing.TB, r io.Reader) int {
	tb.Helper()
	rest, err := io.ReadAll(r)
	require.NoError(tb, err)
	return len(rest)
}

func TestCallbackRequestChunked(t *testing.T) {
	t.Parallel()
	r := formRequest(goodForm(t).Encode())
	r.ContentLength = -1
	r.TransferEncoding = []string{"chunked"}
	r.Body = io.NopCloser(iotest.OneByteReader(r.Body))
	_, err := mustVerifier(t, signatureSecret).VerifyCallbackRequest(r)
	require.NoError(t, err)
}

func TestCallbackRequestBrokenBody(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	broken := errors.New("connection reset")
	r := formRequest("")
	r.ContentLength = -1
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(goodForm(t).Encode()), iotest.ErrReader(broken)))
	_, err := v.VerifyCallbackRequest(r)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyUnreadable)
	require.ErrorIs(t, err, broken)

	r = formRequest("")
	r.Body = nil
	_, err = v.VerifyCallbackRequest(r)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyEmpty)
}

func TestCallbackRequestAttackFormEncoding(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret)
	good := goodForm(t).Encode()
	for _, tail := range []string{"&a=%zz", "&a=%", "&%=a", "&a=%2", ";a=b", "&a;b=c", "&status=PROCESSED;"} {
		_, err := v.VerifyCallbackRequest(formRequest(good + tail))
		requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonFormEncoding)
	}
}

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

// A decoder that ignores case would read the field "STATUS" as the status. The
// SDK's decoder treats "STATUS" as a separate field, and the signature has to
// cover that field too.
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

// The body is an array that lists the names and values of the fields. Only an
// object is accepted, so the array is refused.
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
