package sqlstore_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The pool has two connections, and an event that is being handled holds one of
// them. Copies of that event are answered at once, and do not take the second
// connection, so the shop and other events can use it.
func TestCopiesDoNotHoldThePool(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, otherProcess := newShop(t, d), newShop(t, d)
			s.db.SetMaxOpenConns(2)
			s.inbox.GiveTime(time.Hour)
			begun, goOn := make(chan struct{}), make(chan struct{})
			slow := s.handler(func(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
				close(begun)
				<-goOn
				return insertWork(ctx, tx, e)
			})
			first := make(chan int, 1)
			go func() { first <- s.deliver(slow, "msg_slow") }()
			<-begun

			var copies sync.WaitGroup
			answers := make([]int, 20)
			for i := range answers {
				copies.Go(func() { answers[i] = s.deliver(slow, "msg_slow") })
			}
			copies.Wait()
			require.Equal(t, slices.Repeat([]int{http.StatusConflict}, len(answers)), answers)
			if name == "PostgreSQL" { // SQLite has only one writer at a time, even for different events
				otherProcess.gateway = s.gateway
				require.Equal(t, http.StatusConflict, otherProcess.deliver(otherProcess.handler(insertWork), "msg_slow"))
				require.Equal(t, http.StatusOK, s.deliver(s.handler(insertWork), "msg_another"))
			}
			require.Zero(t, s.timesHandled("msg_slow"), "the pool has a connection left for this query")
			close(goOn)
			require.Equal(t, http.StatusOK, <-first)
			require.Equal(t, http.StatusOK, s.deliver(slow, "msg_slow"), "done")
			require.Equal(t, 1, s.timesHandled("msg_slow"))
		})
	}
}

// Plural hangs up after five seconds. If the shop's function is still running
// shortly before that, its transaction is rolled back, and its connection is
// free for other work.
func TestTransactionEndsBeforeTheSenderHangsUp(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, d)
			s.db.SetMaxOpenConns(1)
			require.Equal(t, http.StatusOK, s.deliver(s.handler(func(ctx context.Context, _ *sql.Tx, _ *plural.Event) error {
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.LessOrEqual(t, time.Until(deadline), 4*time.Second)
				return nil
			}), "msg_quick"))

			s.inbox.GiveTime(300 * time.Millisecond)
			worked := false
			endless := s.handler(func(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
				worked = insertWork(ctx, tx, e) == nil
				<-ctx.Done()
				require.Zero(t, s.timesHandled("msg_endless"), "the only connection is free")
				return nil
			})
			for !worked { // on a busy machine the time may be over before the work is done
				require.NotEqual(t, http.StatusOK, s.deliver(endless, "msg_endless"))
			}
			s.inbox.GiveTime(time.Hour)
			require.Eventually(t, func() bool {
				// PostgreSQL may still be rolling back the writes of the lost
				// connection.
				return s.deliver(s.handler(insertWork), "msg_endless") != http.StatusConflict
			}, 10*time.Second, 10*time.Millisecond)
			require.Equal(t, http.StatusOK, s.deliver(s.handler(insertWork), "msg_endless"))
			require.Equal(t, 1, s.timesHandled("msg_endless"))
		})
	}
}

// The sender chooses an event's type. The event is recorded no matter what its
// type is, so Plural does not deliver it again and again.
func TestOddTypesAreRecorded(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, d)
			h := s.handler(insertWork)
			for sent, recorded := range map[string]string{
				`ORDER\u0000PROCESSED`:                "ORDER\uFFFDPROCESSED",
				`\u0000`:                              "\uFFFD",
				`\ud800`:                              "\uFFFD",
				strings.Repeat("x", 100_000):          strings.Repeat("x", 128),
				"x" + strings.Repeat("\u0939", 1_000): "x" + strings.Repeat("\u0939", 42),
			} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, webhookOf(t, s.gateway.SignWebhook, "msg_odd", `{"event_type":"`+sent+`","data":{}}`))
				require.Equal(t, http.StatusOK, w.Code, "%.30q", sent)
				var got string
				require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT event_type FROM plural_inbox`).Scan(&got))
				require.Equal(t, recorded, got)
				_, err := s.db.ExecContext(t.Context(), `DELETE FROM plural_inbox`)
				require.NoError(t, err)
			}
		})
	}
}

// If the database is down, the answer is 503, and Plural delivers the event
// again.
func TestDatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	for name, d := range prepareDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, d)
			require.NoError(t, s.db.Close())
			require.Equal(t, http.StatusServiceUnavailable, s.deliver(s.handler(insertWork), "msg_lost"))
			require.Equal(t, http.StatusServiceUnavailable, s.deliver(s.handler(insertWork), "msg_lost"), "not in progress")
		})
	}
}
