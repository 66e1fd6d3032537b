package pluralriver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Watch makes a periodic job for river.Config.PeriodicJobs. Every minute the
// job looks for money jobs that ended without an answer while no worker was
// running them. It calls [Config.Unsettled] for each of these money jobs.
// Either a person cancelled the money job, or its worker was killed in the last
// try.
func Watch() *river.PeriodicJob {
	return river.NewPeriodicJob(
		river.PeriodicInterval(time.Minute),
		func() (river.JobArgs, *river.InsertOpts) { return watchArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true},
	)
}

type watchArgs struct{}

func (watchArgs) Kind() string { return KindWatch }

// InsertOpts allows only one try, because a minute later the next job does the
// same work.
func (watchArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

type watcher[TTx any] struct {
	river.WorkerDefaults[watchArgs]

	cfg *Config[TTx]
}

const watchPage = 500

func (w *watcher[TTx]) Work(ctx context.Context, _ *river.Job[watchArgs]) error {
	client := river.ClientFromContext[TTx](ctx)
	params := river.NewJobListParams().First(watchPage).
		Kinds(KindCapture, KindCancel, KindRefund, KindLink, KindLinkCancel).
		States(rivertype.JobStateCancelled, rivertype.JobStateDiscarded)
	var failures []error
	for {
		page, err := client.JobList(ctx, params)
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
		for _, row := range page.Jobs {
			if isToBeTold(row) {
				failures = append(failures, w.report(ctx, client, row.ID))
			}
		}
		if len(page.Jobs) < watchPage {
			return errors.Join(failures...)
		}
		params = params.After(page.LastCursor)
	}
}

func isToBeTold(row *rivertype.JobRow) bool {
	r := recordOf(row)
	return (row.State == rivertype.JobStateCancelled || row.State == rivertype.JobStateDiscarded) &&
		!r.hasEnded() && !r.wasGivenUp(row)
}

func (w *watcher[TTx]) report(ctx context.Context, client *river.Client[TTx], id int64) error {
	err := w.cfg.Transact(ctx, func(tx TTx) error {
		row, err := client.JobUpdateTx(ctx, tx, id, nil) // changes nothing, but locks the row
		if err != nil || !isToBeTold(row) {
			return err
		}
		o := Outcome{Kind: row.Kind}
		if o.OrderID, o.Reference, err = aboutOf(row); err != nil {
			return err
		}
		a := Attempt{Number: row.Attempt, Why: GivenUp, Err: errors.New("the job was not tried")}
		if row.State == rivertype.JobStateCancelled {
			a.Why = Cancelled
		}
		if n := len(row.Errors); n > 0 {
			a.Err = errors.New(row.Errors[n-1].Error)
		}
		o.Err = a.Err
		if err := w.cfg.Unsettled(ctx, tx, o, a); err != nil {
			return err
		}
		_, err = putRecord(ctx, client, tx, id, record{State: string(a.Why), Attempt: row.Attempt, Error: a.Err.Error()})
		return err
	})
	if err != nil {
		return fmt.Errorf("pluralriver: report job %d: %w", id, err)
	}
	return nil
}

func aboutOf(row *rivertype.JobRow) (orderID, reference string, err error) {
	var args struct {
		OrderID   string `json:"order_id"`
		LinkID    string `json:"payment_link_id"`
		Reference string `json:"reference"`
	}
	err = json.Unmarshal(row.EncodedArgs, &args)
	return cmp.Or(args.OrderID, args.LinkID), args.Reference, err
}
