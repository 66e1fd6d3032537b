package main

import (
	"database/sql"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// Plural's document of an order shows that money was given back, but leaves out
// the refunds. The shop does not know the amount, so it reads the order again.
func TestRefundsLeftOutAreReadAgain(t *testing.T) {
	t.Parallel()
	db, err := openStore(t.Context(), sqliteFile(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	b := &orderBooks{db: db, log: slog.New(slog.DiscardHandler)}
	o, err := b.place(t.Context(), &order{Number: "order-aaaaaaaaaaaaaaaaaaaaaaaaaa", Amount: plural.INR(20000)})
	require.NoError(t, err)
	require.NoError(t, db.transact(t.Context(), func(tx *sql.Tx) error {
		return b.recordOrder(t.Context(), tx, o, &plural.Order{
			OrderID: "v1-1", MerchantOrderReference: o.Number, OrderAmount: o.Amount,
			Status: plural.OrderStatusFullyRefunded,
		})
	}))
	o, err = db.order(t.Context(), db, o.Number)
	require.NoError(t, err)
	require.True(t, o.Unsettled)
}
