package pluralriver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// LookArgs is a job that reads an order from Plural and hands it to
// [Looks.Seen]. It moves no money. Insert it with [LookTx] whenever something
// may have happened to an order: after a callback, a webhook, or an answer.
// Exactly one of the two is given.
type LookArgs struct {
	OrderID string `json:"order_id,omitzero"`
	// Reference is the merchant's, of an order whose id the shop does not know: the
	// answer to its creation was lost. Where Plural has no such order Seen is not
	// called.
	Reference string `json:"reference,omitzero"`
}

// Kind is [KindLook].
func (LookArgs) Kind() string { return KindLook }

// InsertOpts lets the sweep come again rather than try for long.
func (LookArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 5} }

// Looks says how orders are looked at. TTx is the transaction of River's
// driver: pgx.Tx, or *sql.Tx.
type Looks[TTx any] struct {
	// Client reads the orders.
	Client *plural.Client
	// Transact is that of [Config].
	Transact func(ctx context.Context, work func(tx TTx) error) error
	// Seen is called with what Plural's books show, in a transaction. Two looks at
	// one order may overlap, and books lag, so an older document may come after a
	// newer one: compare UpdatedAt in the row that the shop keeps of the order. A
	// document whose UpdatedAt is zero has no time; take it.
	Seen func(ctx context.Context, tx TTx, o *plural.Order) error

	// Quiet finds the orders that nothing was heard of for a while and that may
	// still change: see [MayChange]. [Sweep] has them looked at. Return as many as a sweep should read, and write down in tx that
	// they were looked at, or they come first again. It may be nil.
	Quiet func(ctx context.Context, tx TTx) ([]LookArgs, error)

	// Prune is called with each sweep, in no transaction. It is for an inbox, which
	// has to forget events one day. It may be nil.
	Prune func(ctx context.Context) error

	// HoldFor is how long after its payment was authorized an order is still safe
	// to capture. Plural does not document how long a hold lasts; ask it, and take
	// a day less. From then on Lapsing is called after Seen, in its transaction,
	// each time that the order is seen AUTHORIZED. Both or none.
	HoldFor time.Duration
	Lapsing func(ctx context.Context, tx TTx, o *plural.Order) error

	// Queue is the queue of the looks that a sweep finds; River's default one if it
	// is "".
	Queue string
	// Timeout ends one look, a minute by default.
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

// LookTx has an order looked at once the transaction is committed. The opts may
// be nil; their UniqueOpts do not count.
//
// However many things happen to an order, one look waits for it: where one is
// there already, due by then, nothing is inserted. One that is running is not
// enough, since it may have read the order before.
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

// aMoment is what a look that waits may be late.
const aMoment = time.Second

// maxLanes is how many looks at one order can be running, or wait for longer,
// before the next one waits for one of them.
const maxLanes = 8

// lookInLane is a [LookArgs] of which there is one in each lane.
type lookInLane struct {
	OrderID   string `json:"order_id,omitzero"  river:"unique"`
	Reference string `json:"reference,omitzero" river:"unique"`
	Lane      int    `json:"lane"               river:"unique"`
}

func (lookInLane) Kind() string { return KindLook }

func (lookInLane) InsertOpts() river.InsertOpts { return LookArgs{}.InsertOpts() }

var errNotOne = errors.New("pluralriver: look: an order's id or its reference is needed, not both")

func (a LookArgs) isOne() bool { return (a.OrderID == "") != (a.Reference == "") }

// LookOnEvent is a function for the inbox of contrib/sqlstore: it has the order
// looked at that a webhook is about. The opts may be nil.
//
//	look := pluralriver.LookOnEvent(riverClient, nil)
//	http.Handle("/plural/webhook", inbox.Handler(verifier, look))
//
// An event is a hint that something happened; what the books show counts. An
// event that is about no order is passed over.
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

// MayChange reports whether an order may still become something else by itself,
// so [Looks.Quiet] should go on finding it: it is unpaid or on hold, money is on
// its way, a refund is under way, or the document leaves out how much was taken
// or given back. A refund that somebody decides on later changes an order all the
// same. Books lag, so look also at what the shop has decided and its row does not
// show yet.
func MayChange(o *plural.Order) bool {
	taken, saysTaken := o.CapturedAmount()
	_, saysRefunded := o.RefundedAmount()
	refunding, saysRefunding := o.RefundingAmount()
	switch o.Status {
	case plural.OrderStatusCancelled, plural.OrderStatusFailed:
		return false
	case plural.OrderStatusFullyRefunded:
		return !saysTaken || !saysRefunded
	case plural.OrderStatusProcessed, plural.OrderStatusPartiallyCaptured, plural.OrderStatusPartiallyRefunded:
		return !saysTaken || taken.Value == 0 || !saysRefunding || refunding.Value != 0
	default:
		return true
	}
}

// Sweep is a periodic job for river.Config.PeriodicJobs that has the orders
// looked at which [Looks.Quiet] finds. Payers close their browsers, and
// webhooks come late or not at all.
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

// read reads the order; nil where there is none of the reference.
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

// heldSince is when the first of the payments that are on hold was made.
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

// InsertOpts has it tried once: the next one does the same.
func (sweepArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

type sweeper[TTx any] struct {
	river.WorkerDefaults[sweepArgs]

	looks *Looks[TTx]
}

// Work inserts a look for each order. Those are not tried for long, so they do
// not pile up while Plural is down.
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
