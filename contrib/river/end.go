package pluralriver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// record is the output of a job. It shows the job's state to people and to this
// package.
type record struct {
	State   string `json:"plural"`  // how the job ended, or a Why
	Attempt int    `json:"attempt"` // the number of the attempt in which that happened
	Error   string `json:"error,omitzero"`
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

// wasGivenUp reports whether, by the record, the job was given up after the
// last attempt of the row.
func (r record) wasGivenUp(row *rivertype.JobRow) bool {
	return r.Attempt == row.Attempt && (r.State == string(Cancelled) || r.State == string(GivenUp))
}

func recordOf(row *rivertype.JobRow) record {
	var r record
	if err := json.Unmarshal(row.Output(), &r); err != nil {
		return record{} // the job has no output, or not one of this package
	}
	return r
}

func endOf(attempt int, err error) record {
	r := record{State: endedInvalid, Attempt: attempt}
	switch {
	case err == nil:
		r.State = endedCarriedOut
		return r
	case errors.Is(err, plural.ErrNotApplied):
		r.State = endedNotApplied
	case errors.Is(err, plural.ErrConflict):
		r.State = endedConflict
	}
	r.Error = err.Error()
	return r
}

// isOurs reports whether no other worker has begun the job since. River
// sometimes counts attempts down, so the time of the attempt decides.
func isOurs(row, job *rivertype.JobRow) bool {
	return row.AttemptedAt != nil && job.AttemptedAt != nil && row.AttemptedAt.Equal(*job.AttemptedAt)
}

// errOther means that another worker has the job.
var errOther = errors.New("another worker has the job")

// end completes the job and calls Ended once. After a rescue two workers may
// have the job. Then only the worker that began last may complete it. A lock on
// the job's row makes the other worker wait. The record shows the other worker,
// and any later worker, that the job has ended.
func (w *worker[TTx, TArgs]) end(ctx context.Context, job *river.Job[TArgs], o Outcome) error {
	client := river.ClientFromContext[TTx](ctx)
	return w.cfg.Transact(ctx, func(tx TTx) error {
		row, err := client.JobUpdateTx(ctx, tx, job.ID, nil) // changes nothing and locks the row
		switch {
		case err != nil:
			return err
		case recordOf(row).hasEnded():
			return w.contradict(ctx, tx, o, recordOf(row))
		case !isOurs(row, job.JobRow):
			return errOther
		}
		if row.State == rivertype.JobStateRunning { // otherwise River has rescued the job, and its next run finds the record
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
		_, err = write(ctx, client, tx, job.ID, endOf(job.Attempt, o.Err))
		return err
	})
}

// contradict reports an answer that differs from the one with which another run
// of the job has ended it.
func (w *worker[TTx, TArgs]) contradict(ctx context.Context, tx TTx, o Outcome, ended record) error {
	if endOf(ended.Attempt, o.Err).State == ended.State {
		return nil
	}
	err := fmt.Errorf("the job had ended: %s", ended.State)
	return w.cfg.Unsettled(ctx, tx, o, Attempt{ended.Attempt, Contradicted, errors.Join(err, o.Err)})
}

// unsettled calls Unsettled for a try that did not end the job, if that is
// needed, and returns the error of the try.
func (w *worker[TTx, TArgs]) unsettled(ctx context.Context, job *river.Job[TArgs], o Outcome, a Attempt) error {
	if a.Why == "" {
		return a.Err
	}
	client := river.ClientFromContext[TTx](ctx)
	err := w.cfg.Transact(ctx, func(tx TTx) error {
		row, err := client.JobUpdateTx(ctx, tx, job.ID, nil) // changes nothing and locks the row
		switch {
		case err != nil:
			return err
		case recordOf(row).hasEnded() || !isOurs(row, job.JobRow):
			return errOther
		}
		if err := w.cfg.Unsettled(ctx, tx, o, a); err != nil {
			return fmt.Errorf("pluralriver: tell of job %d: %w", job.ID, err)
		}
		row, err = write(ctx, client, tx, job.ID, record{string(a.Why), job.Attempt, a.Err.Error()})
		if err == nil {
			job.Metadata = row.Metadata // for NextRetry
		}
		return err
	})
	if errors.Is(err, errOther) {
		return w.leave()
	}
	return errors.Join(a.Err, err)
}

// write records the state of a job.
func write[TTx any](
	ctx context.Context, client *river.Client[TTx], tx TTx, id int64, r record,
) (*rivertype.JobRow, error) {
	return client.JobUpdateTx(ctx, tx, id, &river.JobUpdateParams{Output: r})
}
