package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// staffDesk takes the staff's decisions, stores them, and follows them until
// Plural's books say what happened. It has nothing to do with pages.
type staffDesk struct{ *orderBooks }

// The method decide stores an operator's decision, together with the job that
// carries it out. It refuses the decision if the order has changed since the
// page was shown. If two operators decide, or if one of them clicks twice, only
// the first decision counts.
func (s *staffDesk) decide(ctx context.Context, d *decision, version int64) error {
	return s.db.transact(ctx, func(tx *sql.Tx) error { return s.decideTx(ctx, tx, d, version) })
}

func (s *staffDesk) decideTx(ctx context.Context, tx *sql.Tx, d *decision, version int64) error {
	o, err := s.db.lockOrder(ctx, tx, d.Number)
	if err != nil {
		return err
	}
	decisions, err := s.db.listDecisions(ctx, tx, d.Number)
	if err != nil {
		return err
	}
	for _, before := range decisions {
		if before.Reference != d.Reference {
			continue
		}
		if before.Whole == d.Whole && (d.Whole || before.Amount == d.Amount) {
			return nil // the same button, pressed twice
		}
		return errChanged
	}
	if o.Version != version {
		return errChanged
	}
	sum := sumDecisions(decisions)
	most := o.Amount
	switch {
	case d.Kind == kindRefund:
		most = sum.refundableAmount(o)
	case d.Kind == kindCapture && !sum.canCapture(o), d.Kind == kindCancel && !sum.canCancel(o):
		return errNoHold
	}
	if d.Whole {
		d.Amount = most
	}
	switch {
	case d.Amount.Value < leastAmount:
		return errTooLittle
	case d.Amount.Value > most.Value:
		return errTooMuch
	}
	inserted, err := pluralriver.InsertTx(ctx, s.river, tx, d.args(o), nil)
	switch {
	case errors.Is(err, pluralriver.ErrOtherWaiting), err == nil && inserted.UniqueSkippedAsDuplicate:
		return errStillEnding
	case err != nil:
		return err
	}
	d.JobID = inserted.Job.ID
	return errors.Join(
		s.db.insertDecision(ctx, tx, d), s.db.moveOn(ctx, tx, d.Number), s.db.addNote(ctx, tx, d.Number, d.Text()),
	)
}

// onEnded is called once for each decision, in the transaction that ends the
// decision's job.
func (s *staffDesk) onEnded(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome) error {
	d, err := s.decisionOf(ctx, tx, o)
	if d == nil || err != nil {
		return err
	}
	state, reason := endOf(o.Err)
	if err := s.settle(ctx, tx, d, state, reason); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "decision ended", "kind", d.Kind, "order", d.Number, "state", state, "reason", reason)
	if state == stateReview {
		s.log.ErrorContext(ctx, "a person has to look at Plural's dashboard", "order", d.Number, "error", o.Err)
	}
	if o.Order != nil && d.Kind != kindRefund {
		return s.recordDocumentTx(ctx, tx, d.Number, o.Order)
	}
	return s.lookSoon(ctx, tx, pluralriver.LookArgs{OrderID: o.OrderID})
}

// onUnsettled is called if a person has to look at a decision, because the
// decision has no final answer, or two different answers. The order's page then
// shows the reason, and what the operator can do.
func (s *staffDesk) onUnsettled(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome, a pluralriver.Attempt) error {
	s.log.ErrorContext(ctx, "a person has to look at Plural's dashboard",
		"order", o.OrderID, "reference", o.Reference, "why", a.Why, "error", a.Err)
	d, err := s.decisionOf(ctx, tx, o)
	switch {
	case d == nil || err != nil:
		return err
	case a.Why == pluralriver.Contradicted:
		state, reason := endAgain(d, o.Err)
		return s.settle(ctx, tx, d, state, reason)
	case d.State != stateWaiting:
		return nil
	}
	reason := map[pluralriver.Why]string{
		pluralriver.NeedsReview: "Plural refused it, and its books do not show why: " + explainRefusal(a.Err),
		pluralriver.Cancelled:   "its job was cancelled before it had an answer",
		pluralriver.GivenUp:     "its last try had no answer either",
	}[a.Why]
	return s.settle(ctx, tx, d, stateWaiting, cmp.Or(reason, "it has been unknown for long whether Plural carried it out"))
}

// decisionOf finds the decision that a job carries out, and locks its order. It
// returns nil if there is no such decision.
func (s *staffDesk) decisionOf(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome) (*decision, error) {
	kind := map[string]string{
		pluralriver.KindCapture: kindCapture, pluralriver.KindCancel: kindCancel, pluralriver.KindRefund: kindRefund,
	}[o.Kind]
	d, err := s.db.decisionOfJob(ctx, tx, kind, o.OrderID, o.Reference)
	if errors.Is(err, sql.ErrNoRows) {
		s.log.WarnContext(ctx, "a job without a decision", "kind", kind, "order", o.OrderID)
		return nil, nil //nolint:nilnil // none
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.db.lockOrder(ctx, tx, d.Number); err != nil {
		return nil, err
	}
	return s.db.findDecision(ctx, tx, d.Number, d.Reference) // read again, now that the order is locked
}

// endOf turns the final result of a call into the decision's state. The state
// is "refused" only if nothing was carried out and nothing will be. An operator
// who sees "refused" may decide again.
func endOf(err error) (state, reason string) {
	if twice, ok := errors.AsType[*plural.DoubleRefundError](err); ok {
		return stateDone, fmt.Sprintf("%d times: settle it with Plural", len(twice.Refunds))
	}
	switch {
	case err == nil:
		return stateDone, ""
	case errors.Is(err, plural.ErrNotApplied):
		return stateRefused, explainRefusal(err)
	}
	return stateReview, explainRefusal(err)
}

// endAgain is for a decision whose job has given different results in two runs.
// The state of the decision d shows the first result. The parameter err is the
// second result. endAgain returns the decision's new state, and the reason for
// this state. If more than one refund was made, the reason contains the number
// of refunds.
func endAgain(d *decision, err error) (state, reason string) {
	state, reason = endOf(err)
	switch {
	case state == stateDone && (d.State == stateDone || reason != ""):
		return state, cmp.Or(reason, "2 times: settle it with Plural")
	case state == stateRefused:
		state = stateReview
	}
	return state, "(Plural said something else before)"
}

// explainRefusal returns a text for the operator, which explains why a money
// call was not carried out.
func explainRefusal(err error) string {
	if errors.Is(err, plural.ErrNoHold) {
		return "the money was taken already, and Plural does not say for what: look at its dashboard"
	}
	if answer, ok := errors.AsType[*plural.Error](err); ok {
		return cmp.Or(answer.Code.Text(), string(answer.Code), answer.Message)
	}
	if state, ok := errors.AsType[*plural.StateError](err); ok {
		return state.Reason
	}
	if invalid, ok := errors.AsType[*plural.ValidationError](err); ok {
		return invalid.Error()
	}
	return "look at Plural's dashboard"
}

// retryJob runs a job now instead of later. River would run even a job that has
// ended. So retryJob checks that the job's decision still has the state
// "waiting".
func (s *staffDesk) retryJob(ctx context.Context, number string, job int64) error {
	return s.db.transact(ctx, func(tx *sql.Tx) error {
		// Lock the job's row before the order's row, because the end of a job
		// locks them in the same sequence.
		if _, err := s.river.JobRetryTx(ctx, tx, job); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
			return err
		}
		o, err := s.db.lockOrder(ctx, tx, number)
		if err != nil {
			return err
		}
		decisions, err := s.db.listDecisions(ctx, tx, o.Number)
		if err != nil {
			return err
		}
		waits := slices.ContainsFunc(decisions, func(d *decision) bool { return d.JobID == job && d.State == stateWaiting })
		if !waits {
			return errChanged
		}
		return nil
	})
}

// writeOff closes a decision after a person has looked at it. The job is not
// tried again. If the job is running at this moment, Plural may still carry out
// the decision. Then the shop records that it was carried out.
func (s *staffDesk) writeOff(ctx context.Context, number, reference string, version int64) error {
	return s.db.transact(ctx, func(tx *sql.Tx) error { return s.writeOffTx(ctx, tx, number, reference, version) })
}

func (s *staffDesk) writeOffTx(ctx context.Context, tx *sql.Tx, number, reference string, version int64) error {
	d, err := s.db.findDecision(ctx, tx, number, reference)
	if err != nil {
		return err
	}
	if d.State == stateWaiting { // the job's row is locked before the order's row
		if _, err := s.river.JobCancelTx(ctx, tx, d.JobID); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
			return err
		}
	}
	o, err := s.db.lockOrder(ctx, tx, number)
	if err != nil {
		return err
	}
	if d, err = s.db.findDecision(ctx, tx, number, reference); err != nil {
		return err
	}
	switch {
	case o.Version != version:
		return errChanged
	case !d.Troubled():
		return errNotInDoubt
	}
	return s.settle(ctx, tx, d, stateWrittenOff, "")
}

// jobView shows the state of a decision's job.
type jobView struct {
	ID      int64
	State   string
	Attempt int
	NextTry time.Time
	Problem string // the error of the last try
	Retry   bool   // an operator can run the job now
	GivenUp bool   // River gave the job up after its last try
}

func (s *staffDesk) job(ctx context.Context, id int64) (*jobView, error) {
	row, err := s.river.JobGet(ctx, id)
	if errors.Is(err, rivertype.ErrNotFound) {
		return nil, nil //nolint:nilnil // no job and no error: River removes jobs that ended long ago
	}
	if err != nil {
		return nil, fmt.Errorf("read job %d: %w", id, err)
	}
	v := &jobView{ID: id, State: string(row.State), Attempt: row.Attempt}
	if n := len(row.Errors); n > 0 {
		v.Problem = row.Errors[n-1].Error
	}
	switch row.State {
	case rivertype.JobStateRetryable, rivertype.JobStateScheduled:
		v.State, v.NextTry, v.Retry = "to be tried again", row.ScheduledAt, true
	case rivertype.JobStateDiscarded:
		v.State, v.Retry, v.GivenUp = "given up: a person has to look", true, true
	case rivertype.JobStateAvailable, rivertype.JobStatePending:
		v.State = "about to be tried"
	case rivertype.JobStateRunning:
		v.State = "being tried"
	case rivertype.JobStateCompleted, rivertype.JobStateCancelled:
		// the job has ended since the decision was read
	}
	return v, nil
}
