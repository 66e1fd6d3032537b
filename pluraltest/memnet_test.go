package pluraltest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func TestMemoryConnection(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(t *testing.T, client, server net.Conn, reset func()){
		"a write does not wait for a reader": func(t *testing.T, client, server net.Conn, _ func()) {
			t.Helper()
			n, err := client.Write([]byte("hello"))
			require.NoError(t, err)
			require.Equal(t, 5, n)
			got := make([]byte, 9)
			n, err = server.Read(got)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got[:n]))
		},
		"after a close the peer reads the rest and the end of file": func(t *testing.T, client, server net.Conn, _ func()) {
			t.Helper()
			_, err := server.Write([]byte("rest"))
			require.NoError(t, err)
			require.NoError(t, server.Close())
			got, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Equal(t, "rest", string(got))
			_, err = server.Read(got)
			require.ErrorIs(t, err, net.ErrClosed)
		},
		"after a reset the rest is lost": func(t *testing.T, client, server net.Conn, reset func()) {
			t.Helper()
			_, err := server.Write([]byte("rest"))
			require.NoError(t, err)
			reset()
			_, err = client.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			_, err = client.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.EPIPE)
		},
		"one write to a closed peer succeeds": func(t *testing.T, client, server net.Conn, _ func()) {
			t.Helper()
			require.NoError(t, server.Close())
			n, err := client.Write([]byte("x"))
			require.NoError(t, err)
			require.Equal(t, 1, n)
			_, err = client.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.EPIPE)
			_, err = client.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		},
		"a writer waits for a slow reader": func(t *testing.T, client, server net.Conn, _ func()) {
			t.Helper()
			sent := bytes.Repeat([]byte("0123456789"), 50_000)
			done := make(chan error, 1)
			go func() {
				_, err := client.Write(sent)
				done <- errors.Join(err, client.Close())
			}()
			synctest.Wait()
			require.Empty(t, done)
			got, err := io.ReadAll(server)
			require.NoError(t, err)
			require.NoError(t, <-done)
			require.Equal(t, sent, got)
		},
		"deadlines": func(t *testing.T, client, _ net.Conn, _ func()) {
			t.Helper()
			start := time.Now()
			require.NoError(t, client.SetDeadline(start.Add(time.Second)))
			require.NoError(t, client.SetReadDeadline(start.Add(3*time.Second)))
			_, err := client.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
			require.Equal(t, 3*time.Second, time.Since(start))
			_, err = client.Write([]byte("x"))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, client.SetDeadline(time.Time{}))
			_, err = client.Write([]byte("x"))
			require.NoError(t, err)
		},
		"a deadline in the past ends a read": func(t *testing.T, client, _ net.Conn, _ func()) {
			t.Helper()
			done := make(chan error, 1)
			go func() {
				_, err := client.Read(make([]byte, 1))
				done <- err
			}()
			synctest.Wait()
			require.NoError(t, client.SetReadDeadline(time.Unix(1, 0)))
			require.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
		},
		"a close interrupts": func(t *testing.T, client, _ net.Conn, _ func()) {
			t.Helper()
			done := make(chan error, 1)
			go func() {
				_, err := client.Read(make([]byte, 1))
				done <- err
			}()
			synctest.Wait()
			require.NoError(t, client.Close())
			require.ErrorIs(t, <-done, net.ErrClosed)
			require.NoError(t, client.Close())
		},
		"addresses": func(t *testing.T, client, server net.Conn, _ func()) {
			t.Helper()
			require.Equal(t, "tcp", client.LocalAddr().Network())
			require.Equal(t, "127.0.0.1:0", server.RemoteAddr().String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server, reset := pluraltest.MemPair()
				check(t, client, server, reset)
				require.NoError(t, client.Close())
				require.NoError(t, server.Close())
			})
		})
	}
}

func TestStreamResetsBecomeProtocolErrors(t *testing.T) {
	t.Parallel()
	frames := []byte{
		0, 0, 3, 0, 1, 0, 0, 0, 1, 3, 0, 2, // DATA whose payload looks like RST_STREAM
		0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2, // RST_STREAM INTERNAL_ERROR
		0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8, // RST_STREAM CANCEL
		0, 0, 0, 4, 1, 0, 0, 0, 0, // SETTINGS acknowledgement
		0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 2, // RST_STREAM INTERNAL_ERROR
	}
	want := bytes.Clone(frames)
	want[24], want[len(want)-1] = 1, 1
	for size := 1; size <= len(frames); size++ {
		require.Equal(t, want, pluraltest.EditFrames(frames, size), "in pieces of %d", size)
	}
}
