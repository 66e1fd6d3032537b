package pluraltest_test

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// countEffects counts the entries in the books that come from one operation.
// For a read the count is 0.
func countEffects(srv *pluraltest.Server, op, id string) int {
	switch op {
	case pluraltest.OpCapturesCreate:
		return len(srv.Captures(id))
	case pluraltest.OpCancelsCreate:
		return len(srv.Cancels(id))
	case pluraltest.OpRefundsCreate:
		n := 0
		for _, r := range srv.Refunds(id) {
			if r.Status == pluraltest.StatusProcessed {
				n++
			}
		}
		return n
	case pluraltest.OpOrdersCreate:
		return len(srv.OrdersByReference("ref"))
	case pluraltest.OpToken:
		return srv.TokensIssued() - 1 // newAPI has issued one of the tokens
	default:
		return 0
	}
}

// The function operate makes the request of an operation.
func operate(ctx context.Context, a *api, op, id string) (reply, error) {
	switch op {
	case pluraltest.OpCapturesCreate:
		return a.try(ctx, "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"ref"}`)
	case pluraltest.OpCancelsCreate:
		return a.try(ctx, "PUT", "/api/pay/v1/orders/"+id+"/cancel", "")
	case pluraltest.OpRefundsCreate:
		return a.try(
			ctx,
			"POST",
			"/api/pay/v1/refunds/"+id,
			`{"merchant_order_reference":"ref","order_amount":{"value":100,"currency":"INR"}}`,
		)
	case pluraltest.OpOrdersCreate:
		return a.try(
			ctx,
			"POST",
			"/api/checkout/v1/orders",
			`{"merchant_order_reference":"ref","order_amount":{"value":100,"currency":"INR"}}`,
		)
	case pluraltest.OpOrdersGet:
		return a.try(ctx, "GET", "/api/pay/v1/orders/"+id, "")
	case pluraltest.OpOrdersGetByReference:
		return a.try(ctx, "GET", "/api/pay/v1/orders/reference/order", "")
	case pluraltest.OpSettlementsList:
		return a.try(ctx, "GET", "/api/settlements/v1/list?start_date=2000-01-01&end_date=2000-01-02", "")
	case pluraltest.OpSettlementsGet:
		return a.try(ctx, "GET", "/api/settlements/v1/detail/520019904417", "")
	default:
		return a.try(ctx, "POST", "/api/auth/v1/token", tokenBody(a.srv.ClientID, a.srv.ClientSecret, "client_credentials"))
	}
}

func isRead(op string) bool {
	return op == pluraltest.OpOrdersGet || op == pluraltest.OpOrdersGetByReference ||
		op == pluraltest.OpSettlementsList || op == pluraltest.OpSettlementsGet
}

// TestEveryFaultKeepsItsWord compares the log with the books, for each
// operation and each fault. It waits until late effects have come. Then the log
// must name the effect that the books show.
func TestEveryFaultKeepsItsWord(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		for _, op := range []string{
			pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate, pluraltest.OpOrdersCreate,
			pluraltest.OpOrdersGet, pluraltest.OpOrdersGetByReference, pluraltest.OpToken,
			pluraltest.OpSettlementsList, pluraltest.OpSettlementsGet,
		} {
			for _, fault := range pluraltest.FaultsFor(op) {
				if fault.Answer == pluraltest.AnswerHuge {
					fault.Size = 1 << 20 // 1 MiB is enough for the test, and much faster than 8 MiB
				}
				t.Run(name+"/"+op+"/"+fault.String(), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { keepsItsWord(t, op, fault, opts) })
				})
			}
		}
	}
}

func keepsItsWord(t *testing.T, op string, fault pluraltest.Fault, opts []pluraltest.Option) {
	t.Helper()
	srv := pluraltest.New(opts...)
	defer srv.Close()
	a := newAPI(t, srv)
	id := authorized(t, srv, "order", 5000)
	if op == pluraltest.OpRefundsCreate {
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
	}
	if op == pluraltest.OpSettlementsGet {
		require.NoError(t, srv.AddSettlement(pluraltest.Settlement{UTR: "520019904417"}))
	}
	srv.Inject(pluraltest.On(op), fault)
	if fault.Answer == pluraltest.AnswerStale && fault.Delay > 0 {
		passTime(fault.Delay + time.Second) // now the order is older than Delay
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	first, err := operate(ctx, a, op, id)
	checkAnswer(t, op, fault, first, err)
	passTime(time.Minute)
	synctest.Wait()

	log := srv.FaultLog()
	require.Len(t, log, 1)
	require.Equal(t, fault, log[0].Fault)
	require.Equal(t, expectedState(op, fault), log[0].Effect)
	applied := 0
	if log[0].Effect == pluraltest.EffectApplied || log[0].Effect == pluraltest.EffectAppliedLate {
		applied = 1
	}
	require.Equal(t, applied, countEffects(srv, op, id))

	again, err := operate(t.Context(), a, op, id)
	require.NoError(t, err, "the next request is served as usual")
	failed := log[0].Effect == pluraltest.EffectFailed
	if applied == 0 && !failed {
		require.Equal(t, 200, again.status, "%s", again.body)
	}
	want := map[bool]int{true: 0, false: 1}[isRead(op) || failed && op != pluraltest.OpRefundsCreate]
	if op == pluraltest.OpToken {
		want = applied + 1
	}
	if !failed {
		require.Equal(t, want, countEffects(srv, op, id))
	}
	srv.AssertExactlyOnce(t)
}

// expectedState returns the state that the log must show in the end, for an
// operation that meets a fault.
func expectedState(op string, fault pluraltest.Fault) pluraltest.EffectState {
	switch fault.Effect {
	case pluraltest.ApplyLater, pluraltest.ApplyPending, pluraltest.InsertLater,
		pluraltest.ApplyByLegs, pluraltest.ApplyByLegsFail: // the order has one payment, which does not fail
		return pluraltest.EffectAppliedLate
	case pluraltest.ApplyPendingFail, pluraltest.ApplyFail:
		return pluraltest.EffectFailed
	case pluraltest.ApplyNow:
		if fault.Ends != "" && fault.Ends != pluraltest.StatusProcessed {
			return pluraltest.EffectFailed
		}
		if !isRead(op) {
			return pluraltest.EffectApplied
		}
	case pluraltest.ApplyNever:
	}
	return pluraltest.EffectNotApplied
}

// TestFaultThatDoesNotFit sends requests with faults that have no meaning for
// their operation. The requests are carried out, and the log says so.
func TestFaultThatDoesNotFit(t *testing.T) {
	t.Parallel()
	unfit := []pluraltest.Fault{pluraltest.FailedResult, pluraltest.PendingResult, pluraltest.PendingThenFailed}
	for op, faults := range map[string][]pluraltest.Fault{
		pluraltest.OpOrdersCreate:   append([]pluraltest.Fault{pluraltest.StaleRead}, unfit...),
		pluraltest.OpToken:          append([]pluraltest.Fault{pluraltest.StaleRead}, unfit...),
		pluraltest.OpCapturesCreate: {pluraltest.StaleRead, pluraltest.ParentAbsent},
		pluraltest.OpCancelsCreate:  {pluraltest.StaleRead, pluraltest.CaptureDataAbsent},
		pluraltest.OpOrdersGet:      unfit,
	} {
		for _, fault := range faults {
			t.Run(op+"/"+fault.Name, func(t *testing.T) {
				t.Parallel()
				srv := pluraltest.New()
				defer srv.Close()
				a := newAPI(t, srv)
				id := authorized(t, srv, "order", 5000)
				srv.Inject(pluraltest.On(op), fault)
				r, err := operate(t.Context(), a, op, id)
				require.NoError(t, err)
				require.Equal(t, 200, r.status, "%s", r.body)
				want := map[bool]int{true: 0, false: 1}[isRead(op)]
				require.Equal(t, want, countEffects(srv, op, id))
				state := map[bool]pluraltest.EffectState{
					true:  pluraltest.EffectNotApplied,
					false: pluraltest.EffectApplied,
				}[isRead(op)]
				require.Equal(t, state, srv.FaultLog()[0].Effect)
			})
		}
	}
}

func checkAnswer(t *testing.T, op string, fault pluraltest.Fault, r reply, err error) {
	t.Helper()
	switch fault.Answer {
	case pluraltest.AnswerHang:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case pluraltest.AnswerRefused, pluraltest.AnswerReset, pluraltest.AnswerClose, pluraltest.AnswerTruncated:
		require.Error(t, err)
	case pluraltest.AnswerStreamReset:
		if isRead(op) && err == nil {
			require.Equal(t, 200, r.status, "net/http repeats a request whose body it can rewind")
			return
		}
		require.Error(t, err)
	case pluraltest.AnswerStatus, pluraltest.AnswerHTML:
		require.NoError(t, err)
		require.Equal(t, fault.Status, r.status)
		require.Equal(t, fault.RetryAfter, r.header.Get("Retry-After"))
		if fault.Code != "" {
			require.Equal(t, fault.Code, r.code(t))
		}
	case pluraltest.AnswerEmpty:
		require.NoError(t, err)
		require.Equal(t, 200, r.status)
		require.Empty(t, r.body)
	case pluraltest.AnswerErrorInOK:
		require.NoError(t, err)
		require.Equal(t, 200, r.status)
		require.Equal(t, "INTERNAL_ERROR", r.code(t))
	case pluraltest.AnswerRedirect:
		require.NoError(t, err)
		require.Equal(t, http.StatusTemporaryRedirect, r.status)
	default:
		require.NoError(t, err)
		require.Equal(t, 200, r.status, "%s", r.body)
		data := r.doc(t)
		if op != pluraltest.OpToken && op != pluraltest.OpOrdersCreate && !strings.HasPrefix(op, "settlements.") {
			data = r.data(t)
		}
		switch fault.Effect {
		case pluraltest.ApplyPending, pluraltest.ApplyPendingFail:
			require.Equal(t, "PENDING", data["status"])
		case pluraltest.ApplyFail:
			require.Equal(t, "FAILED", data["status"])
		default:
		}
		switch fault.Answer {
		case pluraltest.AnswerNoCaptureData:
			require.NotContains(t, string(r.body), "capture_data")
		case pluraltest.AnswerNoParent:
			require.NotContains(t, data, "parent_order_id")
		case pluraltest.AnswerStale:
			want := map[bool]string{true: "AUTHORIZED", false: "CREATED"}[fault.Delay > 0]
			require.Equal(t, want, data["status"])
		case pluraltest.AnswerOtherOrder:
			require.NotEqual(t, "order", data["merchant_order_reference"])
			require.NotEmpty(t, data["order_id"])
		case pluraltest.AnswerHuge:
			require.Greater(t, len(r.body), fault.Size)
		default:
		}
	}
}

func TestPendingUntilRead(t *testing.T) {
	t.Parallel()
	srv, a, id := withHold(t)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.PendingResult.AfterReads(2))
	require.Equal(t, "PENDING", a.capture(id, `{"merchant_capture_reference":"c"}`).data(t)["status"])
	require.Equal(t, "PENDING", a.get(id).data(t)["status"])
	require.Empty(t, srv.Captures(id))
	require.Equal(t, "OPERATION_NOT_ALLOWED", a.cancel(id).code(t))
	require.Equal(t, "PENDING", a.get(id).data(t)["status"])
	require.Equal(t, "PROCESSED", a.get(id).data(t)["status"])
	require.Len(t, srv.Captures(id), 1)
}

// TestPendingRefundUntilRead checks that a read of the parent order counts as a
// read of its refund.
func TestPendingRefundUntilRead(t *testing.T) {
	t.Parallel()
	srv, a, id := withHold(t)
	require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
	srv.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.PendingResult.AfterReads(3))
	refund := a.refund(id, `{"merchant_order_reference":"back"}`).data(t)
	require.Equal(t, "PENDING", refund["status"])
	for _, path := range []string{id, "reference/order", refund["order_id"].(string)} {
		require.Equal(t, 200, a.get(path).status)
		require.Equal(t, "PENDING", srv.Refunds(id)[0].Status)
	}
	parent := a.get(id).data(t)
	require.Equal(t, "FULLY_REFUNDED", parent["status"])
	require.Equal(t, "PROCESSED", parent["refunds"].([]any)[0].(map[string]any)["status"])
}

func TestFlushCompletesWhatWaits(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	one, two := authorized(t, srv, "one", 5000), authorized(t, srv, "two", 5000)
	srv.Inject(
		pluraltest.On(pluraltest.OpCapturesCreate),
		pluraltest.PendingResult.AfterReads(9),
		pluraltest.ApplyLateTimedOut.After(time.Hour),
	)
	require.Equal(t, 200, a.capture(one, `{"merchant_capture_reference":"c"}`).status)
	require.Equal(t, 504, a.capture(two, `{"merchant_capture_reference":"c"}`).status)
	srv.Flush()
	require.Len(t, srv.Captures(one), 1)
	require.Len(t, srv.Captures(two), 1)
}

func TestLateEffectMeetsAClosedOrder(t *testing.T) {
	t.Parallel()
	srv, a, id := withHold(t)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ApplyLateTimedOut.After(time.Hour))
	require.Equal(t, 504, a.capture(id, `{"merchant_capture_reference":"c"}`).status)
	require.Equal(t, 200, a.cancel(id).status)
	srv.Flush()
	require.Empty(t, srv.Captures(id))
	require.Equal(t, pluraltest.EffectRejected, srv.FaultLog()[0].Effect)
}

// TestLateEffectIsAdmittedOnArrival sends requests that the server refuses at
// once, so no effect can come later.
func TestLateEffectIsAdmittedOnArrival(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Request){
		"token":        func(r *http.Request) { r.Header.Set("Authorization", "Bearer nonsense") },
		"content type": func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, a, id := withHold(t)
			srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ApplyLateTimedOut.After(time.Hour))
			req := a.request(t.Context(), "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"c"}`)
			spoil(req)
			resp, err := a.client.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 504, resp.StatusCode)
			require.Equal(t, pluraltest.EffectRejected, srv.FaultLog()[0].Effect)
			srv.Flush()
			require.Empty(t, srv.Captures(id))
		})
	}
}

func TestStaleReadNeedsAToken(t *testing.T) {
	t.Parallel()
	srv, a, id := withHold(t)
	a.token = "nonsense"
	srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.StaleRead)
	require.Equal(t, "UNAUTHORIZED", a.get(id).code(t))
	require.Equal(t, pluraltest.EffectRejected, srv.FaultLog()[0].Effect)
}

func TestStaleRead(t *testing.T) {
	t.Parallel()
	srv, a, id := withHold(t)
	require.Equal(t, 200, a.capture(id, `{"merchant_capture_reference":"c"}`).status)
	srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.StaleRead)
	require.Equal(t, "AUTHORIZED", a.get(id).data(t)["status"])
	require.Equal(t, "PROCESSED", a.get(id).data(t)["status"])

	require.Equal(t, 200, a.refund(id, `{"merchant_order_reference":"r"}`).status)
	srv.Inject(pluraltest.Match{}, pluraltest.StaleRead, pluraltest.StaleRead)
	require.Equal(t, "ORDER_NOT_FOUND", a.do("GET", "/api/pay/v1/orders/reference/r", "").code(t))
	require.NotContains(t, a.get(id).data(t), "refunds")
	require.Contains(t, a.get(id).data(t), "refunds")
}

func TestInjectMatches(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	one, two := authorized(t, srv, "one", 5000), authorized(t, srv, "two", 5000)
	srv.Inject(pluraltest.Match{OrderID: one}, pluraltest.NoFault, pluraltest.RateLimited)
	srv.Inject(pluraltest.Match{Reference: "two-capture"}, pluraltest.ServerErrorBeforeApply)
	require.Equal(t, 200, a.get(two).status)
	require.Equal(t, 200, a.get(one).status)
	require.Equal(t, 429, a.get(one).status)
	require.Equal(t, 500, a.capture(two, `{"merchant_capture_reference":"two-capture"}`).status)
	require.Equal(t, 200, a.capture(two, `{"merchant_capture_reference":"two-capture"}`).status)
	log := srv.FaultLog()
	require.Len(t, log, 2)
	require.Equal(t, "two-capture", log[1].Reference)
	require.Equal(t, 1, log[1].Attempt)
	require.Equal(t, "rid-1", log[1].RequestID)
}

func TestFaultPlan(t *testing.T) {
	t.Parallel()
	srv, a, id := withHold(t)
	var asked []int
	srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		asked = append(asked, r.Attempt)
		if r.Attempt == 2 {
			return pluraltest.Refuse
		}
		return pluraltest.NoFault
	})
	require.Equal(t, 200, a.get(id).status)
	_, err := a.try(t.Context(), "GET", "/api/pay/v1/orders/"+id, "")
	require.Error(t, err)
	require.Equal(t, 200, a.get(id).status)
	require.Equal(t, []int{1, 2, 3}, asked, "the plan is asked once about each request")
	require.Len(t, srv.Requests(), 2)
	require.Empty(t, srv.Requests()[0].Header.Get("Pluraltest-Decision"))
	srv.ClearFaults()
	require.Equal(t, 200, a.get(id).status)
	require.Len(t, asked, 3)
}

// TestPlanIsAskedAboutOperationsOnly makes requests to which faults do not
// apply: requests for pages, for an unknown path, and with a wrong method. The
// server does not call the plan for them, and takes no fault from a queue.
func TestPlanIsAskedAboutOperationsOnly(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	srv.Handle("/page", http.NotFoundHandler())
	p := newPayer(t, srv, pluraltest.OrderSpec{})
	a := newAPI(t, srv)
	all := func() {
		require.Equal(t, 200, p.open().status)
		require.Equal(t, 404, a.do("GET", "/page", "").status)
		require.Equal(t, 404, a.do("GET", "/api/nowhere", "").status)
		require.Equal(t, 405, a.do("DELETE", "/api/auth/v1/token", "").status)
	}
	srv.Inject(pluraltest.Match{}, pluraltest.Refuse)
	all()
	require.Len(t, srv.QueuedFaults(), 1)
	srv.ClearFaults()
	srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		t.Errorf("asked about %s %s", r.Method, r.Path)
		return pluraltest.Refuse
	})
	all()
	require.Empty(t, srv.FaultLog())
}

func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	for _, tt := range []struct {
		fault pluraltest.Fault
		want  string
	}{
		{pluraltest.Fault{Answer: "gibberish"}, `fault answer gibberish, effect : there is no answer "gibberish"`},
		{pluraltest.Fault{Name: "Mine", Effect: "perhaps"}, `fault Mine: there is no effect "perhaps"`},
		{
			pluraltest.Fault{Name: "Mine", Answer: pluraltest.AnswerStatus},
			"fault Mine: status 0 is not the status of an answer",
		},
		{pluraltest.Fault{Name: "Mine", Answer: pluraltest.AnswerHTML, Status: 600}, "status 600"},
		{pluraltest.Fault{Name: "Mine", Answer: pluraltest.AnswerHTML, Status: 100}, "status 100"},
		{pluraltest.ApplyLate.After(-time.Second), "fault ApplyLate: the delay -1s is negative"},
		{pluraltest.PendingResult.AfterReads(-1), "fault PendingResult: the number of reads -1 is negative"},
		{pluraltest.Fault{Name: "Mine", Answer: pluraltest.AnswerHuge, Size: -5}, "fault Mine: the size -5 is negative"},
	} {
		for caller, call := range map[string]func(){
			"Inject":       func() { srv.Inject(pluraltest.Match{}, pluraltest.NoFault, tt.fault) },
			"RandomFaults": func() { pluraltest.WithRandomFaults(1, 0.5, pluraltest.NoFault, tt.fault) },
		} {
			said := panicOf(call)
			require.Contains(t, said, "pluraltest: "+caller+": fault ")
			require.Contains(t, said, tt.want)
		}
	}
	require.Equal(
		t,
		`pluraltest: StatusFault: fault Status 0 : status 0 is not the status of an answer`,
		panicOf(func() { pluraltest.StatusFault(0, "", pluraltest.ApplyNow) }),
	)
	require.Contains(t, panicOf(func() { pluraltest.StatusFault(503, "", "perhaps") }), `no effect "perhaps"`)
	for _, rate := range []float64{-0.1, 1.1, math.NaN()} {
		require.Contains(t, panicOf(func() { pluraltest.RandomFaults(1, rate) }), "is not between 0 and 1")
	}
	require.Empty(t, srv.QueuedFaults())
}

// panicOf returns the text of a function's panic. It returns "" if the function
// does not panic.
func panicOf(f func()) (said string) {
	defer func() { said, _ = recover().(string) }()
	f()
	return ""
}

// quickFaults returns every fault except HugeBody.
func quickFaults() []pluraltest.Fault {
	return slices.DeleteFunc(pluraltest.AllFaults(), func(f pluraltest.Fault) bool { return f == pluraltest.HugeBody })
}

// TestRandomFaultsReplay runs the same requests twice, the second time in
// another sequence. Each request meets the same faults both times.
func TestRandomFaultsReplay(t *testing.T) {
	t.Parallel()
	fates := func(reverse bool) map[string][]string {
		seen := map[string][]string{}
		synctest.Test(t, func(t *testing.T) {
			srv := pluraltest.New(pluraltest.WithRandomFaults(7, 0.45, quickFaults()...))
			defer srv.Close()
			a := newAPI(t, srv)
			for i := range 40 {
				if reverse {
					i = 39 - i
				}
				ref := "order-" + strconv.Itoa(i)
				id := authorized(t, srv, ref, 5000)
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					_, _ = operate(ctx, a, pluraltest.OpCapturesCreate, id)
					cancel()
					synctest.Wait() // if the fault closes the connection, wait until it is closed
				}
				for _, record := range srv.FaultLog() {
					if record.OrderID == id {
						seen[ref] = append(seen[ref], record.Fault.String())
					}
				}
			}
			require.Greater(t, len(srv.FaultLog()), 30)
		})
		return seen
	}
	require.Equal(t, fates(false), fates(true))
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	for name, srv := range map[string]*pluraltest.Server{"tcp": pluraltest.NewServer(t), "memory": pluraltest.New()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(srv.Close)
			a := newAPI(t, srv)
			id := authorized(t, srv, "order", 5000)
			require.Equal(t, 200, a.get(id).status)
			srv.Down()
			_, err := a.try(t.Context(), "GET", "/api/pay/v1/orders/"+id, "")
			require.Error(t, err)
			require.NoError(t, srv.Up())
			require.Equal(t, 200, a.get(id).status)
		})
	}
}

func TestAllFaultsAreNamedOnce(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, f := range pluraltest.AllFaults() {
		require.NotEmpty(t, f.Name)
		require.False(t, names[f.Name], f.Name)
		names[f.Name] = true
	}
	require.Contains(t, names, "StaleRead")
	require.Equal(t, "Status 425 ", pluraltest.StatusFault(425, "", pluraltest.ApplyNever).String())
	require.Equal(t, "none", pluraltest.NoFault.String())
}
