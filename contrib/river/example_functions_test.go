package pluralriver_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

func TestReadmeFunctionsOnSQLite(t *testing.T) {
	t.Parallel()
	e, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
	require.NoError(t, err)
	testReadmeFunctions(t, e)
}

// testReadmeFunctions checks that the README's functions do what they say, on
// both databases.
func testReadmeFunctions(t *testing.T, e *engine[*sql.Tx]) {
	t.Helper()
	for statement := range strings.SplitSeq(shopTables, ";") {
		if strings.TrimSpace(statement) != "" {
			e.execute(t, "%s", statement)
		}
	}
	e.execute(t, `INSERT INTO orders (number, amount, made_at) VALUES ('order-1', 10000, %d), ('old', 10000, 0)`,
		time.Now().Unix())
	e.execute(t, `INSERT INTO decisions (kind, order_id, reference, state) VALUES
		('plural_cancel', 'v1-1', '', 'refused'), ('plural_cancel', 'v1-1', '', 'decided'),
		('plural_refund', 'v1-1', 'refund-1', 'decided'), ('plural_refund', 'v1-1', 'refund-2', 'decided')`)
	within := func(work func(ctx context.Context, tx *sql.Tx) error) {
		t.Helper()
		require.NoError(t, e.transact(t.Context(), func(tx *sql.Tx) error { return work(t.Context(), tx) }))
	}
	sees := func(o plural.Order) {
		t.Helper()
		o.MerchantOrderReference, o.OrderID, o.OrderAmount = "order-1", "v1-1", plural.INR(10000)
		within(func(ctx context.Context, tx *sql.Tx) error { return seen(ctx, tx, &o) })
	}
	ends := func(o pluralriver.Outcome) {
		t.Helper()
		o.OrderID = "v1-1"
		within(func(ctx context.Context, tx *sql.Tx) error { return ended(ctx, tx, o) })
	}
	finds := func(want ...pluralriver.LookArgs) {
		t.Helper()
		e.execute(t, `UPDATE orders SET looked_at = 0`)
		within(func(ctx context.Context, tx *sql.Tx) error {
			looks, err := quiet(ctx, tx)
			require.Equal(t, want, looks)
			return err
		})
	}
	finds(pluralriver.LookArgs{Reference: "order-1"}) // the other order is not found, because it is unpaid and too old

	paid := plural.Payment{
		Status: plural.PaymentStatusProcessed, PaymentMethod: plural.PaymentMethodCard, PaymentAmount: plural.INR(10000),
	}
	card := []plural.Payment{paid}
	sees(plural.Order{Status: plural.OrderStatusProcessed, Payments: card})
	require.Equal(t, 1, e.count(t, `orders WHERE good AND NOT may_change AND status = 'PROCESSED'`))
	finds()

	// A cancel changes only the row that is still open, and no earlier row.
	within(func(ctx context.Context, tx *sql.Tx) error {
		return unsettled(ctx, tx, pluralriver.Outcome{Kind: pluralriver.KindCancel, OrderID: "v1-1"},
			pluralriver.Attempt{Why: pluralriver.StillUnknown})
	})
	require.Equal(t, 1, e.count(t, `decisions WHERE note <> '' AND state = 'decided'`))
	require.Equal(t, 1, e.count(t, `decisions WHERE note <> ''`))
	ends(pluralriver.Outcome{Kind: pluralriver.KindCancel, Order: &plural.Order{Status: plural.OrderStatusCancelled}})
	require.Equal(t, 1, e.count(t, `decisions WHERE kind = 'plural_cancel' AND state = 'refused'`))
	require.Equal(t, 1, e.count(t, `decisions WHERE kind = 'plural_cancel' AND state = 'done' AND note = ''`))

	// Two refunds are accepted. The bank makes one and refuses the other.
	refund := func(reference string, status plural.OrderStatus) plural.Order {
		return plural.Order{
			Type: plural.OrderTypeRefund, OrderID: "v1-" + reference, MerchantOrderReference: reference, Status: status,
			OrderAmount: plural.INR(4000),
		}
	}
	pending := []plural.Order{
		refund("refund-1", plural.OrderStatusPending), refund("refund-2", plural.OrderStatusPending),
	}
	for _, r := range pending {
		ends(pluralriver.Outcome{Kind: pluralriver.KindRefund, Reference: r.MerchantOrderReference, Order: &r})
	}
	require.Equal(t, 2, e.count(t, `decisions WHERE state = 'pending'`))
	finds(pluralriver.LookArgs{Reference: "order-1"}) // the books do not show the refunds yet
	sees(plural.Order{Status: plural.OrderStatusProcessed, Payments: card, Refunds: pending})
	require.Equal(t, 2, e.count(t, `decisions WHERE state = 'pending'`))
	require.Equal(t, 1, e.count(t, `orders WHERE good AND may_change`))
	sees(plural.Order{Status: plural.OrderStatusPartiallyRefunded, Payments: card, Refunds: []plural.Order{
		refund("refund-1", plural.OrderStatusFailed), refund("refund-1", plural.OrderStatusProcessed), // tried twice
		refund("refund-2", plural.OrderStatusFailed),
	}})
	require.Equal(t, 1, e.count(t, `decisions WHERE reference = 'refund-1' AND state = 'done'`))
	require.Equal(t, 1, e.count(t, `decisions WHERE reference = 'refund-2' AND state = 'refused'`))
	require.Equal(t, 1, e.count(t, `orders WHERE good AND NOT may_change AND status = 'PARTIALLY_REFUNDED'`))
	finds()

	// The first document has a time in the future, and the shop does not store
	// this time. So the shop accepts the second document, although its time is
	// earlier.
	sees(plural.Order{
		Status: plural.OrderStatusAuthorized, UpdatedAt: plural.Timestamp{Time: time.Now().Add(6 * time.Hour)},
	})
	sees(plural.Order{Status: plural.OrderStatusCancelled, UpdatedAt: plural.Timestamp{Time: time.Now()}})
	require.Equal(t, 1, e.count(t, `orders WHERE NOT good AND status = 'CANCELLED'`))
}
