// Package sqlstore handles Plural's webhooks in the merchant's own database.
// For each event there is one transaction. In this transaction, the package
// records that the event was handled, and the merchant's function writes its
// own data. So an event is handled exactly once. If the handling fails or the
// process dies, the event is handled when Plural delivers it again.
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
//			return writeJob(ctx, tx, id) // a job reads the order later
//		}))
//
// The function stores in the transaction what has to be done, and calls no
// other service. If the function called another service, such as Plural, a
// rollback would not undo that call. The transaction would also keep one of the
// shop's connections until the call ends, so twenty webhooks at once would use
// up a pool of twenty. Let a job do the rest, such as a job of package
// [github.com/plural-go/plural/contrib/river].
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/plural-go/plural"
)

// Dialect is a kind of database.
type Dialect struct{ dialect *dialect }

type dialect struct {
	name   string
	try    string // locks the event until the transaction ends; false: another one has the lock; "": there is no lock
	find   string
	record string
	prune  string
	lock   string // lets only one migration run at a time; "" if the database needs no lock for that
	time   func(time.Time) any
}

// The databases that this package supports.
//
//nolint:gochecknoglobals // constants, but Go has no constant structs
var (
	// Postgres is PostgreSQL 12 or later, through any driver with $1 for
	// parameters, such as pgx.
	Postgres = Dialect{&postgres}
	// SQLite is SQLite 3.24 or later. Open the database with a busy timeout,
	// and with immediate transactions (_txlock=immediate with
	// modernc.org/sqlite). Then a second transaction waits until the first
	// transaction has ended. Without these settings, the second transaction may
	// fail.
	SQLite = Dialect{&sqlite}
)

//nolint:gochecknoglobals // constants, as above
var (
	postgres = dialect{
		name: "postgres",
		try:  `SELECT pg_try_advisory_xact_lock(hashtextextended('plural_inbox/' || $1::text || '/' || $2::text, 0))`,
		find: `SELECT count(*) FROM plural_inbox WHERE merchant = $1 AND webhook_id = $2`,
		record: `INSERT INTO plural_inbox (merchant, webhook_id, event_type, handled_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`,
		prune: `DELETE FROM plural_inbox WHERE merchant = $1 AND handled_at < $2`,
		lock:  `SELECT pg_advisory_xact_lock(7061759281)`,
		time:  func(t time.Time) any { return t },
	}
	sqlite = dialect{
		name: "sqlite",
		find: `SELECT count(*) FROM plural_inbox WHERE merchant = ? AND webhook_id = ?`,
		record: `INSERT INTO plural_inbox (merchant, webhook_id, event_type, handled_at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`,
		prune: `DELETE FROM plural_inbox WHERE merchant = ? AND handled_at < ?`,
		time:  func(t time.Time) any { return t.Unix() },
	}
)

// Inbox keeps records of the handled webhooks in a database.
type Inbox struct {
	db       *sql.DB
	dialect  *dialect
	merchant string
	busy     sync.Map      // the ids of the events that this process is handling
	time     time.Duration // how long a delivery may take

	step func(name string) // for tests
}

// Option changes how an [Inbox] works.
type Option func(*Inbox)

// WithMerchant separates the events of several merchants that share a database.
// Each merchant needs a separate verifier and handler, because each merchant's
// key signs only that merchant's webhook-ids.
func WithMerchant(name string) Option { return func(in *Inbox) { in.merchant = name } }

// NewInbox makes an Inbox on a database. [Inbox.Migrate] creates its table.
func NewInbox(db *sql.DB, d Dialect, opts ...Option) (*Inbox, error) {
	if db == nil || d.dialect == nil {
		return nil, errors.New("sqlstore: new inbox: a database and its dialect are needed")
	}
	in := &Inbox{db: db, dialect: d.dialect, time: transactionTime, step: func(string) {}}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("sqlstore: new inbox: an option is nil")
		}
		opt(in)
	}
	return in, nil
}

// Handler makes an [http.Handler] for the webhook URL. The handler verifies
// each request as [plural.NewWebhookHandler] does, takes the same options, and
// gives the same answers. It calls the function handle in a transaction. If
// that function returns nil, the handler commits the transaction.
//
// If an event was handled before, the answer is 200, and the function handle is
// not called. If two deliveries of one event come at the same time, one of them
// is handled. The other delivery does not wait, and is answered with 409. There
// is one exception: on SQLite, a delivery to another process waits until the
// first transaction has ended.
//
// If the function handle fails, its transaction is rolled back and the answer
// is 500. If the database fails while the handler begins the transaction, locks
// the event or looks for the event's record, the answer is 503. If the database
// fails after that, the answer is 500. After a 409, a 500 or a 503, Plural
// delivers the event again. If the process dies, Plural also delivers the event
// again. The commit may succeed although the handler gets no answer from the
// database. Then the handler answers with 500. When Plural delivers the event
// again, the record shows that the event was handled.
//
// Plural waits 5 seconds for the answer. So the handler has 4 seconds, in which
// it waits for a database connection and runs the transaction. After 4 seconds,
// the context of the function handle ends, and the transaction is rolled back.
//
// If a write must happen exactly once, the function handle must make it with
// tx, and not with another connection. The function must neither commit nor
// roll back tx. It should store what has to be done, and call no other service:
// see the package's documentation.
//
// The options [plural.WithDeduper], [plural.WithMerchant] and
// [plural.WithLease] have no effect: the database remembers events, this
// package's [WithMerchant] names the merchant, and the transaction takes the
// place of the lease.
func (in *Inbox) Handler(
	v *plural.Verifier,
	handle func(ctx context.Context, tx *sql.Tx, e *plural.Event) error,
	opts ...plural.HandlerOption,
) http.Handler {
	var each func(context.Context, *plural.Event) error
	if handle != nil { // otherwise each stays nil, and NewWebhookHandler reports the missing function
		each = func(ctx context.Context, e *plural.Event) error { return in.handle(ctx, e, handle) }
	}
	verified := plural.NewWebhookHandler(v, each, append(opts, plural.WithDeduper(transactionDeduper{in}))...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := &delivery{}
		defer in.endDelivery(d) // after every result
		verified.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), deliveryKey{}, d)))
	})
}

func (in *Inbox) handle(
	ctx context.Context, e *plural.Event, handle func(context.Context, *sql.Tx, *plural.Event) error,
) error {
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	ctx, cancel := context.WithDeadline(ctx, d.deadline)
	defer cancel()
	now := in.dialect.time(time.Now().UTC())
	result, err := d.tx.ExecContext(ctx, in.dialect.record, in.merchant, e.ID, textOf(e.Type), now)
	if err != nil {
		return fmt.Errorf("sqlstore: record webhook: %w", err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("sqlstore: record webhook: %w", err)
	}
	// An earlier version of this package had no lock. Another process that
	// still uses that version may have recorded the event in the meantime.
	if rows == 0 {
		return nil
	}
	in.step("claimed")
	if err := handle(ctx, d.tx, e); err != nil {
		return err
	}
	in.step("handled")
	return nil
}

// textOf returns an event's type as a text that a database accepts. The sender
// chooses the type, and PostgreSQL refuses a zero byte.
func textOf(t plural.EventType) string {
	const most = 128
	text := string(t)
	if len(text) > most {
		text = text[:most]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "\uFFFD")
}

// minKeep is the shortest time to keep the record of an event. Package plural
// also keeps its own records of events for at least 72 hours. Plural delivers
// an event for up to 28 hours, and a replay may come later.
const minKeep = 72 * time.Hour

// Prune deletes old records of this inbox's merchant (see [WithMerchant]), and
// returns how many records it has deleted. A record is old if its event was
// handled longer ago than the duration keep. Call Prune for each merchant's
// inbox. Keep records for at least 72 hours; a shorter time is an error. If the
// verifier's tolerance is above 35 hours, keep records for twice the tolerance
// plus an hour, because an event may be replayed until then. Prune does not
// know the tolerance, so it cannot check this.
func (in *Inbox) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	if keep < minKeep {
		return 0, fmt.Errorf("sqlstore: prune: records have to be kept for at least %v", minKeep)
	}
	result, err := in.db.ExecContext(ctx, in.dialect.prune, in.merchant, in.dialect.time(time.Now().Add(-keep).UTC()))
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune: %w", err)
	}
	return result.RowsAffected()
}
