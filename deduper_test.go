package plural_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

const (
	testLease = time.Minute
	testKeep  = 72 * time.Hour
)

func mustClaim(tb testing.TB, d plural.Deduper, id string) string {
	tb.Helper()
	claim, err := d.Claim(tb.Context(), id, testLease)
	require.NoError(tb, err)
	require.Equal(tb, plural.Claimed, claim.State)
	require.NotEmpty(tb, claim.Token)
	return claim.Token
}

func requireState(tb testing.TB, d plural.Deduper, id string, want plural.ClaimState) {
	tb.Helper()
	claim, err := d.Claim(tb.Context(), id, testLease)
	require.NoError(tb, err)
	require.Equal(tb, plural.Claim{State: want}, claim)
}

func TestMemoryDeduperClaimCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(0)
		token := mustClaim(t, d, "a")
		requireState(t, d, "a", plural.InProgress)
		mustClaim(t, d, "b")

		require.NoError(t, d.Commit(t.Context(), "a", token, testKeep))
		requireState(t, d, "a", plural.Done)
		requireState(t, d, "b", plural.InProgress)

		<-time.After(testKeep - time.Nanosecond)
		requireState(t, d, "a", plural.Done)
		<-time.After(time.Nanosecond)
		mustClaim(t, d, "a")
	})
}

func TestMemoryDeduperRelease(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(0)
	token := mustClaim(t, d, "a")
	require.NoError(t, d.Release(t.Context(), "a", token))
	require.ErrorIs(t, d.Release(t.Context(), "a", token), plural.ErrClaimLost)
	require.ErrorIs(t, d.Commit(t.Context(), "a", token, testKeep), plural.ErrClaimLost)

	next := mustClaim(t, d, "a")
	require.NotEqual(t, token, next)
	require.ErrorIs(t, d.Release(t.Context(), "a", token), plural.ErrClaimLost, "the token belongs to an earlier claim")
	requireState(t, d, "a", plural.InProgress)

	require.NoError(t, d.Commit(t.Context(), "a", next, testKeep))
	require.ErrorIs(t, d.Release(t.Context(), "a", next), plural.ErrClaimLost, "an event that is done stays done")
	require.ErrorIs(t, d.Commit(t.Context(), "a", next, testKeep), plural.ErrClaimLost)
	require.ErrorIs(t, d.Release(t.Context(), "a", ""), plural.ErrClaimLost)
	require.ErrorIs(t, d.Commit(t.Context(), "a", "", testKeep), plural.ErrClaimLost)
	requireState(t, d, "a", plural.Done)
	require.ErrorIs(t, d.Release(t.Context(), "never claimed", next), plural.ErrClaimLost)
	require.ErrorIs(t, d.Commit(t.Context(), "never claimed", next, testKeep), plural.ErrClaimLost)
}

func TestMemoryDeduperLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(0)
		first := mustClaim(t, d, "a")
		<-time.After(testLease - time.Nanosecond)
		requireState(t, d, "a", plural.InProgress)
		<-time.After(time.Nanosecond)
		second := mustClaim(t, d, "a")
		require.NotEqual(t, first, second)

		require.ErrorIs(t, d.Commit(t.Context(), "a", first, testKeep), plural.ErrClaimLost)
		require.ErrorIs(t, d.Release(t.Context(), "a", first), plural.ErrClaimLost)
		requireState(t, d, "a", plural.InProgress)
		require.NoError(t, d.Commit(t.Context(), "a", second, testKeep))
		require.ErrorIs(t, d.Commit(t.Context(), "a", first, testKeep), plural.ErrClaimLost)
		requireState(t, d, "a", plural.Done)
	})
}

// A Commit after the lease has ended is accepted if nobody else has claimed the
// event. The event was handled, and handling it again would not help.
func TestMemoryDeduperLateCommitWithoutRival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(0)
		token := mustClaim(t, d, "a")
		<-time.After(2 * testLease)
		mustClaim(t, d, "b") // this claim does not make the memory forget "a"
		require.NoError(t, d.Commit(t.Context(), "a", token, testKeep))
		requireState(t, d, "a", plural.Done)

		abandoned := mustClaim(t, d, "c")
		<-time.After(testLease + time.Hour)
		mustClaim(t, d, "d")
		require.ErrorIs(
			t,
			d.Commit(t.Context(), "c", abandoned, testKeep),
			plural.ErrClaimLost,
			"an abandoned claim is forgotten in the end",
		)
	})
}

func TestMemoryDeduperFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(2)
		claimed := mustClaim(t, d, "a")
		done := mustClaim(t, d, "b")
		require.NoError(t, d.Commit(t.Context(), "b", done, testKeep))

		refused := func(id string) {
			t.Helper()
			claim, err := d.Claim(t.Context(), id, testLease)
			require.ErrorIs(t, err, plural.ErrDeduperFull)
			require.Zero(t, claim)
		}
		refused("c")
		requireState(t, d, "a", plural.InProgress)
		requireState(t, d, "b", plural.Done)

		<-time.After(testLease - time.Nanosecond)
		refused("c")
		<-time.After(time.Nanosecond)
		mustClaim(t, d, "c") // "c" takes the place of "a", whose lease ran out
		require.ErrorIs(t, d.Commit(t.Context(), "a", claimed, testKeep), plural.ErrClaimLost)
		refused("a")
		requireState(t, d, "b", plural.Done)

		<-time.After(testKeep)
		mustClaim(t, d, "d")
		mustClaim(t, d, "b")
		refused("e")
	})
}

func TestMemoryDeduperReleaseMakesRoom(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(1)
	for i := range 5 {
		id := strconv.Itoa(i)
		require.NoError(t, d.Release(t.Context(), id, mustClaim(t, d, id)))
	}
	mustClaim(t, d, "last")
	_, err := d.Claim(t.Context(), "more", testLease)
	require.ErrorIs(t, err, plural.ErrDeduperFull)
}

// The entry that was made first is not always the first to expire.
func TestMemoryDeduperEvictsOnlyWhatEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(100)
		tokens := map[int]string{}
		for i := range 100 {
			claim, err := d.Claim(t.Context(), strconv.Itoa(i), time.Duration(1+(i*37)%100)*time.Minute)
			require.NoError(t, err)
			tokens[i] = claim.Token
		}
		for minute := 1; minute <= 100; minute++ {
			_, err := d.Claim(t.Context(), "new"+strconv.Itoa(minute), 1000*time.Hour)
			require.ErrorIs(t, err, plural.ErrDeduperFull)
			<-time.After(time.Minute)
			claim, err := d.Claim(t.Context(), "new"+strconv.Itoa(minute), 1000*time.Hour)
			require.NoError(t, err)
			require.Equal(t, plural.Claimed, claim.State)
			for i := range 100 {
				ended := 1+(i*37)%100 <= minute
				claim, err := d.Claim(t.Context(), strconv.Itoa(i), time.Hour)
				if ended {
					require.ErrorIs(t, err, plural.ErrDeduperFull)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, plural.InProgress, claim.State)
			}
		}
		require.Len(t, tokens, 100)
	})
}

func TestMemoryDeduperRefusesNonsense(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(-1)
	for _, lease := range []time.Duration{0, -time.Second} {
		claim, err := d.Claim(t.Context(), "a", lease)
		require.Error(t, err)
		require.Zero(t, claim)
	}
	_, err := d.Claim(t.Context(), "", testLease)
	require.Error(t, err)

	token := mustClaim(t, d, "a")
	for _, keep := range []time.Duration{0, -time.Second} {
		require.Error(t, d.Commit(t.Context(), "a", token, keep))
	}
	requireState(t, d, "a", plural.InProgress)
}

func TestMemoryDeduperZeroValue(t *testing.T) {
	t.Parallel()
	var d plural.MemoryDeduper
	token := mustClaim(t, &d, "a")
	require.NoError(t, d.Commit(t.Context(), "a", token, testKeep))
	requireState(t, &d, "a", plural.Done)
	require.ErrorIs(t, new(plural.MemoryDeduper).Release(t.Context(), "a", "1"), plural.ErrClaimLost)
}

func TestMemoryDeduperConcurrently(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(1000)
	var handled [50]atomic.Int32
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				n := (i*7 + worker) % len(handled)
				id := strconv.Itoa(n)
				claim, err := d.Claim(t.Context(), id, testLease)
				if err != nil {
					t.Error(err)
					return
				}
				if claim.State != plural.Claimed {
					continue
				}
				if (i+worker)%3 == 0 {
					err = d.Release(t.Context(), id, claim.Token)
				} else {
					handled[n].Add(1)
					err = d.Commit(t.Context(), id, claim.Token, testKeep)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for n := range handled {
		require.Equal(t, int32(1), handled[n].Load(), n)
	}
}

// The Deduper that NewMemoryDeduper makes passes the conformance tests that
// merchants run on their own Dedupers.
func TestMemoryDeduperConforms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pluraltest.TestDeduper(t, func() plural.Deduper { return plural.NewMemoryDeduper(0) }, false)
		shared := plural.NewMemoryDeduper(0)
		pluraltest.TestDeduper(t, func() plural.Deduper { return shared }, true)
	})
}

// recorder is a testing.TB that only records the problems that are reported to
// it.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	problems []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// Each Deduper here breaks one rule. The conformance tests find each of these
// faults.
func TestDeduperConformanceFindsFaults(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(plural.Deduper) plural.Deduper{
		"claims twice":            func(d plural.Deduper) plural.Deduper { return claimsTwice{d} },
		"forgets what it handled": func(d plural.Deduper) plural.Deduper { return forgetful{d} },
		"takes any token":         func(d plural.Deduper) plural.Deduper { return unfenced{d} },
		"gives no reason":         func(d plural.Deduper) plural.Deduper { return silent{d} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{TB: t}
				pluraltest.TestDeduper(r, func() plural.Deduper { return broken(plural.NewMemoryDeduper(0)) }, false)
				require.NotEmpty(t, r.problems)
			})
		})
	}
}

type claimsTwice struct{ plural.Deduper }

func (d claimsTwice) Claim(ctx context.Context, id string, lease time.Duration) (plural.Claim, error) {
	claim, err := d.Deduper.Claim(ctx, id, lease)
	if claim.State == plural.InProgress {
		claim = plural.Claim{State: plural.Claimed, Token: "again"}
	}
	return claim, err
}

type forgetful struct{ plural.Deduper }

func (d forgetful) Commit(ctx context.Context, id, token string, _ time.Duration) error {
	return d.Deduper.Commit(ctx, id, token, time.Millisecond)
}

type unfenced struct{ plural.Deduper }

func (d unfenced) Release(ctx context.Context, id, token string) error {
	_ = d.Deduper.Release(ctx, id, token)
	return nil
}

type silent struct{ plural.Deduper }

func (d silent) Commit(ctx context.Context, id, token string, keep time.Duration) error {
	if d.Deduper.Commit(ctx, id, token, keep) != nil {
		return errors.New("no")
	}
	return nil
}

// One goroutine claims events until the memory is full.
func TestMemoryDeduperDefaultIsBounded(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for _, d := range []*plural.MemoryDeduper{{}, plural.NewMemoryDeduper(0)} {
		for i := range 1 << 18 {
			if _, err := d.Claim(t.Context(), strconv.Itoa(i), time.Hour); err != nil {
				t.Fatalf("claim %d: %v", i, err)
			}
		}
		_, err := d.Claim(t.Context(), "one more", time.Hour)
		require.ErrorIs(t, err, plural.ErrDeduperFull)
	}
}

// scriptedDeduper does what the test says, and records how it was called.
type scriptedDeduper struct {
	claim                             plural.Claim // zero value: the event is claimed
	claimErr, commitErr, releaseErr   error
	panicIn                           string
	hangIn                            string
	calls                             []string
	lease, keep                       time.Duration
	committedToken, releasedToken, id string
	mu                                sync.Mutex
}

func (d *scriptedDeduper) note(ctx context.Context, call string) error {
	d.mu.Lock()
	d.calls = append(d.calls, call)
	d.mu.Unlock()
	if d.panicIn == call {
		panic("deduper")
	}
	if d.hangIn == call {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (d *scriptedDeduper) Claim(ctx context.Context, id string, lease time.Duration) (plural.Claim, error) {
	d.id, d.lease = id, lease
	if err := d.note(ctx, "claim"); err != nil {
		return plural.Claim{}, err
	}
	if d.claim.State == 0 && d.claimErr == nil {
		return plural.Claim{State: plural.Claimed, Token: "fence"}, nil
	}
	return d.claim, d.claimErr
}

func (d *scriptedDeduper) Commit(ctx context.Context, id, token string, keep time.Duration) error {
	d.id, d.committedToken, d.keep = id, token, keep
	return errors.Join(d.note(ctx, "commit"), d.commitErr)
}

func (d *scriptedDeduper) Release(ctx context.Context, id, token string) error {
	d.id, d.releasedToken = id, token
	return errors.Join(d.note(ctx, "release"), d.releaseErr)
}

func TestWebhookHandlerDeduper(t *testing.T) {
	t.Parallel()
	down := errors.New("deduper is down")
	for name, tc := range map[string]struct {
		deduper *scriptedDeduper
		fail    bool // the function fails
		status  int
		handled int32
		calls   []string
		logged  string
	}{
		"handled": {new(scriptedDeduper), false, http.StatusOK, 1, []string{"claim", "commit"}, ""},
		"failed": {
			new(scriptedDeduper), true, http.StatusInternalServerError, 1,
			[]string{"claim", "release"},
			"webhook not handled",
		},
		"in progress": {
			&scriptedDeduper{claim: plural.Claim{State: plural.InProgress}}, false, http.StatusConflict, 0,
			[]string{"claim"},
			"",
		},
		"done": {
			&scriptedDeduper{claim: plural.Claim{State: plural.Done}}, false, http.StatusOK, 0,
			[]string{"claim"},
			"",
		},
		"unknown state": {
			&scriptedDeduper{claim: plural.Claim{State: 99}}, false, http.StatusServiceUnavailable, 0,
			[]string{"claim"},
			"webhook not claimed",
		},
		"down at claim": {
			&scriptedDeduper{claimErr: down}, false, http.StatusServiceUnavailable, 0,
			[]string{"claim"},
			"deduper is down",
		},
		"full": {
			&scriptedDeduper{claimErr: plural.ErrDeduperFull}, false, http.StatusServiceUnavailable, 0,
			[]string{"claim"},
			"full",
		},
		"claimed, yet an error": {
			&scriptedDeduper{claim: plural.Claim{State: plural.Claimed, Token: "x"}, claimErr: down}, false,
			http.StatusServiceUnavailable, 0,
			[]string{"claim"},
			"",
		},
		"down at commit": {
			&scriptedDeduper{commitErr: down}, false, http.StatusInternalServerError, 1,
			[]string{"claim", "commit"},
			"webhook handled and not recorded",
		},
		"down at release": {
			&scriptedDeduper{releaseErr: down}, true, http.StatusInternalServerError, 1,
			[]string{"claim", "release"},
			"webhook claim not released",
		},
		"panics at claim": {
			&scriptedDeduper{panicIn: "claim"}, false, http.StatusServiceUnavailable, 0,
			[]string{"claim"},
			"webhook deduper panicked",
		},
		"panics at commit": {
			&scriptedDeduper{panicIn: "commit"}, false, http.StatusInternalServerError, 1,
			[]string{"claim", "commit"},
			"webhook handler panicked",
		},
		"panics at release": {
			&scriptedDeduper{panicIn: "release"}, true, http.StatusInternalServerError, 1,
			[]string{"claim", "release"},
			"webhook handler panicked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			var log bytes.Buffer
			h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error {
				calls.Add(1)
				if tc.fail {
					return errors.New("no")
				}
				return nil
			}, plural.WithDeduper(tc.deduper), plural.WithHandlerLogger(slog.New(slog.NewTextHandler(&log, nil))))
			header, body := goodWebhook(webhookBody)
			require.Equal(t, tc.status, deliver(h, header, body))
			require.Equal(t, tc.handled, calls.Load())
			require.Equal(t, tc.calls, tc.deduper.calls)
			require.Equal(t, webhookID, tc.deduper.id)
			require.Equal(t, time.Minute, tc.deduper.lease)
			require.Contains(t, log.String(), tc.logged)
			if tc.status == http.StatusOK || tc.status == http.StatusConflict {
				require.Empty(t, log.String())
			}
			switch tc.calls[len(tc.calls)-1] {
			case "commit":
				require.Equal(t, "fence", tc.deduper.committedToken)
				require.Equal(t, 72*time.Hour, tc.deduper.keep)
			case "release":
				require.Equal(t, "fence", tc.deduper.releasedToken)
			}
		})
	}
}

// Each call of the deduper has a time limit. Its context is not that of the
// shop's function, and does not end when the sender hangs up.
func TestWebhookHandlerDeduperHangs(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]struct {
		status int
		took   time.Duration
	}{
		"claim":   {http.StatusServiceUnavailable, 5 * time.Second},
		"commit":  {http.StatusInternalServerError, 55*time.Second + 5*time.Second},
		"release": {http.StatusInternalServerError, 55*time.Second + 5*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			h := plural.NewWebhookHandler(webhookVerifier(t), func(ctx context.Context, _ *plural.Event) error {
				<-ctx.Done()
				if call == "release" {
					return ctx.Err()
				}
				return nil
			}, plural.WithDeduper(&scriptedDeduper{hangIn: call}))
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			header, body := goodWebhook(webhookBody)
			require.Equal(t, want.status, serve(h, webhookRequest(header, body).WithContext(gone)).Code)
			require.Equal(t, want.took, time.Since(start))
		})
	}
}

// The lease has to outlast the shop's function and the commit, even if the
// claim was slow.
func TestWebhookHandlerCountsTheClaimsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := plural.NewWebhookHandler(webhookVerifier(t), func(ctx context.Context, _ *plural.Event) error {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, 55*time.Second, deadline.Sub(start))
			require.Equal(t, 4*time.Second, time.Since(start))
			return nil
		}, plural.WithDeduper(slowDeduper{plural.NewMemoryDeduper(1)}))
		header, body := goodWebhook(webhookBody)
		require.Equal(t, http.StatusOK, deliver(h, header, body))
	})
}

type slowDeduper struct{ *plural.MemoryDeduper }

func (d slowDeduper) Claim(ctx context.Context, id string, lease time.Duration) (plural.Claim, error) {
	<-time.After(4 * time.Second)
	return d.MemoryDeduper.Claim(ctx, id, lease)
}

func TestWebhookHandlerMemoryDeduperFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		h := plural.NewWebhookHandler(
			mustVerifier(t, signatureSecret), countFunc(&calls), plural.WithDeduper(plural.NewMemoryDeduper(1)),
		)
		delivery := func(id string) int {
			timestamp := strconv.FormatInt(time.Now().Unix(), 10)
			return deliver(
				h,
				webhookHeader(id, timestamp, naiveWebhookSignature([]byte(signatureSecret), id, timestamp, webhookBody)),
				[]byte(webhookBody),
			)
		}
		require.Equal(t, http.StatusOK, delivery("a"))
		require.Equal(t, http.StatusServiceUnavailable, delivery("b"))
		require.Equal(t, http.StatusOK, delivery("a"), "the full memory still knows a handled event")
		require.Equal(t, int32(1), calls.Load())
		<-time.After(72 * time.Hour)
		require.Equal(t, http.StatusOK, delivery("b"))
		require.Equal(t, int32(2), calls.Load())
	})
}

// A handled event is remembered at least for as long as a replay of it could
// pass the timestamp check.
func TestWebhookHandlerKeepsLongerThanTheTolerance(t *testing.T) {
	t.Parallel()
	for tolerance, least := range map[time.Duration]time.Duration{
		5 * time.Minute:  72 * time.Hour,
		29 * time.Hour:   72 * time.Hour,
		100 * time.Hour:  200 * time.Hour,
		1 << 62:          time.Hour,
		40 * time.Minute: 72 * time.Hour,
	} {
		v, err := plural.NewVerifier(signatureSecret, plural.WithClock(webhookClock), plural.WithTolerance(tolerance))
		require.NoError(t, err)
		d := &scriptedDeduper{}
		var calls atomic.Int32
		header, body := goodWebhook(webhookBody)
		require.Equal(
			t, http.StatusOK, deliver(plural.NewWebhookHandler(v, countFunc(&calls), plural.WithDeduper(d)), header, body),
		)
		require.GreaterOrEqual(t, d.keep, least, tolerance)
	}
}

// Two merchants on one Deduper do not suppress each other's events.
func TestWebhookHandlerOfSeveralMerchants(t *testing.T) {
	t.Parallel()
	shared := plural.NewMemoryDeduper(0)
	var first, second atomic.Int32
	a := plural.NewWebhookHandler(
		webhookVerifier(t), countFunc(&first), plural.WithDeduper(shared), plural.WithMerchant("shop-a"),
	)
	b := plural.NewWebhookHandler(
		webhookVerifier(t), countFunc(&second), plural.WithDeduper(shared), plural.WithMerchant("shop-b"),
	)
	header, body := goodWebhook(webhookBody)
	for range 2 {
		require.Equal(t, http.StatusOK, deliver(b, header, body))
		require.Equal(t, http.StatusOK, deliver(a, header, body))
	}
	require.Equal(t, []int32{1, 1}, []int32{first.Load(), second.Load()})
	d := &scriptedDeduper{}
	deliver(
		plural.NewWebhookHandler(webhookVerifier(t), countFunc(&first), plural.WithDeduper(d), plural.WithMerchant("shop-a")),
		header,
		body,
	)
	require.Equal(t, "shop-a/"+header.Get("Webhook-Id"), d.id)
}
