package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/contrib/sqlstore"
	"github.com/plural-go/plural/pluraltest"
)

// The inbox records each webhook in a transaction. In the same transaction, the
// shop's function stores a job for the webhook.
func Example() {
	ctx, db, mux := context.Background(), shopDatabase(), http.NewServeMux()
	defer db.Close()
	gateway := pluraltest.New()
	defer gateway.Close()
	verifier, err := plural.NewVerifier(gateway.WebhookSecret)
	if err == nil {
		err = handleWebhooks(ctx, db, mux, verifier)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 { // Plural delivers an event until it is acknowledged
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, signed(gateway, `{"event_type":"ORDER_PROCESSED","data":{"order_id":"v1-1-aa-b"}}`))
		var jobs int
		_ = db.QueryRowContext(ctx, `SELECT count(*) FROM jobs`).Scan(&jobs)
		fmt.Println(w.Code, jobs)
	}
	// Output:
	// 200 1
	// 200 1
}

// A job of the shop calls Prune once a day. A time of less than 72 hours is an
// error.
func ExampleInbox_Prune() {
	ctx, db := context.Background(), shopDatabase()
	defer db.Close()
	inbox, err := sqlstore.NewInbox(db, sqlstore.SQLite)
	if err == nil {
		err = inbox.Migrate(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	removed, err := inbox.Prune(ctx, 7*24*time.Hour)
	fmt.Println(removed, err)
	_, err = inbox.Prune(ctx, time.Hour)
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// sqlstore: prune: records have to be kept for at least 72h0m0s
}

func handleWebhooks(ctx context.Context, db *sql.DB, mux *http.ServeMux, verifier *plural.Verifier) error {
	inbox, err := sqlstore.NewInbox(db, sqlstore.SQLite) // or sqlstore.Postgres
	if err != nil {
		return err
	}
	if err := inbox.Migrate(ctx); err != nil { // one table, plural_inbox
		return err
	}
	mux.Handle("POST /plural/webhook", inbox.Handler(verifier,
		func(ctx context.Context, tx *sql.Tx, e *plural.Event) error {
			id, err := e.OrderID()
			if errors.Is(err, plural.ErrNoOrder) {
				return nil // not about an order
			}
			if err != nil {
				return err
			}
			// The function only stores what has to be done. A worker reads the
			// order later.
			_, err = tx.ExecContext(ctx, `INSERT INTO jobs (kind, order_id) VALUES ('look', $1)`, id)
			return err
		}))
	return nil
}

func shopDatabase() *sql.DB {
	db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1) // each connection has its own database in memory
	if _, err := db.ExecContext(context.Background(), `CREATE TABLE jobs (kind text, order_id text)`); err != nil {
		panic(err)
	}
	return db
}

func signed(gateway *pluraltest.Server, body string) *http.Request {
	id, stamp := "msg_1", strconv.FormatInt(time.Now().Unix(), 10)
	r := httptest.NewRequest(http.MethodPost, "/plural/webhook", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", stamp)
	r.Header.Set("Webhook-Signature", gateway.SignWebhook(id, stamp, []byte(body)))
	return r
}

// The README shows the code that the Example runs.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, shown, 1)
	require.Contains(t, strings.ReplaceAll(string(example), "\n\t", "\n"), shown[0][1])
}
