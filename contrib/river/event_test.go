package pluralriver_test

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/internal/servertest"
)

// An event whose order can never be looked up is ignored. Otherwise Plural
// would deliver it again and again, because PostgreSQL refuses a zero byte.
func TestEventsOfOrdersThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	postgres, err := openSQL(servertest.StartPostgres(t).URL)
	require.NoError(t, err)
	sqlite, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
	require.NoError(t, err)
	for name, e := range map[string]*engine[*sql.Tx]{"PostgreSQL": postgres, "SQLite": sqlite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.makeTables(t)
			client, err := river.NewClient(e.driver, &river.Config{})
			require.NoError(t, err)
			look := pluralriver.LookOnEvent(client, nil)
			for data, want := range map[string]int{
				`{"order_id":"v1-1"}`: 1, `{"order_id":"v1-\u0000"}`: 0, `{"order_id":"../x"}`: 0, `{"order_id":""}`: 0, `[]`: 0,
				`{"order_id":"v1-r","type":"REFUND","parent_order_id":"v1-\u0000"}`: 0,
			} {
				before := e.count(t, `river_job`)
				require.NoError(t, e.transact(t.Context(), func(tx *sql.Tx) error {
					return look(t.Context(), tx, &plural.Event{ID: "msg", Type: "ORDER_PROCESSED", Data: json.RawMessage(data)})
				}), data)
				require.Equal(t, before+want, e.count(t, `river_job`), data)
			}
		})
	}
}
