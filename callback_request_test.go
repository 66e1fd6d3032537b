package plural_test

import (
	"bytes"
	"compress/gzip"
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

		// A framework that has parsed the request, query and all, changes nothing
		// either.
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

	// Nor is a Form without a PostForm, which a framework could have filled from
	// the query.
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

	// Parsed to nothing, because somebody had read the body: what is left in the
	// body afterwards is not looked at.
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
		{"content-type": {formContentType}},                  // as some gateways hand it on
		{"Content-Type": {formContentType, formContentType}}, // as CGI does
		{"Content-Type": {formContentType}, "content-type": {formContentType}},
		{"CONTENT-TYPE": {formContentType}, "content-type": {formContentType}, "Content-Type": nil},
	} {
		r := formRequest(goodForm(t).Encode())
		r.Header = header
		_, err := v.VerifyCallbackRequest(r)
		require.NoError(t, err)
	}
}

// A multipart form is not what Plural sends; net/http copies its fields into
// PostForm all the same.
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
	padded := good + strings.Repeat("&", callbackMaxBytes-len(good)) // empty pairs are passed over by every form parser

	announced := formRequest(padded + "&")
	_, err := v.VerifyCallbackRequest(announced)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyTooLarge)
	require.Equal(t, callbackMaxBytes+1, remaining(t, announced.Body), "what is announced as too large is not read")

	chunked := formRequest(padded + "&" + strings.Repeat("x", 1<<20))
	chunked.ContentLength = -1
	_, err = v.VerifyCallbackRequest(chunked)
	requireRefused(t, err, plural.ErrMalformedCallback, plural.ReasonBodyTooLarge)
	require.Equal(t, 1<<20, remaining(t, chunked.Body), "no more is read than it takes to see that it is too large")

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
		// Percent-encoding makes a body of any size out of a form that is small
		// enough.
		fits.Set("error_message", strings.Repeat("x", 1000))
		body := signedForm(t, signatureSecret, fits).Encode()
		body = strings.Replace(body, "x", strings.Repeat("%78", (tc.size-len(body))/3), 1)
		body += strings.Repeat("&", tc.size-len(body))
		require.Len(t, body, tc.size)
		fits.Set("error_message", mustParseForm(t, body).Get("error_message"))
		body = strings.Replace(
			body,
			fits.Get("signature"),
			naiveSignature(t, signatureSecret, naiveCallbackText(fits, false)),
			1,
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
