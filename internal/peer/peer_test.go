package peer_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/peer"
)

// This test reads the settings of the SDK's own transport. Without it, nobody
// would notice a wrong setting for years, or until an attack.
func TestOwnTransport(t *testing.T) {
	t.Parallel()
	own := peer.NewTransport()
	require.False(t, own.TLSClientConfig.InsecureSkipVerify)
	require.EqualValues(t, tls.VersionTLS12, own.TLSClientConfig.MinVersion)
	require.Equal(t, 10*time.Second, peer.NewDialer().Timeout)
	require.Equal(t, 10*time.Second, own.TLSHandshakeTimeout)
	require.Equal(t, 60*time.Second, own.ResponseHeaderTimeout)
	require.EqualValues(t, 256<<10, own.MaxResponseHeaderBytes)
	require.True(t, own.ForceAttemptHTTP2)
	require.Equal(t, 15*time.Second, own.HTTP2.SendPingTimeout)
	require.Equal(t, 15*time.Second, own.HTTP2.PingTimeout)
	require.GreaterOrEqual(t, own.MaxIdleConnsPerHost, 64)
}
