package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// program is a running sandbox.
type program struct {
	t    *testing.T
	base string
	said string        // the output until the sandbox was ready
	end  func() string // stops the sandbox and returns the rest of its output
}

// startProgram runs the sandbox as the function main does. It waits until the
// sandbox has printed its settings.
func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	p := &program{t: t}
	go func() { _ = in.CloseWithError(run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), in)) }()
	p.end = sync.OnceValue(func() string {
		stop()
		rest, err := io.ReadAll(out)
		require.NoError(t, err)
		return string(rest)
	})
	t.Cleanup(func() { p.end() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Stop") {
		p.said += lines.Text() + "\n"
		if after, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "export PLURAL_BASE_URL="); ok {
			p.base = after
		}
	}
	require.NotEmpty(t, p.base)
	return p
}

// The method send makes a request with a token, and returns the answer.
func (p *program) send(method, path, token string, form url.Values) (int, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp.StatusCode, string(body)
}

func TestRun(t *testing.T) {
	t.Parallel()
	p := startProgram(
		t, "-client-id", "shop", "-client-secret", "00ff", "-token", "pasted", "-fault-rate", "1e-300", "-seed", "77",
	)
	require.Contains(t, p.said, "-seed 77 repeats the same faults")
	require.Contains(t, p.said, "sample token are accepted too")
	status, _ := p.send("GET", "/api/pay/v1/orders/x", "pasted", nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, p.end(), "stopped")
}

// runCommands runs commands in a shell, and returns the JSON that the commands
// print. On a machine without curl, runCommands skips the test.
func (p *program) runCommands(text string) map[string]any {
	p.t.Helper()
	for _, name := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") != "true" {
			p.t.Skipf("%s is not installed; CI runs this test", name)
		}
	}
	home := p.t.TempDir()
	require.NoError(
		p.t,
		os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nmax-time = 60\nnoproxy = \"*\"\n"), 0o600),
	)
	cmd := exec.CommandContext(p.t.Context(), "sh", "-c", text)
	cmd.Env = append(os.Environ(), "CURL_HOME="+home)
	out, err := cmd.Output()
	require.NoError(p.t, err, "%s", out)
	var doc map[string]any
	require.NoError(p.t, json.Unmarshal(out, &doc), "%s", out)
	return doc
}

// TestCurlCommandsOfTheGuide runs the integration guide's cURL commands against
// the sandbox. It changes only the host and the order's id in them.
func TestCurlCommandsOfTheGuide(t *testing.T) {
	t.Parallel()
	p := startProgram(t)
	require.NotContains(t, p.said, "-seed")
	guide := func(command, orderID string) map[string]any {
		t.Helper()
		script, err := os.ReadFile(filepath.Join("..", "..", "pluraltest", "testdata", "curl", command+".sh"))
		require.NoError(t, err)
		host := regexp.MustCompile(`https://[a-z0-9.]+`)
		require.Len(t, host.FindAll(script, -1), 1)
		text := host.ReplaceAllLiteralString(string(script), p.base)
		return p.runCommands(strings.Replace(text, "/order_id/", "/"+orderID+"/", 1))
	}
	for i, environment := range []string{"uat", "prod"} {
		token, _ := guide("token-"+environment, "")["access_token"].(string)
		require.NotEmpty(t, token)
		require.Equal(t, "Order Creation Successful.", guide("checkout-"+environment, "")["response_message"])
		held := make([]string, 2) // one order to capture, and one to cancel
		for j := range held {
			reference := "held-" + strconv.Itoa(2*i+j)
			p.send("POST", "/sandbox/orders", "", values("amount", "110", "reference", reference, "pre_auth", "yes"))
			_, body := p.send("GET", "/api/pay/v1/orders/reference/"+reference, token, nil)
			held[j] = regexp.MustCompile(`"order_id":"([^"]+)"`).FindStringSubmatch(body)[1]
			p.send("POST", "/sandbox/orders/"+held[j]+"/pay", "", values("decision", "approve"))
		}
		require.Equal(t, "PARTIALLY_CAPTURED", guide("capture-"+environment, held[0])["data"].(map[string]any)["status"])
		require.Equal(t, "CANCELLED", guide("cancel-"+environment, held[1])["data"].(map[string]any)["status"])
	}
}

// TestCurlCommandsOfTheDocumentation runs the commands in docs/pluraltest.md.
func TestCurlCommandsOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "pluraltest.md"))
	require.NoError(t, err)
	commands := regexp.MustCompile("(?s)```\n(TOKEN=.*?)```").FindSubmatch(page)
	require.NotNil(t, commands)
	p := startProgram(t)
	order := p.runCommands(strings.ReplaceAll(string(commands[1]), "http://127.0.0.1:8080", p.base))
	require.Contains(t, order["redirect_url"], p.base)
}

func TestWarning(t *testing.T) {
	t.Parallel()
	about := func(secret string, form pluraltest.WebhookKeyForm) string {
		srv := pluraltest.New(pluraltest.WithCredentials("shop", secret), pluraltest.WithCallbackKey(form))
		defer srv.Close()
		return secretWarning(srv)
	}
	require.Empty(t, about("00ffA", pluraltest.WebhookKeyHex))
	require.Contains(t, about("fgwei7egyhuggwp39w8rh", pluraltest.WebhookKeyHex), "empty signature")
	require.Empty(t, about("fgwei7egyhuggwp39w8rh", pluraltest.WebhookKeyCharacters))
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"every interface": {[]string{"-addr", ":8080"}, "loopback only"},
		"public":          {[]string{"-addr", "0.0.0.0:8080"}, "loopback only"},
		"no port":         {[]string{"-addr", "localhost"}, "missing port"},
		"rate":            {[]string{"-fault-rate", "2"}, "from 0 to 1"},
		"no rate":         {[]string{"-fault-rate", "NaN"}, "from 0 to 1"},
		"scale":           {[]string{"-webhook-scale", "-1"}, "not below 0"},
		"no scale":        {[]string{"-webhook-scale", "NaN"}, "not below 0"},
		"endless":         {[]string{"-webhook-scale", "Inf"}, "-webhook-scale: a number"},
		"retries":         {[]string{"-retries", "-1"}, "-retries: not below 0"},
		"webhook URL":     {[]string{"-webhook-url", "x"}, "not an http or https URL"},
		"half":            {[]string{"-client-id", "x"}, "go together"},
		"duplicates":      {[]string{"-duplicates", "maybe"}, "existing, reject or accept"},
		"key":             {[]string{"-webhook-key", "rot13"}, "characters, hex or base64"},
		"callback key":    {[]string{"-callback-key", "rot13"}, "characters, hex or base64"},
		"lapse":           {[]string{"-hold-lapse", "moon"}, "both, bank or books"},
		"lifetime":        {[]string{"-hold-lifetime", "-1s"}, "-hold-lifetime: not below 0"},
		"argument":        {[]string{"now"}, "unexpected argument"},
	} {
		_, err := parseSettings(tt.args, io.Discard)
		require.ErrorContains(t, err, tt.want, name)
	}
	s, err := parseSettings([]string{
		"-addr", "[::1]:0", "-duplicates", "reject", "-webhook-key", "base64", "-webhook-secret", "c2VjcmV0",
		"-token", "a", "-token", "b", "-webhook-scale", "0.001",
	}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, pluraltest.DuplicateRejected, s.Duplicates)
	require.Equal(t, pluraltest.WebhookKeyBase64, s.WebhookKey)
	require.Equal(t, []string{"a", "b"}, s.Tokens)
	require.NotZero(t, s.Seed, "chosen at random")
	s, err = parseSettings([]string{"-seed", "18446744073709551615"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, uint64(math.MaxUint64), s.Seed)
}
