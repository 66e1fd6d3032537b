// Package pluralriver turns money calls into durable jobs of River
// (github.com/riverqueue/river). The shop stores a capture, cancel, refund or
// payment link in the transaction in which it decides. Then any running process
// makes the call, and repeats it until the answer is final.
//
//	workers := river.NewWorkers()
//	err := pluralriver.AddWorkers(workers, pluralriver.Config[*sql.Tx]{
//		Client:    pluralClient,
//		Transact:  pluralriver.SQL(db),
//		Ended:     shop.ended,     // the shop's own
//		Unsettled: shop.unsettled, // the shop's own
//	})
//
// When the shop decides to move money, it makes this call:
//
//	_, err = pluralriver.InsertTx(ctx, riverClient, tx, pluralriver.CaptureArgs{
//		OrderID: id, Reference: reference, Amount: plural.INR(149950),
//	}, nil)
//
// A job ends when its answer is final, even if the answer is a refusal. Then
// [Config.Ended] is called once. As long as the answer is not final, River
// tries the job again under the same reference. It waits longer and longer
// between the tries, for about three weeks in total (river.Config.MaxAttempts).
// If a person has to look, [Config.Unsettled] is called. If
// [plural.NeedsReview] returns true for the error, the job is tried again
// daily. If a worker is killed at any point, its job is tried again. The next
// run finds in Plural's books what was done, and does not repeat it.
//
// This package writes the output that River keeps with each job
// ([rivertype.JobRow.Output]). This output contains the job's state, and
// prevents a second call of Ended. Do not record another output for these jobs,
// and do not delete these jobs while they may be retried.
package pluralriver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// Outcome is the result of a job that has ended, or the state of a job that has
// not ended.
type Outcome struct {
	Kind      string // the kind of the job, such as [KindCapture]
	OrderID   string // the order's id; the link's id if the job cancels a link; "" if the job makes a link
	Reference string // the merchant's reference; "" for a cancel
	// Order is the order that the call returned. It is nil if Err is not nil.
	// If the job makes a refund, Order is the document of that refund. The
	// refund's Status may be PENDING for days, because Plural has accepted the
	// refund, but the bank may still refuse it. To learn the final status, read
	// the order again later (see [LookTx]).
	Order *plural.Order
	// Link is the result of a job about a payment link. Such a job has no
	// Order.
	Link *plural.PaymentLink
	// Err is nil if the call was carried out. Otherwise, if the job has ended,
	// Err is plural.ErrNotApplied, plural.ErrConflict, or a
	// plural.ValidationError. A ValidationError means that nothing was sent,
	// but an earlier job with the same reference may have had an effect.
	Err error
}

// Attempt describes a try that did not end its job.
type Attempt struct {
	Number int // 1 for the first try; 0 if the job was not tried
	Why    Why
	// Err is the reason why the try did not end the job. If Why is
	// [EndedFails], the function [Config.Ended] or its transaction failed, and
	// Err wraps the error of that failure.
	Err error
}

// Why is the type of the reasons for a call of [Config.Unsettled].
type Why string

// The reasons.
const (
	// NeedsReview: further tries may never settle the call; see
	// [plural.NeedsReview]. The job is tried again daily, and Unsettled is
	// called after each such try.
	NeedsReview Why = "needs review"
	// StillUnknown: the call has been tried [Config.UnsettledAfter] times, and
	// still has no final answer.
	StillUnknown Why = "still unknown"
	// EndedFails: the call has a final answer, which is in the Outcome. But
	// the job has been tried [Config.UnsettledAfter] times, and the
	// function [Config.Ended] still returns an error.
	EndedFails Why = "ended fails"
	// Cancelled: somebody cancelled the job before it had an answer. It is not
	// known what happened to the call.
	Cancelled Why = "cancelled"
	// GivenUp: that was the job's last try. It is not known what happened to
	// the call, with one exception. If the call had a final answer, but the
	// function [Config.Ended] or its transaction failed in that try, the answer
	// is in the Outcome.
	GivenUp Why = "given up"
	// Contradicted: another run of the job has already called Ended, and now
	// this run has a different answer, such as a second refund or a second
	// link. Or this run made its call too, and the answer to it was lost.
	Contradicted Why = "contradicted"
)

// Config configures how money jobs are run. TTx is the transaction type of
// River's driver: pgx.Tx, or *sql.Tx.
type Config[TTx any] struct {
	// Client makes the calls.
	Client *plural.Client
	// Transact begins a transaction of River's database, and calls the given
	// function with the transaction. If that function returns nil, Transact
	// commits the transaction. Use [Pgx] or [SQL].
	Transact func(ctx context.Context, work func(tx TTx) error) error
	// Ended is called when a job has a final answer, in the transaction that
	// completes the job. What Ended writes in this transaction is stored at
	// most once, even if two workers have the job or somebody retries the job
	// after its end. If Ended returns an error, the job is tried again. Ended
	// may be nil.
	Ended func(ctx context.Context, tx TTx, o Outcome) error
	// Unsettled is called if a job has not ended and a person has to look: see
	// [Why]. It may be called more than once for one job. After Ended has
	// returned nil and its transaction is committed, the only possible reason
	// for a call of Unsettled is [Contradicted]. After a call of Unsettled, the
	// job may still get a final answer, and then Ended is called. A job may
	// also be cancelled or given up while no worker has the job. For such a job
	// Unsettled is called only if [Watch] is one of River's periodic jobs.
	// Unsettled may be nil.
	Unsettled func(ctx context.Context, tx TTx, o Outcome, a Attempt) error
	// UnsettledAfter is the number of tries after which Unsettled is called, if
	// there is no other reason to call it. The default is 8. With River's
	// waits, 8 tries take 80 minutes.
	UnsettledAfter int
	// Timeout limits one try of a call. It must be ten seconds or more, and
	// less than River's RescueStuckJobsAfter. The default is two minutes.
	Timeout time.Duration

	step  func(name string) // for tests
	daily time.Duration
}

const (
	minTimeout     = 10 * time.Second
	defaultTimeout = 2 * time.Minute
	endTimeout     = 10 * time.Second // the time for storing a call's result, even if the try's own time is over
)

// AddWorkers adds the workers for captures, cancels, refunds and payment links,
// and the worker of [Watch].
func AddWorkers[TTx any](workers *river.Workers, cfg Config[TTx]) error {
	switch {
	case cfg.Client == nil || cfg.Transact == nil:
		return errors.New("pluralriver: add workers: a Client and a Transact are needed")
	case cfg.Timeout != 0 && cfg.Timeout < minTimeout:
		return fmt.Errorf("pluralriver: add workers: a Timeout of %v is less than %v", cfg.Timeout, minTimeout)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.UnsettledAfter <= 0 {
		cfg.UnsettledAfter = 8
	}
	if cfg.Ended == nil {
		cfg.Ended = func(context.Context, TTx, Outcome) error { return nil }
	}
	if cfg.Unsettled == nil {
		cfg.Unsettled = func(context.Context, TTx, Outcome, Attempt) error { return nil }
	}
	if cfg.step == nil {
		cfg.step = func(string) {}
	}
	if cfg.daily == 0 {
		cfg.daily = 24 * time.Hour
	}
	return errors.Join(
		river.AddWorkerSafely(workers, &worker[TTx, CaptureArgs]{cfg: &cfg}),
		river.AddWorkerSafely(workers, &worker[TTx, CancelArgs]{cfg: &cfg}),
		river.AddWorkerSafely(workers, &worker[TTx, RefundArgs]{cfg: &cfg}),
		river.AddWorkerSafely(workers, &worker[TTx, LinkArgs]{cfg: &cfg}),
		river.AddWorkerSafely(workers, &worker[TTx, LinkCancelArgs]{cfg: &cfg}),
		river.AddWorkerSafely(workers, &watcher[TTx]{cfg: &cfg}),
	)
}

type worker[TTx any, TArgs MoneyArgs] struct {
	river.WorkerDefaults[TArgs]

	cfg *Config[TTx]
}

// Timeout tells River the time limit of one try.
func (w *worker[TTx, TArgs]) Timeout(*river.Job[TArgs]) time.Duration { return w.cfg.Timeout }

// NextRetry returns the time of the next try. If a person has to look at the
// job, the next try is a day from now. Otherwise NextRetry returns the zero
// time, and River decides when to try again.
func (w *worker[TTx, TArgs]) NextRetry(job *river.Job[TArgs]) time.Time {
	if r := recordOf(job.JobRow); r.State == string(NeedsReview) && r.Attempt == job.Attempt {
		return time.Now().Add(w.cfg.daily)
	}
	return time.Time{}
}

// Work sends the job's request to Plural, unless the books already show the
// request's effect. If the answer is final, Work ends the job.
func (w *worker[TTx, TArgs]) Work(ctx context.Context, job *river.Job[TArgs]) error {
	w.cfg.step("begun")
	row, err := river.ClientFromContext[TTx](ctx).JobGet(ctx, job.ID)
	switch {
	case err != nil:
		return fmt.Errorf("pluralriver: read job %d: %w", job.ID, err)
	case recordOf(row).hasEnded():
		return nil // another run has already ended the job
	case !isOurs(row, job.JobRow):
		return w.yieldJob()
	}
	o := Outcome{Kind: job.Kind}
	o.OrderID, o.Reference = job.Args.subject()
	got, wasSent, err := w.callPlural(ctx, job)
	if o.Err = err; err == nil && got != nil {
		o.Order, o.Link = got.order, got.link
	}
	w.cfg.step("answered")

	// The result of the call is recorded even if the time of the try is over.
	var cancel context.CancelFunc
	cause := context.Cause(ctx)
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if !isFinal(o.Err) {
		return w.finishTry(ctx, job, o, Attempt{job.Attempt, w.reviewReason(job, o.Err, cause), o.Err}, wasSent)
	}
	err = w.endJob(ctx, job, o)
	switch {
	case errors.Is(err, errOther):
		return w.yieldJob()
	case err != nil:
		err = fmt.Errorf("pluralriver: end job %d: %w", job.ID, err)
		return w.finishTry(ctx, job, o, Attempt{job.Attempt, w.reviewReason(job, o.Err, cause), err}, wasSent)
	}
	w.cfg.step("committed")
	return nil
}

// callPlural sends the job's request to Plural. If findExisting returns a
// result or an error, callPlural sends nothing.
func (w *worker[TTx, TArgs]) callPlural(
	ctx context.Context, job *river.Job[TArgs],
) (got *result, wasSent bool, err error) {
	isLaterRun := job.Attempt > 1 || len(job.AttemptedBy) > 1 || len(job.Errors) > 0
	if got, err := job.Args.findExisting(ctx, w.cfg.Client, isLaterRun); got != nil || err != nil {
		return got, false, err
	}
	w.cfg.step("looked")
	got, err = job.Args.send(ctx, w.cfg.Client)
	return got, true, err
}

// isFinal reports whether the job must not be tried again, because another try
// would change nothing or would do harm.
func isFinal(err error) bool {
	if err == nil || errors.Is(err, plural.ErrNotApplied) || errors.Is(err, plural.ErrConflict) {
		return true
	}
	_, isInvalid := errors.AsType[*plural.ValidationError](err)
	return isInvalid && !errors.Is(err, plural.ErrOutcomeUnknown)
}

// reviewReason returns why a person has to look, or "" if nobody has to.
func (w *worker[TTx, TArgs]) reviewReason(job *river.Job[TArgs], err, cause error) Why {
	isOften := job.Attempt >= w.cfg.UnsettledAfter && recordOf(job.JobRow).State == ""
	switch {
	case errors.Is(cause, rivertype.ErrJobCancelledRemotely):
		return Cancelled
	case errors.Is(cause, context.Canceled): // River is stopping, and the try does not count
		return ""
	case job.Attempt >= job.MaxAttempts:
		return GivenUp
	case plural.NeedsReview(err):
		return NeedsReview
	case !isOften:
		return ""
	case isFinal(err):
		return EndedFails
	}
	return StillUnknown
}

// yieldJob returns the result of Work for a worker whose job another worker has
// taken over. River stores this result in the job's row, as if it were the
// result of the other worker's try. If the result were nil, River would
// complete the job. If the result were an ordinary error, River could give the
// job up. So the result is a snooze, and River tries the job again.
func (w *worker[TTx, TArgs]) yieldJob() error { return river.JobSnooze(w.cfg.Timeout) }
