package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/contrib/sqlstore"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

func TestMain(m *testing.M) {
	if servertest.Role() == "receiver" {
		receiveOne()
		return
	}
	os.Exit(m.Run())
}

// The type database has what a test needs to open its database.
type database struct {
	driver, url string
	dialect     sqlstore.Dialect
}

func (d database) open() (*sql.DB, error) { return sql.Open(d.driver, d.url) }

// prepareDatabases makes a database of each kind, with a table that stands for
// the merchant's own data.
func prepareDatabases(t *testing.T) map[string]database {
	t.Helper()
	all := map[string]database{
		"SQLite": {
			"sqlite",
			"file:" + filepath.Join(
				t.TempDir(),
				"shop.db",
			) + "?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)",
			sqlstore.SQLite,
		},
		"PostgreSQL": {"pgx", servertest.StartPostgres(t).URL, sqlstore.Postgres},
	}
	for _, d := range all {
		db, err := d.open()
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), `CREATE TABLE work (webhook_id text NOT NULL)`)
		require.NoError(t, err)
		require.NoError(t, db.Close())
	}
	return all
}

// The type shop has a database, an inbox, and a gateway that signs webhooks.
type shop struct {
	t       *testing.T
	db      *sql.DB
	inbox   *sqlstore.Inbox
	gateway *pluraltest.Server
}

func newShop(t *testing.T, d database, opts ...sqlstore.Option) *shop {
	t.Helper()
	db, err := d.open()
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	inbox, err := sqlstore.NewInbox(db, d.dialect, opts...)
	require.NoError(t, err)
	require.NoError(t, inbox.Migrate(t.Context()))
	return &shop{t: t, db: db, inbox: inbox, gateway: pluraltest.NewServer(t)}
}

func (s *shop) handler(handle func(context.Context, *sql.Tx, *plural.Event) error) http.Handler {
	s.t.Helper()
	verifier, err := plural.NewVerifier(s.gateway.WebhookSecret)
	require.NoError(s.t, err)
	return s.inbox.Handler(verifier, handle)
}

func (s *shop) deliver(h http.Handler, id string) int {
	s.t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, webhook(s.t, s.gateway.SignWebhook, id))
	return w.Code
}

// timesHandled returns how often an event took effect.
func (s *shop) timesHandled(id string) (n int) {
	s.t.Helper()
	query := fmt.Sprintf(`SELECT count(*) FROM work WHERE webhook_id = '%s'`, id)
	require.NoError(s.t, s.db.QueryRowContext(s.t.Context(), query).Scan(&n))
	return n
}

// insertWork handles an event for the merchant. It inserts one row into the
// table work.
func insertWork(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
	_, err := tx.ExecContext(
		ctx,
		fmt.Sprintf(`INSERT INTO work (webhook_id) VALUES ('%s')`, e.ID),
	)
	return err
}

func webhook(t *testing.T, sign func(id, stamp string, body []byte) string, id string) *http.Request {
	t.Helper()
	return webhookOf(t, sign, id, `{"event_type":"ORDER_PROCESSED","data":{"order_id":"v1-1-aa-b"}}`)
}

func webhookOf(t *testing.T, sign func(id, stamp string, body []byte) string, id, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	require.NoError(t, err)
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", sign(id, stamp, []byte(body)))
	return req
}

func TestInbox(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, d)
			h := s.handler(insertWork)

			require.Equal(t, http.StatusOK, s.deliver(h, "msg_once"))
			require.Equal(t, http.StatusOK, s.deliver(h, "msg_once"))
			require.Equal(t, 1, s.timesHandled("msg_once"), "delivered twice")

			fails := s.handler(func(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
				return errors.Join(insertWork(ctx, tx, e), errors.New("no stock"))
			})
			require.Equal(t, http.StatusInternalServerError, s.deliver(fails, "msg_failed"))
			require.Zero(t, s.timesHandled("msg_failed"), "nothing of it remains")
			require.Equal(t, http.StatusOK, s.deliver(h, "msg_failed"))
			require.Equal(t, 1, s.timesHandled("msg_failed"))

			panics := s.handler(func(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
				_ = insertWork(ctx, tx, e)
				panic("a bug")
			})
			require.Equal(t, http.StatusInternalServerError, s.deliver(panics, "msg_panicked"))
			require.Zero(t, s.timesHandled("msg_panicked"))
			require.Equal(t, http.StatusOK, s.deliver(h, "msg_panicked"))

			unsigned := webhook(t, func(string, string, []byte) string { return "v1,bm90IGEgc2lnbmF0dXJl" }, "msg_forged")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, unsigned)
			require.NotEqual(t, http.StatusOK, w.Code)
			require.Zero(t, s.timesHandled("msg_forged"))

			require.Equal(t, http.StatusInternalServerError, s.deliver(s.handler(nil), "msg_miswired"))
		})
	}
}

// Many deliveries of one event at the same time take effect once.
func TestInboxAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, d)
			var tries atomic.Int64
			h := s.handler(func(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
				if err := insertWork(ctx, tx, e); err != nil {
					return err
				}
				time.Sleep(20 * time.Millisecond) // long enough for the other deliveries to come
				if tries.Add(1) == 1 {            // the first try fails, so another try has to succeed
					return errors.New("try again")
				}
				return nil
			})
			var all sync.WaitGroup
			for range 12 {
				all.Go(func() { s.deliver(h, "msg_crowd") })
			}
			all.Wait()
			s.deliver(h, "msg_crowd") // one delivery has failed, and all others may have got a 409
			require.Equal(t, 1, s.timesHandled("msg_crowd"))
		})
	}
}

func TestMerchantsAreApart(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := newShop(t, d, sqlstore.WithMerchant("one")), newShop(t, d, sqlstore.WithMerchant("other"))
			require.Equal(t, http.StatusOK, one.deliver(one.handler(insertWork), "msg_shared"))
			require.Equal(t, http.StatusOK, other.deliver(other.handler(insertWork), "msg_shared"))
			require.Equal(t, 2, one.timesHandled("msg_shared"))
		})
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, d)
			h := s.handler(insertWork)
			require.Equal(t, http.StatusOK, s.deliver(h, "msg_young"))
			n, err := s.inbox.Prune(t.Context(), 72*time.Hour)
			require.NoError(t, err)
			require.Zero(t, n)
			_, err = s.inbox.Prune(t.Context(), time.Hour)
			require.ErrorContains(t, err, "72h")

			long := map[string]string{"SQLite": `1`, "PostgreSQL": `'2001-01-01'`}[name]
			_, err = s.db.ExecContext(t.Context(), `UPDATE plural_inbox SET handled_at = `+long)
			require.NoError(t, err)
			n, err = s.inbox.Prune(t.Context(), 72*time.Hour)
			require.NoError(t, err)
			require.EqualValues(t, 1, n)
		})
	}
}

// A merchant's Prune keeps the records of other merchants, which may need them
// for longer.
func TestPruneKeepsOtherMerchants(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := newShop(t, d, sqlstore.WithMerchant("one")), newShop(t, d, sqlstore.WithMerchant("other"))
			h := other.handler(insertWork)
			require.Equal(t, http.StatusOK, other.deliver(h, "msg_old"))
			old := map[string]string{
				"SQLite": `strftime('%s', 'now') - 80 * 3600`, "PostgreSQL": `now() - interval '80 hours'`,
			}[name]
			_, err := one.db.ExecContext(t.Context(), `UPDATE plural_inbox SET handled_at = `+old)
			require.NoError(t, err)
			n, err := one.inbox.Prune(t.Context(), 72*time.Hour)
			require.NoError(t, err)
			require.Zero(t, n)
			require.Equal(t, http.StatusOK, other.deliver(h, "msg_old"))
			require.Equal(t, 1, other.timesHandled("msg_old"), "it is handled once")
			n, err = other.inbox.Prune(t.Context(), 72*time.Hour)
			require.NoError(t, err)
			require.EqualValues(t, 1, n)
		})
	}
}

// Several processes of a shop may start at the same time, and each of them
// calls Migrate.
func TestMigrateAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := d.open()
			require.NoError(t, err)
			defer func() { _ = db.Close() }()
			inbox, err := sqlstore.NewInbox(db, d.dialect)
			require.NoError(t, err)
			errs := make([]error, 8)
			var all sync.WaitGroup
			for i := range errs {
				all.Go(func() { errs[i] = inbox.Migrate(t.Context()) })
			}
			all.Wait()
			require.NoError(t, errors.Join(errs...))
		})
	}
}

func TestNewInboxRefuses(t *testing.T) {
	t.Parallel()
	_, err := sqlstore.NewInbox(nil, sqlstore.SQLite)
	require.ErrorContains(t, err, "database")
	_, err = sqlstore.NewInbox(&sql.DB{}, sqlstore.Dialect{})
	require.ErrorContains(t, err, "dialect")
}

// The test kills the process after each step of its work, and delivers the
// event again. The event takes effect once, and is never lost.
func TestKilledBetweenEveryTwoSteps(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, d)
			for _, step := range []string{"received", "begun", "claimed", "handled", "committed", "answered", ""} {
				id := "msg_killed_" + step
				first := s.deliverToProcess(d, id, step)
				require.Equal(t, step == "", first == "200", "it dies at %q", step)
				s.deliverToProcess(d, id, step) // the next process dies at the same step, if it comes to that step
				require.LessOrEqual(t, s.timesHandled(id), 1, step)
				require.Equal(t, "200", s.deliverToProcess(d, id, ""), step)
				require.Equal(t, 1, s.timesHandled(id), step)
			}
		})
	}
}

// deliverToProcess delivers the event to another process. That process dies at
// the step dieAt. If the process has answered before, deliverToProcess returns
// the answer.
func (s *shop) deliverToProcess(d database, id, dieAt string) string {
	s.t.Helper()
	p := servertest.StartProcess(s.t, "receiver", "DRIVER="+d.driver, "URL="+d.url,
		"SECRET="+s.gateway.WebhookSecret, "EVENT="+id, "DIE_AT="+dieAt)
	answer := p.Line()
	p.Wait()
	return answer
}

// receiveOne is what the other process runs: it handles one event.
func receiveOne() {
	d := database{driver: os.Getenv("DRIVER"), url: os.Getenv("URL"), dialect: sqlstore.Postgres}
	if d.driver == "sqlite" {
		d.dialect = sqlstore.SQLite
	}
	die := func(step string) {
		if step == os.Getenv("DIE_AT") {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	db, err := d.open()
	if err != nil {
		fmt.Println(err)
		return
	}
	inbox, err := sqlstore.NewInbox(db, d.dialect)
	if err != nil {
		fmt.Println(err)
		return
	}
	inbox.OnStep(die)
	verifier, err := plural.NewVerifier(os.Getenv("SECRET"))
	if err != nil {
		fmt.Println(err)
		return
	}
	gateway := pluraltest.New(pluraltest.WithWebhookSecret(os.Getenv("SECRET")))
	defer gateway.Close()
	const body = `{"event_type":"ORDER_PROCESSED","data":{"order_id":"v1-1-aa-b"}}`
	id, stamp := os.Getenv("EVENT"), strconv.FormatInt(time.Now().Unix(), 10)
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", gateway.SignWebhook(id, stamp, []byte(body)))
	w := httptest.NewRecorder()
	inbox.Handler(verifier, insertWork).ServeHTTP(w, req)
	die("answered")
	fmt.Println(w.Code)
}
