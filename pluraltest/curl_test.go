package pluraltest_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// The integration guide's commands are in testdata/curl, one file for each,
// with the guide's hosts, sample credentials and sample token. As in the guide,
// a blank follows the token in the capture command. For a cancellation the
// guide names only the endpoint. The tests replace order_id by the order's id.
const guideReference = "112345171" // a JSON number in the checkout command

// TestCurlCommands runs the guide's commands with curl. It changes only the
// host and the order's id in them.
func TestCurlCommands(t *testing.T) {
	t.Parallel()
	needCurl(t)
	for _, environment := range []string{"uat", "prod"} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t, pluraltest.WithGuideSamples())

			token := runCommand(t, srv, "token-"+environment, "")
			require.Equal(t, 200, token.status, "%s", token.body)
			require.NotEmpty(t, token.doc(t)["access_token"])

			checkout := runCommand(t, srv, "checkout-"+environment, "")
			require.Equal(t, 200, checkout.status, "%s", checkout.body)
			require.Equal(t, "Order Creation Successful.", checkout.doc(t)["response_message"])
			id := checkout.doc(t)["order_id"].(string)
			p := &payer{t, srv, id, checkout.doc(t)["redirect_url"].(string)}
			require.Contains(t, p.open().text(), "Pay ₹5.00")
			order := newAPI(t, srv).get(id).data(t)
			require.Equal(t, guideReference, order["merchant_order_reference"])
			require.Equal(t, "192212", order["purchase_details"].(map[string]any)["customer"].(map[string]any)["customer_id"])

			again := runCommand(t, srv, "checkout-"+environment, "")
			require.Equal(t, id, again.doc(t)["order_id"], "the same command makes only one order")

			held := authorized(t, srv, "held-1", 11000)
			captured := runCommand(t, srv, "capture-"+environment, held)
			require.Equal(t, 200, captured.status, "%s", captured.body)
			require.Equal(t, "PARTIALLY_CAPTURED", captured.data(t)["status"])
			require.Equal(t, int64(4000), srv.Captures(held)[0].Amount.Value)
			require.Equal(t, "merchant-capture-ref-r4y", srv.Captures(held)[0].Reference)

			released := authorized(t, srv, "held-2", 11000)
			cancelled := runCommand(t, srv, "cancel-"+environment, released)
			require.Equal(t, 200, cancelled.status, "%s", cancelled.body)
			require.Equal(t, "CANCELLED", cancelled.data(t)["status"])

			for _, request := range srv.Requests() {
				require.NotEmpty(t, request.Op, request.Path)
			}

			own := newAPI(t, srv)
			own.token = own.do("POST", "/api/auth/v1/token", tokenBody(srv.ClientID, srv.ClientSecret,
				"client_credentials")).doc(t)["access_token"].(string)
			require.Equal(t, 200, own.get(id).status, "the server still accepts its own credentials")
			require.Equal(
				t,
				401,
				own.do("POST", "/api/auth/v1/token", tokenBody(srv.ClientID, "fgwei7egyhuggwp39w8rh", "client_credentials")).status,
				"the guide's secret does not belong to the server's own client id",
			)
		})
	}
}

// TestCurlRefusals runs the guide's commands in cases in which the server must
// refuse them.
func TestCurlRefusals(t *testing.T) {
	t.Parallel()
	needCurl(t)
	srv := pluraltest.NewServer(t, pluraltest.WithGuideSamples())
	paid, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "paid-1", Amount: inr(11000)})
	require.NoError(t, err)
	_, err = srv.Pay(paid, pluraltest.Approve)
	require.NoError(t, err)
	require.Equal(t, "OPERATION_NOT_ALLOWED", runCommand(t, srv, "capture-uat", paid).code(t), "nothing is held")
	require.Equal(t, "OPERATION_NOT_ALLOWED", runCommand(t, srv, "cancel-uat", paid).code(t))
	require.Equal(t, "ORDER_NOT_FOUND", runCommand(t, srv, "capture-uat", "").code(t), "order_id is not filled in")
	stranger := pluraltest.NewServer(t)
	require.Equal(t, 401, runCommand(t, stranger, "token-uat", "").status, "the samples need WithGuideSamples")
	require.Equal(t, "UNAUTHORIZED", runCommand(t, stranger, "checkout-uat", "").code(t))
}

// needCurl skips a test on a machine without curl or without a shell. CI has
// both.
func needCurl(t *testing.T) {
	t.Helper()
	for _, program := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing and must be installed in CI", program)
			}
			t.Skipf("%s is not installed; CI runs this test", program)
		}
	}
}

// runCommand runs one of the guide's commands in a shell, as if a person had
// pasted the command. A configuration file makes the program curl print the
// status, and use no proxy.
func runCommand(t *testing.T, srv *pluraltest.Server, command, orderID string) reply {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "curl", command+".sh"))
	require.NoError(t, err)
	host := map[bool]string{
		true:  "https://pluraluat.v2.pinepg.in",
		false: "https://api.pluralpay.in",
	}[strings.HasSuffix(command, "uat")]
	require.Equal(t, 1, strings.Count(string(script), host))
	text := strings.Replace(string(script), host, srv.URL, 1)
	if orderID != "" {
		text = strings.Replace(text, "/order_id/", "/"+orderID+"/", 1)
	}
	home := t.TempDir()
	const settings = "silent\nshow-error\nmax-time = 60\nnoproxy = \"*\"\nwrite-out = \"\\n%{http_code}\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(home, ".curlrc"), []byte(settings), 0o600))

	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Env = append(os.Environ(), "CURL_HOME="+home)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	body, code, found := cutLast(string(out), "\n")
	require.True(t, found)
	status, err := strconv.Atoi(code)
	require.NoError(t, err, "%s", out)
	require.True(t, json.Valid([]byte(body)), "%s", out)
	return reply{status: status, body: []byte(body)}
}

func cutLast(text, at string) (before, after string, found bool) {
	i := strings.LastIndex(text, at)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(at):], true
}
