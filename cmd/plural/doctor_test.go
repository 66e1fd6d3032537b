package main_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// doctorRow is one row of the table that plural doctor prints. It has the
// result of one check, and the text about that result.
type doctorRow struct{ result, says string }

// runDoctor runs plural doctor, and returns a row of the table for each check.
func runDoctor(t *testing.T, variables ...string) (exitCode int, rows map[string]doctorRow, shown string) {
	t.Helper()
	exitCode, shown = startProgram(t, variables, "doctor").wait()
	rows = map[string]doctorRow{}
	name := ""
	for line := range strings.Lines(shown) {
		cells := strings.Split(line, "│")
		if len(cells) < 5 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[1] != "" {
			name = cells[1]
			rows[name] = doctorRow{cells[2], cells[3]}
			continue
		}
		rows[name] = doctorRow{rows[name].result, rows[name].says + " " + cells[3]} // a line that continues the row above
	}
	delete(rows, "CHECK")
	return exitCode, rows, shown
}

func TestDoctorIsContent(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	exitCode, rows, shown := runDoctor(t, variablesOf(srv)...)
	require.Zero(t, exitCode, shown)
	want := map[string]string{
		"variables": "ok", "installation": "ok", "secret": "ok", "proxy": "ok", "dns": "ok", "tls": "-",
		"network": "ok", "clock": "ok", "token": "ok", "read": "ok",
	}
	require.Len(t, rows, len(want))
	for check, result := range want {
		require.Equal(t, result, rows[check].result, check)
	}
	require.Empty(t, srv.Orders(), "the doctor changes nothing")
	for _, r := range srv.Requests() {
		require.True(t, r.Method == http.MethodGet || r.Op == pluraltest.OpToken, r.Path)
	}
	requireNoSecrets(t, srv, shown)
}

func TestDoctorOverTLS(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithHTTP2())
	authority := filepath.Join(t.TempDir(), "authority.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(block), 0o600))

	exitCode, rows, shown := runDoctor(t, append(variablesOf(srv), "SSL_CERT_FILE="+authority)...)
	require.Zero(t, exitCode, shown)
	require.Equal(t, "ok", rows["tls"].result)
	require.Contains(t, rows["tls"].says, "TLS 1.3, certificate by pluraltest")
	require.Contains(t, rows["network"].says, "HTTP/2.0")

	exitCode, rows, shown = runDoctor(t, variablesOf(srv)...)
	require.Equal(t, 1, exitCode)
	require.Equal(t, "FAULT", rows["tls"].result, shown)
	require.Contains(t, rows["tls"].says, "an authority that this machine does not know")
}

func TestDoctorFindsFaults(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	late := pluraltest.NewServer(t, pluraltest.WithClock(func() time.Time { return time.Now().Add(-10 * time.Minute) }))
	broken := pluraltest.NewServer(t)
	broken.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpOrdersGetByReference {
			return pluraltest.StatusFault(403, "INVALID_REQUEST", pluraltest.ApplyNever)
		}
		return pluraltest.NoFault
	})
	hostile := pluraltest.NewServer(t)
	hostile.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		return refusedIf(r.Op == pluraltest.OpOrdersGetByReference, 403, "A\x1b[2Jcard 4012001037141112")
	})
	elsewhere := pluraltest.NewServer(t)
	elsewhere.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		return refusedIf(r.Op == pluraltest.OpOrdersGetByReference, 404, "")
	})
	page := func(op string) *pluraltest.Server {
		srv := pluraltest.NewServer(t)
		srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == op {
				return pluraltest.Fault{Name: "Login", Effect: pluraltest.ApplyNever, Answer: pluraltest.AnswerHTML, Status: 401}
			}
			return pluraltest.NoFault
		})
		return srv
	}
	silent := pluraltest.NewServer(t)
	silent.Down()
	plain := pluraltest.NewServer(t, pluraltest.WithCredentials("shop", "not hex, but long enough"))
	for _, tt := range []struct {
		name      string
		variables []string
		check     string // the check that finds the fault
		says      string
	}{
		{"nothing is set", nil, "variables", "must be set"},
		{"a secret with a space", append(variablesOf(srv), "PLURAL_CLIENT_SECRET=two words"), "variables", ""},
		{"two installations", append(variablesOf(srv), "PLURAL_ENVIRONMENT=uat"), "variables", "not both"},
		{"production by its address", append(variablesOf(srv), "PLURAL_BASE_URL=https://api.pluralpay.in",
			"HTTPS_PROXY=http://127.0.0.1:1"), "installation", "real money"},
		{"production in capitals", append(variablesOf(srv), "PLURAL_BASE_URL=https://API.PluralPay.in",
			"HTTPS_PROXY=http://127.0.0.1:1"), "installation", "real money"},
		{"production with a dot", append(variablesOf(srv), "PLURAL_BASE_URL=https://api.pluralpay.in.",
			"HTTPS_PROXY=http://127.0.0.1:1"), "installation", "real money"},
		{
			"another secret", append(variablesOf(srv), "PLURAL_CLIENT_SECRET="+strings.Repeat("ab", 16)),
			"token", "does not take",
		},
		{"a clock that is off", variablesOf(late), "clock", "10m0s"},
		{"the account must not read orders", variablesOf(broken), "read", "403 INVALID_REQUEST"},
		{"an answer with something else in the place of a code", variablesOf(hostile), "read", "403 (no code)"},
		{"no such address", variablesOf(elsewhere), "read", "orders cannot be read: 404"},
		{"a proxy's page in place of a token", variablesOf(page(pluraltest.OpToken)), "token", "no token: 401"},
		{
			"a proxy's page in place of an order", variablesOf(page(pluraltest.OpOrdersGetByReference)),
			"read", "orders cannot be read: 401",
		},
		{"nobody answers", variablesOf(silent), "network", "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			exitCode, rows, shown := runDoctor(t, tt.variables...)
			require.Equal(t, 1, exitCode, shown)
			require.Equal(t, "FAULT", rows[tt.check].result, shown)
			require.Contains(t, rows[tt.check].says, tt.says)
			require.NotContains(t, shown, "\x1b[2J")
			requireNoSecrets(t, srv, shown)
		})
	}
	t.Run("a secret that is not in hex may be right", func(t *testing.T) {
		t.Parallel()
		exitCode, rows, shown := runDoctor(t, append(variablesOf(plain), "PLURAL_CLIENT_SECRET=not-in-hex")...)
		require.Equal(t, "note", rows["secret"].result, shown)
		require.Equal(t, 1, exitCode, "Plural refuses this secret, so the doctor finds a fault")
	})
}

// If the doctor is stopped, it reports no fault. It still exits with 1, because
// it has not made all checks.
func TestDoctorIsStopped(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	run := startProgram(t, []string{
		"PLURAL_CLIENT_ID=shop", "PLURAL_CLIENT_SECRET=" + strings.Repeat("ab", 16), "PLURAL_BASE_URL=" + server.URL,
	}, "doctor")
	<-asked
	require.NoError(t, run.cmd.Process.Signal(syscall.SIGINT))
	exitCode, shown := run.wait()
	require.Equal(t, 1, exitCode)
	require.NotContains(t, shown, "FAULT")
	require.Contains(t, shown, "the doctor was stopped")
}

func TestDoctorNotesAProxyThatIsNotUsed(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithTLS())
	_, rows, shown := runDoctor(t, append(variablesOf(srv), "HTTPS_PROXY=http://proxy%zz")...)
	require.Equal(t, "note", rows["proxy"].result, shown)
}

// requireNoSecrets fails t if a text contains a secret or a token.
func requireNoSecrets(t *testing.T, srv *pluraltest.Server, text string) {
	t.Helper()
	secrets := []string{srv.ClientSecret, srv.WebhookSecret}
	for _, token := range srv.Tokens() {
		secrets = append(secrets, token.Value)
	}
	for _, secret := range secrets {
		require.NotContains(t, text, secret)
	}
}
