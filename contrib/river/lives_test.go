package pluralriver_test

import (
	"testing"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/pluraltest"
)

// testTwoLives lets two workers run the same job. The steps of the two workers
// happen in a different sequence each time.
func testTwoLives[TTx any](t *testing.T, e *engine[TTx]) {
	first := newGate("answered")
	s := e.open(t, gated[TTx](first), oneWorker)
	begin := func(reference string) (id int64, order string) {
		order = makeHeldOrder(t, s.gateway, reference)
		id = s.insert(t, pluralriver.CaptureArgs{OrderID: order, Reference: reference, Amount: plural.INR(5000)})
		<-first.arrived
		return id, order
	}
	check := func(id int64, order, reference string) {
		t.Helper()
		s.waitFor(t, id, isIn(rivertype.JobStateCompleted))
		require.Equal(t, 1, s.count(t, `ended WHERE reference = '%s' AND good = 1`, reference))
		require.Equal(t, 1, s.count(t, `ended WHERE reference = '%s'`, reference))
		require.Len(t, s.gateway.Captures(order), 1)
	}
	renew := func(at string) {
		require.NoError(t, s.river.StopAndCancel(t.Context()))
		first = newGate(at)
		s.river = s.startAnother(t, gated[TTx](first), oneWorker)
	}

	// The first worker goes on after the second worker has ended the job.
	id, order := begin("after")
	s.rescueJob(t, id, rivertype.JobStateAvailable)
	other := s.startAnother(t, nil)
	s.waitForRows(t, 1, `ended WHERE reference = 'after'`)
	close(first.open)
	require.NoError(t, other.StopAndCancel(t.Context()))
	renew("answered")
	check(id, order, "after")

	// The first worker goes on while the second worker has the job.
	id, order = begin("while")
	s.rescueJob(t, id, rivertype.JobStateAvailable)
	second := newGate("answered")
	other = s.startAnother(t, gated[TTx](second))
	<-second.arrived
	close(first.open)
	s.waitFor(t, id, func(row *rivertype.JobRow) bool { return row.State != rivertype.JobStateRunning })
	require.Zero(t, s.count(t, `ended WHERE reference = 'while'`), "only the second worker may end the job")
	close(second.open)
	s.waitForRows(t, 1, `ended WHERE reference = 'while'`)
	check(id, order, "while")
	require.NoError(t, other.StopAndCancel(t.Context()))
	renew("answered")

	// Both workers go on at the same time.
	id, order = begin("at-once")
	s.rescueJob(t, id, rivertype.JobStateAvailable)
	second = newGate("answered")
	other = s.startAnother(t, gated[TTx](second))
	<-second.arrived
	close(first.open)
	close(second.open)
	s.waitForRows(t, 1, `ended WHERE reference = 'at-once'`)
	check(id, order, "at-once")
	require.NoError(t, other.StopAndCancel(t.Context()))
	renew("answered")

	// The first worker goes on before a second worker has begun. The first
	// worker ends the job, and the second worker finds that out.
	id, order = begin("before")
	s.rescueJob(t, id, rivertype.JobStateRetryable)
	close(first.open)
	s.waitForRows(t, 1, `ended WHERE reference = 'before'`)
	renew("answered")
	_, err := s.river.JobRetry(t.Context(), id)
	require.NoError(t, err)
	check(id, order, "before")

	// The gateway is unavailable for the first worker, so the first worker's
	// try ends with an error. River records this error as the result of the
	// second worker's try.
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpCapturesCreate && r.Attempt == 1 {
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	id, order = begin("no-answer")
	s.rescueJob(t, id, rivertype.JobStateAvailable)
	second = newGate("answered")
	other = s.startAnother(t, gated[TTx](second), oneWorker)
	<-second.arrived
	close(first.open)
	s.waitFor(t, id, func(row *rivertype.JobRow) bool { return len(row.Errors) > 0 })
	close(second.open)
	check(id, order, "no-answer")
	require.NoError(t, other.StopAndCancel(t.Context()))

	s.gateway.AssertExactlyOnce(t)
	require.Zero(t, s.count(t, `unsettled`))
}

// testRetriedAfterTheEnd retries jobs that have ended.
func testRetriedAfterTheEnd[TTx any](t *testing.T, e *engine[TTx]) {
	s := e.open(t, nil)
	order := makeHeldOrder(t, s.gateway, "order-1")
	done := s.insert(t, pluralriver.CaptureArgs{OrderID: order, Reference: "done", Full: true})
	s.waitFor(t, done, isFinalized)
	refused := s.insert(t, pluralriver.CancelArgs{OrderID: order})
	s.waitFor(t, refused, isFinalized)
	requests := len(s.gateway.Requests())
	for _, id := range []int64{done, refused} {
		for n := range 3 {
			_, err := s.river.JobRetry(t.Context(), id)
			require.NoError(t, err)
			row := s.waitFor(t, id, isIn(rivertype.JobStateCompleted))
			require.Equal(t, n+2, row.Attempt, "it was tried again")
		}
	}
	require.Equal(t, 2, s.count(t, `ended`))
	require.Len(t, s.gateway.Requests(), requests, "a retry sends no request")
}
