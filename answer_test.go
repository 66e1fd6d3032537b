package plural_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// An error text quotes no JSON, whatever stands before it.
func TestAnswersWithJSONBehindSomethingAreNotQuoted(t *testing.T) {
	t.Parallel()
	const personal = `{"email_id":"payer@example.test","mobile_number":"9000000001","token":"checkout-link"}`
	for _, before := range []string{"\ufeff", "<b>Notice</b>", ")]}',\n", "cb(", "warning: ", "<html>", "\"", "[1]"} {
		for _, contentType := range []string{"text/plain", "text/html", "application/json", ""} {
			for _, status := range []int{200, 400, 502} {
				resp := func(*http.Request) (*http.Response, error) {
					r := jsonAnswer(status, []byte(before+personal))
					r.Header.Set("Content-Type", contentType)
					return r, nil
				}
				_, err := newPeerClient(t, resp).Orders.Get(t.Context(), "v1-1-aa-b")
				if err == nil {
					continue
				}
				require.NotContains(t, err.Error(), "payer@", "%q as %q", before, contentType)
				require.NotContains(t, err.Error(), "9000000001")
				require.NotContains(t, err.Error(), "checkout-link")
			}
		}
	}
	page := func(*http.Request) (*http.Response, error) {
		r := jsonAnswer(403, []byte("<html><h1>403 Forbidden</h1></html>"))
		r.Header.Set("Content-Type", "text/html")
		return r, nil
	}
	_, err := newPeerClient(t, page).Orders.Get(t.Context(), "v1-1-aa-b")
	require.ErrorContains(t, err, "not JSON (text/html): 403 Forbidden")
}

// Compression that nobody asked for is named.
func TestUnaskedCompressionIsNamed(t *testing.T) {
	t.Parallel()
	packed := func(*http.Request) (*http.Response, error) {
		r := jsonAnswer(200, []byte("\x1f\x8b\x08"))
		r.Header.Set("Content-Encoding", "gzip")
		return r, nil
	}
	_, err := newPeerClient(t, packed).Orders.Get(t.Context(), "v1-1-aa-b")
	require.ErrorContains(t, err, "Content-Encoding: gzip")
}

// Every 429 is a rate limit; which one, its code tells.
func TestEvery429IsARateLimit(t *testing.T) {
	t.Parallel()
	for _, code := range []plural.ErrorCode{"", plural.CodeAPIRateLimit, plural.CodePaymentRateLimit, "NEVER_HEARD_OF"} {
		e := &plural.Error{StatusCode: http.StatusTooManyRequests, Code: code}
		require.ErrorIs(t, e, plural.ErrRateLimited)
		require.Equal(t, code != plural.CodePaymentRateLimit, e.Retryable(), code)
	}
}
