package pluralriver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/contrib/sqlstore"
	"github.com/plural-go/plural/pluraltest"
)

// In one transaction the shop stores its decision to capture money, and inserts
// a job. The job then captures the money. The example runs on SQLite and the
// emulator.
func Example() {
	db, gateway, pluralClient, closeAll := openShop()
	defer closeAll()
	ctx := context.Background()

	workers := river.NewWorkers()
	err := pluralriver.AddWorkers(workers, pluralriver.Config[*sql.Tx]{
		Client: pluralClient, Transact: pluralriver.SQL(db), Ended: ended, Unsettled: unsettled,
	})
	if err != nil {
		log.Fatal(err)
	}
	riverClient, err := river.NewClient(riversqlite.New(db), &river.Config{
		Queues:       map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}},
		Workers:      workers,
		PeriodicJobs: []*river.PeriodicJob{pluralriver.Watch()},
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := riverClient.Start(ctx); err != nil {
		log.Fatal(err)
	}
	completed, stop := riverClient.Subscribe(river.EventKindJobCompleted)
	defer stop()
	orderID := holdOf(gateway, "order-1")

	err = pluralriver.SQL(db)(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO decisions (kind, order_id, reference) VALUES ($1, $2, 'capture-1')`,
			pluralriver.KindCapture, orderID)
		if err != nil {
			return err
		}
		_, err = pluralriver.InsertTx(ctx, riverClient, tx, pluralriver.CaptureArgs{
			OrderID: orderID, Reference: "capture-1", Amount: plural.INR(149950),
		}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}

	for e := range completed {
		if e.Job.Kind == pluralriver.KindCapture { // the job that Watch made completes too
			break
		}
	}
	if err := riverClient.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	var state string
	if err := db.QueryRowContext(ctx, `SELECT state FROM decisions`).Scan(&state); err != nil {
		log.Fatal(err)
	}
	fmt.Println(state)
	// Output: done
}

// A webhook inserts a job that reads the order from Plural. A sweep every five
// minutes does so too. The job then calls the function Seen, which stores what
// Plural's books show about the order.
func ExampleAddLooks() {
	db, gateway, pluralClient, closeAll := openShop()
	defer closeAll()
	ctx := context.Background()
	verifier, err := plural.NewVerifier(gateway.WebhookSecret)
	if err != nil {
		log.Fatal(err)
	}
	inbox, err := sqlstore.NewInbox(db, sqlstore.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	if err := inbox.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	workers := river.NewWorkers()
	err = pluralriver.AddLooks(workers, pluralriver.Looks[*sql.Tx]{
		Client: pluralClient, Transact: pluralriver.SQL(db), Seen: seen, Quiet: quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	riverClient, err := river.NewClient(riversqlite.New(db), &river.Config{
		Queues:       map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}},
		Workers:      workers,
		PeriodicJobs: []*river.PeriodicJob{pluralriver.Sweep(5 * time.Minute)},
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/plural/webhook", inbox.Handler(verifier, pluralriver.LookOnEvent(riverClient, nil)))

	if _, err := db.Exec(`INSERT INTO orders (number, amount, made_at) VALUES ('order-1', 149950, 0)`); err != nil {
		log.Fatal(err)
	}
	if err := riverClient.Start(ctx); err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(http.DefaultServeMux)
	defer web.Close()
	gateway.SetWebhookURL(web.URL + "/plural/webhook")
	holdOf(gateway, "order-1")
	var good bool
	for !good { // wait until the webhook's job has read the order
		time.Sleep(10 * time.Millisecond)
		if err := db.QueryRowContext(ctx, `SELECT good FROM orders`).Scan(&good); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("held")
	if err := riverClient.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: held
}

// A shop with database/sql on PostgreSQL has one River client for its jobs and
// the inbox. The example needs a database, so it is compiled here and not run.
func ExampleSQL() {
	ctx := context.Background()
	verifier, err := plural.NewVerifier(os.Getenv("PLURAL_CLIENT_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	pluralClient, err := plural.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}

	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	db := stdlib.OpenDBFromPool(pool)
	driver := riverdatabasesql.NewWithPgxListener(db, pool)
	inbox, err := sqlstore.NewInbox(db, sqlstore.Postgres)
	if err != nil {
		log.Fatal(err)
	}
	workers := river.NewWorkers()
	err = errors.Join(
		inbox.Migrate(ctx), pluralriver.Migrate(ctx, driver),
		pluralriver.AddWorkers(workers, pluralriver.Config[*sql.Tx]{
			Client: pluralClient, Transact: pluralriver.SQL(db), Ended: ended, Unsettled: unsettled,
		}),
		pluralriver.AddLooks(workers, pluralriver.Looks[*sql.Tx]{
			Client: pluralClient, Transact: pluralriver.SQL(db), Seen: seen, Quiet: quiet, Queue: "plural_looks",
			Prune: func(ctx context.Context) error {
				_, err := inbox.Prune(ctx, 7*24*time.Hour)
				return err
			},
		}),
	)
	if err != nil {
		log.Fatal(err)
	}
	riverClient, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: 4}, "plural_money": {MaxWorkers: 8}, "plural_looks": {MaxWorkers: 4},
		},
		Workers:                     workers,
		PeriodicJobs:                []*river.PeriodicJob{pluralriver.Watch(), pluralriver.Sweep(5 * time.Minute)},
		DiscardedJobRetentionPeriod: -1,
	})
	if err != nil {
		log.Fatal(err)
	}
	look := pluralriver.LookOnEvent(riverClient, &river.InsertOpts{Queue: "plural_looks"})
	http.Handle("/plural/webhook", inbox.Handler(verifier, look))
	if err := riverClient.Start(ctx); err != nil {
		log.Fatal(err)
	}
}

// shopTables makes the tables of the shop in the examples. Amounts are in
// paise, looked_at and made_at in seconds, and seen_at in microseconds.
const shopTables = `
	CREATE TABLE orders (
		number     text    NOT NULL PRIMARY KEY, -- Plural's merchant_order_reference
		amount     bigint  NOT NULL,
		order_id   text    NOT NULL DEFAULT '',
		status     text    NOT NULL DEFAULT '',
		good       boolean NOT NULL DEFAULT false, -- held or paid as the shop asked, and not cancelled since
		may_change boolean NOT NULL DEFAULT true,
		seen_at    bigint  NOT NULL DEFAULT 0, -- the document's updated_at
		looked_at  bigint  NOT NULL DEFAULT 0,
		made_at    bigint  NOT NULL
	);
	CREATE TABLE decisions (
		kind      text NOT NULL,
		order_id  text NOT NULL,
		reference text NOT NULL, -- '' for a cancel
		state     text NOT NULL DEFAULT 'decided',
		note      text NOT NULL DEFAULT ''
	);
	-- A hold ends once.
	CREATE UNIQUE INDEX one_end ON decisions (order_id)
		WHERE kind IN ('plural_capture', 'plural_cancel') AND state NOT IN ('refused', 'given up');`

// This function is the shop's Config.Ended. It stores the result of a decision.
func ended(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome) error {
	var state string
	switch {
	case o.Err == nil && o.Kind == pluralriver.KindRefund && o.Order.Status != plural.OrderStatusProcessed:
		state = "pending" // accepted, but the bank may still refuse it: seen finds out
	case o.Err == nil: // carried out
		state = "done"
	case errors.Is(o.Err, plural.ErrNotApplied): // final: nothing was or will be carried out
		state = "refused"
	case errors.Is(o.Err, plural.ErrConflict): // final: the books show something else
		state = "look at Plural's dashboard"
	default: // a plural.ValidationError, the only other case: nothing was sent
		state = "program it right"
	}
	_, err := tx.ExecContext(ctx, `UPDATE decisions SET state = $1, note = ''
		WHERE kind = $2 AND order_id = $3 AND reference = $4 AND state = 'decided'`, // only the row that is open
		state, o.Kind, o.OrderID, o.Reference) // a cancel has no reference
	return err
}

// This function is the shop's Config.Unsettled. It stores the reason for which
// a person has to look at a decision. If the reason is Contradicted, the
// decision has already ended. Otherwise the decision stays open.
func unsettled(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome, a pluralriver.Attempt) error {
	_, err := tx.ExecContext(ctx, `UPDATE decisions SET note = $1
		WHERE kind = $2 AND order_id = $3 AND reference = $4 AND (state = 'decided' OR $5)`,
		"look at Plural's dashboard: "+string(a.Why), o.Kind, o.OrderID, o.Reference, a.Why == pluralriver.Contradicted)
	return err
}

// This function is the shop's Looks.Seen. It stores what Plural's books show
// about an order.
func seen(ctx context.Context, tx *sql.Tx, o *plural.Order) error {
	var paise int64
	err := tx.QueryRowContext(ctx, `SELECT amount FROM orders WHERE number = $1`, o.MerchantOrderReference).Scan(&paise)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // not an order of this shop
	}
	if err != nil {
		return err
	}
	err = plural.Expected{ // held or paid as it was asked for
		MerchantOrderReference: o.MerchantOrderReference, OrderAmount: plural.INR(paise),
	}.Check(o)
	notPaid, _ := errors.AsType[*plural.NotPaidError](err)
	isGood, wasPaid := err == nil, err == nil || notPaid != nil && notPaid.WasPaid()
	at := max(o.UpdatedAt.UnixMicro(), 0) // 0: the document has no time, and is accepted
	if o.UpdatedAt.After(time.Now().Add(5 * time.Minute)) {
		at = 0 // a time in the future counts as none, because all later documents would seem older
	}
	_, err = tx.ExecContext(ctx, `UPDATE orders SET order_id = $2, status = $3, may_change = $4,
			good = $5 OR good AND $6, seen_at = CASE WHEN seen_at > $7 THEN seen_at ELSE $7 END
		WHERE number = $1 AND (seen_at <= $7 OR $7 = 0)`,
		o.MerchantOrderReference, o.OrderID, o.Status, pluralriver.MayChange(o), isGood, wasPaid, at)
	if err != nil {
		return err
	}
	for i := range o.Refunds {
		refund := &o.Refunds[i]
		var state string
		switch refund.Status {
		case plural.OrderStatusProcessed:
			state = "done"
		case plural.OrderStatusFailed, plural.OrderStatusCancelled:
			if slices.ContainsFunc(o.Refunds, func(other plural.Order) bool { // another try, which may succeed
				return other.MerchantOrderReference == refund.MerchantOrderReference &&
					other.Status != plural.OrderStatusFailed && other.Status != plural.OrderStatusCancelled
			}) {
				continue
			}
			state = "refused" // by the bank: the payer does not have the money
		default:
			continue // still under way
		}
		_, err := tx.ExecContext(ctx, `UPDATE decisions SET state = $1
			WHERE kind = $2 AND order_id = $3 AND reference = $4 AND state = 'pending'`,
			state, pluralriver.KindRefund, o.OrderID, refund.MerchantOrderReference)
		if err != nil {
			return err
		}
	}
	return nil
}

// This function is the shop's Looks.Quiet. It finds orders that nobody has
// looked at for ten minutes. It returns an order only if the order has a
// pending refund, or if the order may change and is less than 60 days old.
func quiet(ctx context.Context, tx *sql.Tx) (looks []pluralriver.LookArgs, err error) {
	now := time.Now()
	rows, err := tx.QueryContext(ctx, `UPDATE orders SET looked_at = $1 WHERE number IN (SELECT number FROM orders
		WHERE looked_at < $2 AND (may_change AND made_at > $3
			OR order_id IN (SELECT order_id FROM decisions WHERE state = 'pending'))
		ORDER BY looked_at LIMIT 200) RETURNING number`,
		now.Unix(), now.Add(-10*time.Minute).Unix(), now.AddDate(0, 0, -60).Unix()) // many orders are never paid
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var number string
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		looks = append(looks, pluralriver.LookArgs{Reference: number})
	}
	return looks, rows.Err()
}

func openShop() (db *sql.DB, gateway *pluraltest.Server, client *plural.Client, closeAll func()) {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=busy_timeout(20000)")
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if err := pluralriver.Migrate(context.Background(), riversqlite.New(db)); err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec(shopTables); err != nil {
		log.Fatal(err)
	}
	gateway, err = pluraltest.Start()
	if err != nil {
		log.Fatal(err)
	}
	client, err = plural.NewClient(
		plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret},
		plural.WithBaseURL(gateway.URL),
	)
	if err != nil {
		log.Fatal(err)
	}
	return db, gateway, client, func() {
		gateway.Close()
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

func holdOf(gateway *pluraltest.Server, reference string) string {
	id, err := gateway.AddOrder(pluraltest.OrderSpec{
		Reference: reference, Amount: pluraltest.Amount{Value: 149950, Currency: "INR"}, PreAuth: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := gateway.Pay(id, pluraltest.Approve); err != nil {
		log.Fatal(err)
	}
	return id
}
