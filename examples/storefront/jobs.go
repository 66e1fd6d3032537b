package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// queueBooks is for reads, so they never keep a capture waiting.
const queueBooks = "books"

// startJobs begins to work jobs: money calls as contrib/river has them, and
// looks into Plural's books.
func (s *shop) startJobs(ctx context.Context, p pace, middleware []rivertype.Middleware) error {
	workers := river.NewWorkers()
	err := errors.Join(
		pluralriver.AddWorkers(workers, pluralriver.Config[*sql.Tx]{
			Client: s.client, Transact: s.db.transact, Ended: s.ended, Unsettled: s.unsettled, Timeout: p.Timeout,
		}),
		pluralriver.AddLooks(workers, pluralriver.Looks[*sql.Tx]{
			Client: s.client, Transact: s.db.transact, Seen: s.seen, Queue: queueBooks, Timeout: p.Timeout,
			Quiet: func(ctx context.Context, tx *sql.Tx) ([]pluralriver.LookArgs, error) { return s.quiet(ctx, tx, p.Look) },
		}),
	)
	if err != nil {
		return err
	}
	s.river, err = river.NewClient(s.db.river, &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: 8},
			queueBooks:         {MaxWorkers: 4},
		},
		Workers:              workers,
		Logger:               slog.New(levelled{s.log.Handler(), slog.LevelWarn}),
		Middleware:           middleware,
		ErrorHandler:         teller{s.log},
		FetchPollInterval:    p.Poll,
		FetchCooldown:        min(p.Poll, river.FetchCooldownDefault),
		JobTimeout:           p.Timeout,
		RescueStuckJobsAfter: p.Rescue,
		// a decision whose job was given up waits for a person, however long
		DiscardedJobRetentionPeriod: -1,
		RetryPolicy:                 p.Retry,
		PeriodicJobs:                []*river.PeriodicJob{pluralriver.Watch(), pluralriver.Sweep(p.Sweep)},
	})
	if err != nil {
		return err
	}
	return s.river.Start(context.WithoutCancel(ctx)) // stopJobs ends it
}

// teller has somebody told of a bug.
type teller struct{ log *slog.Logger }

func (t teller) HandleError(context.Context, *rivertype.JobRow, error) *river.ErrorHandlerResult {
	return nil
}

func (t teller) HandlePanic(
	ctx context.Context,
	job *rivertype.JobRow,
	value any,
	trace string,
) *river.ErrorHandlerResult {
	t.log.ErrorContext(ctx, "job panicked", "kind", job.Kind, "id", job.ID, "panic", value, "trace", trace)
	return nil
}

// stopJobs lets the jobs that are being worked end, for a while.
func (s *shop) stopJobs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := s.river.Stop(ctx); err != nil {
		_ = s.river.StopAndCancel(context.WithoutCancel(ctx)) // those jobs are found and tried again
	}
}

// ended is called once for each decision, in the transaction that ends its job.
func (s *shop) ended(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome) error {
	d, err := s.decisionOf(ctx, tx, o)
	if d == nil || err != nil {
		return err
	}
	state, reason := endOf(o.Err)
	if err := s.db.settle(ctx, tx, d, state, reason); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "decision ended", "kind", d.Kind, "order", d.Number, "state", state, "reason", reason)
	if state == stateReview {
		s.log.ErrorContext(ctx, "a person has to look at Plural's dashboard", "order", d.Number, "error", o.Err)
	}
	if o.Order != nil && d.Kind != kindRefund {
		return s.record(ctx, tx, d.Number, o.Order)
	}
	return s.lookSoon(ctx, tx, pluralriver.LookArgs{OrderID: o.OrderID})
}

// unsettled is called for a decision that has no final answer, where a person
// has to look: its order's page says so, and what can be done.
func (s *shop) unsettled(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome, a pluralriver.Attempt) error {
	s.log.ErrorContext(ctx, "a person has to look at Plural's dashboard",
		"order", o.OrderID, "reference", o.Reference, "why", a.Why, "error", a.Err)
	d, err := s.decisionOf(ctx, tx, o)
	switch {
	case d == nil || err != nil:
		return err
	case a.Why == pluralriver.Contradicted:
		state, _ := endOf(o.Err)
		if state == stateRefused {
			state = stateReview
		}
		return s.db.settle(ctx, tx, d, state, "(Plural said something else before)")
	case d.State != stateWaiting:
		return nil
	}
	reason := map[pluralriver.Why]string{
		pluralriver.NeedsReview: "Plural refused it, and its books do not show why: " + refusal(a.Err),
		pluralriver.Cancelled:   "its job was cancelled before it had an answer",
		pluralriver.GivenUp:     "it was tried for the last time, and had no answer",
	}[a.Why]
	return s.db.settle(ctx, tx, d, stateWaiting, cmp.Or(reason, "Plural has not said for long what became of it"))
}

// decisionOf is the decision that a job carries out; nil if there is none.
func (s *shop) decisionOf(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome) (*decision, error) {
	kind := map[string]string{
		pluralriver.KindCapture: kindCapture, pluralriver.KindCancel: kindCancel, pluralriver.KindRefund: kindRefund,
	}[o.Kind]
	d, err := s.db.decisionOf(ctx, tx, kind, o.OrderID, o.Reference)
	if errors.Is(err, sql.ErrNoRows) {
		s.log.WarnContext(ctx, "a job without a decision", "kind", kind, "order", o.OrderID)
		return nil, nil //nolint:nilnil // none, which is not an error
	}
	return d, err
}

// endOf is what a final answer makes of a decision. Only where nothing was or
// will be carried out is it refused, which invites another one.
func endOf(err error) (state, reason string) {
	if twice, ok := errors.AsType[*plural.DoubleRefundError](err); ok {
		return stateDone, fmt.Sprintf("%d times: settle it with Plural", len(twice.Refunds))
	}
	switch {
	case err == nil:
		return stateDone, ""
	case errors.Is(err, plural.ErrNotApplied):
		return stateRefused, refusal(err)
	}
	return stateReview, refusal(err)
}

// refusal is why a money call was not carried out, for the operator.
func refusal(err error) string {
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

// seen takes what Plural's books show of an order, whichever job or event led to
// the look.
func (s *shop) seen(ctx context.Context, tx *sql.Tx, booked *plural.Order) error {
	number := booked.MerchantOrderReference
	if !orderNumber.MatchString(number) || firstNumber(number) != number {
		s.log.ErrorContext(ctx, "Plural's books have another reference", "books", booked)
		return nil
	}
	err := s.record(ctx, tx, number, booked)
	if errors.Is(err, errUnknownOrder) {
		return nil // another shop's
	}
	return err
}

// lookSoon has an order read from Plural once the transaction is committed.
func (s *shop) lookSoon(ctx context.Context, tx *sql.Tx, args pluralriver.LookArgs) error {
	return pluralriver.LookTx(ctx, s.river, tx, args, &river.InsertOpts{Queue: queueBooks, MaxAttempts: 3})
}

// sweepAge is how long the sweep looks at an order that is never paid.
const sweepAge = 30 * 24 * time.Hour

// quiet finds orders that nothing has been heard of for a while: customers
// close their browsers, webhooks come late, and reads may lag behind a capture.
// Those whose id at Plural got lost are looked for by their number. The inbox
// forgets on that occasion.
func (s *shop) quiet(ctx context.Context, tx *sql.Tx, after time.Duration) ([]pluralriver.LookArgs, error) {
	now := time.Now()
	rows, err := tx.QueryContext(ctx, `SELECT number, plural_id FROM orders o WHERE looked_at < $1 AND created_at < $1 AND (
			(unsettled = 1 AND created_at > $2)
			OR captured <> (SELECT COALESCE(SUM(amount), 0) FROM decisions
				WHERE order_number = o.number AND kind = 'capture' AND state = 'done')
			OR refunded <> (SELECT COALESCE(SUM(amount), 0) FROM decisions
				WHERE order_number = o.number AND kind = 'refund' AND state = 'done'))
		ORDER BY looked_at, number LIMIT 200`, micro(now.Add(-after)), micro(now.Add(-sweepAge)))
	found, err := collect(rows, err, func(rows *sql.Rows) (o order, err error) {
		return o, rows.Scan(&o.Number, &o.PluralID)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b order) int { return cmp.Compare(a.Number, b.Number) }) // locked one after the other
	var looks []pluralriver.LookArgs
	for _, o := range found {
		_, err := tx.ExecContext(ctx, `UPDATE orders SET looked_at = $2 WHERE number = $1`, o.Number, micro(now))
		if err != nil {
			return nil, err
		}
		looks = append(looks, lookAt(&o))
	}
	return looks, nil
}

// lookAt is a look at the order that stands under the shop's number.
func lookAt(o *order) pluralriver.LookArgs {
	if o.PluralID == "" {
		return pluralriver.LookArgs{Reference: o.Reference()}
	}
	return pluralriver.LookArgs{OrderID: o.PluralID}
}

// jobView is where the job of a decision stands.
type jobView struct {
	ID      int64
	State   string
	Attempt int
	NextTry time.Time
	Problem string // why the last try did not settle it
	Retry   bool   // an operator can have it tried now
	GivenUp bool   // by River, after its last try
}

func (s *shop) job(ctx context.Context, id int64) (*jobView, error) {
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
		// it has ended since the decision was read
	}
	return v, nil
}

// levelled passes on records of a level or more.
type levelled struct {
	slog.Handler

	level slog.Level
}

func (h levelled) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h levelled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelled{h.Handler.WithAttrs(attrs), h.level}
}

func (h levelled) WithGroup(name string) slog.Handler {
	return levelled{h.Handler.WithGroup(name), h.level}
}
