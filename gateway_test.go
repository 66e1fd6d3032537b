package plural_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const (
	gatewayClientID     = "client-7d6a"
	gatewayClientSecret = "s3cr3t-4f9c2b7e"
)

// gateway is Plural's token endpoint with an API of the test's behind it, as a
// transport in memory: it runs in synctest's bubbles. Its fields are set before
// it is used, or through change.
type gateway struct {
	mu       sync.Mutex
	token    func(sent) (*http.Response, error) // nil: a new token each time, for an hour
	api      func(sent) (*http.Response, error) // nil: 200 {}
	untraced bool                               // does not report through httptrace
	tokens   []sent
	calls    []sent // with the valid token
	refused  []sent // with another one
	valid    string // set by issue
}

// sent is a request as it reached the transport.
type sent struct {
	*http.Request
	body string
	at   time.Time
}

// wait is the server's thinking time. It ends with the request.
func (s sent) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	s := sent{Request: r, at: time.Now()}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		s.body = string(body)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && !g.untraced {
		if trace.GetConn != nil {
			trace.GetConn(r.URL.Host)
		}
		if trace.GotConn != nil {
			trace.GotConn(httptrace.GotConnInfo{})
		}
		if trace.WroteHeaders != nil {
			trace.WroteHeaders()
		}
	}
	if strings.HasSuffix(r.URL.Path, "/api/auth/v1/token") {
		g.mu.Lock()
		g.tokens = append(g.tokens, s)
		token := g.token
		g.mu.Unlock()
		if token != nil {
			return token(s)
		}
		return g.issue(`,"expires_in":3600`), nil
	}
	g.mu.Lock()
	if r.Header.Get("Authorization") != "Bearer "+g.valid {
		g.refused = append(g.refused, s)
		g.mu.Unlock()
		return answer(http.StatusUnauthorized, `{"code":"UNAUTHORIZED","message":"token refused"}`), nil
	}
	g.calls = append(g.calls, s)
	api := g.api
	g.mu.Unlock()
	if api != nil {
		return api(s)
	}
	return answer(http.StatusOK, `{}`), nil
}

// issue makes a token and the answer that brings it, and forgets the one
// before.
func (g *gateway) issue(more string) *http.Response {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.valid = fmt.Sprintf("token-%d-d41d8cd98f", len(g.tokens))
	return answer(http.StatusOK, fmt.Sprintf(`{"access_token":%q%s}`, g.valid, more))
}

func (g *gateway) revoke() { g.change(func() { g.valid = "" }) }

func (g *gateway) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *gateway) counts() (tokens, calls, refused int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tokens), len(g.calls), len(g.refused)
}

func (g *gateway) tokenRequests() int {
	tokens, _, _ := g.counts()
	return tokens
}

func (g *gateway) apiCalls() []sent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

func gatewayCredentials() plural.Credentials {
	return plural.Credentials{ClientID: gatewayClientID, ClientSecret: gatewayClientSecret}
}

// client is one that sends through the gateway.
func (g *gateway) client(t *testing.T, opts ...plural.Option) *plural.Client {
	t.Helper()
	c, err := plural.NewClient(
		gatewayCredentials(),
		append([]plural.Option{plural.WithHTTPClient(&http.Client{Transport: g})}, opts...)...)
	require.NoError(t, err)
	return c
}
