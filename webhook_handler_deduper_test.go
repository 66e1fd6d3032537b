package plural_test

import (
	"bytes"
	"context"
	"errors"
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
)

// scriptedDeduper does as it is told and notes what it was asked.
type scriptedDeduper struct {
	claim                             plural.Claim // zero: claimed
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

// The deduper's calls are bounded, are not the function's context, and do not
// end with the sender.
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

// The lease has to outlast the function and the commit, also when the claim was
// slow.
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
			mustVerifier(t, signatureSecret),
			counting(&calls),
			plural.WithDeduper(plural.NewMemoryDeduper(1)),
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
		require.Equal(t, http.StatusOK, delivery("a"), "what was handled is still known")
		require.Equal(t, int32(1), calls.Load())
		<-time.After(72 * time.Hour)
		require.Equal(t, http.StatusOK, delivery("b"))
		require.Equal(t, int32(2), calls.Load())
	})
}

// What is remembered of a handled event outlasts any replay that the tolerance
// lets in.
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
			t,
			http.StatusOK,
			deliver(plural.NewWebhookHandler(v, counting(&calls), plural.WithDeduper(d)), header, body),
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
		webhookVerifier(t),
		counting(&first),
		plural.WithDeduper(shared),
		plural.WithMerchant("shop-a"),
	)
	b := plural.NewWebhookHandler(
		webhookVerifier(t),
		counting(&second),
		plural.WithDeduper(shared),
		plural.WithMerchant("shop-b"),
	)
	header, body := goodWebhook(webhookBody)
	for range 2 {
		require.Equal(t, http.StatusOK, deliver(b, header, body))
		require.Equal(t, http.StatusOK, deliver(a, header, body))
	}
	require.Equal(t, []int32{1, 1}, []int32{first.Load(), second.Load()})
	d := &scriptedDeduper{}
	deliver(
		plural.NewWebhookHandler(webhookVerifier(t), counting(&first), plural.WithDeduper(d), plural.WithMerchant("shop-a")),
		header,
		body,
	)
	require.Equal(t, "shop-a/"+header.Get("Webhook-Id"), d.id)
}
