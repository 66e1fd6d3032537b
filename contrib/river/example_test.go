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
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/contrib/sqlstore"
	"github.com/plural-go/plural/pluraltest"
)

// The shop decides on a capture in a transaction, and a job carries it out. The
// example runs on SQLite and the emulator.
func Example() {
	db, gateway, pluralClient, closeAll := openShop()
	defer closeAll()
	ctx := context.Background()

	ended := func(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome) error {
		var state string
		switch {
		case o.Err == nil: // carried out; a refund may still be PENDING: see o.Order.Status
			state = "done"
		case errors.Is(o.Err, plural.ErrNotApplied): // final: nothing was or will be carried out
			state = "refused"
		case errors.Is(o.Err, plural.ErrConflict): // final: the books show something else
			state = "look at Plural's dashboard"
		default: // a plural.ValidationError, the only other case: nothing was sent
			state = "program it right"
		}
		_, err := tx.ExecContext(ctx,
			`UPDATE decisions SET state = $1 WHERE kind = $2 AND order_id = $3 AND reference = $4`,
			state, o.Kind, o.OrderID, o.Reference) // a cancel has no reference
		return err
	}
	unsettled := func(ctx context.Context, tx *sql.Tx, o pluralriver.Outcome, a pluralriver.Attempt) error {
		_, err := tx.ExecContext(ctx,
			`UPDATE decisions SET state = $1 WHERE kind = $2 AND order_id = $3 AND reference = $4`,
			"not known yet, look at Plural's dashboard: "+string(a.Why), o.Kind, o.OrderID, o.Reference)
		return err
	}

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
		_, err := tx.ExecContext(ctx, `INSERT INTO decisions VALUES ($1, $2, 'capture-1', 'decided')`,
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
		if e.Job.Kind == pluralriver.KindCapture { // the watch completes, too
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

// A webhook, or a sweep every five minutes, leads to a look at the order, and
// seen stores its document.
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

	seen := func(ctx context.Context, tx *sql.Tx, o *plural.Order) error {
		var paise int64
		err := tx.QueryRowContext(ctx, `SELECT amount FROM orders WHERE number = $1`, o.MerchantOrderReference).Scan(&paise)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // not an order of this shop
		}
		if err != nil {
			return err
		}
		isGood := plural.Expected{ // held or paid as it was asked for
			MerchantOrderReference: o.MerchantOrderReference, OrderAmount: plural.INR(paise),
		}.Check(o) == nil
		at := max(o.UpdatedAt.UnixMicro(), 0) // 0: the document has no time, and is accepted
		_, err = tx.ExecContext(ctx, `UPDATE orders SET status = $2, good = $3, seen_at = max(seen_at, $4)
			WHERE number = $1 AND (seen_at <= $4 OR $4 = 0)`, o.MerchantOrderReference, o.Status, isGood, at)
		return err
	}
	quiet := func(ctx context.Context, tx *sql.Tx) (looks []pluralriver.LookArgs, err error) {
		rows, err := tx.QueryContext(ctx, `UPDATE orders SET looked_at = $1 WHERE number IN (SELECT number FROM orders
			WHERE looked_at < $2 AND status IN ('', 'CREATED', 'ATTEMPTED', 'PENDING', 'AUTHORIZED')
			ORDER BY looked_at LIMIT 200) RETURNING number`, time.Now().Unix(), time.Now().Add(-10*time.Minute).Unix())
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

	if _, err := db.Exec(`INSERT INTO orders (number, amount) VALUES ('order-1', 149950)`); err != nil {
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
	for !good { // until the webhook has led to a look
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
	if _, err := db.Exec(`CREATE TABLE decisions (kind text, order_id text, reference text, state text);
		CREATE TABLE orders (number text, amount int, status text DEFAULT '', good int DEFAULT 0,
			seen_at int DEFAULT 0, looked_at int DEFAULT 0)`); err != nil {
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
