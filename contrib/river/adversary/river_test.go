// Package adversary_test runs River workers against the gateway of the root
// module's folder adversary. That gateway answers with an older state, loses
// answers and gives wrong answers. Two workers may run one job. Each call of
// Ended is compared with what was really carried out. The gateway's files are
// symbolic links to files in that folder.
//
// River runs on SQLite in a bubble of testing/synctest, where days pass in
// seconds.
//
//	PLURAL_SEED=7        the first seed (1 by default)
//	PLURAL_ADVERSARY=n   the number of scenarios
package adversary_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

const (
	defaultScenarios = 20
	timeout          = time.Minute
)

func TestRiver(t *testing.T) {
	t.Parallel()
	first, n := 1, defaultScenarios
	for name, into := range map[string]*int{"PLURAL_SEED": &first, "PLURAL_ADVERSARY": &n} {
		if s := os.Getenv(name); s != "" {
			var err error
			*into, err = strconv.Atoi(s)
			require.NoError(t, err)
		}
	}
	if testing.Short() {
		n = min(n, 5)
	}
	empty := migratedDatabase(t)
	kinds, told, rescues := map[string]int{}, map[string]int{}, int64(0)
	for seed := uint64(first); seed < uint64(first+n); seed++ {
		sc := newScenario(seed)
		path := filepath.Join(t.TempDir(), "shop.db")
		require.NoError(t, os.WriteFile(path, empty, 0o600))
		var s *riverShop
		synctest.Test(t, func(t *testing.T) { s = playScenario(t, sc, path) })
		rescues += s.rescues
		for _, c := range s.calls {
			told[c.verdict()]++
		}
		for why, n := range s.reviews {
			told[string(why)] += n
		}
		for _, f := range s.findings {
			if strings.HasPrefix(f.kind, "question: ") || strings.HasPrefix(f.kind, "claim: ") {
				continue // TestAdversary in the root module reports findings of these kinds
			}
			kinds[f.kind]++
			if kinds[f.kind] == 1 {
				t.Errorf("seed %d: %s: %s\n%s\n%s", seed, f.kind, f.detail, sc, strings.Join(s.trace, "\n"))
			}
		}
	}
	t.Logf("told: %v; jobs given to a second worker: %d", told, rescues)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%d x %s", kinds[kind], kind)
	}
	require.NotZero(t, told["nil"])
	require.NotZero(t, rescues)
}

// migratedDatabase makes a database file with River's tables. It returns the
// file's content.
func migratedDatabase(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty.db")
	db := open(t, path)
	migrator, err := rivermigrate.New(riversqlite.New(db), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	return file
}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=synchronous(off)")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	return db
}

// riverShop has two processes that share one database.
type riverShop struct {
	oracle

	db      *sql.DB
	ended   map[int64]int // by job
	reviews map[pluralriver.Why]int
	settled map[int64]bool // jobs that have ended, or that were reported to a person
	rescues int64
}

// playScenario runs one scenario in a bubble of testing/synctest.
func playScenario(t *testing.T, sc *scenario, path string) *riverShop {
	t.Helper()
	g := newGateway(sc)
	g.setUp()
	s := &riverShop{
		oracle: oracle{gateway: g}, db: open(t, path),
		ended: map[int64]int{}, reviews: map[pluralriver.Why]int{}, settled: map[int64]bool{},
	}
	defer func() { require.NoError(t, s.db.Close()) }()
	for _, e := range sc.outside {
		g.runAfter(e.at, func() { g.actAsSomebody(e.what) })
	}
	processes := []*river.Client[*sql.Tx]{s.startProcess(t, 0), s.startProcess(t, 1)}
	jobs := map[int64]plan{}
	for _, p := range slices.SortedFunc(slices.Values(sc.plans), func(a, b plan) int { return int(a.at - b.at) }) {
		time.Sleep(time.Until(g.start.Add(p.at)))
		if job, ok := s.insertJob(t, processes[0], p); ok {
			jobs[job] = p
		}
	}
	// Another process takes a job while the first process still has it.
	rng := g.rng("river", 0)
	for _, most := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 40 * time.Second} {
		time.Sleep(between(rng, 10*time.Millisecond, most))
		if chance(rng, 0.7) {
			s.rescueJobs(t)
		}
	}
	g.wg.Wait() // until late effects have happened
	g.mu.Lock()
	g.well = true
	g.record("-", "the gateway is well")
	g.mu.Unlock()
	for n := 0; n < 40 && !s.areSettled(jobs); n++ {
		time.Sleep(time.Minute)
	}
	for _, c := range processes {
		require.NoError(t, c.Stop(t.Context()))
	}
	time.Sleep(2 * time.Minute) // for workers that run past their time limit: River does not wait for them
	g.wg.Wait()
	s.judge()
	for id, p := range jobs {
		switch {
		case s.ended[id] > 1:
			s.findings = append(s.findings, finding{"ended twice", p.String()})
		case !s.settled[id]:
			s.findings = append(s.findings, finding{"a job without an end, and nobody was told of it", p.String()})
		}
	}
	return s
}

// startProcess starts a River client with a plural client of its own. Together
// they act like a separate process of the shop.
func (s *riverShop) startProcess(t *testing.T, n int) *river.Client[*sql.Tx] {
	t.Helper()
	opts := []plural.Option{plural.WithHTTPClient(&http.Client{Transport: dozing{s.gateway}})}
	if s.sc.single {
		opts = append(opts, plural.WithSingleRefundSend())
	}
	client, err := plural.NewClient(plural.Credentials{ClientID: "shop", ClientSecret: "secret"}, opts...)
	require.NoError(t, err)
	workers := river.NewWorkers()
	require.NoError(t, pluralriver.AddWorkers(workers, pluralriver.Config[*sql.Tx]{
		Client: client, Timeout: timeout, Ended: s.onEnded, Unsettled: s.onUnsettled,
		Transact: func(ctx context.Context, work func(*sql.Tx) error) error {
			s.standStill("end " + callOf(ctx).name())
			return pluralriver.SQL(s.db)(ctx, work)
		},
	}))
	c, err := river.NewClient(riversqlite.New(s.db), &river.Config{
		ID:     fmt.Sprintf("p%d", n),
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}}, Workers: workers,
		Logger: slog.New(slog.DiscardHandler), RetryPolicy: soon{}, RescueStuckJobsAfter: 5 * time.Minute,
		FetchPollInterval: time.Second, MaxAttempts: 100,
		Middleware: []rivertype.Middleware{river.WorkerMiddlewareFunc(s.runJob)}, Test: river.TestConfig{Time: clock{}},
	})
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	return c
}

type clock struct{}

func (clock) Now() time.Time       { return time.Now() }
func (clock) NowOrNil() *time.Time { now := time.Now(); return &now }

type soon struct{}

func (soon) NextRetry(row *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Duration(row.Attempt)*time.Second, 30*time.Second))
}

// runJob makes a new call value for each run of a job. In this value the
// gateway records what the run saw.
func (s *riverShop) runJob(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	c := &call{plan: planOf(job), id: fmt.Sprintf("job%d.%d", job.ID, len(job.AttemptedBy)), start: time.Now()}
	err := work(context.WithValue(ctx, callKey{}, c))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(c.id, "run ends: %v", err)
	return err
}

func planOf(job *rivertype.JobRow) plan {
	p := plan{op: strings.TrimPrefix(job.Kind, "plural_"), deadline: 0}
	switch job.Kind {
	case pluralriver.KindCapture:
		a := argsOf[pluralriver.CaptureArgs](job)
		p.order, p.reference, p.amount = a.OrderID, a.Reference, a.Amount.Value
	case pluralriver.KindCancel:
		p.order = argsOf[pluralriver.CancelArgs](job).OrderID
	case pluralriver.KindRefund:
		a := argsOf[pluralriver.RefundArgs](job)
		p.order, p.reference, p.amount = a.OrderID, a.Reference, a.Amount.Value
	}
	return p
}

// insertJob inserts the job of a plan. If another job with the same reference
// has not ended, insertJob waits a little for that job to end.
func (s *riverShop) insertJob(t *testing.T, client *river.Client[*sql.Tx], p plan) (int64, bool) {
	t.Helper()
	var args pluralriver.MoneyArgs
	switch p.op {
	case "capture":
		a := pluralriver.CaptureArgs{OrderID: p.order, Reference: p.reference, Full: p.amount == 0}
		if p.amount > 0 {
			a.Amount = plural.INR(p.amount)
		}
		args = a
	case "cancel":
		args = pluralriver.CancelArgs{OrderID: p.order}
	default:
		args = pluralriver.RefundArgs{OrderID: p.order, Reference: p.reference, Amount: plural.INR(p.amount)}
	}
	for range 3 {
		var job *rivertype.JobInsertResult
		err := pluralriver.SQL(s.db)(t.Context(), func(tx *sql.Tx) (err error) {
			job, err = pluralriver.InsertTx(t.Context(), client, tx, args, nil)
			return err
		})
		if err == nil && !job.UniqueSkippedAsDuplicate {
			return job.Job.ID, true
		}
		if err != nil {
			require.ErrorIs(t, err, pluralriver.ErrOtherWaiting)
		}
		time.Sleep(10 * time.Second)
	}
	return 0, false
}

// rescueJobs gives every running job to another worker. River's rescuer does
// the same when clocks differ or a worker hangs.
func (s *riverShop) rescueJobs(t *testing.T) {
	t.Helper()
	result, err := s.db.ExecContext(t.Context(), `UPDATE river_job SET state = 'available' WHERE state = 'running'`)
	require.NoError(t, err)
	n, err := result.RowsAffected()
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rescues += n
	s.record("-", "rescued %d", n)
}

// standStill sometimes suspends a process just before that process ends a job.
// The transport below also suspends processes, just before they send a request.
// The transport does so only if the gateway keeps references unique. Otherwise
// the package could not prevent a second refund after such a pause.
func (s *riverShop) standStill(what string) {
	s.mu.Lock()
	rng := s.rng("doze "+what, s.writes)
	s.mu.Unlock()
	if chance(rng, 0.2) {
		time.Sleep(between(rng, 0, 50*time.Second))
	}
}

type dozing struct{ *gateway }

func (d dozing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && d.sc.unique == unique && strings.HasPrefix(r.URL.Path, "/api/pay/") {
		d.mu.Lock()
		rng := d.rng("doze "+callOf(r.Context()).name(), d.writes)
		d.mu.Unlock()
		if chance(rng, 0.2) {
			time.Sleep(between(rng, 0, 50*time.Second)) // the deadline may pass during this wait, as on a suspended machine
		}
	}
	return d.gateway.RoundTrip(r)
}

func (s *riverShop) onEnded(ctx context.Context, _ *sql.Tx, o pluralriver.Outcome) error {
	c := callOf(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.got, c.err, c.end = o.Order, o.Err, time.Now()
	s.calls = append(s.calls, c)
	id := jobOf(c)
	s.ended[id]++
	s.settled[id] = true
	s.record(c.id, "ENDED %s: %v", c.verdict(), c.err)
	return nil
}

func (s *riverShop) onUnsettled(ctx context.Context, _ *sql.Tx, o pluralriver.Outcome, a pluralriver.Attempt) error {
	c := callOf(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reviews[a.Why]++
	s.settled[jobOf(c)] = true
	s.record(c.id, "UNSETTLED %s: %v", a.Why, a.Err)
	if a.Why == pluralriver.Contradicted && s.sc.unique == unique && !errors.Is(o.Err, plural.ErrConflict) {
		s.findings = append(s.findings, finding{"two runs with two answers", a.Err.Error()})
	}
	return nil
}

func (s *riverShop) areSettled(jobs map[int64]plan) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range jobs {
		if !s.settled[id] {
			return false
		}
	}
	return true
}

func jobOf(c *call) int64 {
	name, _, _ := strings.Cut(strings.TrimPrefix(c.id, "job"), ".")
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}

func argsOf[T any](job *rivertype.JobRow) T {
	var args T
	if err := json.Unmarshal(job.EncodedArgs, &args); err != nil {
		panic(err)
	}
	return args
}
