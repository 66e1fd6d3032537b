// Package sqlstore handles Plural's webhooks in the merchant's own database:
// the record that an event was handled and whatever the merchant writes because
// of it are one transaction. An event is handled exactly once, or, if that
// failed or the process died, when Plural delivers it again.
//
//	inbox, err := sqlstore.NewInbox(db, sqlstore.Postgres)
//	err = inbox.Migrate(ctx)
//	http.Handle("/plural/webhook", inbox.Handler(verifier,
//		func(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
//			id, err := e.OrderID()
//			if errors.Is(err, plural.ErrNoOrder) {
//				return nil // not about an order
//			}
//			if err != nil {
//				return err
//			}
//			return lookAgain(ctx, tx, id) // the shop's own, by tx
//		}))
//
// What the function does outside of the transaction, such as a call of another
// service, is not taken back when the transaction fails: write down in the
// transaction that it is to be done, and do it from there (package
// [github.com/plural-go/plural/contrib/river] does so for money calls).
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/plural-go/plural"
)

// Dialect is a kind of database.
type Dialect struct{ dialect *dialect }

type dialect struct {
	name   string
	claim  string
	prune  string
	lock   string // serialises migrations within their transaction; "" where that needs nothing
	record func(time.Time) any
}

// The databases that are tested.
//
//nolint:gochecknoglobals // they are constants, which Go has none of for structs
var (
	// Postgres is PostgreSQL 12 or later, through any driver with $1 for
	// parameters, such as pgx.
	Postgres = Dialect{&dialect{
		name: "postgres",
		claim: `INSERT INTO plural_inbox (merchant, webhook_id, event_type, handled_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`,
		prune:  `DELETE FROM plural_inbox WHERE handled_at < $1`,
		lock:   `SELECT pg_advisory_xact_lock(7061759281)`,
		record: func(t time.Time) any { return t },
	}}
	// SQLite is SQLite 3.24 or later. Open it with a busy timeout, and with
	// immediate transactions (_txlock=immediate with modernc.org/sqlite), so that
	// two of them wait for each other instead of failing.
	SQLite = Dialect{&dialect{
		name: "sqlite",
		claim: `INSERT INTO plural_inbox (merchant, webhook_id, event_type, handled_at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`,
		prune:  `DELETE FROM plural_inbox WHERE handled_at < ?`,
		record: func(t time.Time) any { return t.Unix() },
	}}
)

// Inbox records in a database which webhooks were handled.
type Inbox struct {
	db       *sql.DB
	dialect  *dialect
	merchant string

	step func(name string) // of the tests
}

// Option changes how an [Inbox] works.
type Option func(*Inbox)

// WithMerchant keeps the events of several merchants apart that share a
// database, each with a verifier and a handler of its own: a webhook-id is
// signed by one merchant's key alone.
func WithMerchant(name string) Option { return func(in *Inbox) { in.merchant = name } }

// NewInbox makes an Inbox on a database. [Inbox.Migrate] makes its table.
func NewInbox(db *sql.DB, d Dialect, opts ...Option) (*Inbox, error) {
	if db == nil || d.dialect == nil {
		return nil, errors.New("sqlstore: new inbox: a database and its dialect are needed")
	}
	in := &Inbox{db: db, dialect: d.dialect, step: func(string) {}}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("sqlstore: new inbox: an option is nil")
		}
		opt(in)
	}
	return in, nil
}

// Handler is an [http.Handler] for the webhook URL. It verifies each request as
// [plural.NewWebhookHandler] does, whose options and answers it shares, and
// calls handle within a transaction that it commits if handle returns nil.
//
// An event that was handled before is answered with 200 without calling handle.
// Two deliveries of one event at the same time wait for each other. Where
// handle, or the database, fails, nothing of it remains and the answer is 500:
// Plural delivers the event again. So it does when the process dies, and when a
// commit went through whose answer was lost: then the record says so.
//
// Of the options, [plural.WithDeduper] and [plural.WithMerchant] have no
// effect: the database remembers, and the merchant is named by this package's
// [WithMerchant]. It never answers 409: a second delivery waits for the first.
//
// Handle must use tx and no other connection for what is to be exact, and must
// neither commit nor roll back.
func (in *Inbox) Handler(
	v *plural.Verifier,
	handle func(ctx context.Context, tx *sql.Tx, e *plural.Event) error,
	opts ...plural.HandlerOption,
) http.Handler {
	var each func(context.Context, *plural.Event) error
	if handle != nil { // otherwise the handler says what is missing
		each = func(ctx context.Context, e *plural.Event) error { return in.handle(ctx, e, handle) }
	}
	return plural.NewWebhookHandler(v, each, append(opts, plural.WithDeduper(passing{}))...)
}

func (in *Inbox) handle(
	ctx context.Context,
	e *plural.Event,
	handle func(context.Context, *sql.Tx, *plural.Event) error,
) error {
	in.step("received")
	tx, err := in.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	in.step("begun")
	isNew, err := in.claim(ctx, tx, e)
	if err != nil || !isNew {
		return err
	}
	in.step("claimed")
	if err := handle(ctx, tx, e); err != nil {
		return err
	}
	in.step("handled")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlstore: commit: %w", err)
	}
	in.step("committed")
	return nil
}

// claim records the event; false if it is recorded already. It waits for a
// transaction that is about to record the same.
func (in *Inbox) claim(ctx context.Context, tx *sql.Tx, e *plural.Event) (bool, error) {
	now := in.dialect.record(time.Now().UTC())
	result, err := tx.ExecContext(ctx, in.dialect.claim, in.merchant, e.ID, string(e.Type), now)
	if err != nil {
		return false, fmt.Errorf("sqlstore: record webhook: %w", err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("sqlstore: record webhook: %w", err)
	}
	return rows == 1, nil
}

// minKeep is what package plural keeps events for, too: Plural delivers for 28
// hours, and a replay may come later.
const minKeep = 72 * time.Hour

// Prune forgets events that were handled longer ago than keep, and says how
// many. Keep them for 72 hours at least; less is an error. If the verifier's
// tolerance is above 35 hours, keep them for twice the tolerance and an hour:
// an event may be replayed until then. Prune cannot check that.
func (in *Inbox) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	if keep < minKeep {
		return 0, fmt.Errorf("sqlstore: prune: at least %v have to be kept", minKeep)
	}
	result, err := in.db.ExecContext(ctx, in.dialect.prune, in.dialect.record(time.Now().Add(-keep).UTC()))
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune: %w", err)
	}
	return result.RowsAffected()
}

// passing lets every event through: the database's transaction decides.
type passing struct{}

func (passing) Claim(context.Context, string, time.Duration) (plural.Claim, error) {
	return plural.Claim{State: plural.Claimed, Token: "database"}, nil
}
func (passing) Commit(context.Context, string, string, time.Duration) error { return nil }
func (passing) Release(context.Context, string, string) error               { return nil }
