package pluralriver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// A record is the output of a job. It shows the job's state to people and to
// this package.
type record struct {
	State   string `json:"plural"`  // how the job ended, or why it has not ended (a Why)
	Attempt int    `json:"attempt"` // the attempt after which the state was recorded
	Error   string `json:"error,omitzero"`
	ID      string `json:"id,omitzero"` // what the call made or changed: the order, the refund or the link
}

// How jobs end.
const (
	endedCarriedOut = "carried out"
	endedNotApplied = "not carried out"
	endedConflict   = "conflict"
	endedInvalid    = "invalid, not sent"
)

func (r record) hasEnded() bool {
	switch r.State {
	case endedCarriedOut, endedNotApplied, endedConflict, endedInvalid:
		return true
	}
	return false
}

// wasGivenUp reports whether the record has the state Cancelled or GivenUp. A
// record counts only if it is about the row's last attempt.
func (r record) wasGivenUp(row *rivertype.JobRow) bool {
	return r.Attempt == row.Attempt && (r.State == string(Cancelled) || r.State == string(GivenUp))
}

func recordOf(row *rivertype.JobRow) record {
	var r record
	if err := json.Unmarshal(row.Output(), &r); err != nil {
		return record{} // the job has no output of this package
	}
	return r
}

func endOf(attempt int, o Outcome) record {
	r := record{State: endedInvalid, Attempt: attempt}
	switch {
	case o.Err == nil:
		r.State = endedCarriedOut
		if o.Order != nil {
			r.ID = o.Order.OrderID
		} else if o.Link != nil {
			r.ID = o.Link.PaymentLinkID
		}
		return r
	case errors.Is(o.Err, plural.ErrNotApplied):
		r.State = endedNotApplied
	case errors.Is(o.Err, plural.ErrConflict):
		r.State = endedConflict
	}
	r.Error = o.Err.Error()
	return r
}

// isSame reports whether two runs of a job have ended the job in the same way.
// It compares the states and the ids, because each run may have made a refund
// or a link of its own. If one of the records has no id, isSame compares only
// the states: an earlier version of this package recorded no id.
func (r record) isSame(other record) bool {
	return r.State == other.State && (r.ID == other.ID || r.ID == "" || other.ID == "")
}

// isOurs reports whether this worker is the last worker that began the job. It
// compares the times at which the attempts began. The numbers of the attempts
// are not enough: two attempts may have the same number, because River does not
// count an attempt that ends with a snooze.
func isOurs(row, job *rivertype.JobRow) bool {
	return row.AttemptedAt != nil && job.AttemptedAt != nil && row.AttemptedAt.Equal(*job.AttemptedAt)
}

// errOther means that another worker has the job.
var errOther = errors.New("another worker has the job")

// endJob completes the job, and calls the function [Config.Ended] once. After a
// rescue two workers may have the job. Then only the worker that began last may
// complete the job. A lock on the job's row makes the other worker wait.
// Afterwards the other worker, and any later worker, can read in the record
// that the job has ended.
func (w *worker[TTx, TArgs]) endJob(ctx context.Context, job *river.Job[TArgs], o Outcome) error {
	client := river.ClientFromContext[TTx](ctx)
	return w.cfg.Transact(ctx, func(tx TTx) error {
		row, err := client.JobUpdateTx(ctx, tx, job.ID, nil) // changes nothing, but locks the row
		switch {
		case err != nil:
			return err
		case recordOf(row).hasEnded():
			return w.reportContradiction(ctx, tx, o, recordOf(row))
		case !isOurs(row, job.JobRow):
			return errOther
		}
		if row.State == rivertype.JobStateRunning { // otherwise River has rescued the job, and the next run finds the record
			row, err := river.JobCompleteTx[riverdriver.Driver[TTx]](ctx, tx, job)
			if err != nil {
				return err
			}
			if row.State != rivertype.JobStateCompleted || !isOurs(row.JobRow, job.JobRow) {
				return errOther
			}
		}
		w.cfg.step("ended")
		if err := w.cfg.Ended(ctx, tx, o); err != nil {
			return err
		}
		w.cfg.step("told")
		_, err = putRecord(ctx, client, tx, job.ID, endOf(job.Attempt, o))
		return err
	})
}

// reportContradiction is called if another run has already ended the job. It
// calls the function Unsettled in two cases:
//   - This run has a final answer, and the record of the other run has a
//     different answer.
//   - This run made a call too, and the answer to that call was lost.
func (w *worker[TTx, TArgs]) reportContradiction(ctx context.Context, tx TTx, o Outcome, ended record) error {
	if isFinal(o.Err) && endOf(ended.Attempt, o).isSame(ended) {
		return nil
	}
	err := fmt.Errorf("the job has already ended: %s", strings.TrimSpace(ended.State+" "+ended.ID))
	return w.cfg.Unsettled(ctx, tx, o, Attempt{ended.Attempt, Contradicted, errors.Join(err, o.Err)})
}

// finishTry returns the error of a try that did not end the job. In two cases
// finishTry first calls the function Unsettled:
//   - There is a reason in a.Why, and no other worker has taken or ended the
//     job.
//   - This try sent a request to Plural, the answer was lost, and another run
//     has ended the job. No later try finds out what the request did.
func (w *worker[TTx, TArgs]) finishTry(
	ctx context.Context, job *river.Job[TArgs], o Outcome, a Attempt, wasSent bool,
) error {
	isLost := wasSent && !isFinal(o.Err) && errors.Is(o.Err, plural.ErrOutcomeUnknown)
	if a.Why == "" && !isLost {
		return a.Err
	}
	client := river.ClientFromContext[TTx](ctx)
	err := w.cfg.Transact(ctx, func(tx TTx) error {
		row, err := client.JobUpdateTx(ctx, tx, job.ID, nil) // changes nothing, but locks the row
		switch {
		case err != nil:
			return err
		case recordOf(row).hasEnded() && isLost:
			return w.reportContradiction(ctx, tx, o, recordOf(row))
		case a.Why == "":
			return nil
		case recordOf(row).hasEnded() || !isOurs(row, job.JobRow):
			return errOther
		}
		if err := w.cfg.Unsettled(ctx, tx, o, a); err != nil {
			return fmt.Errorf("pluralriver: report job %d: %w", job.ID, err)
		}
		state := record{State: string(a.Why), Attempt: job.Attempt, Error: a.Err.Error()}
		row, err = putRecord(ctx, client, tx, job.ID, state)
		if err == nil {
			job.Metadata = row.Metadata // for NextRetry
		}
		return err
	})
	if errors.Is(err, errOther) {
		return w.yieldJob()
	}
	return errors.Join(a.Err, err)
}

// putRecord stores the state of a job in the job's row.
func putRecord[TTx any](
	ctx context.Context, client *river.Client[TTx], tx TTx, id int64, r record,
) (*rivertype.JobRow, error) {
	return client.JobUpdateTx(ctx, tx, id, &river.JobUpdateParams{Output: r})
}
