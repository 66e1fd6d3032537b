package plural_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// What net/http says of an answer that it cannot read quotes that answer. An
// error says what is wrong with it, and nothing of what it says.
func TestCausesAreNotQuoted(t *testing.T) {
	t.Parallel()
	const personal = "payer@example.test"
	for name, cause := range map[string]error{
		"no HTTP":          fmt.Errorf("malformed HTTP response %q", `{"email_id":"`+personal+`"}`),
		"a length":         fmt.Errorf("bad Content-Length %q", "Bearer own-token"),
		"a location":       fmt.Errorf("failed to parse Location header %q: %w", personal, errors.New("bad")),
		"half a quotation": errors.New(`malformed "` + personal),
		"a header line":    textproto.ProtocolError("malformed MIME header line: " + personal),
		"an address":       &url.Error{Op: "Get", URL: "https://example.test/" + personal, Err: errors.New("no route")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return nil, cause })
			_, err := client.Orders.Get(t.Context(), "v1-1-aa-b")
			require.Error(t, err)
			require.NotContains(t, err.Error(), personal)
			require.NotContains(t, err.Error(), "own-token")
			require.NotEmpty(t, strings.TrimPrefix(err.Error(), "plural: get order v1-1-aa-b: "))
			fromToken := newClientOver(t, func(*http.Request) (*http.Response, error) { return nil, cause })
			require.NotContains(t, fromToken.Warm(t.Context()).Error(), personal)
		})
	}
	client := newPeerClient(
		t,
		func(*http.Request) (*http.Response, error) { return answer(200, `{"paid_at":"`+personal+`"}`), nil },
	)
	var out struct {
		PaidAt plural.Timestamp `json:"paid_at"`
		Count  int              `json:"count"`
	}
	if err := client.Do(t.Context(), http.MethodGet, "/api/x", nil, &out); err != nil {
		require.NotContains(t, err.Error(), personal)
	}
	broken := newPeerClient(
		t,
		func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("dial: %w", io.ErrUnexpectedEOF) },
	)
	_, err := broken.Orders.Get(t.Context(), "v1-1-aa-b")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "what is behind a description can be asked for")
}

// A secret that the answer repeats is blanked out of its headers too, and where
// the answer breaks off in the middle of it.
func TestSecretsThatBreakOffAreBlanked(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef0123456789abcdef"
	creds := plural.Credentials{ClientID: "own-client", ClientSecret: secret}
	for name, resp := range map[string]func() *http.Response{
		"cut short": func() *http.Response {
			r := answer(400, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("<p>bad secret "+secret[:20]), errorReader{}))
			r.Header.Set("Content-Type", "text/html")
			r.ContentLength = -1
			return r
		},
		"as a content type": func() *http.Response { return answer(400, "<p>no", "Content-Type", "text/"+secret) },
		"as a request id":   func() *http.Response { return answer(400, `{"code":"X"}`, "X-Request-Id", secret) },
		"in any header":     func() *http.Response { return answer(400, `{"code":"X"}`, "X-Debug", "was Bearer "+secret) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := plural.NewClient(
				creds,
				plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
				plural.WithHTTPClient(
					&http.Client{Transport: transportFunc(func(*http.Request) (*http.Response, error) { return resp(), nil })},
				),
			)
			require.NoError(t, err)
			err = client.Warm(t.Context())
			var e *plural.Error
			require.ErrorAs(t, err, &e)
			for _, text := range []string{e.Error(), string(e.Body), e.TraceID, e.Message, fmt.Sprint(e.Header)} {
				require.NotContains(t, text, secret[:12])
			}
		})
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Refused credentials show one request id, the one that Plural's support knows.
func TestRefusedCredentialsShowOneRequestID(t *testing.T) {
	t.Parallel()
	client := newClientOver(
		t,
		func(*http.Request) (*http.Response, error) { return answer(401, `{"code":"UNAUTHORIZED"}`), nil },
	)
	_, err := client.Orders.Get(context.Background(), "v1-1-aa-b", plural.WithRequestID("never-sent"))
	require.ErrorIs(t, err, plural.ErrUnauthorized)
	require.Equal(t, 1, strings.Count(err.Error(), "request id"))
	require.NotContains(t, err.Error(), "never-sent")
}

// An answer that is too large says so, and nothing else.
func TestLimitsAreNamed(t *testing.T) {
	t.Parallel()
	for want, body := range map[string]string{
		"larger than 4 MiB": `{"data":"` + strings.Repeat("x", 4<<20) + `"}`,
		"nests":             strings.Repeat(`{"data":`, 200) + `1` + strings.Repeat("}", 200),
	} {
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(200, body), nil })
		_, err := client.Orders.Get(t.Context(), "v1-1-aa-b")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "not JSON")
		require.NotContains(t, err.Error(), "not valid JSON")
	}
}

// An exported error means what its exported fields say.
func TestErrorsMadeByHand(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"no matching records": {
			&plural.Error{
				Op: "orders.get_by_reference", StatusCode: 400, Code: plural.CodeInvalidRequest,
				Message: "No matching records",
			},
			[]string{"not found"},
		},
		"the same of a write": {
			&plural.Error{
				Op: "refunds.create", StatusCode: 400, Code: plural.CodeInvalidRequest,
				Message: "No matching records",
			},
			[]string{"invalid"},
		},
		"conflict":    {&plural.StateError{Conflict: true}, []string{"conflict"}},
		"reused":      {&plural.StateError{Reused: true}, []string{"conflict", "reused"}},
		"no hold":     {&plural.StateError{NoHold: true}, []string{"conflict", "no hold"}},
		"state":       {&plural.StateError{}, []string{"not applied", "not allowed"}},
		"a rejection": {&plural.Error{StatusCode: 422, Code: plural.CodeAmountLimitExceeded, NeedsReview: true}, nil},
		"unknown":     {&plural.OutcomeUnknownError{}, []string{"unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireIsOnly(t, tc.err, tc.want...)
		})
	}
	other := &plural.NotPaidError{Order: &plural.Order{Status: plural.OrderStatusPartiallyCaptured}, Mismatch: true}
	require.False(t, other.WasPaid(), "another order")
}
