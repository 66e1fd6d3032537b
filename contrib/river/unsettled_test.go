package pluralriver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/pluraltest"
)

// testUnsettled runs jobs that get no final answer.
func testUnsettled[TTx any](t *testing.T, e *engine[TTx]) {
	s := e.open(t, func(cfg pluralriver.Config[TTx]) pluralriver.Config[TTx] {
		cfg.UnsettledAfter = 3
		return cfg
	})
	insert := func(args pluralriver.MoneyArgs, tries int) int64 {
		t.Helper()
		var job *rivertype.JobInsertResult
		require.NoError(t, s.transact(t.Context(), func(tx TTx) (err error) {
			job, err = pluralriver.InsertTx(t.Context(), s.river, tx, args, &river.InsertOpts{MaxAttempts: tries})
			return err
		}))
		return job.Job.ID
	}

	// Plural rejects the capture, and nothing in the books explains why. So
	// the function Unsettled is called after the first try of the job, and
	// the next try is a day later.
	order := unpaidOrder(t, s.gateway, "order-1")
	id := insert(pluralriver.CaptureArgs{OrderID: order, Reference: "unpaid", Full: true}, 25)
	s.waitForRows(t, 1, `unsettled WHERE reference = 'unpaid'`)
	row := s.waitFor(t, id, isIn(rivertype.JobStateRetryable))
	require.Equal(t, 1, s.count(t, `unsettled WHERE why = 'needs review' AND attempt = 1 AND good = 0`))
	require.Len(t, row.Errors, 1)
	require.WithinDuration(t, row.Errors[0].At.Add(24*time.Hour), row.ScheduledAt, time.Hour)
	// After the payer has paid, somebody in the shop retries the job at once,
	// without waiting for a day.
	_, err := s.gateway.Pay(order, pluraltest.Approve)
	require.NoError(t, err)
	_, err = s.river.JobRetry(t.Context(), id)
	require.NoError(t, err)
	s.waitFor(t, id, isIn(rivertype.JobStateCompleted))
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'unpaid' AND good = 1`))

	// There is no answer for a while. So the job is reported after the third
	// try, and after the last try.
	order = makeHeldOrder(t, s.gateway, "order-2")
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.OrderID == order {
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	id = insert(pluralriver.CaptureArgs{OrderID: order, Reference: "down", Full: true}, 5)
	s.waitFor(t, id, isIn(rivertype.JobStateDiscarded))
	require.Equal(t, 2, s.count(t, `unsettled WHERE reference = 'down'`))
	require.Equal(t, 1, s.count(t, `unsettled WHERE reference = 'down' AND why = 'still unknown' AND attempt = 3`))
	require.Equal(t, 1, s.count(t, `unsettled WHERE reference = 'down' AND why = 'given up' AND attempt = 5`))
	// The job can be tried again after that, and is then reported again.
	_, err = s.river.JobRetry(t.Context(), id)
	require.NoError(t, err)
	s.waitForRows(t, 2, `unsettled WHERE reference = 'down' AND why = 'given up'`)
	s.waitFor(t, id, isIn(rivertype.JobStateDiscarded))
	s.gateway.SetFaultPlan(nil)
	_, err = s.river.JobRetry(t.Context(), id)
	require.NoError(t, err)
	s.waitFor(t, id, isIn(rivertype.JobStateCompleted))
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'down' AND good = 1`))
	require.Len(t, s.gateway.Captures(order), 1)
}

// testCancelled checks jobs that a person cancelled, or that River gave up.
// Some of these jobs have a worker that can report this, and some have no
// worker.
func testCancelled[TTx any](t *testing.T, e *engine[TTx]) {
	g := newGate("looked")
	var order string
	watch := func(c *river.Config) {
		c.PeriodicJobs = []*river.PeriodicJob{pluralriver.Watch()}
		oneWorker(c)
	}
	s := e.open(t, gated[TTx](g), watch)
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpCapturesCreate {
			return pluraltest.Fault{Effect: pluraltest.ApplyNow, Answer: pluraltest.AnswerHang}
		}
		return pluraltest.NoFault
	})
	order = makeHeldOrder(t, s.gateway, "order-1")
	id := s.insert(t, pluralriver.CaptureArgs{OrderID: order, Reference: "running", Full: true})
	<-g.arrived
	close(g.open)
	require.Eventually(t, func() bool { return len(s.gateway.Captures(order)) == 1 }, time.Minute, 10*time.Millisecond)
	_, err := s.river.JobCancel(t.Context(), id)
	require.NoError(t, err)
	s.waitFor(t, id, isIn(rivertype.JobStateCancelled))
	s.waitForRows(t, 1, `unsettled WHERE reference = 'running' AND why = 'cancelled' AND attempt = 1`)

	// No worker has these two jobs.
	require.NoError(t, s.river.StopAndCancel(t.Context()))
	s.gateway.SetFaultPlan(nil)
	waiting := s.insert(t, pluralriver.CancelArgs{OrderID: order})
	_, err = s.river.JobCancel(t.Context(), waiting)
	require.NoError(t, err)
	lost := s.insert(t, pluralriver.RefundArgs{OrderID: order, Reference: "lost", Amount: plural.INR(1000)})
	now := time.Now().UTC().Format("2006-01-02 15:04:05.000")
	s.execute(t, `UPDATE river_job SET state = 'discarded', attempt = 25, finalized_at = '%s' WHERE id = %d`, now, lost)
	s.river = s.startAnother(t, nil, watch)
	s.waitForRows(t, 1, `unsettled WHERE order_id = '%s' AND why = 'cancelled' AND attempt = 0`, order)
	s.waitForRows(t, 1, `unsettled WHERE reference = 'lost' AND why = 'given up' AND attempt = 25`)

	// A job is not reported twice. A cancelled job ends when it is retried.
	_, err = s.river.Insert(t.Context(), pluralriver.WatchArgs{}, nil)
	require.NoError(t, err)
	_, err = s.river.JobRetry(t.Context(), id)
	require.NoError(t, err)
	s.waitFor(t, id, isIn(rivertype.JobStateCompleted))
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'running' AND good = 1`))
	require.Len(t, s.gateway.Captures(order), 1)
	s.waitForRows(t, 2, `river_job WHERE kind = 'plural_watch' AND state = 'completed' AND id > %d`, lost)
	require.Equal(t, 3, s.count(t, `unsettled`))
}

// testEndedFails runs a job of a shop whose function Ended returns an error.
func testEndedFails[TTx any](t *testing.T, e *engine[TTx]) {
	s := e.open(t, func(cfg pluralriver.Config[TTx]) pluralriver.Config[TTx] {
		cfg.UnsettledAfter = 2
		cfg.Ended = func(ctx context.Context, tx TTx, o pluralriver.Outcome) error {
			return errors.Join(e.ended(ctx, tx, o), errors.New("the shop's own bug"))
		}
		return cfg
	})
	order := makeHeldOrder(t, s.gateway, "order-1")
	var job *rivertype.JobInsertResult
	require.NoError(t, s.transact(t.Context(), func(tx TTx) (err error) {
		job, err = pluralriver.InsertTx(t.Context(), s.river, tx,
			pluralriver.CaptureArgs{OrderID: order, Reference: "bug", Full: true}, &river.InsertOpts{MaxAttempts: 3})
		return err
	}))
	s.waitFor(t, job.Job.ID, isIn(rivertype.JobStateDiscarded))
	require.Zero(t, s.count(t, `ended`))
	require.Equal(t, 2, s.count(t, `unsettled`))
	require.Equal(t, 1, s.count(t, `unsettled WHERE why = 'ended fails' AND attempt = 2 AND good = 1`))
	require.Equal(t, 1, s.count(t, `unsettled WHERE why = 'given up' AND attempt = 3 AND good = 1`))
	require.Len(t, s.gateway.Captures(order), 1)

	// After the bug is fixed, the function Ended returns no error.
	require.NoError(t, s.river.StopAndCancel(t.Context()))
	s.river = s.startAnother(t, nil)
	_, err := s.river.JobRetry(t.Context(), job.Job.ID)
	require.NoError(t, err)
	s.waitFor(t, job.Job.ID, isIn(rivertype.JobStateCompleted))
	require.Equal(t, 1, s.count(t, `ended WHERE good = 1`))
}
