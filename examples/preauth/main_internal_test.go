package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func TestDemo(t *testing.T) { //nolint:paralleltest // it sets the environment
	for _, name := range variables() {
		t.Setenv(name, "")
	}
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Contains(t, out.String(), "every effect exactly once")
}

// TestHalfAnEnvironmentIsAnError sets only one of the variables at a time. The
// program then must return an error, and must not use the emulator.
func TestHalfAnEnvironmentIsAnError(t *testing.T) { //nolint:paralleltest // it sets the environment
	for alone, value := range map[string]string{
		"PLURAL_CLIENT_ID": "id", "PLURAL_CLIENT_SECRET": "00ff", "PLURAL_ENVIRONMENT": "uat",
		"PLURAL_BASE_URL": "http://127.0.0.1:9",
	} {
		for _, name := range variables() {
			t.Setenv(name, "")
		}
		t.Setenv(alone, value)
		var out strings.Builder
		require.Error(t, run(t.Context(), &out), alone)
		require.Empty(t, out.String())
	}
}

func TestBooksAreChecked(t *testing.T) {
	t.Parallel()
	emulator := pluraltest.New()
	defer emulator.Close()
	w := &walk{emulator: emulator}
	w.expect("the capture", func() int { return len(emulator.Captures("none")) })
	require.ErrorContains(t, w.checkBooks(), "show the capture 0 times")
}

// wordWriter is an io.Writer that keeps the written text. When the text
// contains the word for the first time, wordWriter calls the function in the
// field then.
type wordWriter struct {
	strings.Builder

	word string
	then func()
}

func (h *wordWriter) Write(p []byte) (int, error) {
	n, err := h.Builder.Write(p)
	if h.then != nil && strings.Contains(h.String(), h.word) {
		h.then()
		h.then = nil
	}
	return n, err
}

func TestLive(t *testing.T) { //nolint:paralleltest // it sets the environment
	for name, tt := range map[string]struct {
		then func(srv *pluraltest.Server, id string, stop func())
		want string
	}{
		"paid": {func(srv *pluraltest.Server, id string, _ func()) {
			_, _ = srv.Pay(id, pluraltest.Approve)
		}, "The hold is released: the order is CANCELLED."},
		"cancelled by the payer": {func(srv *pluraltest.Server, id string, _ func()) {
			_, _ = srv.Pay(id, pluraltest.CancelPayment)
		}, "The order is CANCELLED."},
		"interrupted": {func(_ *pluraltest.Server, _ string, stop func()) { stop() }, "The link can still be paid"},
	} {
		srv := pluraltest.NewServer(t)
		t.Setenv("PLURAL_CLIENT_ID", srv.ClientID)
		t.Setenv("PLURAL_CLIENT_SECRET", srv.ClientSecret)
		t.Setenv("PLURAL_ENVIRONMENT", "")
		t.Setenv("PLURAL_BASE_URL", srv.URL)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		out := &wordWriter{word: "Waiting"}
		out.then = func() { tt.then(srv, srv.Orders()[0].ID, stop) }
		require.NoError(t, run(ctx, out), name)
		require.Contains(t, out.String(), tt.want, name)
	}
}
