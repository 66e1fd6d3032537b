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
// may have happened to an order: after a callback, a webhook, or an answer.
// Exactly one of OrderID and Reference is given.
type LookArgs struct {
	OrderID string `json:"order_id,omitzero"`
	// Reference is the merchant's reference of an order. It is for an order whose
	// id the shop does not know, because the answer to its creation was lost. If
	// Plural has no such order, Seen is not called.
	Reference string `json:"reference,omitzero"`
}

// Kind is [KindLook].
func (LookArgs) Kind() string { return KindLook }

// InsertOpts limits the tries, because the next sweep looks again.
func (LookArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 5} }

// Looks configures how orders are read. TTx is the transaction of River's
// driver: pgx.Tx, or *sql.Tx.
type Looks[TTx any] struct {
	// Client reads the orders.
	Client *plural.Client
	// Transact runs work in a transaction, like that of [Config].
	Transact func(ctx context.Context, work func(tx TTx) error) error
	// Seen is called with the order from Plural's books, in a transaction. Two
	// looks at one order may overlap, and books lag, so an older document may come
	// after a newer one. Compare UpdatedAt with the row that the shop keeps of the
	// order. A document whose UpdatedAt is zero has no time; accept it.
	Seen func(ctx context.Context, tx TTx, o *plural.Order) error

	// Quiet finds the orders that the shop has heard nothing of for a while and
	// that may still change: see [MayChange]. [Sweep] looks at them. Leave out
	// orders that are older than some weeks, because many are never paid. Return
	// as many as a sweep should read, and record in tx that they were looked at,
	// or the next sweep gets the same ones. It may be nil.
	Quiet func(ctx context.Context, tx TTx) ([]LookArgs, error)

	// Prune is called with each sweep, outside of a transaction. It is for an
	// inbox, which has to delete old events at some time. It may be nil.
	Prune func(ctx context.Context) error

	// HoldFor is how long an order is safe to capture after its payment was
	// authorized. Plural does not document how long a hold lasts. Ask Plural, and
	// subtract a day. After that time Lapsing is called after each Seen of an
	// AUTHORIZED order, in the same transaction. Set both or neither.
	HoldFor time.Duration
	Lapsing func(ctx context.Context, tx TTx, o *plural.Order) error

	// Queue is the queue of the looks that a sweep inserts; "" is River's default
	// queue.
	Queue string
	// Timeout ends one look; the default is a minute.
	Timeout time.Duration
}

// AddLooks adds the workers for [LookArgs] and [Sweep].
func AddLooks[TTx any](workers *river.Workers, looks Looks[TTx]) error {
	switch {
	case looks.Client == nil || looks.Transact == nil || looks.Seen == nil:
		return errors.New("pluralriver: add looks: a Client, a Transact and a Seen are needed")
	case looks.HoldFor < 0 || (looks.HoldFor > 0) != (looks.Lapsing != nil):
		return errors.New("pluralriver: add looks: HoldFor and Lapsing are given together")
	}
	if looks.Timeout <= 0 {
		looks.Timeout = time.Minute
	}
	return errors.Join(
		river.AddWorkerSafely(workers, &looker[TTx]{looks: &looks}),
		river.AddWorkerSafely(workers, &sweeper[TTx]{looks: &looks}),
	)
}

// LookTx inserts a look at an order, which runs once the transaction is
// committed. The opts may be nil; their UniqueOpts do not count.
//
// However much happens to an order, one look waits for it: if one is waiting
// already and is due by then, nothing is inserted. A look that is running does
// not count, since it may have read the order before.
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
	due = due.Add(aMoment)
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
	if oneWaits { // for longer than was asked for, as all the others do
		return nil
	}
	with.UniqueOpts = river.UniqueOpts{}
	if _, err := client.InsertTx(ctx, tx, args, &with); err != nil {
		return fmt.Errorf("pluralriver: insert look: %w", err)
	}
	return nil
}

// aMoment is how late a waiting look may be.
const aMoment = time.Second

// maxLanes is how many looks at one order can run, or wait for longer, before
// the next one waits for one of them.
const maxLanes = 8

// lookInLane is a [LookArgs]; each lane has at most one.
type lookInLane struct {
	OrderID   string `json:"order_id,omitzero"  river:"unique"`
	Reference string `json:"reference,omitzero" river:"unique"`
	Lane      int    `json:"lane"               river:"unique"`
}

func (lookInLane) Kind() string { return KindLook }

func (lookInLane) InsertOpts() river.InsertOpts { return LookArgs{}.InsertOpts() }

var errNotOne = errors.New("pluralriver: look: an order's id or its reference is needed, not both")

func (a LookArgs) isOne() bool { return (a.OrderID == "") != (a.Reference == "") }

// LookOnEvent is a function for the inbox of contrib/sqlstore: it inserts a
// look at the order of the webhook. The opts may be nil.
//
//	look := pluralriver.LookOnEvent(riverClient, nil)
//	http.Handle("/plural/webhook", inbox.Handler(verifier, look))
//
// An event only hints that something happened; Plural's books decide. An event
// without an order is ignored.
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
		return LookTx(ctx, client, tx, LookArgs{OrderID: id}, opts)
	}
}

// MayChange reports whether an order may still change by itself, so
// [Looks.Quiet] should go on finding it. It may if it is unpaid or on hold, if
// one of its payments or refunds is under way, or if one of these is in a
// status that package plural does not know. It may not if it is CANCELLED,
// FAILED, FULLY_REFUNDED or paid, and its refunds have ended. Whether the
// document says how much was taken does not matter: of a sale that was paid
// outright by card it never does.
//
// A document may leave out refunds. If [plural.Order.RefundedAmount] is not
// known and the shop needs it, Quiet should find the order all the same. An
// order that nobody pays may stay CREATED, so Quiet also needs a limit of age.
// A later decision to refund can change any order. Books lag, so also look at
// orders with a decision that the shop has made and its row does not show yet.
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

// isRefundOpen reports whether a refund is PENDING or CREATED, or in a status
// that nobody knows.
func isRefundOpen(refund plural.Order) bool {
	switch refund.Status {
	case plural.OrderStatusProcessed, plural.OrderStatusFailed, plural.OrderStatusCancelled:
		return false
	default:
		return true
	}
}

// isPaymentOpen reports whether a payment is PENDING or AUTHORIZED, or in a
// status that nobody knows. A payment may have the status of an order that was
// refunded.
func isPaymentOpen(p plural.Payment) bool {
	switch p.Status {
	case plural.PaymentStatusProcessed, plural.PaymentStatusFailed, plural.PaymentStatusCancelled,
		plural.PaymentStatus(plural.OrderStatusPartiallyRefunded), plural.PaymentStatus(plural.OrderStatusFullyRefunded):
		return false
	default:
		return true
	}
}

// Sweep is a periodic job for river.Config.PeriodicJobs that looks at the
// orders that [Looks.Quiet] finds. Payers close their browsers, and webhooks
// come late or not at all.
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
	o, err := l.read(ctx, job.Args)
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

// read reads the order; nil if Plural has none with the reference.
func (l *looker[TTx]) read(ctx context.Context, args LookArgs) (o *plural.Order, err error) {
	switch {
	case !args.isOne():
		return nil, river.JobCancel(errNotOne)
	case args.OrderID != "":
		o, err = l.looks.Client.Orders.Get(ctx, args.OrderID)
	default:
		o, err = l.looks.Client.Orders.GetByReference(ctx, args.Reference)
		if errors.Is(err, plural.ErrNotFound) {
			return nil, nil //nolint:nilnil // the payer has not got to the checkout
		}
	}
	if _, isInvalid := errors.AsType[*plural.ValidationError](err); isInvalid {
		return nil, river.JobCancel(err)
	}
	return o, err
}

// heldSince is when the first payment that is on hold was made.
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
		return cmp.Or(o.CreatedAt.Time, time.Now()) // without a time there is no age
	}
	return first
}

type sweepArgs struct{}

func (sweepArgs) Kind() string { return KindSweep }

// InsertOpts allows one try, because the next sweep does the same.
func (sweepArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

type sweeper[TTx any] struct {
	river.WorkerDefaults[sweepArgs]

	looks *Looks[TTx]
}

// Work inserts a look for each order. The looks are not tried for long, so they
// do not pile up while Plural is down.
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
