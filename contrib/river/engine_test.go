package pluralriver_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
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
		workUntilAStep()
		return
	}
	os.Exit(m.Run())
}

// An engine has a database of one kind, and the functions with which the tests
// use the database. The database has River's tables and the shop's own tables.
type engine[TTx any] struct {
	kind, where string
	driver      riverdriver.Driver[TTx]
	transact    func(context.Context, func(TTx) error) error
	exec        func(ctx context.Context, tx TTx, statement string) error
	query       func(ctx context.Context, query string, into ...any) error

	// The function hold prevents transactions of this process until somebody
	// calls the function release. Without hold, the process may be suspended in
	// a transaction, and keep SQLite's lock.
	hold func() (release func(), err error)
}

func openSQLite(path string) (*engine[*sql.Tx], error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return overSQL("sqlite", path, db, riversqlite.New(db)), nil
}

func openSQL(url string) (*engine[*sql.Tx], error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, err
	}
	return overSQL("sql", url, db, riverdatabasesql.New(db)), nil
}

func overSQL(kind, where string, db *sql.DB, driver riverdriver.Driver[*sql.Tx]) *engine[*sql.Tx] {
	return &engine[*sql.Tx]{
		kind: kind, where: where, driver: driver, transact: pluralriver.SQL(db),
		exec: func(ctx context.Context, tx *sql.Tx, statement string) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		},
		query: func(ctx context.Context, query string, into ...any) error {
			return db.QueryRowContext(ctx, query).Scan(into...)
		},
		hold: func() (func(), error) {
			conn, err := db.Conn(context.Background()) // SQLite has only one connection
			return func() { _ = conn.Close() }, err
		},
	}
}

func openPgx(url string) (*engine[pgx.Tx], error) {
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		return nil, err
	}
	return &engine[pgx.Tx]{
		kind: "pgx", where: url, driver: riverpgxv5.New(pool), transact: pluralriver.Pgx(pool),
		exec: func(ctx context.Context, tx pgx.Tx, statement string) error {
			_, err := tx.Exec(ctx, statement)
			return err
		},
		query: func(ctx context.Context, query string, into ...any) error {
			return pool.QueryRow(ctx, query).Scan(into...)
		},
		hold: func() (func(), error) { return func() {}, nil },
	}, nil
}

// makeTables makes River's tables and the shop's own tables.
func (e *engine[TTx]) makeTables(t *testing.T) {
	t.Helper()
	processes := 1
	if e.kind != "sqlite" { // several processes may migrate at once; the pool has four connections
		processes = 3
	}
	migrated := make(chan error, processes)
	for range processes {
		go func() { migrated <- pluralriver.Migrate(t.Context(), e.driver) }()
	}
	for range processes {
		require.NoError(t, <-migrated)
	}
	e.execute(t, `CREATE TABLE ended (reference text NOT NULL, order_id text NOT NULL, good int NOT NULL)`)
	e.execute(t, `CREATE TABLE unsettled (reference text NOT NULL, order_id text NOT NULL, good int NOT NULL,
		why text NOT NULL, attempt int NOT NULL)`)
}

// The method execute runs a statement in its own transaction.
func (e *engine[TTx]) execute(t *testing.T, format string, args ...any) {
	t.Helper()
	require.NoError(t, e.transact(t.Context(), func(tx TTx) error {
		return e.exec(t.Context(), tx, fmt.Sprintf(format, args...))
	}))
}

// The method count returns the number of rows of a table.
func (e *engine[TTx]) count(t *testing.T, format string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, e.query(t.Context(), `SELECT count(*) FROM `+fmt.Sprintf(format, args...), &n))
	return n
}

func (e *engine[TTx]) ended(ctx context.Context, tx TTx, o pluralriver.Outcome) error {
	id := o.OrderID
	if o.Link != nil {
		id = o.Link.PaymentLinkID
	}
	return e.exec(ctx, tx, fmt.Sprintf(`INSERT INTO ended VALUES ('%s', '%s', %d)`, o.Reference, id, goodAsInt(o)))
}

func (e *engine[TTx]) unsettled(ctx context.Context, tx TTx, o pluralriver.Outcome, a pluralriver.Attempt) error {
	return e.exec(ctx, tx, fmt.Sprintf(`INSERT INTO unsettled VALUES ('%s', '%s', %d, '%s', %d)`,
		o.Reference, o.OrderID, goodAsInt(o), a.Why, a.Number))
}

func goodAsInt(o pluralriver.Outcome) int {
	if o.Err == nil {
		return 1
	}
	return 0
}

func (e *engine[TTx]) config(client *plural.Client) pluralriver.Config[TTx] {
	return pluralriver.Config[TTx]{
		Client: client, Transact: e.transact, Ended: e.ended, Unsettled: e.unsettled, Timeout: minTimeout,
	}
}

// minTimeout is the shortest Timeout that AddWorkers accepts.
const minTimeout = 10 * time.Second

// startClient starts a River client that repeats failed jobs at once.
func (e *engine[TTx]) startClient(
	ctx context.Context, cfg pluralriver.Config[TTx], change ...func(*river.Config),
) (*river.Client[TTx], error) {
	workers := river.NewWorkers()
	if err := pluralriver.AddWorkers(workers, cfg); err != nil {
		return nil, err
	}
	config := &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}}, Workers: workers,
		Logger: slog.New(slog.DiscardHandler), FetchPollInterval: 50 * time.Millisecond, FetchCooldown: 20 * time.Millisecond,
		RescueStuckJobsAfter: minTimeout + time.Second, JobTimeout: minTimeout, RetryPolicy: fixedWait(50 * time.Millisecond),
	}
	for _, c := range change {
		c(config)
	}
	client, err := river.NewClient(e.driver, config)
	if err != nil {
		return nil, err
	}
	return client, client.Start(ctx)
}

// oneWorker makes a client run only one job at a time.
func oneWorker(c *river.Config) {
	c.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}}
}

// fixedWait is a retry policy that always waits for the same time.
type fixedWait time.Duration

func (d fixedWait) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(time.Duration(d)) }

// A shop has a gateway, a client of the gateway, and a River client that runs
// jobs.
type shop[TTx any] struct {
	*engine[TTx]

	gateway *pluraltest.Server
	client  *plural.Client
	river   *river.Client[TTx]
}

func (e *engine[TTx]) open(
	t *testing.T, change func(pluralriver.Config[TTx]) pluralriver.Config[TTx], opts ...func(*river.Config),
) *shop[TTx] {
	t.Helper()
	s := &shop[TTx]{engine: e, gateway: pluraltest.NewServer(t)}
	var err error
	s.client, err = pluralClient(s.gateway.URL, s.gateway.ClientID, s.gateway.ClientSecret)
	require.NoError(t, err)
	s.river = s.startAnother(t, change, opts...)
	return s
}

// startAnother starts another River client, which acts like a second process.
func (s *shop[TTx]) startAnother(
	t *testing.T, change func(pluralriver.Config[TTx]) pluralriver.Config[TTx], opts ...func(*river.Config),
) *river.Client[TTx] {
	t.Helper()
	cfg := s.config(s.client)
	if change != nil {
		cfg = change(cfg)
	}
	client, err := s.startClient(t.Context(), cfg, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.StopAndCancel(context.Background()) })
	return client
}

func pluralClient(url, id, secret string) (*plural.Client, error) {
	return plural.NewClient(
		plural.Credentials{ClientID: id, ClientSecret: secret}, plural.WithBaseURL(url),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
	)
}

// makeHeldOrder makes an order that is paid and on hold.
func makeHeldOrder(t *testing.T, gateway *pluraltest.Server, reference string) string {
	t.Helper()
	id := unpaidOrder(t, gateway, reference)
	_, err := gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	return id
}

func unpaidOrder(t *testing.T, gateway *pluraltest.Server, reference string) string {
	t.Helper()
	id, err := gateway.AddOrder(pluraltest.OrderSpec{
		Reference: reference, Amount: pluraltest.Amount{Value: 10_000, Currency: "INR"}, PreAuth: true,
	})
	require.NoError(t, err)
	return id
}

func (s *shop[TTx]) tryInsert(t *testing.T, args pluralriver.MoneyArgs) (job *rivertype.JobInsertResult, err error) {
	t.Helper()
	err = s.transact(t.Context(), func(tx TTx) (err error) {
		job, err = pluralriver.InsertTx(t.Context(), s.river, tx, args, nil)
		return err
	})
	return job, err
}

func (s *shop[TTx]) insert(t *testing.T, args pluralriver.MoneyArgs) int64 {
	t.Helper()
	job, err := s.tryInsert(t, args)
	require.NoError(t, err)
	require.False(t, job.UniqueSkippedAsDuplicate)
	return job.Job.ID
}

// waitFor waits for a job to reach a state.
func (s *shop[TTx]) waitFor(t *testing.T, id int64, is func(*rivertype.JobRow) bool) *rivertype.JobRow {
	t.Helper()
	var row *rivertype.JobRow
	require.Eventually(t, func() bool {
		var err error
		row, err = s.river.JobGet(t.Context(), id)
		return err == nil && is(row)
	}, 90*time.Second, 20*time.Millisecond)
	return row
}

func isFinalized(row *rivertype.JobRow) bool { return row.FinalizedAt != nil }

func isIn(state rivertype.JobState) func(*rivertype.JobRow) bool {
	return func(row *rivertype.JobRow) bool { return row.State == state }
}

// waitForRows waits until a table has n rows.
func (s *shop[TTx]) waitForRows(t *testing.T, n int, format string, args ...any) {
	t.Helper()
	require.Eventually(t, func() bool { return s.count(t, format, args...) >= n }, 90*time.Second, 20*time.Millisecond,
		format, args)
	require.Equal(t, n, s.count(t, format, args...))
}

// rescueJob does the work of River's rescuer without the wait: it gives the job
// to another worker.
func (s *shop[TTx]) rescueJob(t *testing.T, id int64, state rivertype.JobState) {
	t.Helper()
	s.execute(t, `UPDATE river_job SET state = '%s' WHERE id = %d AND state = 'running'`, state, id)
	require.Equal(t, 1, s.count(t, `river_job WHERE id = %d AND state = '%s'`, id, state))
}

// A gate stops the first worker that comes to a step.
type gate struct {
	at      string
	arrived chan struct{}
	open    chan struct{}
	used    atomic.Bool
}

func newGate(at string) *gate {
	return &gate{at: at, arrived: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) step(name string) {
	if name == g.at && g.used.CompareAndSwap(false, true) {
		close(g.arrived)
		<-g.open
	}
}

func gated[TTx any](g *gate) func(pluralriver.Config[TTx]) pluralriver.Config[TTx] {
	return func(cfg pluralriver.Config[TTx]) pluralriver.Config[TTx] { return pluralriver.OnStep(cfg, g.step) }
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	eachScenario(t, func(t *testing.T) *engine[*sql.Tx] {
		t.Helper()
		e, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
		require.NoError(t, err)
		return e
	})
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := servertest.StartPostgres(t).URL
	admin, err := openSQL(server)
	require.NoError(t, err)
	var n atomic.Int64
	database := func(t *testing.T) string {
		t.Helper()
		name := fmt.Sprintf("shop%d", n.Add(1))
		var ignored string
		err := admin.query(t.Context(), `CREATE DATABASE `+name, &ignored) // the statement returns no rows
		require.ErrorIs(t, err, sql.ErrNoRows)
		return strings.Replace(server, "/postgres?", "/"+name+"?", 1)
	}
	t.Run("pgx", func(t *testing.T) {
		t.Parallel()
		eachScenario(t, func(t *testing.T) *engine[pgx.Tx] {
			t.Helper()
			e, err := openPgx(database(t))
			require.NoError(t, err)
			return e
		})
	})
	t.Run("readme", func(t *testing.T) {
		t.Parallel()
		e, err := openSQL(database(t))
		require.NoError(t, err)
		testReadmeFunctions(t, e)
	})
	t.Run("sql", func(t *testing.T) {
		t.Parallel()
		eachScenario(t, func(t *testing.T) *engine[*sql.Tx] {
			t.Helper()
			e, err := openSQL(database(t))
			require.NoError(t, err)
			return e
		})
	})
}

func eachScenario[TTx any](t *testing.T, open func(*testing.T) *engine[TTx]) {
	t.Helper()
	for name, run := range map[string]func(*testing.T, *engine[TTx]){
		"life":        testLife[TTx],
		"inserted":    testInserted[TTx],
		"killed":      testKilled[TTx],
		"suspended":   testSuspended[TTx],
		"two lives":   testTwoLives[TTx],
		"retried":     testRetriedAfterTheEnd[TTx],
		"unsettled":   testUnsettled[TTx],
		"cancelled":   testCancelled[TTx],
		"ended fails": testEndedFails[TTx],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t)
			e.makeTables(t)
			run(t, e)
		})
	}
}
