package pluralriver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

func TestMain(m *testing.M) {
	if servertest.Role() == "worker" {
		workAndDie()
		return
	}
	os.Exit(m.Run())
}

// engine is River on one kind of database, with the shop's own table.
type engine[TTx any] struct {
	driver   riverdriver.Driver[TTx]
	transact func(context.Context, func(TTx) error) error
	exec     func(ctx context.Context, tx TTx, statement string) error
	count    func(ctx context.Context, query string) (int, error)
}

func openSQLite(path string) (*engine[*sql.Tx], error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &engine[*sql.Tx]{
		driver: riversqlite.New(db), transact: pluralriver.SQL(db),
		exec: func(ctx context.Context, tx *sql.Tx, statement string) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		},
		count: func(ctx context.Context, query string) (n int, err error) {
			return n, db.QueryRowContext(ctx, query).Scan(&n)
		},
	}, nil
}

func openPostgres(url string) (*engine[pgx.Tx], error) {
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		return nil, err
	}
	return &engine[pgx.Tx]{
		driver: riverpgxv5.New(pool), transact: pluralriver.Pgx(pool),
		exec: func(ctx context.Context, tx pgx.Tx, statement string) error {
			_, err := tx.Exec(ctx, statement)
			return err
		},
		count: func(ctx context.Context, query string) (n int, err error) {
			return n, pool.QueryRow(ctx, query).Scan(&n)
		},
	}, nil
}

// prepare makes the tables.
func (e *engine[TTx]) prepare(t *testing.T) {
	t.Helper()
	migrator, err := rivermigrate.New(e.driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
	require.NoError(t, e.transact(t.Context(), func(tx TTx) error {
		return e.exec(
			t.Context(),
			tx,
			`CREATE TABLE ended (reference text NOT NULL, order_id text NOT NULL, good int NOT NULL)`,
		)
	}))
}

// ended is the shop's hook.
func (e *engine[TTx]) ended(ctx context.Context, tx TTx, o pluralriver.Outcome) error {
	good := 0
	if o.Err == nil {
		good = 1
	}
	return e.exec(ctx, tx, fmt.Sprintf(`INSERT INTO ended VALUES ('%s', '%s', %d)`, o.Reference, o.OrderID, good))
}

// start has a River client work, with a policy that tries again at once.
func (e *engine[TTx]) start(
	ctx context.Context, cfg pluralriver.Config[TTx], timeout time.Duration,
) (*river.Client[TTx], error) {
	cfg.Timeout = timeout
	workers := river.NewWorkers()
	if err := pluralriver.AddWorkers(workers, cfg); err != nil {
		return nil, err
	}
	client, err := river.NewClient(e.driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}}, Workers: workers,
		Logger: slog.New(slog.DiscardHandler), FetchPollInterval: 50 * time.Millisecond, FetchCooldown: 20 * time.Millisecond,
		RescueStuckJobsAfter: timeout + time.Second, JobTimeout: timeout, RetryPolicy: soon{},
	})
	if err != nil {
		return nil, err
	}
	return client, client.Start(ctx)
}

// timeout is short, for the tests of workers that die.
const timeout = 4 * time.Second

type soon struct{}

func (soon) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(50 * time.Millisecond) }

func pluralClient(url, id, secret string) (*plural.Client, error) {
	return plural.NewClient(
		plural.Credentials{ClientID: id, ClientSecret: secret}, plural.WithBaseURL(url),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
	)
}

func authorized(t *testing.T, gateway *pluraltest.Server, reference string) string {
	t.Helper()
	id, err := gateway.AddOrder(pluraltest.OrderSpec{
		Reference: reference, Amount: pluraltest.Amount{Value: 10_000, Currency: "INR"}, PreAuth: true,
	})
	require.NoError(t, err)
	_, err = gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	return id
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	e, err := openSQLite(path)
	require.NoError(t, err)
	e.prepare(t)
	testEngine(t, e, "sqlite", path)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	url := servertest.StartPostgres(t).URL
	e, err := openPostgres(url)
	require.NoError(t, err)
	e.prepare(t)
	testEngine(t, e, "postgres", url)
}

// testEngine goes through the life of jobs.
func testEngine[TTx any](t *testing.T, e *engine[TTx], kind, where string) {
	t.Helper()
	gateway := pluraltest.NewServer(t)
	client, err := pluralClient(gateway.URL, gateway.ClientID, gateway.ClientSecret)
	require.NoError(t, err)
	broken := true
	worker, err := e.start(t.Context(), pluralriver.Config[TTx]{
		Client: client, Transact: e.transact,
		Ended: func(ctx context.Context, tx TTx, o pluralriver.Outcome) error {
			if err := e.ended(ctx, tx, o); err != nil {
				return err
			}
			if o.Reference == "hook" && broken {
				broken = false
				return errors.New("the shop's own bug")
			}
			return nil
		},
	}, timeout)
	require.NoError(t, err)
	t.Cleanup(func() { _ = worker.StopAndCancel(context.Background()) })

	insert := func(args river.JobArgs) (job *rivertype.JobInsertResult) {
		t.Helper()
		require.NoError(t, e.transact(t.Context(), func(tx TTx) (err error) {
			job, err = worker.InsertTx(t.Context(), tx, args, nil)
			return err
		}))
		return job
	}
	finished := func(job *rivertype.JobInsertResult) *rivertype.JobRow {
		t.Helper()
		var row *rivertype.JobRow
		require.Eventually(t, func() bool {
			var err error
			row, err = worker.JobGet(t.Context(), job.Job.ID)
			return err == nil && row.FinalizedAt != nil
		}, 90*time.Second, 20*time.Millisecond)
		return row
	}
	told := func(where string) int {
		t.Helper()
		n, err := e.count(t.Context(), `SELECT count(*) FROM ended WHERE `+where)
		require.NoError(t, err)
		return n
	}

	// Carried out, once, however often it is asked for.
	id := authorized(t, gateway, "order-1")
	args := pluralriver.CaptureArgs{OrderID: id, Reference: "capture-1", Amount: plural.INR(4000)}
	require.Equal(t, rivertype.JobStateCompleted, finished(insert(args)).State)
	require.Len(t, gateway.Captures(id), 1)
	require.Equal(t, 1, told(`reference = 'capture-1' AND good = 1`))
	require.True(t, insert(args).UniqueSkippedAsDuplicate)

	refund := pluralriver.RefundArgs{OrderID: id, Reference: "refund-1", Amount: plural.INR(1000)}
	require.Equal(t, rivertype.JobStateCompleted, finished(insert(refund)).State)
	require.Len(t, gateway.Refunds(id), 1)

	// Final, and not carried out.
	row := finished(insert(pluralriver.CancelArgs{OrderID: id}))
	require.Equal(t, rivertype.JobStateCancelled, row.State)
	require.NotEmpty(t, row.Errors)
	require.Equal(t, 1, told(`order_id = '`+id+`' AND good = 0`))

	// Not known, until it is.
	id = authorized(t, gateway, "order-2")
	gateway.Inject(pluraltest.On(pluraltest.OpCapturesCreate),
		pluraltest.ResetAfterApply, pluraltest.ResetBeforeApply, pluraltest.ResetBeforeApply)
	row = finished(insert(pluralriver.CaptureArgs{OrderID: id, Reference: "capture-2", Full: true}))
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Len(t, gateway.Captures(id), 1)

	// The hook fails: nothing of it stays, and the job is tried again.
	id = authorized(t, gateway, "order-3")
	row = finished(insert(pluralriver.CaptureArgs{OrderID: id, Reference: "hook", Full: true}))
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Equal(t, 1, told(`reference = 'hook'`))
	require.Len(t, gateway.Captures(id), 1)

	// Decided in a transaction that is rolled back: no job.
	id = authorized(t, gateway, "order-4")
	require.Error(t, e.transact(t.Context(), func(tx TTx) error {
		_, err := worker.InsertTx(t.Context(), tx, pluralriver.CancelArgs{OrderID: id}, nil)
		return errors.Join(err, errors.New("the shop changed its mind"))
	}))

	// Killed between any two steps: another process carries on.
	require.NoError(t, worker.Stop(t.Context()))
	steps := []string{"begun", "answered", "ended", "told", "committed"}
	orders := map[string]string{}
	for _, step := range steps {
		orders[step] = authorized(t, gateway, "killed-"+step)
		insert(pluralriver.CaptureArgs{OrderID: orders[step], Reference: "killed-" + step, Full: true})
		p := servertest.StartProcess(t, "worker", "KIND="+kind, "WHERE="+where, "DIE_AT="+step,
			"PLURAL="+gateway.URL, "ID="+gateway.ClientID, "SECRET="+gateway.ClientSecret)
		require.Equal(t, "dying", p.Line(), "it dies at %q", step)
		p.Wait()
	}
	worker, err = e.start(
		t.Context(),
		pluralriver.Config[TTx]{Client: client, Transact: e.transact, Ended: e.ended},
		timeout,
	)
	require.NoError(t, err)
	for _, step := range steps {
		require.Eventually(t, func() bool {
			return told(`reference = 'killed-`+step+`'`) > 0
		}, 90*time.Second, 50*time.Millisecond, step)
	}
	require.NoError(t, worker.StopAndCancel(t.Context()))
	for _, step := range steps {
		require.Equal(t, 1, told(`reference = 'killed-`+step+`' AND good = 1`), step)
		require.Len(t, gateway.Captures(orders[step]), 1, step)
	}
	gateway.AssertExactlyOnce(t)
	require.Empty(t, gateway.Cancels(id), "what was rolled back")
}

// workAndDie is a process that works jobs, and dies at a step of the first.
func workAndDie() {
	client, err := pluralClient(os.Getenv("PLURAL"), os.Getenv("ID"), os.Getenv("SECRET"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if os.Getenv("KIND") == "sqlite" {
		e, err := openSQLite(os.Getenv("WHERE"))
		dieIn(e, err, client)
		return
	}
	e, err := openPostgres(os.Getenv("WHERE"))
	dieIn(e, err, client)
}

func dieIn[TTx any](e *engine[TTx], err error, client *plural.Client) {
	if err == nil {
		_, err = e.start(context.Background(), pluralriver.OnStep(pluralriver.Config[TTx]{
			Client: client, Transact: e.transact, Ended: e.ended,
		}, func(step string) {
			if step == os.Getenv("DIE_AT") {
				fmt.Println("dying")
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}), timeout)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	time.Sleep(time.Minute) // it is killed long before
}

// A refund that Plural carried out twice is for a person: another try would
// send it again.
func TestRefundsAreNotSentTwice(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t, pluraltest.WithDuplicateRefunds(pluraltest.DuplicateAccepted))
	client, err := plural.NewClient(
		plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret}, plural.WithBaseURL(gateway.URL),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2, MinDelay: time.Millisecond, MaxDelay: time.Millisecond}),
	)
	require.NoError(t, err)
	e, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
	require.NoError(t, err)
	e.prepare(t)
	ended := make(chan pluralriver.Outcome, 2)
	worker, err := e.start(t.Context(), pluralriver.Config[*sql.Tx]{
		Client: client, Transact: e.transact,
		Ended: func(_ context.Context, _ *sql.Tx, o pluralriver.Outcome) error {
			ended <- o
			return nil
		},
	}, 30*time.Second)
	require.NoError(t, err)
	defer func() { _ = worker.StopAndCancel(context.Background()) }()

	type plan func(r pluraltest.Request, refunds int) pluraltest.Fault
	var job *rivertype.JobInsertResult
	refund := func(order string, faults plan) (string, pluralriver.Outcome) {
		t.Helper()
		id := authorized(t, gateway, order)
		require.NoError(t, gateway.Capture(id, "capture-"+order, pluraltest.Amount{}))
		gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault { return faults(r, len(gateway.Refunds(id))) })
		require.NoError(t, e.transact(t.Context(), func(tx *sql.Tx) error {
			job, err = worker.InsertTx(t.Context(), tx, pluralriver.RefundArgs{
				OrderID: id, Reference: "refund-" + order, Amount: plural.INR(1000),
			}, nil)
			return err
		}))
		return id, <-ended
	}
	isRead := func(r pluraltest.Request) bool {
		return r.Op == pluraltest.OpOrdersGet || r.Op == pluraltest.OpOrdersGetByReference
	}

	id, o := refund("order-1", func(r pluraltest.Request, refunds int) pluraltest.Fault {
		switch {
		case r.Op == pluraltest.OpRefundsCreate && refunds == 0:
			return pluraltest.ResetAfterApply
		case isRead(r) && refunds < 2:
			return pluraltest.StaleRead
		}
		return pluraltest.NoFault
	})
	var twice *plural.DoubleRefundError
	require.ErrorAs(t, o.Err, &twice)
	require.Nil(t, o.Order)
	require.Len(t, gateway.Refunds(id), 2)
	row, err := worker.JobGet(t.Context(), job.Job.ID)
	require.NoError(t, err)
	require.Equal(t, rivertype.JobStateCancelled, row.State, "it is not tried again")

	// Nobody could be asked in the first try. The second asks before it sends.
	var lost time.Time
	id, o = refund("order-2", func(r pluraltest.Request, refunds int) pluraltest.Fault {
		switch {
		case r.Op == pluraltest.OpRefundsCreate && refunds == 0:
			lost = time.Now()
			return pluraltest.ResetAfterApply
		case isRead(r) && time.Since(lost) < 3*time.Second:
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	require.NoError(t, o.Err)
	require.Len(t, gateway.Refunds(id), 1)

	// The worker of the first try died after Plural had carried it out twice.
	id, o = refund("order-3", func(r pluraltest.Request, refunds int) pluraltest.Fault {
		switch {
		case r.Op == pluraltest.OpRefundsCreate && refunds < 2:
			lost = time.Now()
			return pluraltest.ResetAfterApply
		case isRead(r) && refunds < 2:
			return pluraltest.StaleRead
		case isRead(r) && time.Since(lost) < 3*time.Second:
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	require.ErrorAs(t, o.Err, &twice)
	require.Len(t, gateway.Refunds(id), 2)
}

func TestAddWorkersRefuses(t *testing.T) {
	t.Parallel()
	err := pluralriver.AddWorkers(river.NewWorkers(), pluralriver.Config[pgx.Tx]{})
	require.ErrorContains(t, err, "a Client and a Transact are needed")
}
