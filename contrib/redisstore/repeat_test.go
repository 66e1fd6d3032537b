package redisstore_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/contrib/redisstore"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

// If the answer to a command was lost, go-redis sends the command again, by
// default up to three times. The repeated command recognises what its earlier
// try did. It does not confuse its own effect with the effect of another
// command.
func TestRepeatedCommandsKnowTheirOwn(t *testing.T) { //nolint:tparallel // the subtests share a proxy
	t.Parallel()
	srv := servertest.StartRedis(t)
	proxy := newLossyProxy(t, srv.Addr)
	client := redis.NewClient(&redis.Options{Addr: proxy.addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	store, other := redisstore.New(client), redisstore.New(connect(t, srv))

	t.Run("Claim", func(t *testing.T) {
		proxy.loseNextAnswer(t)
		got, err := store.Claim(t.Context(), "claimed", time.Minute)
		require.NoError(t, err)
		require.Equal(t, plural.Claimed, got.State)
		require.NoError(t, other.Commit(t.Context(), "claimed", got.Token, time.Hour))
	})
	t.Run("Commit", func(t *testing.T) {
		got := claimed(t, store, "committed")
		proxy.loseNextAnswer(t)
		require.NoError(t, store.Commit(t.Context(), "committed", got, time.Hour))
		require.ErrorIs(t, store.Commit(t.Context(), "committed", got, time.Hour), plural.ErrClaimLost, "another call")
		require.Equal(t, plural.Done, state(t, other, "committed"))
	})
	t.Run("Release", func(t *testing.T) {
		got := claimed(t, store, "released")
		proxy.loseNextAnswer(t)
		require.NoError(t, store.Release(t.Context(), "released", got))
		require.ErrorIs(t, store.Release(t.Context(), "released", got), plural.ErrClaimLost, "another call")
		require.Equal(t, plural.Claimed, state(t, other, "released"))
	})
	t.Run("Another worker claims before Release is repeated", func(t *testing.T) {
		got := claimed(t, store, "overtaken")
		proxy.loseNextAnswer(t, func() { claimed(t, other, "overtaken") })
		require.NoError(t, store.Release(t.Context(), "overtaken", got))
		require.Equal(t, plural.InProgress, state(t, other, "overtaken"), "the other worker's claim stays")
	})
	t.Run("Lock", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		proxy.loseNextAnswer(t)
		free, err := store.Lock(ctx, "k", time.Hour)
		require.NoError(t, err, "the repeated command does not wait for its own lock")
		proxy.loseNextAnswer(t)
		free(ctx)
		again, err := other.Lock(ctx, "k", time.Hour)
		require.NoError(t, err)
		again(ctx)
	})
	t.Run("Lock that fails after all repetitions", func(t *testing.T) {
		proxy.loseNextAnswer(t)
		proxy.loseNextAnswer(t)
		proxy.loseNextAnswer(t)
		proxy.loseNextAnswer(t) // the first command and its three repetitions
		_, err := store.Lock(t.Context(), "given-up", time.Hour)
		require.Error(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		free, err := other.Lock(ctx, "given-up", time.Hour)
		require.NoError(t, err, "the failed call has released the lock that it may have taken")
		free(ctx)
	})
	t.Run("Save", func(t *testing.T) {
		proxy.loseNextAnswer(t)
		require.NoError(t, store.Save(t.Context(), "saved", []byte("sealed"), time.Hour))
		sealed, err := other.Load(t.Context(), "saved")
		require.NoError(t, err)
		require.Equal(t, []byte("sealed"), sealed)
	})
	require.Zero(t, proxy.lossesLeft(), "every answer that should be lost was lost")
}

func claimed(t *testing.T, s *redisstore.Store, id string) (token string) {
	t.Helper()
	got, err := s.Claim(t.Context(), id, time.Minute)
	require.NoError(t, err)
	require.Equal(t, plural.Claimed, got.State)
	return got.Token
}

func state(t *testing.T, s *redisstore.Store, id string) plural.ClaimState {
	t.Helper()
	got, err := s.Claim(t.Context(), id, time.Minute)
	require.NoError(t, err)
	return got.State
}

// lossyProxy passes on the data between clients and a Redis server. It can drop
// the answer to a command. Redis then carries out the command, and lossyProxy
// reads the answer. But lossyProxy does not pass the answer on. It closes the
// client's connection instead.
type lossyProxy struct {
	addr string

	mu   sync.Mutex
	lose []func() // one function for each answer that will be lost; it is called before the connection is closed
}

func newLossyProxy(t *testing.T, redisAddr string) *lossyProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &lossyProxy{addr: listener.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.relayConnection(client, redisAddr) })
		}
	})
	t.Cleanup(func() { // runs after the client's cleanup, which closes the client's connections
		_ = listener.Close()
		all.Wait()
	})
	return l
}

// Each call of loseNextAnswer makes the proxy drop the answer to one more
// command of the store. Before the proxy closes the connection, the functions
// in the parameter meanwhile are called.
func (l *lossyProxy) loseNextAnswer(t *testing.T, meanwhile ...func()) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = append(l.lose, func() {
		for _, f := range meanwhile {
			f()
		}
	})
}

func (l *lossyProxy) lossesLeft() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lose)
}

// relayConnection forwards the data of one connection in both directions. After
// a call of loseNextAnswer, relayConnection drops the answer to the store's
// next command, and closes the client's connection.
func (l *lossyProxy) relayConnection(client net.Conn, redisAddr string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", redisAddr)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var lost atomic.Pointer[func()]
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		defer func() { _ = client.Close() }()
		answer := make([]byte, 1<<16)
		for {
			n, err := server.Read(answer)
			if err != nil {
				return
			}
			if meanwhile := lost.Load(); meanwhile != nil {
				(*meanwhile)()
				return
			}
			if _, err := client.Write(answer[:n]); err != nil {
				return
			}
		}
	})
	command := make([]byte, 1<<16)
	for {
		n, err := client.Read(command)
		if err != nil {
			_ = server.Close()
			return
		}
		if isOfTheStore(command[:n]) {
			if meanwhile := l.takeLoss(); meanwhile != nil {
				lost.Store(&meanwhile)
			}
		}
		if _, err := server.Write(command[:n]); err != nil {
			return
		}
	}
}

func isOfTheStore(command []byte) bool {
	command = bytes.ToLower(command)
	return bytes.Contains(command, []byte("\r\nset\r\n")) || bytes.Contains(command, []byte("\r\neval"))
}

func (l *lossyProxy) takeLoss() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lose) == 0 {
		return nil
	}
	first := l.lose[0]
	l.lose = l.lose[1:]
	return first
}

// Everything in the store expires.
func TestNothingIsKeptWithoutAnEnd(t *testing.T) {
	t.Parallel()
	srv := servertest.StartRedis(t)
	client := connect(t, srv)
	store := redisstore.New(client)
	for _, none := range []time.Duration{0, -1, -time.Minute, time.Microsecond} {
		require.ErrorContains(t, store.Save(t.Context(), "k", []byte("sealed"), none), "redisstore: save token: ")
		_, err := store.Lock(t.Context(), "k", none)
		require.ErrorContains(t, err, "redisstore: lock: ")
	}
	require.NoError(t, store.Save(t.Context(), "k", []byte("sealed"), time.Minute))
	_, err := store.Lock(t.Context(), "k", time.Minute)
	require.NoError(t, err)
	require.NoError(t, store.Commit(t.Context(), "committed", claimed(t, store, "committed"), time.Minute))
	require.NoError(t, store.Release(t.Context(), "released", claimed(t, store, "released")))
	claimed(t, store, "claimed")

	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 5)
	for _, key := range keys {
		left, err := client.PTTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.Positive(t, left, key)
	}
}

// A Redis user needs only the rights that the README lists.
func TestUserOfTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^ACL (SETUSER plural .*)$`).FindSubmatch(readme)
	require.NotNil(t, line)
	srv := servertest.StartRedis(t)
	var rule []any
	for word := range strings.FieldsSeq(string(line[1])) {
		rule = append(rule, word)
	}
	require.NoError(t, connect(t, srv).Do(t.Context(), append([]any{"ACL"}, rule...)...).Err())

	user := redis.NewClient(&redis.Options{Addr: srv.Addr, Username: "plural", Password: "password"})
	t.Cleanup(func() { _ = user.Close() })
	require.ErrorContains(t, user.FlushAll(t.Context()).Err(), "NOPERM")
	require.ErrorContains(t, user.Set(t.Context(), "another", "x", time.Minute).Err(), "NOPERM")
	pluraltest.TestDeduper(t, func() plural.Deduper { return redisstore.New(user) }, true)
	pluraltest.TestTokenStore(t, func() plural.TokenStore { return redisstore.New(user) })
}
