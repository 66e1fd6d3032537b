package pluralriver_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/contrib/sqlstore"
	"github.com/plural-go/plural/pluraltest"
)

func TestLooks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(20000)")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	e := overSQL("sqlite", "", db, riversqlite.New(db))
	e.makeTables(t)
	e.execute(t, `CREATE TABLE seen (order_id text NOT NULL PRIMARY KEY, status text NOT NULL, looks int NOT NULL)`)
	e.execute(t, `CREATE TABLE lapsing (order_id text NOT NULL)`)

	gateway := pluraltest.NewServer(t)
	client, err := pluralClient(gateway.URL, gateway.ClientID, gateway.ClientSecret)
	require.NoError(t, err)
	verifier, err := plural.NewVerifier(gateway.WebhookSecret)
	require.NoError(t, err)
	inbox, err := sqlstore.NewInbox(db, sqlstore.SQLite)
	require.NoError(t, err)
	require.NoError(t, inbox.Migrate(t.Context()))
	lost := unpaidOrder(t, gateway, "order-0") // no webhook comes for this order

	workers := river.NewWorkers()
	pruned := make(chan bool, 1)
	require.NoError(t, pluralriver.AddLooks(workers, pluralriver.Looks[*sql.Tx]{
		Client: client, Transact: e.transact, Queue: "books",
		Prune: func(ctx context.Context) error { // Prune uses the only connection
			_, err := inbox.Prune(ctx, 72*time.Hour)
			pruned <- true
			return err
		},
		Seen: func(ctx context.Context, tx *sql.Tx, o *plural.Order) error {
			return e.exec(ctx, tx, fmt.Sprintf(`INSERT INTO seen VALUES ('%s', '%s', 1)
				ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, looks = looks + 1`, o.OrderID, o.Status))
		},
		Quiet: func(ctx context.Context, tx *sql.Tx) ([]pluralriver.LookArgs, error) {
			var n int
			err := tx.QueryRowContext(ctx, `SELECT count(*) FROM seen WHERE order_id = ?`, lost).Scan(&n)
			return []pluralriver.LookArgs{{Reference: "order-0"}, {Reference: "nobodys"}}[:2-2*n], err
		},
		HoldFor: time.Nanosecond,
		Lapsing: func(ctx context.Context, tx *sql.Tx, o *plural.Order) error {
			return e.exec(ctx, tx, fmt.Sprintf(`INSERT INTO lapsing VALUES ('%s')`, o.OrderID))
		},
	}))
	queue, err := river.NewClient(e.driver, &river.Config{
		Queues:  map[string]river.QueueConfig{"books": {MaxWorkers: 2}, river.QueueDefault: {MaxWorkers: 1}},
		Workers: workers, Logger: slog.New(slog.DiscardHandler), FetchPollInterval: 20 * time.Millisecond,
		FetchCooldown: 10 * time.Millisecond, PeriodicJobs: []*river.PeriodicJob{pluralriver.Sweep(time.Hour)},
	})
	require.NoError(t, err)
	hooks := httptest.NewServer(inbox.Handler(verifier, pluralriver.LookOnEvent(queue, &river.InsertOpts{Queue: "books"})))
	defer hooks.Close()
	gateway.SetWebhookURL(hooks.URL)
	require.NoError(t, queue.Start(t.Context()))
	defer func() { _ = queue.StopAndCancel(context.Background()) }()
	seen := func(id, status string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return e.count(t, `seen WHERE order_id = '%s' AND status = '%s'`, id, status) == 1
		}, time.Minute, 10*time.Millisecond)
	}

	seen(lost, "CREATED")
	<-pruned
	id := makeHeldOrder(t, gateway, "order-1")
	seen(id, "AUTHORIZED")
	require.Eventually(t, func() bool {
		return e.count(t, `lapsing WHERE order_id = '%s'`, id) > 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, gateway.Capture(id, "capture-1", pluraltest.Amount{}))
	seen(id, "PROCESSED")
	require.Zero(t, e.count(t, `lapsing WHERE order_id = '%s'`, lost), "nothing is on hold")
	// After the event of a refund, a job reads the order.
	_, err = gateway.Refund(id, "refund-1", pluraltest.Amount{Value: 10_000, Currency: "INR"})
	require.NoError(t, err)
	seen(id, "FULLY_REFUNDED")
	require.Equal(t, 2, e.count(t, `seen`))

	// An id that no order can have is not tried again. If Plural does not have
	// the order, the job that should read the order ends.
	for args, want := range map[pluralriver.LookArgs]rivertype.JobState{
		{OrderID: "a/b"}:                 rivertype.JobStateCancelled,
		{}:                               rivertype.JobStateCancelled,
		{OrderID: id, Reference: "both"}: rivertype.JobStateCancelled,
		{Reference: "a reference"}:       rivertype.JobStateCancelled,
		{Reference: "nobodys"}:           rivertype.JobStateCompleted,
	} {
		job, err := queue.Insert(t.Context(), args, nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			row, err := queue.JobGet(t.Context(), job.Job.ID)
			return err == nil && row.State == want
		}, time.Minute, 10*time.Millisecond, "%v", args)
	}
}

// For each order only one job waits to run, no matter how often LookTx is
// called. If the other jobs for the order are running, or are due later, LookTx
// inserts a further job.
func TestLooksAreUniqueWhileTheyWait(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	e, err := openSQLite(path)
	require.NoError(t, err)
	e.makeTables(t)
	queue, err := river.NewClient(e.driver, &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	tryLook := func(args pluralriver.LookArgs, opts *river.InsertOpts) error {
		return e.transact(t.Context(), func(tx *sql.Tx) error {
			return pluralriver.LookTx(t.Context(), queue, tx, args, opts)
		})
	}
	look := func(args pluralriver.LookArgs) int {
		t.Helper()
		for range 5 {
			require.NoError(t, tryLook(args, nil))
		}
		return e.count(t, `river_job`)
	}
	set := func(state, rest string) { e.execute(t, `UPDATE river_job SET state = '%s'%s`, state, rest) }
	a := pluralriver.LookArgs{OrderID: "v1-1"}
	require.Equal(t, 1, look(a))
	require.Equal(t, 2, look(pluralriver.LookArgs{OrderID: "v1-2"}))
	require.Equal(t, 3, look(pluralriver.LookArgs{Reference: "v1-1"}))
	set("running", "")
	require.Equal(t, 4, look(a))
	set("running", "")
	require.Equal(t, 5, look(a))
	set("completed", ", finalized_at = CURRENT_TIMESTAMP")
	require.Equal(t, 6, look(a))
	e.execute(t, `DELETE FROM river_job`)

	// A job that is due next week does not replace a job that is due now.
	next := &river.InsertOpts{ScheduledAt: time.Now().Add(7 * 24 * time.Hour)}
	require.NoError(t, tryLook(a, next))
	require.NoError(t, tryLook(a, next))
	require.Equal(t, 1, e.count(t, `river_job`))
	require.Equal(t, 2, look(a))

	// During an outage, at most eight jobs for an order are waiting. If all
	// eight are running, LookTx inserts a further job.
	for n := range 12 {
		set("retryable", ", scheduled_at = datetime('now', '+1 hour')")
		require.Equal(t, min(3+n, 8), look(a))
	}
	set("running", "")
	require.NoError(t, tryLook(a, nil))
	require.Equal(t, 9, e.count(t, `river_job`))

	require.Error(t, tryLook(pluralriver.LookArgs{}, nil))
	require.Error(t, tryLook(pluralriver.LookArgs{OrderID: "v1-1", Reference: "order-1"}, nil))
}

func TestMayChange(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	client, err := pluralClient(gateway.URL, gateway.ClientID, gateway.ClientSecret)
	require.NoError(t, err)
	mayChange := func(id string) bool {
		t.Helper()
		o, err := client.Orders.Get(t.Context(), id)
		require.NoError(t, err)
		return pluralriver.MayChange(o)
	}
	rupees := func(n int64) pluraltest.Amount { return pluraltest.Amount{Value: 100 * n, Currency: "INR"} }

	id := unpaidOrder(t, gateway, "order-1")
	require.True(t, mayChange(id), "unpaid")
	id = makeHeldOrder(t, gateway, "order-2")
	require.True(t, mayChange(id), "on hold")
	require.NoError(t, gateway.Capture(id, "capture-2", rupees(40)))
	require.False(t, mayChange(id), "captured in part")
	_, err = gateway.Refund(id, "refund-2", rupees(40))
	require.NoError(t, err)
	require.False(t, mayChange(id), "the captured part is refunded")
	id = makeHeldOrder(t, gateway, "order-3")
	require.NoError(t, gateway.Cancel(id))
	require.False(t, mayChange(id), "cancelled")

	id = makeHeldOrder(t, gateway, "order-4")
	require.NoError(t, gateway.Capture(id, "capture-4", pluraltest.Amount{}))
	require.False(t, mayChange(id), "captured")
	gateway.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.PendingResult)
	_, err = client.Refunds.Create(t.Context(), id, &plural.RefundRequest{
		MerchantOrderReference: "refund-4", OrderAmount: plural.INR(1000),
	})
	require.NoError(t, err)
	require.True(t, mayChange(id), "a refund is under way")

	// After a sale without a hold was paid by card, no document shows how much
	// was taken.
	id, err = gateway.AddOrder(pluraltest.OrderSpec{Reference: "order-5", Amount: rupees(60)})
	require.NoError(t, err)
	_, err = gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	o, err := client.Orders.Get(t.Context(), id)
	require.NoError(t, err)
	_, isKnown := o.CapturedAmount()
	require.Equal(t, plural.PaymentMethodCard, o.Payments[0].PaymentMethod)
	require.False(t, isKnown)
	require.False(t, mayChange(id), "paid outright")
	_, err = gateway.Refund(id, "refund-5-1", rupees(20))
	require.NoError(t, err)
	require.False(t, mayChange(id), "refunded in part")
	gateway.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.PendingResult)
	_, err = client.Refunds.Create(t.Context(), id, &plural.RefundRequest{
		MerchantOrderReference: "refund-5-2", OrderAmount: plural.INR(1000),
	})
	require.NoError(t, err)
	require.True(t, mayChange(id), "another refund is under way")
	_, err = gateway.Refund(id, "refund-5-3", rupees(30))
	require.NoError(t, err)
	require.True(t, mayChange(id), "the second refund is still under way after a third one")
}

// Sweeps read an order again only as long as something in its document may
// change.
func TestMayChangeOfADocument(t *testing.T) {
	t.Parallel()
	card := func(status string) string {
		return `{"status": "` + status + `", "payment_method": "CARD", "payment_amount": {"value": 100, "currency": "INR"}}`
	}
	refund := func(id, status string) string {
		return `{"order_id": "` + id + `", "type": "REFUND", "status": "` + status + `",
			"order_amount": {"value": 40, "currency": "INR"}}`
	}
	for _, c := range []struct {
		name, status, payments, refunds string
		want                            bool
	}{
		{"nobody has paid", "CREATED", "", "", true},
		{"a payment failed", "ATTEMPTED", card("FAILED"), "", true},
		{"a payment is under way", "PENDING", card("PENDING"), "", true},
		{"on hold", "AUTHORIZED", card("AUTHORIZED"), "", true},
		{"an unknown order status", "NOBODY_KNOWS", card("PROCESSED"), "", true},

		{"cancelled", "CANCELLED", card("CANCELLED"), "", false},
		{"cancelled, and the payment lags", "CANCELLED", card("AUTHORIZED"), "", false},
		{"failed", "FAILED", card("FAILED"), "", false},
		{"failed without payments", "FAILED", "", "", false},

		{"paid outright by card", "PROCESSED", card("PROCESSED"), "", false},
		{"paid at the second try", "PROCESSED", card("FAILED") + "," + card("PROCESSED"), "", false},
		{"paid twice", "PROCESSED", card("PROCESSED") + "," + card("PROCESSED"), "", false},
		{"paid, no payment listed", "PROCESSED", "", "", false},
		{"another payment is under way", "PROCESSED", card("PROCESSED") + "," + card("PENDING"), "", true},
		{"a payment is still held", "PARTIALLY_CAPTURED", card("PROCESSED") + "," + card("AUTHORIZED"), "", true},
		{"an unknown payment status", "PROCESSED", card("NOBODY_KNOWS"), "", true},

		{"a refund is pending", "PROCESSED", card("PROCESSED"), refund("v1-2", "PENDING"), true},
		{"a refund is created", "PROCESSED", card("PROCESSED"), refund("v1-2", "CREATED"), true},
		{"an unknown refund status", "PROCESSED", card("PROCESSED"), refund("v1-2", "NOBODY_KNOWS"), true},
		{"the bank refused the refund", "PROCESSED", card("PROCESSED"), refund("v1-2", "FAILED"), false},
		{"a refund was cancelled", "PROCESSED", card("PROCESSED"), refund("v1-2", "CANCELLED"), false},
		{"the order's status lags behind its refund", "PROCESSED", card("PROCESSED"), refund("v1-2", "PROCESSED"), false},

		{"refunded in part", "PARTIALLY_REFUNDED", card("PROCESSED"), refund("v1-2", "PROCESSED"), false},
		{"the payment also shows it", "PARTIALLY_REFUNDED", card("PARTIALLY_REFUNDED"), refund("v1-2", "PROCESSED"), false},
		{"the refund is not listed", "PARTIALLY_REFUNDED", card("PROCESSED"), "", false},
		{
			"a second refund is pending", "PARTIALLY_REFUNDED", card("PROCESSED"),
			refund("v1-2", "PROCESSED") + "," + refund("v1-3", "PENDING"), true,
		},
		{
			"a refund is listed in two states", "PARTIALLY_REFUNDED", card("PROCESSED"),
			refund("v1-2", "PROCESSED") + "," + refund("v1-2", "PENDING"), true,
		},

		{"refunded, and the sum is not known", "FULLY_REFUNDED", card("FULLY_REFUNDED"), refund("v1-2", "PROCESSED"), false},
		{"refunded, no refund listed", "FULLY_REFUNDED", "", "", false},
		{"refunded, and the payment lags", "FULLY_REFUNDED", card("AUTHORIZED"), "", false},
		{
			"refunded, but a refund may still fail", "FULLY_REFUNDED", card("PROCESSED"),
			refund("v1-2", "PROCESSED") + "," + refund("v1-3", "PENDING"), true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			document := fmt.Sprintf(`{"order_id": "v1-1", "status": %q, "order_amount": {"value": 100, "currency": "INR"},
				"payments": [%s], "refunds": [%s]}`, c.status, c.payments, c.refunds)
			var o plural.Order
			require.NoError(t, json.Unmarshal([]byte(document), &o))
			require.Equal(t, c.want, pluralriver.MayChange(&o), document)
		})
	}
}
