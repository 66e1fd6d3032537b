package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/riverqueue/rivercontrib/otelriver"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/contrib/redisstore"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/contrib/sqlstore"
)

// Only moneyService calls Plural, and only moneyService receives Plural's
// webhooks. A moneyService knows nothing about rooms. When a moneyService has
// news from Plural, it calls a method of the hotel in a database transaction.
type moneyService struct {
	hotel    *hotel
	client   *plural.Client
	verifier *plural.Verifier
	inbox    *sqlstore.Inbox
	river    *river.Client[pgx.Tx] // runs all jobs, including those that do not call Plural
	webhook  http.Handler
	back     string // the address to which Plural sends payers back
	close    func()
}

func openMoney(ctx context.Context, h *hotel, set settings, workers *river.Workers) (*moneyService, error) {
	tokens := redis.NewClient(set.Redis)
	db := stdlib.OpenDBFromPool(h.pool) // the inbox's database, on the connections of the pool
	m := &moneyService{hotel: h, back: set.URL + "/plural/return"}
	m.close = func() { _ = errors.Join(db.Close(), tokens.Close()) }
	var noClient, noVerifier, noInbox error
	m.client, noClient = plural.NewClientFromEnv(append(pluralotel.Instrument(),
		plural.WithTokenStore(redisstore.New(tokens)), plural.WithLogger(h.log))...)
	m.verifier, noVerifier = plural.NewVerifier(os.Getenv("PLURAL_CLIENT_SECRET"))
	m.inbox, noInbox = sqlstore.NewInbox(db, sqlstore.Postgres)
	if err := errors.Join(noClient, noVerifier, noInbox); err != nil {
		return nil, err
	}
	err := errors.Join(
		// Each process migrates when it starts. The processes wait for each
		// other.
		m.inbox.Migrate(ctx), pluralriver.Migrate(ctx, riverpgxv5.New(h.pool)),
		pluralriver.AddWorkers(workers, pluralriver.Config[pgx.Tx]{
			Client: m.client, Transact: pluralriver.Pgx(h.pool), Ended: m.onEnded, Unsettled: m.onUnsettled, Timeout: set.Try,
		}),
		pluralriver.AddLooks(workers, pluralriver.Looks[pgx.Tx]{
			Client: m.client, Transact: pluralriver.Pgx(h.pool), Seen: m.onSeen, Quiet: m.findQuietOrders, Queue: queueLooks,
			HoldFor: set.HoldFor, Prune: m.prune,
			Lapsing: func(ctx context.Context, tx pgx.Tx, o *plural.Order) error { return h.markLapsing(ctx, tx, o.OrderID) },
		}),
	)
	if err != nil {
		return nil, err
	}
	spans := otelriver.MiddlewareConfig{EnableTracePropagation: true}
	m.river, err = river.NewClient(riverpgxv5.New(h.pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: 4}, queueMoney: {MaxWorkers: 8}, queueLooks: {MaxWorkers: 4},
		},

		Middleware: []rivertype.Middleware{otelriver.NewMiddleware(&spans)},

		Workers: workers, Logger: h.log,

		PeriodicJobs:                []*river.PeriodicJob{pluralriver.Watch(), pluralriver.Sweep(set.Sweep)},
		JobTimeout:                  set.Try,    // for the hotel's own jobs
		RescueStuckJobsAfter:        set.Rescue, // time until another worker gets an unfinished job; more than set.Try
		RetryPolicy:                 set.Retry,
		DiscardedJobRetentionPeriod: -1, // jobs that were given up wait for a person
	})
	if err != nil {
		return nil, err
	}
	// The inbox works with *sql.Tx, so it needs a River client of its own. That
	// client only inserts jobs.
	inserter, err := river.NewClient(riverdatabasesql.New(db), &river.Config{Logger: h.log})
	if err != nil {
		return nil, err
	}
	look := pluralriver.LookOnEvent(inserter, &river.InsertOpts{Queue: queueLooks})
	m.webhook = m.inbox.Handler(m.verifier, look, plural.WithHandlerLogger(h.log))
	return m, nil
}

// The method deposit makes the order that holds the deposit of a booking. It
// returns the order's id, and the link to Plural's page where the guest pays.
// If the guest booked by telephone, the hotel does not call this method.
// Instead carryOut stores a job, and Plural sends the guest a payment link.
func (m *moneyService) deposit(ctx context.Context, reference string, paise int64) (id, link string, err error) {
	o, err := m.client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: reference,
		OrderAmount:            plural.INR(paise),
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            m.back,
	})
	if _, isLost := errors.AsType[*plural.DuplicateOrderError](err); isLost {
		return "", "", errLinkLost
	}
	if err != nil {
		return "", "", err
	}
	return o.OrderID, o.RedirectURL, nil
}

// handleReturn handles the POST with which a payer's browser comes back from
// Plural's page. It returns the payer's booking. It trusts Plural's books, and
// not the data from the browser.
func (m *moneyService) handleReturn(r *http.Request) (*booking, error) {
	callback, err := m.verifier.VerifyCallbackRequest(r)
	if err != nil {
		return nil, errors.Join(errUnknown, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 20*time.Second)
	defer cancel()
	b, err := m.hotel.byPluralID(ctx, callback.OrderID)
	if err != nil || b.Status == string(plural.OrderStatusAuthorized) || b.Taken > 0 {
		return b, err // the hotel knows of the payment already
	}
	want := plural.Expected{OrderID: b.PluralID, OrderAmount: plural.INR(b.Deposit)}
	o, err := m.client.Orders.Confirm(ctx, callback, want)
	if notPaid, ok := errors.AsType[*plural.NotPaidError](err); ok {
		o = notPaid.Order
	}
	return b, m.hotel.transact(ctx, func(tx pgx.Tx) error {
		if o == nil {
			return m.look(ctx, tx, callback.OrderID)
		}
		return m.onSeen(ctx, tx, o)
	})
}

// carryOut stores a job that makes the call for a decision.
func (m *moneyService) carryOut(ctx context.Context, tx pgx.Tx, b *booking, d *decision) (jobID int64, err error) {
	var args pluralriver.MoneyArgs
	switch d.Kind {
	case kindCheckOut, kindNoShow:
		args = pluralriver.CaptureArgs{OrderID: b.PluralID, Reference: d.Reference, Amount: plural.INR(d.Amount)}
	case kindCancel:
		args = pluralriver.CancelArgs{OrderID: b.PluralID}
	case kindRefund:
		args = pluralriver.RefundArgs{OrderID: b.PluralID, Reference: d.Reference, Amount: plural.INR(d.Amount)}
	case kindLink:
		args = pluralriver.LinkArgs{
			Reference: d.Reference, Amount: plural.INR(d.Amount), PreAuth: true,
			CallbackURL: m.back, Customer: &plural.Customer{MobileNumber: b.Mobile},
		}
	}
	inserted, err := pluralriver.InsertTx(ctx, m.river, tx, args, &river.InsertOpts{Queue: queueMoney})
	if err != nil || inserted.UniqueSkippedAsDuplicate {
		return 0, cmp.Or(err, errChanged)
	}
	return inserted.Job.ID, nil
}

// onEnded is called once for each decision, with the result of the decision's
// call.
func (m *moneyService) onEnded(ctx context.Context, tx pgx.Tx, o pluralriver.Outcome) error {
	state, note := stateDone, "" // an accepted refund may be PENDING: later reads show how it ends
	if o.Err != nil {            // ErrConflict, or a ValidationError: a person has to look
		state, note = stateLook, o.Err.Error()
	}
	if errors.Is(o.Err, plural.ErrNotApplied) {
		state = stateRefused // nothing was carried out, and nothing will be
	}
	err := m.hotel.decided(ctx, tx, o.OrderID, o.Reference, state, note)
	if o.Link != nil && err == nil {
		o.OrderID, err = o.Link.OrderID, m.hotel.storeLink(ctx, tx, o.Reference, o.Link.OrderID, o.Link.PaymentLink)
	}
	if err != nil || o.OrderID == "" {
		return err
	}
	return m.look(ctx, tx, o.OrderID)
}

// onUnsettled is called when a person has to look at a decision. The job goes
// on trying, except after Cancelled and GivenUp.
func (m *moneyService) onUnsettled(ctx context.Context, tx pgx.Tx, o pluralriver.Outcome, a pluralriver.Attempt) error {
	if a.Why == pluralriver.Contradicted {
		return m.hotel.decided(ctx, tx, o.OrderID, o.Reference, stateLook, "Plural says two things: "+a.Err.Error())
	}
	return m.hotel.inDoubt(ctx, tx, o.OrderID, o.Reference, string(a.Why)+": "+a.Err.Error())
}

// onSeen is called with each order that a job or handleReturn has read from
// Plural's books.
func (m *moneyService) onSeen(ctx context.Context, tx pgx.Tx, o *plural.Order) error {
	s := sight{
		Reference: o.MerchantOrderReference, PluralID: o.OrderID, Deposit: o.OrderAmount.Value, Status: string(o.Status),
		IsHeld: o.CanCapture(), MayChange: pluralriver.MayChange(o), At: max(o.UpdatedAt.UnixMicro(), 0),
		Taken: knownPaise(o.CapturedAmount()), Refunded: knownPaise(o.RefundedAmount()),
	}
	s.MayChange = s.MayChange || s.Taken == nil || s.Refunded == nil // the document may leave out captures or refunds
	for _, r := range o.Refunds {
		s.Refunds = append(s.Refunds, refund{r.MerchantOrderReference, string(r.Status)})
	}
	return m.hotel.storeSight(ctx, tx, s)
}

// knownPaise returns the amount in paise. If Plural's document does not show
// the amount, knownPaise returns nil.
func knownPaise(a plural.Amount, ok bool) *int64 {
	if !ok {
		return nil
	}
	return &a.Value
}

// findQuietOrders finds the orders that the hotel should read again.
func (m *moneyService) findQuietOrders(ctx context.Context, tx pgx.Tx) (looks []pluralriver.LookArgs, err error) {
	names, err := m.hotel.listQuietOrders(ctx, tx)
	for _, name := range names {
		looks = append(looks, pluralriver.LookArgs{OrderID: name.PluralID, Reference: name.Reference})
	}
	return looks, err
}

func (m *moneyService) prune(ctx context.Context) error {
	_, err := m.inbox.Prune(ctx, 7*24*time.Hour)
	return err
}

func (m *moneyService) look(ctx context.Context, tx pgx.Tx, orderID string) error {
	opts := &river.InsertOpts{Queue: queueLooks}
	return pluralriver.LookTx(ctx, m.river, tx, pluralriver.LookArgs{OrderID: orderID}, opts)
}
