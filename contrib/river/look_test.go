package pluralriver_test

import (
	"context"
	"database/sql"
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
	e.prepare(t)
	e.do(t, `CREATE TABLE seen (order_id text NOT NULL PRIMARY KEY, status text NOT NULL, looks int NOT NULL)`)
	e.do(t, `CREATE TABLE lapsing (order_id text NOT NULL)`)

	gateway := pluraltest.NewServer(t)
	client, err := pluralClient(gateway.URL, gateway.ClientID, gateway.ClientSecret)
	require.NoError(t, err)
	verifier, err := plural.NewVerifier(gateway.WebhookSecret)
	require.NoError(t, err)
	inbox, err := sqlstore.NewInbox(db, sqlstore.SQLite)
	require.NoError(t, err)
	require.NoError(t, inbox.Migrate(t.Context()))
	lost := unpaid(t, gateway, "order-0") // whose webhooks do not come

	workers := river.NewWorkers()
	require.NoError(t, pluralriver.AddLooks(workers, pluralriver.Looks[*sql.Tx]{
		Client: client, Transact: e.transact, Queue: "books",
		Seen: func(ctx context.Context, tx *sql.Tx, o *plural.Order) error {
			return e.exec(ctx, tx, fmt.Sprintf(`INSERT INTO seen VALUES ('%s', '%s', 1)
				ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, looks = looks + 1`, o.OrderID, o.Status))
		},
		Quiet: func(ctx context.Context, tx *sql.Tx) ([]string, error) {
			var n int
			err := tx.QueryRowContext(ctx, `SELECT count(*) FROM seen WHERE order_id = ?`, lost).Scan(&n)
			return []string{lost}[:1-n], err
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
	id := authorized(t, gateway, "order-1")
	seen(id, "AUTHORIZED")
	require.Eventually(t, func() bool {
		return e.count(t, `lapsing WHERE order_id = '%s'`, id) > 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, gateway.Capture(id, "capture-1", pluraltest.Amount{}))
	seen(id, "PROCESSED")
	require.Zero(t, e.count(t, `lapsing WHERE order_id = '%s'`, lost), "nothing is on hold")
	// A refund's event leads to the order.
	_, err = gateway.Refund(id, "refund-1", pluraltest.Amount{Value: 10_000, Currency: "INR"})
	require.NoError(t, err)
	seen(id, "FULLY_REFUNDED")
	require.Equal(t, 2, e.count(t, `seen`))

	// An order that cannot be one is not asked for twice.
	job, err := queue.Insert(t.Context(), pluralriver.LookArgs{OrderID: "a/b"}, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		row, err := queue.JobGet(t.Context(), job.Job.ID)
		return err == nil && row.State == rivertype.JobStateCancelled
	}, time.Minute, 10*time.Millisecond)
}
