package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plural-go/plural"
)

// transactionTime limits the transaction of a delivery, including the wait for
// a connection. It is less than the 5 seconds after which Plural hangs up.
const transactionTime = 4 * time.Second

// The type delivery has the transaction of one request. The request's context
// holds the delivery.
type delivery struct {
	id       string
	tx       *sql.Tx
	deadline time.Time // when the transaction has to end
	cancel   context.CancelFunc
}

type deliveryKey struct{}

// transactionDeduper is the [plural.Deduper] of an Inbox's handler. Each of its
// claims is a transaction that has locked the event.
type transactionDeduper struct{ inbox *Inbox }

// Claim begins a transaction and locks the event. If another delivery has the
// lock, Claim does not wait, and reports that delivery. If the same process is
// handling the event, Claim does not even take a connection. SQLite has no such
// lock: there, Claim may wait until another process has ended its transaction.
func (t transactionDeduper) Claim(ctx context.Context, name string, _ time.Duration) (plural.Claim, error) {
	in := t.inbox
	in.step("received")
	d, ok := ctx.Value(deliveryKey{}).(*delivery)
	if !ok {
		return plural.Claim{}, errors.New("sqlstore: the request has lost the values of its context")
	}
	// If plural.WithMerchant is used, the name begins with the merchant's
	// name and a slash. The id is the part after the slash.
	id := name[strings.LastIndexByte(name, '/')+1:]
	if _, others := in.busy.LoadOrStore(id, true); others {
		return plural.Claim{State: plural.InProgress}, nil
	}
	d.id = id
	state, err := in.beginDelivery(ctx, d)
	if err != nil || state != plural.Claimed {
		in.endDelivery(d)
	}
	return plural.Claim{State: state, Token: "transaction"}, err
}

// beginDelivery begins the delivery's transaction, locks the event in this
// transaction, and checks whether the event is recorded.
func (in *Inbox) beginDelivery(ctx context.Context, d *delivery) (plural.ClaimState, error) {
	d.deadline = time.Now().Add(in.time)
	ctx, d.cancel = context.WithDeadline(context.WithoutCancel(ctx), d.deadline) // the transaction lives longer than Claim
	tx, err := in.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("sqlstore: begin: %w", err)
	}
	d.tx = tx
	in.step("begun")
	if in.dialect.try != "" {
		var isOurs bool
		if err := tx.QueryRowContext(ctx, in.dialect.try, in.merchant, d.id).Scan(&isOurs); err != nil {
			return 0, fmt.Errorf("sqlstore: lock webhook: %w", err)
		}
		if !isOurs {
			return plural.InProgress, nil
		}
	}
	var recorded int
	if err := tx.QueryRowContext(ctx, in.dialect.find, in.merchant, d.id).Scan(&recorded); err != nil {
		return 0, fmt.Errorf("sqlstore: find webhook: %w", err)
	}
	if recorded > 0 {
		return plural.Done, nil
	}
	return plural.Claimed, nil
}

// Commit commits the transaction.
func (t transactionDeduper) Commit(ctx context.Context, _, _ string, _ time.Duration) error {
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	defer t.inbox.endDelivery(d)
	if err := d.tx.Commit(); err != nil {
		return fmt.Errorf("sqlstore: commit: %w", err)
	}
	t.inbox.step("committed")
	return nil
}

// Release rolls the transaction back.
func (t transactionDeduper) Release(ctx context.Context, _, _ string) error {
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	t.inbox.endDelivery(d)
	return nil
}

// endDelivery ends a delivery. If the delivery's transaction was not committed,
// endDelivery rolls the transaction back.
func (in *Inbox) endDelivery(d *delivery) {
	if d.id == "" {
		return
	}
	if d.tx != nil {
		_ = d.tx.Rollback() // after a commit it does nothing
	}
	d.cancel()
	in.busy.Delete(d.id)
	d.id = ""
}
