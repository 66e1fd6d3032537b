package plural_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// forgetfulNetwork connects to a real server over connections in memory, so the
// test can run in synctest's bubble. After a call to the method forget, each
// connection that already exists drops everything that the client sends, and
// reports no error. A NAT does the same after a failover.
type forgetfulNetwork struct {
	transport *http.Transport
	dials     atomic.Int64
	epoch     atomic.Int64
	accepted  chan net.Conn
	closed    chan struct{}
	closeOnce sync.Once
}

func newForgetfulNetwork(t *testing.T, http2 bool, handler http.Handler) *forgetfulNetwork {
	t.Helper()
	n := &forgetfulNetwork{accepted: make(chan net.Conn), closed: make(chan struct{})}
	server := httptest.NewUnstartedServer(handler)
	require.NoError(t, server.Listener.Close())
	server.Listener = n
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = quietLog()
	server.StartTLS()
	n.transport = server.Client().Transport.(*http.Transport).Clone()
	n.transport.MaxIdleConnsPerHost = 64
	n.transport.DialContext = n.dial
	t.Cleanup(func() {
		n.transport.CloseIdleConnections()
		server.Close()
	})
	return n
}

func (n *forgetfulNetwork) Accept() (net.Conn, error) {
	select {
	case conn := <-n.accepted:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *forgetfulNetwork) Close() error {
	n.closeOnce.Do(func() { close(n.closed) })
	return nil
}

func (n *forgetfulNetwork) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}
}

func (n *forgetfulNetwork) dial(context.Context, string, string) (net.Conn, error) {
	n.dials.Add(1)
	ours, theirs := net.Pipe()
	n.accepted <- theirs
	return &forgettableConn{Conn: ours, network: n, epoch: n.epoch.Load()}, nil
}

func (n *forgetfulNetwork) forget() { n.epoch.Add(1) }

type forgettableConn struct {
	net.Conn

	network *forgetfulNetwork
	epoch   int64
}

func (c *forgettableConn) Write(p []byte) (int, error) {
	if c.network.epoch.Load() != c.epoch {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// shopServer has one order, which can be cancelled. The server collects the
// requests for somePath. It answers them as soon as batchSize of them have
// arrived.
type shopServer struct {
	batchSize int
	mu        sync.Mutex
	arrived   int
	all       chan struct{}
	cancelled atomic.Bool
	cancels   atomic.Int64
}

func (s *shopServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isTokenRequest(r):
		_, _ = io.WriteString(w, `{"access_token":"token-of-the-shop","expires_in":3600}`)
		return
	case r.URL.Path == somePath:
		s.mu.Lock()
		if s.arrived++; s.arrived == s.batchSize {
			close(s.all)
		}
		s.mu.Unlock()
		select {
		case <-s.all:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, `{}`)
		return
	case r.Method == http.MethodPut:
		s.cancels.Add(1)
		s.cancelled.Store(true)
	}
	status := "AUTHORIZED"
	if s.cancelled.Load() {
		status = "CANCELLED"
	}
	_, _ = io.WriteString(w, `{"data":{"order_id":"v1-1","type":"CHARGE","status":"`+status+`",`+
		`"order_amount":{"value":1000,"currency":"INR"}}}`)
}

const pooled = 8

// withPool runs a test in synctest's bubble, with a client whose pool has idle
// connections.
func withPool(t *testing.T, http2 bool, test func(*testing.T, *plural.Client, *forgetfulNetwork, *shopServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		shop := &shopServer{batchSize: pooled, all: make(chan struct{})}
		n := newForgetfulNetwork(t, http2, shop)
		c, err := plural.NewClient(gatewayCredentials(), plural.WithBaseURL("https://127.0.0.1"),
			plural.WithHTTPClient(&http.Client{Transport: n.transport}))
		require.NoError(t, err)
		require.NoError(t, c.Warm(t.Context()))
		var wg sync.WaitGroup
		for range pooled {
			wg.Go(func() {
				if err := c.Do(t.Context(), http.MethodGet, somePath, nil, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if http2 {
			require.EqualValues(t, 1, n.dials.Load())
		} else {
			require.EqualValues(t, pooled, n.dials.Load())
		}
		test(t, c, n, shop)
	})
}

// The network may drop the data on all connections of a pool. Then only one try
// of a call fails, no matter how many connections the pool has.
func TestForgottenConnectionsCostOneTry(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const oneTry = 10 * time.Second
			t.Run("a write", func(t *testing.T) {
				t.Parallel()
				withPool(t, http2, func(t *testing.T, c *plural.Client, n *forgetfulNetwork, shop *shopServer) {
					n.forget()
					began := time.Now()
					o, err := c.Cancels.Create(t.Context(), "v1-1")
					require.NoError(t, err)
					require.Equal(t, plural.OrderStatusCancelled, o.Status)
					require.EqualValues(t, 1, shop.cancels.Load())
					require.Less(t, time.Since(began), oneTry+5*time.Second)
				})
			})
			t.Run("a read", func(t *testing.T) {
				t.Parallel()
				withPool(t, http2, func(t *testing.T, c *plural.Client, n *forgetfulNetwork, _ *shopServer) {
					n.forget()
					var got plural.Response
					_, err := c.Orders.Get(t.Context(), "v1-1", plural.WithResponseInto(&got))
					require.NoError(t, err)
					require.Equal(t, 2, got.Attempts)
				})
			})
			t.Run("a read that the caller's deadline ends", func(t *testing.T) {
				t.Parallel()
				withPool(t, http2, func(t *testing.T, c *plural.Client, n *forgetfulNetwork, _ *shopServer) {
					n.forget()
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					_, err := c.Orders.Get(ctx, "v1-1")
					require.ErrorIs(t, err, context.DeadlineExceeded)
					_, err = c.Orders.Get(t.Context(), "v1-1", plural.WithoutRetry())
					require.NoError(t, err)
				})
			})
			t.Run("a token", func(t *testing.T) {
				t.Parallel()
				withPool(t, http2, func(t *testing.T, _ *plural.Client, n *forgetfulNetwork, _ *shopServer) {
					n.forget()
					another, err := plural.NewClient(gatewayCredentials(), plural.WithBaseURL("https://127.0.0.1"),
						plural.WithHTTPClient(&http.Client{Transport: n.transport}))
					require.NoError(t, err)
					began := time.Now()
					require.NoError(t, another.Warm(t.Context()))
					require.Less(t, time.Since(began), 45*time.Second, "a token request may take 30 s")
				})
			})
			t.Run("a caller that cancels closes no connections", func(t *testing.T) {
				t.Parallel()
				withPool(t, http2, func(t *testing.T, c *plural.Client, n *forgetfulNetwork, shop *shopServer) {
					shop.mu.Lock()
					shop.all = make(chan struct{}) // the next read gets no answer
					shop.mu.Unlock()
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
					require.ErrorIs(t, c.Do(ctx, http.MethodGet, somePath, nil, nil), context.Canceled)
					dials := n.dials.Load()
					_, err := c.Orders.Get(t.Context(), "v1-1")
					require.NoError(t, err)
					require.Equal(t, dials, n.dials.Load(), "the other connections are still there")
				})
			})
		})
	}
}

// brokenOnce is a connection on which one write fails before any of its bytes
// is sent.
type brokenOnce struct {
	net.Conn

	broken *atomic.Bool
}

func (c brokenOnce) Write(p []byte) (int, error) {
	if c.broken.CompareAndSwap(true, false) {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(p)
}

// Over HTTP/1, net/http itself repeats a write if no byte of the write was
// sent. The SDK must allow this repetition within one try.
func TestWriteThatNeverLeftItsConnection(t *testing.T) {
	t.Parallel()
	var writes atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			writes.Add(1)
		}
		_, _ = io.WriteString(w, `{"access_token":"t"}`)
	}))
	defer server.Close()
	var broken atomic.Bool
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return brokenOnce{conn, &broken}, err
	}
	defer transport.CloseIdleConnections()
	c, err := plural.NewClient(gatewayCredentials(), plural.WithBaseURL(server.URL),
		plural.WithHTTPClient(&http.Client{Transport: transport}), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	require.NoError(t, c.Do(t.Context(), http.MethodGet, somePath, nil, nil))
	broken.Store(true)
	require.NoError(t, c.Do(t.Context(), http.MethodPut, somePath, nil, nil))
	require.False(t, broken.Load())
	require.EqualValues(t, 1, writes.Load())
}
