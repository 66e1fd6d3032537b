package pluralriver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// LookArgs is a job that reads an order from Plural and hands it to
// [Looks.Seen]. It moves no money. Insert it with [LookTx] whenever something
// may have happened to an order: after a callback, a webhook, or an answer from
// Plural. Set either OrderID or Reference, but not both.
type LookArgs struct {
	OrderID string `json:"order_id,omitzero"`
	// Reference is the merchant's reference of an order. Give it instead of
	// OrderID if the shop does not know the order's id. This happens if the
	// answer to the order's creation was lost. If Plural has no such order,
	// Seen is not called.
	Reference string `json:"reference,omitzero"`
}

// Kind returns [KindLook].
func (LookArgs) Kind() string { return KindLook }

// InsertOpts allows only a few tries, because a later sweep can insert a new
// job.
func (LookArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 5} }

// Looks is the configuration of the jobs that read orders. TTx is the
// transaction type of River's driver: pgx.Tx, or *sql.Tx.
type Looks[TTx any] struct {
	// Client reads the orders.
	Client *plural.Client
	// Transact begins a transaction of River's database, and calls the given
	// function with the transaction. If that function returns nil, Transact
	// commits the transaction. Use [Pgx] or [SQL].
	Transact func(ctx context.Context, work func(tx TTx) error) error
	// Seen is called with the order from Plural's books, in a transaction. Two
	// jobs may read one order at the same time, and Plural may answer with an
	// older state. So an older document may come after a newer document.
	// Compare UpdatedAt with the time in the shop's own row of the order. If
	// UpdatedAt is zero, the document has no time: accept it. If UpdatedAt is
	// in the future, accept the document, but do not store the time. If you
	// stored it, all later documents would seem older.
	Seen func(ctx context.Context, tx TTx, o *plural.Order) error

	// Quiet returns orders that may still change (see [MayChange]), if the shop
	// has had no news of them for a while. For each of these orders, [Sweep]
	// inserts a job that reads the order. Leave out orders that are older than
	// some weeks, because many orders are never paid. Return no more orders
	// than one sweep should read. Record in tx that these orders were returned.
	// Otherwise the next sweep gets the same orders. Quiet may be nil.
	Quiet func(ctx context.Context, tx TTx) ([]LookArgs, error)

	// Prune is called with each sweep, outside of a transaction. Use it to
	// delete old events of an inbox. Prune may be nil.
	Prune func(ctx context.Context) error

	// HoldFor is the time in which an order can safely be captured. This time
	// begins when the payment is authorised. Plural does not document how long
	// a hold lasts. So ask Plural, and subtract a day from the answer. If an
	// order is still AUTHORIZED after HoldFor, each job that reads the order
	// calls the function Seen, and then the function Lapsing in the same
	// transaction. Set both HoldFor and Lapsing, or neither.
	HoldFor time.Duration
	Lapsing func(ctx context.Context, tx TTx, o *plural.Order) error

	// Queue is the queue for the jobs that a sweep inserts. If Queue is "",
	// these jobs go to River's default queue.
	Queue string
	// Timeout limits one job that reads an order. The default is a minute.
	Timeout time.Duration
}

// AddLooks adds the workers for [LookArgs] and [Sweep].
func AddLooks[TTx any](workers *river.Workers, looks Looks[TTx]) error {
	switch {
	case looks.Client == nil || looks.Transact == nil || looks.Seen == nil:
		return errors.New("pluralriver: add looks: a Client, a Transact and a Seen are needed")
	case looks.HoldFor < 0 || (looks.HoldFor > 0) != (looks.Lapsing != nil):
		return errors.New("pluralriver: add looks: set both HoldFor and Lapsing, or neither")
	}
	if looks.Timeout <= 0 {
		looks.Timeout = time.Minute
	}
	return errors.Join(
		river.AddWorkerSafely(workers, &looker[TTx]{looks: &looks}),
		river.AddWorkerSafely(workers, &sweeper[TTx]{looks: &looks}),
	)
}

// LookTx inserts a job that reads an order. The job runs after the transaction
// is committed. The opts may be nil. Their UniqueOpts are ignored.
//
// Normally each order has at most one such job that is waiting to run, no
// matter how often LookTx is called. If a job for the order is already waiting,
// and is due early enough, LookTx inserts nothing. A job that is already
// running does not count, because it may have read the order before the latest
// change.
func LookTx[TTx any](
	ctx context.Context, client *river.Client[TTx], tx TTx, args LookArgs, opts *river.InsertOpts,
) error {
	if !args.isOne() {
		return errNotOne
	}
	var with river.InsertOpts
	if opts != nil {
		with = *opts
	}
	due := with.ScheduledAt
	if due.IsZero() {
		due = time.Now()
	}
	due = due.Add(acceptedDelay)
	with.UniqueOpts = oneThatHasNotEnded().UniqueOpts
	oneWaits := false
	for lane := range maxLanes {
		inserted, err := client.InsertTx(ctx, tx, lookInLane{args.OrderID, args.Reference, lane}, &with)
		if err != nil {
			return fmt.Errorf("pluralriver: insert look: %w", err)
		}
		isRunning := inserted.Job.State == rivertype.JobStateRunning
		if !inserted.UniqueSkippedAsDuplicate || !isRunning && !inserted.Job.ScheduledAt.After(due) {
			return nil
		}
		oneWaits = oneWaits || !isRunning
	}
	// Every lane has a job. If one of these jobs still waits, LookTx inserts no
	// new job. LookTx accepts that the waiting job is due later than the caller
	// asks for.
	if oneWaits {
		return nil
	}
	with.UniqueOpts = river.UniqueOpts{}
	if _, err := client.InsertTx(ctx, tx, args, &with); err != nil {
		return fmt.Errorf("pluralriver: insert look: %w", err)
	}
	return nil
}

// acceptedDelay is the delay that LookTx accepts. A job for the order may
// already be waiting. If that job is due at most acceptedDelay later than the
// caller asks for, LookTx inserts no new job.
const acceptedDelay = time.Second

// maxLanes is the number of lanes of an order (see lookInLane). If every lane
// has a job, and one of these jobs waits, LookTx inserts no new job. If all of
// these jobs are running, LookTx inserts a job without a lane.
const maxLanes = 8

// lookInLane is a [LookArgs] with the number of a lane. Of the jobs with the
// same order and the same lane, at most one can be waiting or running. So
// LookTx uses the next lane if it needs a further job for an order.
type lookInLane struct {
	OrderID   string `json:"order_id,omitzero"  river:"unique"`
	Reference string `json:"reference,omitzero" river:"unique"`
	Lane      int    `json:"lane"               river:"unique"`
}

func (lookInLane) Kind() string { return KindLook }

func (lookInLane) InsertOpts() river.InsertOpts { return LookArgs{}.InsertOpts() }

var errNotOne = errors.New("pluralriver: look: either an order's id or its reference is needed, but not both")

func (a LookArgs) isOne() bool { return (a.OrderID == "") != (a.Reference == "") }

// LookOnEvent makes a function for the inbox of contrib/sqlstore. For each
// webhook, that function inserts a job that reads the webhook's order. The opts
// may be nil.
//
//	look := pluralriver.LookOnEvent(riverClient, nil)
//	http.Handle("/plural/webhook", inbox.Handler(verifier, look))
//
// The event only shows that something happened. What happened is in Plural's
// books. An event without an order is ignored, and so is an event whose order's
// id is not valid.
func LookOnEvent[TTx any](
	client *river.Client[TTx], opts *river.InsertOpts,
) func(ctx context.Context, tx TTx, e *plural.Event) error {
	return func(ctx context.Context, tx TTx, e *plural.Event) error {
		id, err := e.OrderID()
		if errors.Is(err, plural.ErrNoOrder) {
			return nil
		}
		if err != nil {
			return err
		}
		if isValid := plural.ValidateCancel(id) == nil; !isValid {
			return nil // PostgreSQL may refuse to store such an id
		}
		return LookTx(ctx, client, tx, LookArgs{OrderID: id}, opts)
	}
}

// MayChange reports whether an order may still change by itself. As long as
// MayChange returns true, [Looks.Quiet] should return the order again and
// again. MayChange returns false for these orders:
//   - an order that is CANCELLED or FAILED
//   - an order that is FULLY_REFUNDED, if all its refunds have ended
//   - an order that is PROCESSED, PARTIALLY_CAPTURED or PARTIALLY_REFUNDED, if
//     all its payments and refunds have ended
//
// For all other orders MayChange returns true, for example for an order that is
// unpaid or on hold. If package plural does not know the status of an order,
// the order may change. A payment or a refund counts as not ended if package
// plural does not know its status. MayChange does not use the captured amount.
// If a sale was paid by card without a hold, the document of the order never
// shows that amount.
//
// A document may leave out captures or refunds. If the shop needs a sum that
// the document does not show, Quiet should return the order as well. Such sums
// are [plural.Order.RefundedAmount] and, for a hold that was captured,
// [plural.Order.CapturedAmount]. An order that nobody pays may stay CREATED, so
// Quiet should also leave out old orders. A later decision to refund can change
// any order. Plural may answer with an older state right after a decision was
// carried out. So Quiet should also return an order while the order's row does
// not show what the shop has decided.
func MayChange(o *plural.Order) bool {
	switch o.Status {
	case plural.OrderStatusCancelled, plural.OrderStatusFailed:
		return false
	case plural.OrderStatusFullyRefunded:
		return slices.ContainsFunc(o.Refunds, isRefundOpen)
	case plural.OrderStatusProcessed, plural.OrderStatusPartiallyCaptured, plural.OrderStatusPartiallyRefunded:
		return slices.ContainsFunc(o.Refunds, isRefundOpen) || slices.ContainsFunc(o.Payments, isPaymentOpen)
	default:
		return true
	}
}

// isRefundOpen reports whether a refund is PENDING or CREATED, or in an unknown
// status.
func isRefundOpen(refund plural.Order) bool {
	switch refund.Status {
	case plural.OrderStatusProcessed, plural.OrderStatusFailed, plural.OrderStatusCancelled:
		return false
	default:
		return true
	}
}

// isPaymentOpen reports whether a payment is PENDING or AUTHORIZED, or in an
// unknown status. A payment that has one of the statuses of a refunded order is
// not open.
func isPaymentOpen(p plural.Payment) bool {
	switch p.Status {
	case plural.PaymentStatusProcessed, plural.PaymentStatusFailed, plural.PaymentStatusCancelled,
		plural.PaymentStatus(plural.OrderStatusPartiallyRefunded), plural.PaymentStatus(plural.OrderStatusFullyRefunded):
		return false
	default:
		return true
	}
}

// Sweep makes a periodic job for river.Config.PeriodicJobs. For each order that
// [Looks.Quiet] returns, the periodic job inserts a job that reads the order. A
// sweep is needed because payers close their browsers, and webhooks come late
// or not at all.
func Sweep(every time.Duration) *river.PeriodicJob {
	return river.NewPeriodicJob(
		river.PeriodicInterval(every),
		func() (river.JobArgs, *river.InsertOpts) { return sweepArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true},
	)
}

type looker[TTx any] struct {
	river.WorkerDefaults[LookArgs]

	looks *Looks[TTx]
}

func (l *looker[TTx]) Timeout(*river.Job[LookArgs]) time.Duration { return l.looks.Timeout }

func (l *looker[TTx]) Work(ctx context.Context, job *river.Job[LookArgs]) error {
	o, err := l.readOrder(ctx, job.Args)
	if o == nil || err != nil {
		return err
	}
	return l.looks.Transact(ctx, func(tx TTx) error {
		if err := l.looks.Seen(ctx, tx, o); err != nil {
			return err
		}
		if l.looks.Lapsing != nil && o.CanCapture() && time.Since(heldSince(o)) > l.looks.HoldFor {
			return l.looks.Lapsing(ctx, tx, o)
		}
		return nil
	})
}

// readOrder reads the order from Plural. If Plural has no order with the
// reference, readOrder returns nil.
func (l *looker[TTx]) readOrder(ctx context.Context, args LookArgs) (o *plural.Order, err error) {
	switch {
	case !args.isOne():
		return nil, river.JobCancel(errNotOne)
	case args.OrderID != "":
		o, err = l.looks.Client.Orders.Get(ctx, args.OrderID)
	default:
		o, err = l.looks.Client.Orders.GetByReference(ctx, args.Reference)
		if errors.Is(err, plural.ErrNotFound) {
			return nil, nil //nolint:nilnil // Plural does not have the order yet, which is not an error
		}
	}
	if _, isInvalid := errors.AsType[*plural.ValidationError](err); isInvalid {
		return nil, river.JobCancel(err)
	}
	return o, err
}

// heldSince returns the time of the first payment that is on hold.
func heldSince(o *plural.Order) time.Time {
	var first time.Time
	for i := range o.Payments {
		p := &o.Payments[i]
		if p.Status == plural.PaymentStatusAuthorized && !p.CreatedAt.IsZero() &&
			(first.IsZero() || p.CreatedAt.Before(first)) {
			first = p.CreatedAt.Time
		}
	}
	if first.IsZero() {
		return cmp.Or(o.CreatedAt.Time, time.Now()) // if the document has no time, the hold counts as new
	}
	return first
}

type sweepArgs struct{}

func (sweepArgs) Kind() string { return KindSweep }

// InsertOpts allows only one try, because the next sweep does the same work.
func (sweepArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

type sweeper[TTx any] struct {
	river.WorkerDefaults[sweepArgs]

	looks *Looks[TTx]
}

// The method Work inserts a job for each order that the function Looks.Quiet
// returns. The inserted job reads the order. Each of these jobs has only a few
// tries, so the jobs do not accumulate while Plural is down.
func (s *sweeper[TTx]) Work(ctx context.Context, _ *river.Job[sweepArgs]) error {
	var pruned error
	if s.looks.Prune != nil {
		pruned = s.looks.Prune(ctx)
	}
	return errors.Join(pruned, s.sweep(ctx))
}

func (s *sweeper[TTx]) sweep(ctx context.Context) error {
	if s.looks.Quiet == nil {
		return nil
	}
	client := river.ClientFromContext[TTx](ctx)
	opts := river.InsertOpts{Queue: s.looks.Queue, MaxAttempts: 2}
	return s.looks.Transact(ctx, func(tx TTx) error {
		quiet, err := s.looks.Quiet(ctx, tx)
		if err != nil {
			return err
		}
		for _, one := range quiet {
			if err := LookTx(ctx, client, tx, one, &opts); err != nil {
				return err
			}
		}
		return nil
	})
}
