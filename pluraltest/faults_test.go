package pluraltest_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// effects is what the books hold for one write.
func effects(srv *pluraltest.Server, op, id string) int {
	switch op {
	case pluraltest.OpCapturesCreate:
		return len(srv.Captures(id))
	case pluraltest.OpCancelsCreate:
		return len(srv.Cancels(id))
	default:
		n := 0
		for _, r := range srv.Refunds(id) {
			if r.Status == pluraltest.StatusProcessed {
				n++
			}
		}
		return n
	}
}

func write(ctx context.Context, a *api, op, id string) (reply, error) {
	switch op {
	case pluraltest.OpCapturesCreate:
		return a.try(ctx, "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"ref"}`)
	case pluraltest.OpCancelsCreate:
		return a.try(ctx, "PUT", "/api/pay/v1/orders/"+id+"/cancel", "")
	default:
		return a.try(ctx, "POST", "/api/pay/v1/refunds/"+id, `{"merchant_order_reference":"ref","order_amount":{"value":100,"currency":"INR"}}`)
	}
}

// TestEveryFaultKeepsItsWord holds the log against the books: for each write and
// each fault, what the log says of the effect is what happened, at once and later.
func TestEveryFaultKeepsItsWord(t *testing.T) {
	t.Parallel()
	for name, opts := range bubbleProtocols() {
		for _, op := range []string{pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate} {
			for _, fault := range pluraltest.FaultsFor(op) {
				if fault.Answer == pluraltest.AnswerHuge {
					fault.Size = 1 << 20 // long enough, and much faster
				}
				t.Run(name+"/"+op+"/"+fault.String(), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						srv := pluraltest.New(opts...)
						defer srv.Close()
						a := newAPI(t, srv)
						id := authorized(t, srv, "order", 5000)
						if op == pluraltest.OpRefundsCreate {
							require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
						}
						srv.Inject(pluraltest.On(op), fault)

						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						defer cancel()
						first, err := write(ctx, a, op, id)
						checkAnswer(t, fault, first, err)
						pass(time.Minute)
						synctest.Wait()

						log := srv.FaultLog()
						require.Len(t, log, 1)
						require.Equal(t, fault, log[0].Fault)
						switch fault.Effect {
						case pluraltest.ApplyNow:
							require.Equal(t, pluraltest.EffectApplied, log[0].Effect)
						case pluraltest.ApplyLater, pluraltest.ApplyPending:
							require.Equal(t, pluraltest.EffectAppliedLate, log[0].Effect)
						case pluraltest.ApplyNever:
							require.Equal(t, pluraltest.EffectNotApplied, log[0].Effect)
						case pluraltest.ApplyPendingFail, pluraltest.ApplyFail:
							require.Equal(t, pluraltest.EffectFailed, log[0].Effect)
						}
						want := 0
						if log[0].Effect == pluraltest.EffectApplied || log[0].Effect == pluraltest.EffectAppliedLate {
							want = 1
						}
						require.Equal(t, want, effects(srv, op, id))

						again, err := write(t.Context(), a, op, id)
						require.NoError(t, err, "the next request is served as usual")
						if fault.Effect == pluraltest.ApplyNever {
							require.Equal(t, 200, again.status, "%s", again.body)
						}
						if fault.Effect != pluraltest.ApplyPendingFail && fault.Effect != pluraltest.ApplyFail {
							require.Equal(t, 1, effects(srv, op, id))
						}
						srv.AssertExactlyOnce(t)
					})
				})
			}
		}
	}
}

func checkAnswer(t *testing.T, fault pluraltest.Fault, r reply, err error) {
	t.Helper()
	switch fault.Answer {
	case pluraltest.AnswerHang:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case pluraltest.AnswerRefused, pluraltest.AnswerReset, pluraltest.AnswerClose, pluraltest.AnswerStreamReset, pluraltest.AnswerTruncated:
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
		data := r.data(t)
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
		case pluraltest.AnswerHuge:
			require.Greater(t, len(r.body), fault.Size)
		default:
		}
	}
}

func TestPendingUntilRead(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	id := authorized(t, srv, "order", 5000)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.PendingResult.AfterReads(2))
	require.Equal(t, "PENDING", a.capture(id, `{"merchant_capture_reference":"c"}`).data(t)["status"])
	require.Equal(t, "PENDING", a.get(id).data(t)["status"])
	require.Empty(t, srv.Captures(id))
	require.Equal(t, "OPERATION_NOT_ALLOWED", a.cancel(id).code(t))
	require.Equal(t, "PENDING", a.get(id).data(t)["status"])
	require.Equal(t, "PROCESSED", a.get(id).data(t)["status"])
	require.Len(t, srv.Captures(id), 1)
}

func TestFlushCompletesWhatWaits(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	one, two := authorized(t, srv, "one", 5000), authorized(t, srv, "two", 5000)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.PendingResult.AfterReads(9), pluraltest.ApplyLateTimedOut.After(time.Hour))
	require.Equal(t, 200, a.capture(one, `{"merchant_capture_reference":"c"}`).status)
	require.Equal(t, 504, a.capture(two, `{"merchant_capture_reference":"c"}`).status)
	srv.Flush()
	require.Len(t, srv.Captures(one), 1)
	require.Len(t, srv.Captures(two), 1)
}

func TestLateEffectMeetsAClosedOrder(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	id := authorized(t, srv, "order", 5000)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ApplyLateTimedOut.After(time.Hour))
	require.Equal(t, 504, a.capture(id, `{"merchant_capture_reference":"c"}`).status)
	require.Equal(t, 200, a.cancel(id).status)
	srv.Flush()
	require.Empty(t, srv.Captures(id))
	require.Equal(t, pluraltest.EffectRejected, srv.FaultLog()[0].Effect)
}

func TestStaleRead(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	id := authorized(t, srv, "order", 5000)
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
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	id := authorized(t, srv, "order", 5000)
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
	require.Equal(t, []int{1, 2, 3}, asked, "asked once about each request")
	require.Len(t, srv.Requests(), 2)
	require.Empty(t, srv.Requests()[0].Header.Get("Pluraltest-Decision"))
	srv.ClearFaults()
	require.Equal(t, 200, a.get(id).status)
	require.Len(t, asked, 3)
}

// quickFaults is every fault but HugeBody.
func quickFaults() []pluraltest.Fault {
	return slices.DeleteFunc(pluraltest.AllFaults(), func(f pluraltest.Fault) bool { return f == pluraltest.HugeBody })
}

// TestRandomFaultsReplay runs the same requests twice, in another order: each
// meets the same fate.
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
					_, _ = write(ctx, a, pluraltest.OpCapturesCreate, id)
					cancel()
					synctest.Wait() // a connection that is being closed is closed
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
