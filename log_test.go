package plural_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The request for the token has the secret in its body.
func TestLogOfAFailedTokenRequestHasNoSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, fail := range map[string]func(s sent) (*http.Response, error){
			"no answer": func(s sent) (*http.Response, error) { return nil, errors.New("reset after " + s.body) },
			"an echo":   func(s sent) (*http.Response, error) { return answer(400, s.body), nil },
		} {
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
			require.Error(t, (&gateway{token: fail}).client(t, plural.WithLogger(logger)).Warm(t.Context()))
			require.Contains(t, log.String(), `"op":"token"`, name)
			require.NotContains(t, log.String(), gatewayClientSecret, name)
		}
	})
}

func TestLogNamesTriesAndNoSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		g := &gateway{api: func(s sent) (*http.Response, error) {
			_ = s.wait(time.Second)
			return answer(500, `{"message":"body-of-answer"}`, "X-Header", "header-of-answer"), nil
		}}
		c := g.client(t, plural.WithLogger(logger), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2}))
		require.Error(
			t,
			c.Do(
				t.Context(),
				http.MethodGet,
				somePath+"?card=no-4111",
				nil,
				nil,
				plural.WithRequestID("rid-1"),
				plural.WithHeader("X-Mine", "header-of-mine"),
			),
		)
		require.Error(
			t,
			c.Do(
				t.Context(),
				http.MethodPost,
				somePath,
				map[string]string{"card": "no-4111"},
				nil,
				plural.WithRequestID("rid-2"),
			),
		)

		var lines []map[string]any
		for line := range strings.Lines(log.String()) {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &fields))
			require.Equal(t, "DEBUG", fields["level"])
			require.Equal(t, "plural request", fields["msg"])
			delete(fields, "level")
			delete(fields, "msg")
			delete(fields, "time")
			lines = append(lines, fields)
		}
		tokenID := g.tokens[0].Header.Get("Request-ID")
		second := float64(time.Second)
		require.Equal(t, []map[string]any{
			{
				"op":         "token",
				"method":     "POST",
				"path":       "/api/auth/v1/token",
				"status":     200.0,
				"request_id": tokenID,
				"attempt":    1.0,
				"duration":   0.0,
			},
			{
				"op":         "do",
				"method":     "GET",
				"path":       somePath,
				"status":     500.0,
				"request_id": "rid-1",
				"attempt":    1.0,
				"duration":   second,
			},
			{
				"op":         "do",
				"method":     "GET",
				"path":       somePath,
				"status":     500.0,
				"request_id": "rid-1",
				"attempt":    2.0,
				"duration":   second,
			},
			{
				"op":         "do",
				"method":     "POST",
				"path":       somePath,
				"status":     500.0,
				"request_id": "rid-2",
				"attempt":    1.0,
				"duration":   second,
			},
		}, lines)
		for _, secret := range []string{gatewayClientSecret, gatewayClientID, "token-1", "no-4111", "of-answer", "of-mine"} {
			require.NotContains(t, log.String(), secret)
		}
	})
}
