// Package pluralriver makes money calls durable jobs of River
// (github.com/riverqueue/river): a capture, cancel or refund that the shop
// decides on is written down in the same transaction as the decision, and
// carried out from there, by whichever process is alive, for as long as it
// takes.
//
//	workers := river.NewWorkers()
//	err := pluralriver.AddWorkers(workers, pluralriver.Config[pgx.Tx]{
//		Client:   pluralClient,
//		Transact: pluralriver.Pgx(pool),
//		Ended: func(ctx context.Context, tx pgx.Tx, o pluralriver.Outcome) error {
//			return markShipment(ctx, tx, o.Reference, o.Err) // the shop's own
//		},
//	})
//
// And where the shop decides:
//
//	_, err = riverClient.InsertTx(ctx, tx, pluralriver.CaptureArgs{
//		OrderID: id, Reference: reference, Amount: plural.INR(149950),
//	}, nil)
//
// A money call has three answers, and so has its job. Carried out: the job is
// completed. [plural.ErrNotApplied], [plural.ErrNoHold] or a
// [plural.DoubleRefundError]: it is final, and the job is cancelled with the
// reason. Anything else: not known yet, and River tries again under the same
// reference, after longer and longer waits, for about three weeks
// (river.Config.MaxAttempts). A worker that is killed at any point leaves a job
// that is tried again; what it had done by then is found in Plural's books and
// not done twice.
package pluralriver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// Outcome is how a job ended.
type Outcome struct {
	Kind      string // the job's, such as "plural_capture"
	OrderID   string
	Reference string        // "" of a cancel
	Order     *plural.Order // what the call returned: of a refund the refund; nil where Err is not
	// nil: carried out; else it is ErrNotApplied, ErrNoHold or, where a refund was
	// carried out twice, a plural.DoubleRefundError, and final
	Err error
}

// Config says how money jobs are worked. TTx is the transaction of River's
// driver: pgx.Tx, or *sql.Tx.
type Config[TTx any] struct {
	// Client makes the calls.
	Client *plural.Client
	// Transact runs work in a transaction of the database that River is in, and
	// commits it if work returns nil: [Pgx], [SQL].
	Transact func(ctx context.Context, work func(tx TTx) error) error
	// Ended is called once a job has ended, in the transaction that ends it: what
	// it writes there is written exactly once. Where it fails the job is tried
	// again. It is not called for a job that River discards after its last try, or
	// that a person cancels. It may be nil.
	Ended func(ctx context.Context, tx TTx, o Outcome) error
	// Timeout ends one try of a call, two minutes by default. It has to be less
	// than River's RescueStuckJobsAfter.
	Timeout time.Duration

	step func(name string) // of the tests
}

const defaultTimeout = 2 * time.Minute

// AddWorkers adds the workers for captures, cancels and refunds.
func AddWorkers[TTx any](workers *river.Workers, cfg Config[TTx]) error {
	if cfg.Client == nil || cfg.Transact == nil {
		return errors.New("pluralriver: add workers: a Client and a Transact are needed")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.step == nil {
		cfg.step = func(string) {}
	}
	return errors.Join(
		river.AddWorkerSafely(workers, &worker[TTx, CaptureArgs]{cfg: &cfg}),
		river.AddWorkerSafely(workers, &worker[TTx, CancelArgs]{cfg: &cfg}),
		river.AddWorkerSafely(workers, &worker[TTx, RefundArgs]{cfg: &cfg}),
	)
}

// moneyArgs is a job of this package.
type moneyArgs interface {
	river.JobArgs
	call(ctx context.Context, client *plural.Client, again bool) (*plural.Order, error)
	about() (orderID, reference string)
}

type worker[TTx any, TArgs moneyArgs] struct {
	river.WorkerDefaults[TArgs]

	cfg *Config[TTx]
}

// Timeout is River's limit for one try.
func (w *worker[TTx, TArgs]) Timeout(*river.Job[TArgs]) time.Duration { return w.cfg.Timeout }

// Work makes the call, and ends the job if its answer is final.
func (w *worker[TTx, TArgs]) Work(ctx context.Context, job *river.Job[TArgs]) error {
	w.cfg.step("begun")
	order, err := job.Args.call(ctx, w.cfg.Client, job.Attempt > 1)
	w.cfg.step("answered")
	if err != nil && !isFinal(err) {
		return err // not known yet
	}
	o := Outcome{Kind: job.Kind, Order: order, Err: err}
	o.OrderID, o.Reference = job.Args.about()
	if o.Err != nil {
		o.Order = nil
	}
	err = w.cfg.Transact(ctx, func(tx TTx) error { return w.end(ctx, tx, job, o) })
	switch {
	case errors.Is(err, errEndedElsewhere):
		return nil
	case err != nil:
		return fmt.Errorf("pluralriver: end job %d: %w", job.ID, err)
	}
	w.cfg.step("committed")
	if o.Err != nil {
		return river.JobCancel(o.Err) // for River's own events; the job has ended
	}
	return nil
}

// isFinal says whether trying again could change nothing, or would do harm.
func isFinal(err error) bool {
	return errors.Is(err, plural.ErrNotApplied) || errors.Is(err, plural.ErrConflict)
}

// endedBy is the name in a job's metadata of who ended it.
const endedBy = "plural:ended_by"

var errEndedElsewhere = errors.New("pluralriver: another worker has ended the job")

// end ends the job in the transaction, as river.JobCompleteTx does for jobs
// that are completed. Of two workers that have the same job, after a rescue,
// one gets the row.
func (w *worker[TTx, TArgs]) end(ctx context.Context, tx TTx, job *river.Job[TArgs], o Outcome) error {
	client := river.ClientFromContext[TTx](ctx)
	now := time.Now().UTC()
	mark := uuid.NewString() // tells this end from another worker's
	metadata, err := json.Marshal(map[string]string{endedBy: mark})
	if err != nil {
		return err
	}
	set := riverdriver.JobSetStateCompleted(job.ID, now, metadata)
	if o.Err != nil {
		reason, err := json.Marshal(rivertype.AttemptError{At: now, Attempt: job.Attempt, Error: o.Err.Error()})
		if err != nil {
			return err
		}
		set = riverdriver.JobSetStateCancelled(job.ID, now, reason, metadata)
	}
	rows, err := client.Pilot().JobSetStateIfRunningMany(ctx, client.Driver().UnwrapExecutor(tx),
		&riverdriver.JobSetStateIfRunningManyParams{
			ID: []int64{set.ID}, Attempt: []*int{set.Attempt}, ErrData: [][]byte{set.ErrData},
			FinalizedAt:     []*time.Time{set.FinalizedAt},
			MetadataDoMerge: []bool{set.MetadataDoMerge}, MetadataUpdates: [][]byte{set.MetadataUpdates},
			ScheduledAt: []*time.Time{set.ScheduledAt}, Schema: client.Schema(), State: []rivertype.JobState{set.State},
		})
	if err != nil {
		return err
	}
	if len(rows) == 0 || !bytes.Contains(rows[0].Metadata, []byte(mark)) {
		return errEndedElsewhere
	}
	w.cfg.step("ended")
	if w.cfg.Ended != nil {
		if err := w.cfg.Ended(ctx, tx, o); err != nil {
			return err
		}
	}
	w.cfg.step("told")
	return nil
}
