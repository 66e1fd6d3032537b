package pluralriver_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/pluraltest"
)

// refundShop is a shop whose gateway makes a refund or a link for each request,
// even if the reference was used before.
type refundShop struct {
	*shop[*sql.Tx]

	told chan told
}

type told struct {
	pluralriver.Outcome
	pluralriver.Attempt
}

func openRefunds(t *testing.T, change func(pluralriver.Config[*sql.Tx]) pluralriver.Config[*sql.Tx]) *refundShop {
	t.Helper()
	gateway := pluraltest.NewServer(t, pluraltest.WithDuplicateRefunds(pluraltest.DuplicateAccepted),
		pluraltest.WithDuplicateLinks(pluraltest.DuplicateAccepted))
	client, err := plural.NewClient(
		plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret}, plural.WithBaseURL(gateway.URL),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2, MinDelay: time.Millisecond, MaxDelay: time.Millisecond}),
	)
	require.NoError(t, err)
	e, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
	require.NoError(t, err)
	e.makeTables(t)
	s := &refundShop{shop: &shop[*sql.Tx]{engine: e, gateway: gateway, client: client}, told: make(chan told, 10)}
	s.river = s.startAnother(t, func(cfg pluralriver.Config[*sql.Tx]) pluralriver.Config[*sql.Tx] {
		return change(s.telling(cfg))
	}, oneWorker, func(c *river.Config) {
		c.JobTimeout, c.RescueStuckJobsAfter, c.RetryPolicy = 0, time.Minute, fixedWait(500*time.Millisecond)
	})
	return s
}

func (s *refundShop) telling(cfg pluralriver.Config[*sql.Tx]) pluralriver.Config[*sql.Tx] {
	cfg.Timeout, cfg.UnsettledAfter = 40*time.Second, 100
	cfg.Ended = func(_ context.Context, _ *sql.Tx, o pluralriver.Outcome) error {
		s.told <- told{Outcome: o}
		return nil
	}
	cfg.Unsettled = func(_ context.Context, _ *sql.Tx, o pluralriver.Outcome, a pluralriver.Attempt) error {
		s.told <- told{o, a}
		return nil
	}
	return cfg
}

func asItIs(cfg pluralriver.Config[*sql.Tx]) pluralriver.Config[*sql.Tx] { return cfg }

// makeRefundable makes an order that can be refunded, and returns the args of
// its refund.
func (s *refundShop) makeRefundable(t *testing.T, order string) pluralriver.RefundArgs {
	t.Helper()
	id := makeHeldOrder(t, s.gateway, order)
	require.NoError(t, s.gateway.Capture(id, "capture-"+order, pluraltest.Amount{}))
	return pluralriver.RefundArgs{OrderID: id, Reference: "refund-" + order, Amount: plural.INR(1000)}
}

func isRead(r pluraltest.Request) bool {
	return r.Op == pluraltest.OpOrdersGet || r.Op == pluraltest.OpOrdersGetByReference
}

// If Plural carried out a refund twice, a person has to look, and the job ends.
// Another try might send the refund again.
func TestRefundsAreNotSentTwice(t *testing.T) {
	t.Parallel()
	type plan func(r pluraltest.Request, refunds int, lost *time.Time) pluraltest.Fault
	for _, c := range []struct {
		name    string
		faults  plan
		refunds int
		double  bool
	}{{
		// One call sent the refund twice, and finds both refunds.
		"twice in one call", func(r pluraltest.Request, refunds int, _ *time.Time) pluraltest.Fault {
			switch {
			case r.Op == pluraltest.OpRefundsCreate && refunds == 0:
				return pluraltest.ResetAfterApply
			case isRead(r) && refunds < 2:
				return pluraltest.StaleRead
			}
			return pluraltest.NoFault
		}, 2, true,
	}, {
		// Nothing could be read in the first try. The second try reads before
		// it sends.
		"the second try reads first", func(r pluraltest.Request, refunds int, lost *time.Time) pluraltest.Fault {
			switch {
			case r.Op == pluraltest.OpRefundsCreate && refunds == 0:
				*lost = time.Now()
				return pluraltest.ResetAfterApply
			case isRead(r) && refunds > 0 && time.Since(*lost) < 3*time.Second:
				return pluraltest.UnavailableBeforeApply
			}
			return pluraltest.NoFault
		}, 1, false,
	}, {
		// Nothing could be read in the second try either, so the second try
		// does not send the refund.
		"nothing is sent without a read", func(r pluraltest.Request, refunds int, lost *time.Time) pluraltest.Fault {
			switch {
			case r.Op == pluraltest.OpRefundsCreate && refunds == 0:
				*lost = time.Now()
				return pluraltest.ResetAfterApply
			case r.Op == pluraltest.OpRefundsCreate:
				return pluraltest.NoFault
			case isRead(r) && refunds > 0 && time.Since(*lost) < 8*time.Second:
				return pluraltest.UnavailableBeforeApply
			}
			return pluraltest.NoFault
		}, 1, false,
	}, {
		// Plural answers with an older state for longer than a call reads the
		// books.
		"the books lag", func(r pluraltest.Request, refunds int, lost *time.Time) pluraltest.Fault {
			switch {
			case r.Op == pluraltest.OpRefundsCreate && refunds == 0:
				*lost = time.Now()
				return pluraltest.ResetAfterApply
			case isRead(r) && refunds > 0 && time.Since(*lost) < 2*time.Second:
				return pluraltest.UnavailableBeforeApply
			case isRead(r) && refunds > 0 && time.Since(*lost) < 7*time.Second:
				return pluraltest.StaleRead
			}
			return pluraltest.NoFault
		}, 1, false,
	}, {
		// The worker of the first try died after Plural had carried out the
		// refund twice.
		"twice, and died", func(r pluraltest.Request, refunds int, lost *time.Time) pluraltest.Fault {
			switch {
			case r.Op == pluraltest.OpRefundsCreate && refunds < 2:
				*lost = time.Now()
				return pluraltest.ResetAfterApply
			case isRead(r) && refunds < 2:
				return pluraltest.StaleRead
			case isRead(r) && time.Since(*lost) < 3*time.Second:
				return pluraltest.UnavailableBeforeApply
			}
			return pluraltest.NoFault
		}, 2, true,
	}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var lost time.Time // only the fault plan uses this variable, and the shop sends one request at a time
			s := openRefunds(t, asItIs)
			args := s.makeRefundable(t, "order")
			s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
				return c.faults(r, len(s.gateway.Refunds(args.OrderID)), &lost)
			})
			id := s.insert(t, args)
			o := <-s.told
			require.Empty(t, o.Why)
			require.Len(t, s.gateway.Refunds(args.OrderID), c.refunds)
			row := s.waitFor(t, id, isFinalized)
			require.Equal(t, rivertype.JobStateCompleted, row.State, "the job is not tried again")
			if !c.double {
				require.NoError(t, o.Outcome.Err)
				return
			}
			var twice *plural.DoubleRefundError
			require.ErrorAs(t, o.Outcome.Err, &twice)
			require.Nil(t, o.Order)
		})
	}
}

// If a job with the same reference is inserted again, the new job finds the
// refund, and sends nothing.
func TestARefundDecidedAgain(t *testing.T) {
	t.Parallel()
	s := openRefunds(t, asItIs)
	args := s.makeRefundable(t, "order")
	for range 2 {
		s.insert(t, args)
		o := <-s.told
		require.NoError(t, o.Outcome.Err)
		require.Len(t, s.gateway.Refunds(args.OrderID), 1)
		require.Eventually(t, func() bool {
			return s.count(t, `river_job WHERE state <> 'completed'`) == 0
		}, time.Minute, 10*time.Millisecond)
	}
	args.Amount = plural.INR(2000)
	s.insert(t, args)
	o := <-s.told
	require.ErrorIs(t, o.Outcome.Err, plural.ErrConflict)
	require.Len(t, s.gateway.Refunds(args.OrderID), 1)
}

// A worker is paused after it has read the books, and before it makes its call.
// Meanwhile another worker makes the refund and ends the job. Then the first
// worker makes a second refund, which is reported to a person.
func TestASecondRefundContradicts(t *testing.T) {
	t.Parallel()
	g := newGate("looked")
	s := openRefunds(t, gated[*sql.Tx](g))
	args := s.makeRefundable(t, "order")
	id := s.insert(t, args)
	<-g.arrived
	s.rescueJob(t, id, rivertype.JobStateAvailable)
	s.startAnother(t, s.telling)
	o := <-s.told
	require.NoError(t, o.Outcome.Err)
	require.Empty(t, o.Why)
	close(g.open)
	o = <-s.told
	require.Equal(t, pluralriver.Contradicted, o.Why)
	require.ErrorIs(t, o.Outcome.Err, plural.ErrConflict)
	require.Len(t, s.gateway.Refunds(args.OrderID), 2)
}

// A job waits for a day only if its last try needs a review. Otherwise it waits
// for as long as River decides.
func TestDailyOnlyWhileInReview(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := openRefunds(t, func(cfg pluralriver.Config[*sql.Tx]) pluralriver.Config[*sql.Tx] {
		return pluralriver.Daily(cfg, 100*time.Millisecond)
	})
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpRefundsCreate && calls.Add(1) == 2 {
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	id := makeHeldOrder(t, s.gateway, "order") // the order is on hold, so a refund may still become possible
	job := s.insert(t, pluralriver.RefundArgs{OrderID: id, Reference: "early", Amount: plural.INR(1000)})
	o := <-s.told
	require.Equal(t, pluralriver.NeedsReview, o.Why)
	require.True(t, plural.NeedsReview(o.Outcome.Err))
	require.NoError(t, s.gateway.Capture(id, "capture", pluraltest.Amount{}))
	for o = <-s.told; o.Why != ""; o = <-s.told {
		require.Equal(t, pluralriver.NeedsReview, o.Why)
	}
	require.NoError(t, o.Outcome.Err)
	s.waitFor(t, job, isIn(rivertype.JobStateCompleted))
	require.Len(t, s.gateway.Refunds(id), 1)
}
