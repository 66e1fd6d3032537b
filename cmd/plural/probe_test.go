package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/cmd/plural/internal/probe"
	"github.com/plural-go/plural/pluraltest"
)

// serverOptions returns the options with which a test starts the emulator.
func (t emulation) serverOptions() []pluraltest.Option {
	opts := []pluraltest.Option{
		pluraltest.WithWebhookTimeScale(0.4), // a redelivery comes after two seconds
		pluraltest.WithAnswerHeader("X-Request-Id", "req-1234567"),
		pluraltest.WithQuirks(t.quirks),
	}
	if t.faults != nil {
		opts = append(opts, pluraltest.WithFaultPlan(t.faults))
	}
	return append(opts, t.opts...)
}

// The type reported is the decoded JSON report.
type reported struct {
	Questions []struct {
		ID     string      `json:"id"`
		State  probe.State `json:"state"`
		Answer string      `json:"answer"`
		Do     string      `json:"do"`
		Facts  []struct {
			Name string `json:"name"`
			Text string `json:"text"`
		} `json:"facts"`
	} `json:"questions"`
}

// answersByID returns the answer to each question that was asked. The keys of
// the map are the ids of the questions.
func (r reported) answersByID() map[string]string {
	answers := map[string]string{}
	for _, q := range r.Questions {
		switch q.State {
		case probe.AsAssumed, probe.Differs:
			answers[q.ID] = q.Answer
		case probe.NotAsked:
		default:
			answers[q.ID] = string(q.State) + ": " + q.Answer
		}
	}
	return answers
}

// runProbe runs the probe to its end, with a payer who makes the payments. It
// returns the report of the probe, and the run with its output.
func runProbe(t *testing.T, srv *pluraltest.Server, pace time.Duration, args ...string) (reported, *terminalRun) {
	t.Helper()
	if pace == 0 {
		pace = 100 * time.Millisecond
	}
	return runProbeIn(t, t.TempDir(), srv, variablesOf(srv), append([]string{"--pace", pace.String()}, args...)...)
}

func runProbeIn(
	t *testing.T,
	dir string,
	srv *pluraltest.Server,
	variables []string,
	args ...string,
) (reported, *terminalRun) {
	t.Helper()
	always := []string{"probe", "--json", "report.json", "--patience", "5s", "--pay-within", "60s"}
	run := startIn(t, dir, variables, append(always, args...)...)
	startPayer(t, run, srv.SetWebhookURL)
	exitCode, shown := run.wait()
	require.Zero(t, exitCode, shown)
	return readReport(t, srv, run), run
}

// readReport reads a report. It fails t if the report, or another file of the
// run, has a value that must not be there.
func readReport(t *testing.T, srv *pluraltest.Server, run *terminalRun) reported {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(run.cmd.Dir, name))
		require.NoError(t, err)
		return string(text)
	}
	encoded := read("report.json")
	requireNoSecrets(t, srv, run.shown())
	requireNoSecrets(t, srv, read("plural-probe.json"))
	for _, text := range []string{encoded, read("plural-probe.md")} {
		requireNoSecrets(t, srv, text)
		for _, value := range valuesOf(t, srv) {
			require.NotContains(t, text, value, "the report has a value from the emulator's answers")
		}
	}
	var r reported
	require.NoError(t, json.Unmarshal([]byte(encoded), &r), encoded)
	return r
}

var hasDigit = regexp.MustCompile(`[0-9]`)

// valuesOf returns all values that the emulator has sent: ids, references, data
// of the payer, signatures and times.
func valuesOf(t *testing.T, srv *pluraltest.Server) []string {
	t.Helper()
	values := []string{"req-1234567"}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			if len(v) >= 4 && hasDigit.MatchString(v) {
				values = append(values, v)
			}
		case []any:
			for _, each := range v {
				collect(each)
			}
		case map[string]any:
			for _, each := range v {
				collect(each)
			}
		}
	}
	for _, order := range srv.Orders() {
		values = append(values, order.ID, order.Reference)
		if form := srv.CallbackForm(order.ID); form != nil {
			values = append(values, form.Get("signature"))
		}
	}
	for _, delivery := range srv.Deliveries() {
		var event any
		require.NoError(t, json.Unmarshal(delivery.Body, &event))
		collect(event)
		for _, attempt := range delivery.Attempts {
			values = append(values, attempt.Header.Get("Webhook-Id"), attempt.Header.Get("Webhook-Signature"))
		}
	}
	return values
}

// requireGivenBack fails t unless all captured money is refunded, and the given
// number of orders is still on hold.
func requireGivenBack(t *testing.T, srv *pluraltest.Server, kept int) {
	t.Helper()
	held := 0
	for _, order := range srv.Orders() {
		if order.Status == pluraltest.StatusAuthorized {
			held++
		}
		if order.Type == "CHARGE" {
			require.Equal(t, order.Captured, order.Refunded, order.Reference)
		}
	}
	require.Equal(t, kept, held, "holds")
}

// assumedAnswers returns the answers that the package assumes.
func assumedAnswers() map[string]string {
	answers := map[string]string{}
	for _, q := range probe.Questions() {
		if q.Ask != nil && q.Needs&(probe.NeedKeptHold|probe.NeedSettled) == 0 {
			answers[q.ID] = q.Assumed
		}
	}
	return answers
}

func TestTheEmulatorIsWhatThePackageAssumes(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	report, run := runProbe(t, srv, 0)
	require.Equal(t, assumedAnswers(), report.answersByID())
	requireGivenBack(t, srv, 0)
	require.Contains(t, run.shown(), "card payments, A, B and C: 30 rupees")
	for _, request := range srv.Requests() {
		if request.Op == pluraltest.OpOrdersCreate {
			require.Contains(t, string(request.Body), `"allowed_payment_methods":["CARD"]`, "never UPI")
		}
	}
	for _, q := range report.Questions {
		require.Equal(t, q.State == probe.AsAssumed, q.Do != "", q.ID)
		if q.ID == "http.answers" {
			require.Contains(t, q.Facts[2].Text, "X-Request-Id")
		}
	}
}

// If the account gives another answer to a question, the report has that answer
// in the question's row. The answers to some other questions depend on that
// answer. Their rows change as well. No other row changes.
func TestOtherAnswers(t *testing.T) {
	t.Parallel()
	for question, answers := range otherAnswers() {
		for answer, emulator := range answers {
			t.Run(question+"/"+answer, func(t *testing.T) {
				t.Parallel()
				srv := pluraltest.NewServer(t, emulator.serverOptions()...)
				report, _ := runProbe(t, srv, emulator.pace)
				want := assumedAnswers()
				maps.Copy(want, emulator.newAnswers)
				want[question] = answer
				require.Equal(t, want, report.answersByID())
				requireGivenBack(t, srv, 0)
			})
		}
	}
}

// The answer of a broken or busy server is not a refusal. The report shows that
// the question has failed.
func TestBrokenServerIsNoRefusal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		question, op, reference string
		n                       int32 // the number of the request that fails
	}{
		{"token.second", pluraltest.OpOrdersGetByReference, "", 1},
		{"order.duplicate", pluraltest.OpOrdersCreate, "-dup-", 2},
		{"order.other-amount", pluraltest.OpOrdersCreate, "-amt-", 2},
		{"order.products", pluraltest.OpOrdersCreate, "-prod-", 2},
		{"link.duplicate", pluraltest.OpPaymentLinksCreate, "", 2},
		{"limits", pluraltest.OpOrdersCreate, "-lim-", 2},
		{"http.answers", pluraltest.OpCancelsCreate, "", 1},
		{"order.not-found", pluraltest.OpOrdersGetByReference, "", 1},
		{"order.lag", pluraltest.OpOrdersCreate, "-lag-", 1},
		{"cancel.unpaid", pluraltest.OpCancelsCreate, "", 1},
		{"link.reference-in-order", pluraltest.OpPaymentLinksCreate, "", 1},
		{"refund.of-hold", pluraltest.OpRefundsCreate, "-not-", 1},
		{"capture.above-hold", pluraltest.OpCapturesCreate, "-more", 1},
		{"cancel.twice", pluraltest.OpCancelsCreate, "", 2},
		{"capture.after-cancel", pluraltest.OpCapturesCreate, "-late", 1},
		{"refund.listed", pluraltest.OpRefundsCreate, "-list-", 1},
		{"refund.above-rest", pluraltest.OpRefundsCreate, "-not-", 1},
		{"capture.two-at-once", pluraltest.OpCapturesCreate, "", 2},
		{"refund.duplicate", pluraltest.OpRefundsCreate, "-ref-", 2},
		{"refund.two-at-once", pluraltest.OpRefundsCreate, "-two-", 2},
	} {
		for code, status := range map[string]int{"INTERNAL_ERROR": 503, "API_RATE_LIMIT": 429} {
			t.Run(tt.question+"/"+code, func(t *testing.T) {
				t.Parallel()
				var seen atomic.Int32
				emulator := emulation{faults: func(r pluraltest.Request) pluraltest.Fault {
					isMeant := r.Op == tt.op && strings.Contains(r.Reference, tt.reference)
					return refusedIf(isMeant && seen.Add(1) == tt.n, status, code)
				}}
				srv := pluraltest.NewServer(t, emulator.serverOptions()...)
				report, _ := runProbe(t, srv, 0, "-only", tt.question)
				require.Contains(t, report.answersByID()[tt.question], fmt.Sprintf("failed: an answer shows neither "+
					"a success nor a refusal: %d %s", status, code))
				requireGivenBack(t, srv, 0)
			})
		}
	}
}

// An error can come with the status of a success. The probe must not report
// that the capture or the cancel has succeeded.
func TestErrorInOKIsNoSuccess(t *testing.T) {
	t.Parallel()
	for question, op := range map[string]string{
		"capture.document": pluraltest.OpCapturesCreate, "capture.same-again": pluraltest.OpCapturesCreate,
		"capture.other-again": pluraltest.OpCapturesCreate, "capture.two-at-once": pluraltest.OpCapturesCreate,
		"cancel.twice": pluraltest.OpCancelsCreate, "capture.after-cancel": pluraltest.OpCancelsCreate,
	} {
		t.Run(question, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int32
			last := map[string]int32{"capture.same-again": 2, "capture.other-again": 2}[question]
			emulator := emulation{faults: func(r pluraltest.Request) pluraltest.Fault {
				if r.Op == op && seen.Add(1) == max(1, last) {
					return pluraltest.ErrorInOKBeforeApply
				}
				return pluraltest.NoFault
			}}
			srv := pluraltest.NewServer(t, emulator.serverOptions()...)
			report, _ := runProbe(t, srv, 0, "-only", question)
			require.Contains(t, report.answersByID()[question], "failed: an answer shows neither")
			requireGivenBack(t, srv, 0)
		})
	}
}

// For each answer that the table lists, there is a test in which the probe
// finds that answer.
func TestEveryAnswerHasATest(t *testing.T) {
	t.Parallel()
	others := otherAnswers()
	maps.Copy(others, map[string]map[string]emulation{
		"hold.lifetime":     {"CANCELLED": {}, "FAILED": {}}, // TestKeptHold
		"settlement.days":   {"the last day counts, by the processed date": {}, "the last day does not count": {}},
		"settlement.totals": {"of the page": {}},
		"settlement.lines":  {"ids of orders": {}}, // TestSettlements
	})
	ids := map[string]bool{}
	for _, q := range probe.Questions() {
		require.False(t, ids[q.ID], "%s stands in the table twice", q.ID)
		ids[q.ID] = true
		if q.Ask == nil {
			continue
		}
		listed := slices.ContainsFunc(q.Answers, func(a probe.Answer) bool { return a.Is == q.Assumed })
		require.True(t, listed, "%s: the assumed answer is not among its answers", q.ID)
		for _, a := range q.Answers {
			require.NotEmpty(t, a.Do, "%s: %s", q.ID, a.Is)
			if a.Is != q.Assumed {
				require.Contains(t, others[q.ID], a.Is, q.ID)
			}
		}
		require.Len(t, others[q.ID], len(q.Answers)-1, q.ID)
		delete(others, q.ID)
	}
	require.Empty(t, others, "otherAnswers has questions that are not in the table")
}

func TestProbeRefusesProduction(t *testing.T) {
	t.Parallel()
	for _, where := range []string{
		"PLURAL_ENVIRONMENT=production", "PLURAL_BASE_URL=https://api.pluralpay.in",
		"PLURAL_BASE_URL=https://payments.example.com",
	} {
		secret := "PLURAL_CLIENT_SECRET=" + strings.Repeat("ab", 16)
		run := startProgram(t, []string{"PLURAL_CLIENT_ID=shop", secret, where}, "probe")
		exitCode, shown := run.wait()
		require.Equal(t, 1, exitCode, shown)
		require.Contains(t, shown, "UAT")
		require.NoFileExists(t, filepath.Join(run.cmd.Dir, "plural-probe.json"))
	}
}

func TestProbeWithoutAPayer(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	report, run := runProbe(t, srv, 0, "-no-payer")
	require.NotContains(t, run.shown(), "Please make these payments")
	want := assumedAnswers()
	for _, q := range probe.Questions() {
		if q.Needs != 0 {
			delete(want, q.ID)
		}
	}
	require.Equal(t, want, report.answersByID())
	for _, order := range srv.Orders() {
		require.Equal(t, pluraltest.StatusCreated, order.Status)
	}
	for _, r := range srv.Requests() {
		if r.Op == pluraltest.OpOrdersCreate || r.Op == pluraltest.OpPaymentLinksCreate {
			require.Contains(t, string(r.Body), `"allowed_payment_methods":["CARD"]`, "never UPI")
		}
	}
}

func TestProbeOnly(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, emulation{}.serverOptions()...)
	report, run := runProbe(t, srv, 0, "-only", "order.not-found,capture.after-cancel")
	require.Equal(t, map[string]string{
		"order.not-found": "422 ORDER_NOT_FOUND", "capture.after-cancel": "422 ORDER_CANCELLED",
	}, report.answersByID())
	require.Contains(t, run.shown(), "card payments, C: 10 rupees")
	requireGivenBack(t, srv, 0)

	exitCode, shown := startProgram(t, variablesOf(srv), "probe", "-only", "no.such").wait()
	require.Equal(t, 1, exitCode)
	require.Contains(t, shown, `there is no question "no.such"`)
}

// Here the emulator's answers have secrets in places from which the report
// takes names and codes. The secrets do not get into the report.
func TestReportHidesValuesInNames(t *testing.T) {
	t.Parallel()
	const secret, token = "0123456789abcdef0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9"
	emulator := with(pluraltest.WithCredentials("shop", secret),
		pluraltest.WithAnswerHeader("X-"+secret, "1"), pluraltest.WithAnswerHeader(token, "1"))
	emulator.faults = func(r pluraltest.Request) pluraltest.Fault {
		return refusedIf(r.Op == pluraltest.OpOrdersGet || r.Op == pluraltest.OpCancelsCreate, 422, secret)
	}
	srv := pluraltest.NewServer(t, emulator.serverOptions()...)
	report, run := runProbe(t, srv, 0, "-only", "http.answers,order.not-found,cancel.unpaid")
	require.Equal(t, map[string]string{
		"http.answers":    "a Date, and a PUT without a body is taken",
		"order.not-found": "other: none of the answers that this program knows",
		"cancel.unpaid":   "other: none of the answers that this program knows",
	}, report.answersByID())
	text, err := os.ReadFile(filepath.Join(run.cmd.Dir, "plural-probe.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "422 (no code)")
	require.Contains(t, string(text), "(2 of another form)")
	for _, value := range []string{secret, strings.ToUpper(secret), token} {
		require.NotContains(t, strings.ToLower(string(text)), strings.ToLower(value))
	}
}
