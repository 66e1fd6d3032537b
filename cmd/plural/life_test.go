package main_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// waitFor waits until the terminal shows a text.
func (r *terminalRun) waitFor(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(r.shown(), text) }, 20*time.Second, 10*time.Millisecond,
		"the terminal has not shown %q", text)
}

// A run is stopped while it waits for payments. The next run continues at that
// point. It does not repeat the questions that the stopped run has asked, and
// shows the same payment links.
func TestProbeIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	dir := t.TempDir()
	first := startIn(t, dir, variablesOf(srv), "probe", "--pace", "100ms")
	first.waitFor(t, "The program continues by itself.")
	orders := len(srv.Orders())
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGINT))
	exitCode, shown := first.wait()
	require.Equal(t, 1, exitCode)
	require.Contains(t, shown, "The same command continues from here")

	report, second := runProbeIn(t, dir, srv, variablesOf(srv), "--pace", "100ms")
	require.Contains(t, second.shown(), "This continues the run")
	require.Equal(t, linkPattern.FindAllString(shown, -1), linkPattern.FindAllString(second.shown(), -1))
	require.Equal(t, assumedAnswers(), report.answersByID())
	charges := 0
	for _, order := range srv.Orders() {
		if order.Type == "CHARGE" {
			charges++
		}
	}
	require.Equal(t, orders, charges, "no order is made twice")
	wrong := 0
	for _, request := range srv.Requests() {
		if request.Op == pluraltest.OpToken && request.Status == http.StatusUnauthorized {
			wrong++
		}
	}
	require.Equal(t, 1, wrong, "a wrong secret is never tried twice")
	requireGivenBack(t, srv, 0)
}

// A run asks again each question that the stopped run has not got an answer to,
// and announces these questions.
func TestProbeAnnouncesWhatItAsksAgain(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpOrdersGet {
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	dir := t.TempDir()
	first := startIn(t, dir, variablesOf(srv), "probe", "--pace", "10ms", "--patience", "1s")
	first.waitFor(t, "The program continues by itself.")
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGINT))
	_, shown := first.wait()
	require.Contains(t, shown, " failed ")
	srv.SetFaultPlan(nil)

	_, second := runProbeIn(t, dir, srv, variablesOf(srv), "--pace", "10ms")
	announced := regexp.MustCompile(`Questions to ask: (\d+)`).FindStringSubmatch(second.shown())
	require.NotNil(t, announced)
	asked := regexp.MustCompile(`(?m)^ *\d+/\d+ +(\S+)`).FindAllStringSubmatch(second.shown(), -1)
	asked = slices.DeleteFunc(asked, func(line []string) bool { return line[1] == "hold.lifetime" })
	require.Equal(t, announced[1], strconv.Itoa(len(asked)), second.shown())
}

// A run is stopped before it has given the money back. Then a run with -clean
// gives the money back.
func TestProbeCleans(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	dir := t.TempDir()
	first := startIn(t, dir, variablesOf(srv), "probe", "--pace", "100ms", "--patience", "60s")
	startPayer(t, first, nil) // nobody sets a webhook address, so no webhook comes, and the run goes on waiting
	first.waitFor(t, "callback.fields")
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGINT))
	exitCode, _ := first.wait()
	require.Equal(t, 1, exitCode)

	exitCode, shown := startIn(t, dir, variablesOf(srv), "probe", "-clean").wait()
	require.Zero(t, exitCode, shown)
	requireGivenBack(t, srv, 0)

	other := append(variablesOf(srv), "PLURAL_CLIENT_ID=another")
	exitCode, shown = startIn(t, dir, other, "probe", "-clean").wait()
	require.Equal(t, 1, exitCode)
	require.Contains(t, shown, "belongs to another account")
}

// The first run leaves a hold. The next run finds out what happened to the
// hold.
func TestKeptHold(t *testing.T) {
	t.Parallel()
	for answer, end := range map[string]func(*pluraltest.Server, string) error{
		"still held": func(*pluraltest.Server, string) error { return nil },
		"CANCELLED": func(srv *pluraltest.Server, id string) error {
			return srv.LapseHold(id, pluraltest.LapseEverywhere)
		},
		"FAILED": func(srv *pluraltest.Server, id string) error {
			srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.FailedResult)
			body := strings.NewReader(`{"merchant_capture_reference":"by-hand"}`)
			req, err := http.NewRequest(http.MethodPut, srv.URL+"/api/pay/v1/orders/"+id+"/capture", body)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+srv.IssueToken())
			req.Header.Set("Content-Type", "application/json")
			resp, err := srv.Client().Do(req)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		},
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
			dir := t.TempDir()
			_, run := runProbeIn(t, dir, srv, variablesOf(srv), "-keep-hold", "-only", "order.not-found", "-pace", "50ms")
			require.Contains(t, run.shown(), "Payment D stays held")
			requireGivenBack(t, srv, 1)
			require.NoError(t, end(srv, srv.Orders()[0].ID))

			report, _ := runProbeIn(t, dir, srv, variablesOf(srv), "-only", "hold.lifetime", "-pace", "50ms")
			require.Equal(t, map[string]string{"hold.lifetime": answer}, report.answersByID())
			require.Equal(t, "held for", report.Questions[0].Facts[0].Name)
			requireGivenBack(t, srv, 0)
		})
	}
}

// leaveHold makes a run that leaves payment D on hold.
func leaveHold(t *testing.T, dir string, srv *pluraltest.Server) {
	t.Helper()
	_, run := runProbeIn(t, dir, srv, variablesOf(srv), "-keep-hold", "-only", "order.not-found", "-pace", "50ms")
	require.Contains(t, run.shown(), "Payment D stays held")
	requireGivenBack(t, srv, 1)
}

// The first run leaves payment D on hold. The next run asks what happened to
// the hold, but Plural's answer does not show the order of payment D. So the
// question fails. At its end the run still cancels the hold.
func TestKeptHoldIsNotForgotten(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.EmptyOKBeforeApply, pluraltest.ErrorInOKBeforeApply, pluraltest.OtherOrder, pluraltest.Truncate,
	} {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
			dir := t.TempDir()
			leaveHold(t, dir, srv)
			srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), fault)
			report, _ := runProbeIn(t, dir, srv, variablesOf(srv), "-only", "hold.lifetime", "-pace", "50ms")
			require.Contains(t, report.answersByID()["hold.lifetime"], "failed: ")
			requireGivenBack(t, srv, 0)
		})
	}
}

// A run with -clean cancels the hold that an earlier run has kept. The next run
// does not ask the question hold.lifetime, because this hold does not show how
// long Plural keeps a hold.
func TestKeptHoldThatWasCleaned(t *testing.T) {
	t.Parallel()
	var isRefused atomic.Bool
	isRefused.Store(true)
	emulator := emulation{faults: func(r pluraltest.Request) pluraltest.Fault {
		isBack := r.Op == pluraltest.OpRefundsCreate && strings.HasSuffix(r.Reference, "-back")
		return refusedIf(isBack && isRefused.Load(), 422, "OPERATION_NOT_ALLOWED")
	}}
	srv := pluraltest.NewServer(t, emulator.serverOptions()...)
	dir := t.TempDir()
	run := startIn(t, dir, variablesOf(srv), "probe", "-keep-hold", "-only", "capture.document", "-pace", "50ms")
	startPayer(t, run, srv.SetWebhookURL)
	exitCode, shown := run.wait()
	require.Equal(t, 1, exitCode)
	require.Contains(t, shown, "not given back: payment A")

	isRefused.Store(false)
	exitCode, shown = startIn(t, dir, variablesOf(srv), "probe", "-clean").wait()
	require.Zero(t, exitCode, shown)
	requireGivenBack(t, srv, 0)
	report, _ := runProbeIn(t, dir, srv, variablesOf(srv), "-only", "hold.lifetime", "-pace", "50ms")
	require.Empty(t, report.answersByID())
}

// If an order does not show how much money is left to give back, the run
// reports that the payment was not given back.
func TestNotGivenBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		preAuth string // takes the place of "pre_auth":true
		faults  func(r pluraltest.Request) pluraltest.Fault
	}{
		{"the account cannot hold money, and takes it", `"pre_auth":false`, nil},
		{"the capture is lost, and the order does not show it", "", func(r pluraltest.Request) pluraltest.Fault {
			switch r.Op {
			case pluraltest.OpCapturesCreate:
				return pluraltest.ResetAfterApply
			case pluraltest.OpOrdersGet:
				return pluraltest.CaptureDataAbsent
			}
			return pluraltest.NoFault
		}},
		{"the capture is under way", "", func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == pluraltest.OpCapturesCreate {
				return pluraltest.PendingResult
			}
			return pluraltest.NoFault
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t, emulation{faults: tt.faults}.serverOptions()...)
			variables := variablesOf(srv)
			if tt.preAuth != "" {
				variables = append(variables, "PLURAL_BASE_URL="+startRewriter(t, srv, `"pre_auth":true`, tt.preAuth))
			}
			run := startIn(t, t.TempDir(), variables, "probe", "-only", "capture.document", "-pace", "50ms",
				"-patience", "300ms", "-pay-within", "3s")
			startPayer(t, run, srv.SetWebhookURL)
			exitCode, shown := run.wait()
			require.Equal(t, 1, exitCode, shown)
			require.Contains(t, shown, "not given back: payment A (order "+srv.Orders()[0].ID+")")
		})
	}
}

// startRewriter starts a server in front of the emulator, and returns the
// address of the server. In the body of each request, the server replaces the
// first oldText by newText.
func startRewriter(t *testing.T, srv *pluraltest.Server, oldText, newText string) string {
	t.Helper()
	to, err := url.Parse(srv.URL)
	require.NoError(t, err)
	emulator := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		changed := strings.Replace(string(body), oldText, newText, 1)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
		emulator.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// An order that nobody has paid can still be paid after the end of the run.
func TestUnpaidOrderIsNamed(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	dir := t.TempDir()
	run := startIn(t, dir, variablesOf(srv), "probe", "-only", "order.not-found", "-keep-hold", "-pay-within", "1s")
	exitCode, shown := run.wait()
	require.Zero(t, exitCode, shown)
	require.Contains(t, shown, "Nobody has paid order "+srv.Orders()[0].ID+". Please do not pay it any more.")
}

// If a fault ends a run, the run says how to get the money back.
func TestFaultSaysHowToClean(t *testing.T) {
	t.Parallel()
	emulator := emulation{faults: func(r pluraltest.Request) pluraltest.Fault {
		return refusedIf(strings.Contains(r.Reference, "-payd-"), 503, "INTERNAL_ERROR")
	}}
	srv := pluraltest.NewServer(t, emulator.serverOptions()...)
	dir := t.TempDir()
	run := startIn(t, dir, variablesOf(srv), "probe", "-only", "cancel.twice,refund.of-hold", "-keep-hold", "-pace", "50ms")
	startPayer(t, run, srv.SetWebhookURL)
	exitCode, shown := run.wait()
	require.Equal(t, 1, exitCode, shown)
	require.Contains(t, shown, "neither a success nor a refusal: 503 INTERNAL_ERROR")
	require.Contains(t, shown, "plural probe -clean cancels the holds")
}

// An error can come with the status of a success. The probe must not read such
// an error as an empty list of settlements.
func TestErrorInOKIsNoListOfSettlements(t *testing.T) {
	t.Parallel()
	for question, n := range map[string]int32{"settlement.days": 2, "settlement.totals": 1, "settlement.lines": 1} {
		t.Run(question, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int32
			srv := pluraltest.NewServer(t)
			srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
				if r.Op == pluraltest.OpSettlementsList && seen.Add(1) == n {
					return pluraltest.ErrorInOKBeforeApply
				}
				return pluraltest.NoFault
			})
			now := time.Now()
			require.NoError(t, srv.AddSettlement(pluraltest.Settlement{
				UTR: "410000000001", ProcessedAt: now.AddDate(0, 0, -3), SettledAt: now.AddDate(0, 0, -3),
			}))
			dir := t.TempDir()
			runProbeIn(t, dir, srv, variablesOf(srv), "-only", question)
			text, err := os.ReadFile(dir + "/report.json")
			require.NoError(t, err)
			require.Contains(t, string(text), "settlements cannot be read: 200")
		})
	}
}

// A run with -clean and -keep-hold does not cancel the kept hold. It prints
// that all other holds are cancelled.
func TestCleanKeepsTheHold(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	dir := t.TempDir()
	leaveHold(t, dir, srv)
	exitCode, shown := startIn(t, dir, variablesOf(srv), "probe", "-clean", "-keep-hold").wait()
	require.Zero(t, exitCode, shown)
	require.Contains(t, shown, "All holds except a kept one are cancelled")
	requireGivenBack(t, srv, 1)
}

// Two different events of one order have their keys in camelCase. The probe
// must not report that one event came twice.
func TestCamelCaseWebhooks(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	dir := t.TempDir()
	run := startIn(t, dir, variablesOf(srv), "probe", "-only", "webhook.again", "-pace", "50ms", "-patience", "2s",
		"-json", "report.json")
	run.waitFor(t, "The program continues by itself.")
	to := webhookPattern.FindStringSubmatch(run.shown())[1]
	for _, event := range []string{"ORDER_AUTHORIZED", "ORDER_CANCELLED"} {
		body := fmt.Sprintf(`{"eventType":%q,"data":{"orderId":%q}}`, event, srv.Orders()[0].ID)
		req, err := http.NewRequest(http.MethodPost, to, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Webhook-Id", event)
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	startPayer(t, run, nil)
	exitCode, shown := run.wait()
	require.Zero(t, exitCode, shown)
	require.Equal(t, map[string]string{"webhook.again": "it does not come again"}, readReport(t, srv, run).answersByID())
}

// The callback URLs of a run's payments have the port at which the run
// listened. A continued run listens at that port again. If -listen gives
// another port, the run ends with an error.
func TestListenOfAContinuedRun(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	dir := t.TempDir()
	stop := func(args ...string) string {
		run := startIn(t, dir, variablesOf(srv), append([]string{"probe", "-only", "callback.key"}, args...)...)
		run.waitFor(t, "The program continues by itself.")
		require.NoError(t, run.cmd.Process.Signal(syscall.SIGINT))
		_, shown := run.wait()
		return webhookPattern.FindStringSubmatch(shown)[1]
	}
	first := stop()
	require.Equal(t, first, stop(), "without -listen")
	at, err := url.Parse(first)
	require.NoError(t, err)
	require.Equal(t, first, stop("-listen", at.Host), "the same port")

	exitCode, shown := startIn(t, dir, variablesOf(srv), "probe", "-listen", "127.0.0.1:1",
		"-only", "callback.key", "-pay-within", "1s").wait()
	require.Equal(t, 1, exitCode)
	require.Contains(t, shown, "the payments of this run come back to "+at.Host)
}

// If the report cannot be written, the run still reports money that was not
// given back.
func TestReportThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	emulator := emulation{faults: func(r pluraltest.Request) pluraltest.Fault {
		return refusedIf(r.Op == pluraltest.OpCancelsCreate, 422, "OPERATION_NOT_ALLOWED")
	}}
	srv := pluraltest.NewServer(t, emulator.serverOptions()...)
	run := startIn(t, t.TempDir(), variablesOf(srv), "probe", "-only", "refund.of-hold", "-pace", "50ms",
		"-markdown", "no/such/folder.md", "-json", "report.json")
	startPayer(t, run, srv.SetWebhookURL)
	exitCode, shown := run.wait()
	require.Equal(t, 1, exitCode, shown)
	require.Contains(t, shown, "write the report")
	require.Contains(t, shown, "not given back: payment C")
	require.FileExists(t, filepath.Join(run.cmd.Dir, "report.json"))
}

// A firewall refuses every callback URL of this machine. Only the questions
// about callbacks stay open.
func TestProbeBehindAFirewall(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, append(emulation{}.serverOptions(), pluraltest.WithWAF())...)
	report, run := runProbe(t, srv, 0)
	require.Contains(t, run.shown(), "give -public-url")
	want := assumedAnswers()
	delete(want, "callback.key")
	delete(want, "callback.fields")
	require.Equal(t, want, report.answersByID())
	requireGivenBack(t, srv, 0)
}

func TestSettlements(t *testing.T) {
	t.Parallel()
	const paymentID, orderID = "v1-241008182747-aa-8JwMy9-up-k", "v1-241008182747-aa-8JwMy9"
	base := map[string]string{
		"settlement.days":   "the last day counts, by the settled date",
		"settlement.totals": "of all pages", "settlement.lines": "ids of payments",
	}
	for _, tt := range []struct {
		name     string
		quirks   pluraltest.SettlementQuirk
		lineID   string
		question string
		answer   string
	}{
		{"assumed", 0, paymentID, "settlement.days", base["settlement.days"]},
		{
			"by the processed date", pluraltest.SettleByProcessed, paymentID,
			"settlement.days", "the last day counts, by the processed date",
		},
		{
			"the last day does not count", pluraltest.SettleEndExcluded, paymentID,
			"settlement.days", "the last day does not count",
		},
		{"totals of a page", pluraltest.SettlePageTotals, paymentID, "settlement.totals", "of the page"},
		{"ids of orders", 0, orderID, "settlement.lines", "ids of orders"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t, pluraltest.WithSettlementQuirks(tt.quirks))
			now := time.Now()
			for i := range 3 {
				settled := now.AddDate(0, 0, 3*i-9)
				require.NoError(t, srv.AddSettlement(pluraltest.Settlement{
					UTR: fmt.Sprintf("41000000000%d", i), ProcessedAt: settled.AddDate(0, 0, -1), SettledAt: settled,
					Lines: []pluraltest.SettlementLine{{TransactionID: tt.lineID, PaidAt: now, Amount: "10"}},
				}))
			}

			dir := t.TempDir()
			report, _ := runProbeIn(t, dir, srv, variablesOf(srv),
				"-only", "settlement.days,settlement.totals,settlement.lines")
			want := maps.Clone(base)
			want[tt.question] = tt.answer
			require.Equal(t, want, report.answersByID())
			text, err := os.ReadFile(dir + "/report.json")
			require.NoError(t, err)
			for _, value := range []string{"41000000000", "00011122233344", orderID} {
				require.NotContains(t, string(text), value)
			}
		})
	}
}
