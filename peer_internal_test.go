package plural

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/peer"
)

func TestOwnTransportVerifiesCertificates(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"unknown authority": tls.VersionTLS13, "old protocol": tls.VersionTLS11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.TLS = &tls.Config{MaxVersion: version, MinVersion: tls.VersionTLS10}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			c, err := NewClient(
				Credentials{ClientID: "id", ClientSecret: "secret"},
				WithBaseURL(server.URL),
				WithRetry(RetryPolicy{MaxAttempts: 1}),
			)
			require.NoError(t, err)
			err = c.Warm(t.Context())
			if version == tls.VersionTLS11 {
				require.ErrorContains(t, err, "protocol version")
				return
			}
			var refused *tls.CertificateVerificationError
			require.ErrorAs(t, err, &refused)
		})
	}
}

// The answer of a proxy is not Plural's answer. So if a proxy refuses to
// connect, the error of the SDK's own transport shows the status that the proxy
// sent.
func TestOwnTransportTellsWhatAProxyAnswered(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	own := peer.NewTransport()
	own.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	c, err := NewClient(
		Credentials{ClientID: "id", ClientSecret: "secret"},
		WithHTTPClient(&http.Client{Transport: own}),
		WithRetry(RetryPolicy{MaxAttempts: 1}),
	)
	require.NoError(t, err)
	require.ErrorContains(t, c.Warm(t.Context()), "the proxy does not connect: it answered 407 (")
}
